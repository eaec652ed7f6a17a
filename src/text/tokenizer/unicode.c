/* text/tokenizer/unicode.c -- questions about characters, answered from the tables; UTF-8 character by character */
#include "text/tokenizer/unicode.h"

#include "base/attr.h"
#include "text/tokenizer/unicode_tables.h"

#define REPLACEMENT 0xFFFD
#define LAST        0x10FFFF

static inline unsigned record(uint32_t c)
{
    return c > LAST ? UNICODE_CN : UNICODE_RECORDS[UNICODE_RECORD[UNICODE_RECORD_BLOCK[c >> 6] * 64u + (c & 63)]];
}

enum unicode_category unicode_category(uint32_t c)
{
    return (enum unicode_category)(record(c) & 0xFF);
}

bool unicode_is_white_space(uint32_t c)
{
    return record(c) & UNICODE_FLAG_WHITE_SPACE;
}

bool unicode_is_word(uint32_t c)
{
    return record(c) & UNICODE_FLAG_WORD;
}

bool unicode_is_han(uint32_t c)
{
    return record(c) & UNICODE_FLAG_HAN;
}

bool unicode_is_numeric(uint32_t c)
{
    return record(c) & UNICODE_FLAG_NUMERIC;
}

bool unicode_is_punctuation(uint32_t c)
{
    return record(c) & UNICODE_FLAG_PUNCTUATION;
}

bool unicode_is_mark(uint32_t c)
{
    return record(c) & UNICODE_FLAG_MARK;
}

bool unicode_is_mark_nonspacing(uint32_t c)
{
    return record(c) & UNICODE_FLAG_MARK_NONSPACING;
}

bool unicode_is_other(uint32_t c)
{
    return record(c) & UNICODE_FLAG_OTHER;
}

unsigned unicode_script(uint32_t c)
{
    size_t low = 0, high = UNICODE_SCRIPTS_N;

    while (low < high) { /* the first run that ends at C or behind it */
        size_t middle = (low + high) / 2;
        if (UNICODE_SCRIPTS[middle].to < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < UNICODE_SCRIPTS_N && UNICODE_SCRIPTS[low].from <= c ? UNICODE_SCRIPTS[low].script : 0;
}

size_t unicode_lower(uint32_t c, uint32_t ret[3])
{
    ret[0] = c;
    if (c < 0x80) {
        ret[0] = c >= 'A' && c <= 'Z' ? c + 0x20 : c;
        return 1;
    }
    for (size_t i = 0; i < UNICODE_LOWER_LONG_N; i++) {
        const struct unicode_lower_long *l = &UNICODE_LOWER_LONG[i];
        for (uint32_t k = 0; c == l->c && k < l->n; k++)
            ret[k] = l->to[k];
        if (c == l->c)
            return l->n;
    }
    size_t low = 0, high = UNICODE_LOWER_N;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (UNICODE_LOWER[middle].to < c)
            low = middle + 1;
        else
            high = middle;
    }
    const struct unicode_lower_run *r = &UNICODE_LOWER[low];
    if (low < UNICODE_LOWER_N && r->from <= c && (c - r->from) % r->step == 0)
        ret[0] = (uint32_t)((int32_t)c + r->delta);
    return 1;
}

/* Table 3-7 of the standard: what the second byte may be, the only place where a sequence can be overlong, a surrogate or too large. */
static bool second_fits(unsigned char first, unsigned char second)
{
    unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80, high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;

    return second >= low && second <= high;
}

uint32_t unicode_read(const char *p, size_t n, size_t *ret_n)
{
    const unsigned char *b = (const unsigned char *)p;
    unsigned length = b[0] < 0x80 ? 1 : b[0] < 0xC2 ? 0 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : b[0] < 0xF5 ? 4 : 0;

    *ret_n = 1;
    if (length == 1)
        return b[0];
    if (length == 0 || n < 2 || !second_fits(b[0], b[1]))
        return REPLACEMENT;
    uint32_t c = (uint32_t)(b[0] & (0xFF >> (length + 1))) << 6 | (b[1] & 0x3F);
    unsigned i = 2;
    for (; i < length && i < n && (b[i] & 0xC0) == 0x80; i++)
        c = c << 6 | (b[i] & 0x3F);
    *ret_n = i;
    return i == length ? c : REPLACEMENT;
}

size_t unicode_write(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)((0xF00 >> n) | c);
    return n;
}
