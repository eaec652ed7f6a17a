/* json/scan_sse2.c -- the scanner 16 bytes at a time: any x86-64 processor */
#include "json/scan.h"

#ifdef __x86_64__
#include <emmintrin.h>

#define SCAN_NAME json_scan_sse2
#define scan_utf8 json_scan_utf8

static inline __m128i load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline uint32_t lane_string(const char *p, uint32_t *high)
{
    __m128i b = load(p);
    __m128i quote = _mm_cmpeq_epi8(b, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(b, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(b, _mm_set1_epi8(0x1F)), b);

    *high = (uint32_t)_mm_movemask_epi8(b);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control));
}

static inline uint32_t lane_blank(const char *p)
{
    __m128i b = load(p);
    __m128i space = _mm_or_si128(_mm_cmpeq_epi8(b, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(b, _mm_set1_epi8('\t')));
    __m128i line = _mm_or_si128(_mm_cmpeq_epi8(b, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(b, _mm_set1_epi8('\r')));

    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(space, line)) ^ 0xFFFF;
}

static inline uint32_t lane_digits(const char *p)
{
    __m128i value = _mm_sub_epi8(load(p), _mm_set1_epi8('0'));

    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(9)), value)) ^ 0xFFFF;
}

/* Four lanes make a block. */
static inline uint64_t join(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return a | (uint64_t)b << 16 | (uint64_t)c << 32 | (uint64_t)d << 48;
}

static inline uint64_t block_string(const char *p, uint64_t *high)
{
    uint32_t h[4];
    uint64_t stops =
        join(lane_string(p, &h[0]), lane_string(p + 16, &h[1]), lane_string(p + 32, &h[2]), lane_string(p + 48, &h[3]));

    *high = join(h[0], h[1], h[2], h[3]);
    return stops;
}

static inline uint64_t block_blank(const char *p)
{
    return join(lane_blank(p), lane_blank(p + 16), lane_blank(p + 32), lane_blank(p + 48));
}

static inline uint64_t block_digits(const char *p)
{
    return join(lane_digits(p), lane_digits(p + 16), lane_digits(p + 32), lane_digits(p + 48));
}

#include "json/scan_impl.h"
#endif
