/* text/tokenizer/valid_text.c -- is it UTF-8, and if not, made so (Unicode table 3-7; one U+FFFD per maximal invalid prefix, as Python's and Rust's lossy decoders) */
#include "text/tokenizer/valid_text.h"

#include <string.h>

#include "base/err.h"
#include "text/tokenizer/unicode.h"

#define HIGH_BITS 0x8080808080808080u

static uint64_t load8(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 64) {
        uint64_t any = 0;
        for (unsigned i = 0; i < 64; i += 8)
            any |= load8(p + i);
        if (any & HIGH_BITS)
            break;
        p += 64;
    }
    while (end - p >= 8 && !(load8(p) & HIGH_BITS))
        p += 8;
    while (p < end && *p < 0x80)
        p++;
    return p;
}

static bool continues(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

size_t valid_prefix(struct str text)
{
    const uint8_t *begin = (const uint8_t *)text.p, *p = begin, *end = begin + text.n;

    while (p < end) {
        uint8_t c = *p;
        if (c < 0x80) {
            p = skip_ascii(p, end);
        } else if (c >= 0xe0 && c < 0xf0) {
            if (end - p < 3 || !continues(p[1]) || !continues(p[2]) || (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f))
                break;
            p += 3;
        } else if (c >= 0xc2 && c < 0xe0) {
            if (end - p < 2 || !continues(p[1]))
                break;
            p += 2;
        } else {
            if (c < 0xf0 || c > 0xf4 || end - p < 4 || !continues(p[1]) || !continues(p[2]) || !continues(p[3]) ||
                (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
                break;
            p += 4;
        }
    }
    return (size_t)(p - begin);
}

int valid_text(struct str text, struct buf *work, struct str *ret)
{
    size_t n = text.n ? valid_prefix(text) : 0;

    if (n == text.n) {
        *ret = text;
        return 0;
    }
    buf_clear(work);
    while (text.n) {
        buf_put(work, str_first(text, n));
        text = str_skip(text, n);
        if (text.n) {
            size_t bad;
            (void)unicode_read(text.p, text.n, &bad); /* the character is U+FFFD; how long it is counts */
            buf_puts(work, "\xef\xbf\xbd");
            text = str_skip(text, bad);
        }
        n = text.n ? valid_prefix(text) : 0;
    }
    if (work->failed)
        return ERR_NOMEM;
    *ret = buf_str(work);
    return 0;
}
