/* json/scan_portable.c -- the scanner for processors without SSE2, byte by byte, and the slow parts that all scanners share */
#include "json/scan.h"

#include "json/utf8.h"

bool json_scan_grow(struct scan *s, const char *p)
{
    /* What the text so far needed says how much the rest will; a quarter more, so that a second guess is rare. */
    uint64_t seen = (uint64_t)(p - s->text) + 1, all = (uint64_t)(s->end - s->text);
    uint64_t cap = s->cap * all / seen;
    cap += cap / 4 + 64;
    if (cap < s->cap + (uint64_t)s->cap / 2)
        cap = s->cap + (uint64_t)s->cap / 2;
    if (cap > all + 1) /* every value takes a byte */
        cap = all + 1;

    struct json_node *nodes = arena_alloc(s->arena, cap * sizeof *nodes);
    if (!nodes)
        return false;
    memcpy(nodes, s->nodes, s->cap * sizeof *nodes);
    s->nodes = nodes;
    s->cap = (uint32_t)cap;
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

const bool json_scan_simple_escape[256] = {
    ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true, ['f'] = true, ['n'] = true, ['r'] = true, ['t'] = true,
};

const char *json_scan_hex_escape(struct scan *s, const char *p)
{
    s->message = "invalid escape";
    s->at = p;
    if (p < s->end && *p != 'u')
        return NULL;
    for (int i = 1; i <= 4 && p + i < s->end; i++) {
        s->at = p + i;
        if (!is_hex(p[i]))
            return NULL;
    }
    if (s->end - p >= 5)
        return p + 5;
    s->message = "EOF while parsing a string";
    s->at = s->end;
    return NULL;
}

const char *json_scan_utf8(const char *p, const char *end)
{
    while (p < end) {
        uint64_t v;
        while (end - p >= 8 && (memcpy(&v, p, 8), (v & UINT64_C(0x8080808080808080)) == 0))
            p += 8;
        if (p == end)
            break;
        int n = utf8_sequence(p, end);
        if (n < 0)
            return p;
        p += n;
    }
    return p;
}

#define SCAN_NAME json_scan_portable
#define scan_utf8 json_scan_utf8

static inline uint64_t block_string(const char *p, uint64_t *high)
{
    uint64_t stops = 0;

    *high = 0;
    for (unsigned i = 0; i < SCAN_BLOCK; i++) {
        unsigned char c = (unsigned char)p[i];
        stops |= (uint64_t)(c == '"' || c == '\\' || c < 0x20) << i;
        *high |= (uint64_t)(c >> 7) << i;
    }
    return stops;
}

static inline uint64_t block_blank(const char *p)
{
    uint64_t other = 0;

    for (unsigned i = 0; i < SCAN_BLOCK; i++)
        other |= (uint64_t)(p[i] != ' ' && p[i] != '\n' && p[i] != '\r' && p[i] != '\t') << i;
    return other;
}

static inline uint64_t block_digits(const char *p)
{
    uint64_t other = 0;

    for (unsigned i = 0; i < SCAN_BLOCK; i++)
        other |= (uint64_t)(p[i] < '0' || p[i] > '9') << i;
    return other;
}

#include "json/scan_impl.h"
