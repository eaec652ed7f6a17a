/* json/json.c -- the reader's public side: choosing a scanner, explaining failures, walking the nodes, undoing escapes */
#include "json/json.h"

#include "json/scan.h"
#include "json/utf8.h"

#include <math.h>

#define TEXT_MAX (UINT32_MAX - 1)

static json_scan_fn *best_scan(void)
{
#ifdef __x86_64__
    return json_scan_has_avx2() ? json_scan_avx2 : json_scan_sse2;
#else
    return json_scan_portable;
#endif
}

/* Line and column as serde_json counts them when the first CONSUMED bytes were read. The loop is one that compilers vectorise: a text of many
 * megabytes must not hold up its thread. */
static void position(struct str text, size_t consumed, unsigned *ret_line, unsigned *ret_column)
{
    const char *last = consumed ? memrchr(text.p, '\n', consumed) : NULL;
    unsigned line = 1;

    for (size_t i = 0; i < consumed; i++)
        line += text.p[i] == '\n';
    *ret_line = line;
    *ret_column = (unsigned)(last ? consumed - 1 - (size_t)(last - text.p) : consumed);
}

void json_position(const struct json_doc *doc, size_t at, unsigned *ret_line, unsigned *ret_column)
{
    position(doc->text, MIN(at + 1, doc->text.n), ret_line, ret_column);
}

static void explain(const struct scan *s, struct json_error *ret_error)
{
    size_t at = (size_t)(s->at - s->text), n = (size_t)(s->end - s->text);

    ret_error->message = s->message;
    ret_error->at = at;
    position(str_range(s->text, s->end), MIN(at + 1, n), &ret_error->line, &ret_error->column);
}

/* The nodes at the end of the scan, moved to an exact piece of the arena when they still stand on the stack. */
static const struct json_node *keep_nodes(struct scan *s, size_t n)
{
    if (s->nodes != s->stack) {
        arena_trim(s->arena, s->nodes, n * sizeof *s->nodes);
        return s->nodes;
    }
    struct json_node *nodes = arena_alloc(s->arena, n * sizeof *nodes);
    if (nodes)
        memcpy(nodes, s->stack, n * sizeof *nodes);
    return nodes;
}

int json_parse_with(json_scan_fn *scan, struct str text, struct arena *arena, struct json_doc *doc, struct json_error *ret_error)
{
    struct scan s; /* its 4 KB of nodes are not worth zeroing */

    if (text.n > TEXT_MAX)
        return ERR_LIMIT;
    s.text = text.n ? text.p : "";
    s.end = s.text + text.n;
    s.arena = arena;
    s.nodes = s.stack;
    s.cap = SCAN_STACK_NODES;

    long n = scan(&s);
    if (n < 0) {
        if (n == ERR_SYNTAX && ret_error)
            explain(&s, ret_error);
        return (int)n;
    }
    const struct json_node *nodes = keep_nodes(&s, (size_t)n);
    if (!nodes)
        return ERR_NOMEM;
    *doc = (struct json_doc){ .text = text, .nodes = nodes, .n = (size_t)n };
    return 0;
}

int json_parse(struct str text, struct arena *arena, struct json_doc *doc, struct json_error *ret_error)
{
    return json_parse_with(best_scan(), text, arena, doc, ret_error);
}

struct str json_raw(struct json v)
{
    if (!v.doc)
        return STR_NONE;
    const struct json_node *node = json_node(v);
    if (node->type == JSON_STRING)
        return (struct str){ v.doc->text.p + node->at - 1, node->len + (size_t)2 };
    return (struct str){ v.doc->text.p + node->at, node->len };
}

struct str json_raw_str(struct json v)
{
    if (!json_is(v, JSON_STRING))
        return STR_NONE;
    return (struct str){ v.doc->text.p + json_node(v)->at, json_node(v)->len };
}

static uint32_t hex4(const char *p)
{
    uint32_t code = 0;

    for (int i = 0; i < 4; i++)
        code = code << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return code;
}

/* Undoes the escape at *P (behind its backslash; the scanner has checked it) into OUT; moves *P behind it; returns the bytes written. */
static int undo_escape(const char **p, const char *end, char out[4])
{
    static const char MEANING[128] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
    };
    char kind = *(*p)++;

    if (kind != 'u') {
        out[0] = MEANING[(unsigned char)kind & 127];
        return 1;
    }
    uint32_t code = hex4(*p);
    *p += 4;
    if (code >= 0xD800 && code < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        uint32_t low = hex4(*p + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            *p += 6;
            return utf8_encode(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), out);
        }
    }
    if (code >= 0xD800 && code < 0xE000)
        code = 0xFFFD;
    return utf8_encode(code, out);
}

/* The bytes before the next backslash. */
static size_t run_length(const char *p, const char *end)
{
    const char *backslash = memchr(p, '\\', (size_t)(end - p));

    return (size_t)((backslash ? backslash : end) - p);
}

struct str json_str(struct json v, struct arena *arena)
{
    struct str raw = json_raw_str(v);

    if (!raw.p || !json_node(v)->escaped)
        return raw;
    char *out = arena_alloc(arena, raw.n), *at = out; /* no escape grows when it is undone */
    if (!out)
        return STR_NONE;
    const char *p = raw.p, *end = raw.p + raw.n;
    for (;;) {
        size_t run = run_length(p, end);
        memcpy(at, p, run);
        at += run;
        p += run;
        if (p == end)
            break;
        p++;
        char bytes[4];
        int n = undo_escape(&p, end, bytes);
        memcpy(at, bytes, (size_t)n);
        at += n;
    }
    arena_trim(arena, out, (size_t)(at - out));
    return str_range(out, at);
}

bool json_str_eq(struct json v, struct str text)
{
    struct str raw = json_raw_str(v);

    if (!raw.p)
        return false;
    if (!json_node(v)->escaped)
        return str_eq(raw, text);
    const char *p = raw.p, *end = raw.p + raw.n;
    while (p < end) {
        struct str piece = { p, run_length(p, end) };
        char bytes[4];
        p += piece.n;
        if (piece.n == 0) {
            p++;
            piece.n = (size_t)undo_escape(&p, end, bytes);
            piece.p = bytes;
        }
        if (!str_has_prefix(text, piece))
            return false;
        text = str_skip(text, piece.n);
    }
    return text.n == 0;
}

/* The digits of an integer without its sign. */
static int to_magnitude(struct json v, uint64_t *ret)
{
    if (!json_is(v, JSON_NUMBER) || !json_node(v)->integer)
        return ERR_INVALID;
    struct str digits = str_skip(json_raw(v), json_node(v)->negative);
    uint64_t value = 0;

    for (size_t i = 0; i < digits.n; i++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(digits.p[i] - '0'), &value))
            return ERR_INVALID;
    }
    *ret = value;
    return 0;
}

int json_to_u64(struct json v, uint64_t *ret)
{
    uint64_t value;

    if (to_magnitude(v, &value) < 0 || (json_node(v)->negative && value > 0))
        return ERR_INVALID;
    *ret = value;
    return 0;
}

int json_to_i64(struct json v, int64_t *ret)
{
    uint64_t value;

    if (to_magnitude(v, &value) < 0)
        return ERR_INVALID;
    if (json_node(v)->negative) {
        if (value > (uint64_t)INT64_MAX + 1)
            return ERR_INVALID;
        *ret = (int64_t)(0 - value);
        return 0;
    }
    if (value > INT64_MAX)
        return ERR_INVALID;
    *ret = (int64_t)value;
    return 0;
}

int json_to_double(struct json v, double *ret)
{
    double value;

    if (!json_is(v, JSON_NUMBER) || str_to_double(json_raw(v), &value) < 0 || !isfinite(value))
        return ERR_INVALID;
    *ret = value;
    return 0;
}

size_t json_count(struct json container)
{
    if (!json_is(container, JSON_ARRAY) && !json_is(container, JSON_OBJECT))
        return 0;
    const struct json_node *node = json_node(container);
    if (node->count < JSON_COUNT_MAX)
        return node->count;

    struct json_iter it = json_iter(container);
    size_t n = 0;
    while (json_next(&it))
        n++;
    return n;
}

struct json json_at(struct json array, size_t index)
{
    if (!json_is(array, JSON_ARRAY))
        return JSON_NONE;
    struct json_iter it = json_iter(array);
    while (json_next(&it)) {
        if (index-- == 0)
            return it.value;
    }
    return JSON_NONE;
}

struct json json_get(struct json object, struct str key)
{
    struct json found = JSON_NONE;

    if (!json_is(object, JSON_OBJECT))
        return found;
    struct json_iter it = json_iter(object);
    while (json_next(&it)) {
        if (json_str_eq(it.key, key))
            found = it.value;
    }
    return found;
}

struct json_iter json_iter(struct json container)
{
    struct json_iter it = { 0 };

    if (!json_is(container, JSON_ARRAY) && !json_is(container, JSON_OBJECT))
        return it;
    it.doc = container.doc;
    it.i = container.i + 1;
    it.end = json_node(container)->next;
    it.object = json_node(container)->type == JSON_OBJECT;
    return it;
}

bool json_next(struct json_iter *it)
{
    if (it->i >= it->end)
        return false;
    if (it->object)
        it->key = (struct json){ it->doc, it->i++ };
    it->value = (struct json){ it->doc, it->i };
    it->i = it->doc->nodes[it->i].next;
    return true;
}
