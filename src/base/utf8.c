/* base/utf8.c -- well-formed byte sequences after table 3-7 of the Unicode standard */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static size_t length_by_first_byte(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

size_t utf8_length(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char low = 0x80, high = 0xbf;
    size_t n = s.n ? length_by_first_byte(p[0]) : 0;

    if (n <= 1 || n > s.n)
        return n <= 1 ? n : 0;
    if (p[0] == 0xe0)
        low = 0xa0; /* overlong */
    else if (p[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (p[0] == 0xf0)
        low = 0x90; /* overlong */
    else if (p[0] == 0xf4)
        high = 0x8f; /* past U+10FFFF */
    for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
        if (p[i] < low || p[i] > high)
            return 0;
    return n;
}

/* Eight bytes of ASCII at P: most text is, and is looked at a word at a time. */
static bool is_ascii_word(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return (word & 0x8080808080808080u) == 0;
}

bool utf8_valid(struct str s)
{
    while (s.n) {
        size_t n = s.n >= 8 && is_ascii_word(s.p) ? 8 : utf8_length(s);

        if (n == 0)
            return false;
        s = str_skip(s, n);
    }
    return true;
}

struct str utf8_first(struct str s, size_t n)
{
    size_t end = n;

    if (s.n <= n)
        return s;
    while (end && n - end < 3 && ((unsigned char)s.p[end] & 0xc0) == 0x80)
        end--;
    return str_first(s, ((unsigned char)s.p[end] & 0xc0) == 0x80 ? n : end);
}
