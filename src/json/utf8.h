/* json/utf8.h -- one UTF-8 sequence at a time (RFC 3629): for code that looks at text byte by byte, and for undoing and writing escapes
 *
 * Pure functions, any thread. The reader's fast path checks whole blocks instead (scan_avx2.c) and must agree with utf8_sequence.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT     "\xEF\xBF\xBD" /* U+FFFD, what stands for bytes that are not text */
#define UTF8_REPLACEMENT_LEN 3

static inline bool utf8_is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* The sequence at P < END. Its length 1..4 when it is valid (no overlong form, no surrogate, at most U+10FFFF); else minus the number of
 * bytes, 1..3, that one U+FFFD replaces: the longest piece that could have begun a valid sequence (Unicode 3.9, "maximal subpart"). */
static inline int utf8_sequence(const char *p, const char *end)
{
    unsigned char lead = (unsigned char)p[0];
    unsigned char low = 0x80, high = 0xBF; /* range of the second byte */
    int n;

    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return -1;
    if (lead < 0xE0) {
        n = 2;
    } else if (lead < 0xF0) {
        n = 3;
        low = lead == 0xE0 ? 0xA0 : 0x80;
        high = lead == 0xED ? 0x9F : 0xBF;
    } else {
        n = 4;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF;
    }
    if (end - p < 2 || (unsigned char)p[1] < low || (unsigned char)p[1] > high)
        return -1;
    for (int i = 2; i < n; i++) {
        if (end - p <= i || !utf8_is_continuation(p[i]))
            return -i;
    }
    return n;
}

/* Writes CODE (at most U+10FFFF, no surrogate) to OUT; returns its 1..4 bytes. */
static inline int utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | (code >> 6));
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | (code >> 12));
        out[1] = (char)(0x80 | ((code >> 6) & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | (code >> 18));
    out[1] = (char)(0x80 | ((code >> 12) & 0x3F));
    out[2] = (char)(0x80 | ((code >> 6) & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}
