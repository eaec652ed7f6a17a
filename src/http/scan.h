/* http/scan.h -- finding the next byte that matters, sixteen at a time (internal to the codec)
 *
 *     begin          p                         end
 *       |============|==16==|==16==|==16==|~~~~~|
 *                                     |==16==|        the last load reaches back, never past END
 *
 * Each finder looks at [p, end) and returns the address of the first hit, or END. BEGIN <= p says from where on memory may be read: with sixteen bytes
 * between BEGIN and END no byte is looked at alone. A class of bytes is two functions, one for a single byte and one for sixteen (bit i of the result
 * stands for p[i]); SSE2 belongs to every x86-64. The classes are those of RFC 9110 5.5 and 5.6.2.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/attr.h"

/* tchar of RFC 9110 5.6.2. */
extern const bool HTTP_TCHAR[256];

static inline bool scan_is_tchar(char c)
{
    return HTTP_TCHAR[(unsigned char)c];
}

/* A control byte other than HTAB: what no field value, reason phrase or target may hold. */
static inline bool scan_is_control(char c)
{
    unsigned char u = (unsigned char)c;

    return (u < 0x20 && u != '\t') || u == 0x7f;
}

static inline bool scan_is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* What most field names consist of; other bytes end the quick part of the scan for a name's end. */
static inline bool scan_is_not_plain(char c)
{
    char lower = (char)(c | 0x20);

    return !((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-');
}

/* What most hosts with their ports consist of. */
static inline bool scan_is_not_host(char c)
{
    return scan_is_not_plain(c) && c != '.' && c != ':';
}

/* The end of a request target: all but visible ASCII. */
static inline bool scan_is_invisible(char c)
{
    return (signed char)c < 0x21 || c == 0x7f;
}

/* The end of a target's path. */
static inline bool scan_is_path_end(char c)
{
    return scan_is_invisible(c) || c == '?' || c == '#';
}

#ifdef __SSE2__

static inline __m128i scan_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i scan_equal(__m128i v, char c)
{
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

static inline unsigned scan_bits(__m128i v)
{
    return (unsigned)_mm_movemask_epi8(v);
}

static inline unsigned scan_byte_bits(const char *p, char c)
{
    return scan_bits(scan_equal(scan_load(p), c));
}

static inline unsigned scan_control_bits(const char *p)
{
    __m128i v = scan_load(p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);

    return scan_bits(_mm_andnot_si128(scan_equal(v, '\t'), _mm_or_si128(low, scan_equal(v, 0x7f))));
}

static inline unsigned scan_line_end_bits(const char *p)
{
    __m128i v = scan_load(p);

    return scan_bits(_mm_or_si128(scan_equal(v, '\n'), scan_equal(v, '\r')));
}

/* FROM <= byte < FROM + N, shifted so that one signed comparison does. */
static inline __m128i scan_range(__m128i v, char from, char n)
{
    return _mm_cmplt_epi8(_mm_add_epi8(v, _mm_set1_epi8((char)(-128 - from))), _mm_set1_epi8((char)(-128 + n)));
}

static inline unsigned scan_not_plain_bits(const char *p)
{
    __m128i v = scan_load(p);
    __m128i letter = scan_range(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 26);

    return scan_bits(_mm_or_si128(letter, _mm_or_si128(scan_range(v, '0', 10), scan_equal(v, '-')))) ^ 0xffff;
}

static inline unsigned scan_not_host_bits(const char *p)
{
    __m128i v = scan_load(p);
    __m128i letter = scan_range(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 26);

    /* '-' and '.', the digits and ':' are neighbours */
    return scan_bits(_mm_or_si128(letter, _mm_or_si128(scan_range(v, '0', 11), scan_range(v, '-', 2)))) ^ 0xffff;
}

static inline __m128i scan_invisible(__m128i v)
{
    return _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x21)), scan_equal(v, 0x7f));
}

static inline unsigned scan_invisible_bits(const char *p)
{
    return scan_bits(scan_invisible(scan_load(p)));
}

static inline unsigned scan_path_end_bits(const char *p)
{
    __m128i v = scan_load(p);

    return scan_bits(_mm_or_si128(scan_invisible(v), _mm_or_si128(scan_equal(v, '?'), scan_equal(v, '#'))));
}

/* A LF with CR or LF behind it: where a head may end. Reads seventeen bytes. */
static inline unsigned scan_lf_then_line_end_bits(const char *p)
{
    __m128i next = scan_load(p + 1);

    return scan_bits(_mm_and_si128(scan_equal(scan_load(p), '\n'), _mm_or_si128(scan_equal(next, '\n'), scan_equal(next, '\r'))));
}

#else

static inline unsigned scan_each(const char *p, bool (*is)(char c))
{
    unsigned bits = 0;

    for (unsigned i = 0; i < 16; i++)
        bits |= (unsigned)is(p[i]) << i;
    return bits;
}

static inline unsigned scan_byte_bits(const char *p, char c)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < 16; i++)
        bits |= (unsigned)(p[i] == c) << i;
    return bits;
}

static inline unsigned scan_control_bits(const char *p)
{
    return scan_each(p, scan_is_control);
}

static inline unsigned scan_line_end_bits(const char *p)
{
    return scan_each(p, scan_is_line_end);
}

static inline unsigned scan_not_plain_bits(const char *p)
{
    return scan_each(p, scan_is_not_plain);
}

static inline unsigned scan_not_host_bits(const char *p)
{
    return scan_each(p, scan_is_not_host);
}

static inline unsigned scan_invisible_bits(const char *p)
{
    return scan_each(p, scan_is_invisible);
}

static inline unsigned scan_path_end_bits(const char *p)
{
    return scan_each(p, scan_is_path_end);
}

static inline unsigned scan_lf_then_line_end_bits(const char *p)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < 16; i++)
        bits |= (unsigned)(p[i] == '\n' && scan_is_line_end(p[i + 1])) << i;
    return bits;
}

#endif

/* The first of HITS, which are those of the sixteen bytes at P. Nearly always it is the byte USUAL: then the address depends on one comparison only, while the
 * rest of the class is judged beside it. What follows waits for the address: this is the longest chain of a head's parsing. */
static inline const char *scan_first(const char *p, unsigned hits, unsigned usual)
{
    if (_likely_((hits & -hits) == (usual & -usual)))
        return p + __builtin_ctz(usual);
    return p + __builtin_ctz(hits);
}

/* Inlined with all parameters behind END known, so that a finder is one loop. */
__attribute__((always_inline)) static inline const char *scan_for(const char *begin, const char *p, const char *end, char usual,
                                                                  bool (*is)(char c), unsigned (*bits)(const char *p))
{
    unsigned hits;

    for (; end - p >= 16; p += 16) {
        hits = bits(p);
        if (hits)
            return scan_first(p, hits, scan_byte_bits(p, usual));
    }
    if (_likely_(end - begin >= 16)) {
        hits = bits(end - 16) >> (16 - (end - p));
        return hits ? scan_first(p, hits, scan_byte_bits(end - 16, usual) >> (16 - (end - p))) : end;
    }
    while (p < end && !is(*p))
        p++;
    return p;
}

static inline const char *scan_control(const char *begin, const char *p, const char *end)
{
    return scan_for(begin, p, end, '\r', scan_is_control, scan_control_bits);
}

static inline const char *scan_line_end(const char *begin, const char *p, const char *end)
{
    return scan_for(begin, p, end, '\n', scan_is_line_end, scan_line_end_bits);
}

/* The first byte that is no tchar. */
static inline const char *scan_token_end(const char *begin, const char *p, const char *end)
{
    p = scan_for(begin, p, end, ':', scan_is_not_plain, scan_not_plain_bits);
    if (_likely_(p < end && *p == ':'))
        return p;
    while (p < end && scan_is_tchar(*p))
        p++;
    return p;
}

static inline const char *scan_host(const char *begin, const char *p, const char *end)
{
    return scan_for(begin, p, end, '\r', scan_is_not_host, scan_not_host_bits);
}

static inline const char *scan_invisible_byte(const char *begin, const char *p, const char *end)
{
    return scan_for(begin, p, end, ' ', scan_is_invisible, scan_invisible_bits);
}

static inline const char *scan_path_end(const char *begin, const char *p, const char *end)
{
    return scan_for(begin, p, end, ' ', scan_is_path_end, scan_path_end_bits);
}
