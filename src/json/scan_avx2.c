/* json/scan_avx2.c -- the scanner 32 bytes at a time, for processors with AVX2 (built with -mavx2; json.c asks the processor first)
 *
 * UTF-8 is checked 32 bytes at a time by table lookups (Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte",
 * 2021): each pair of neighbouring bytes is classified by three nibbles, each of which admits a set of mistakes; a mistake that all three
 * admit has been made. Whether a byte must be the third or fourth of a sequence is compared with "two continuations in a row" on top.
 */
#include "json/scan.h"

#ifdef __AVX2__
#include <immintrin.h>

bool json_scan_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
}

#define SCAN_NAME json_scan_avx2
#define LANE      32

static inline __m256i load(const char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline uint32_t lane_string(const char *p, uint32_t *high)
{
    __m256i b = load(p);
    __m256i quote = _mm256_cmpeq_epi8(b, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(b, _mm256_set1_epi8('\\'));
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(b, _mm256_set1_epi8(0x1F)), b);

    *high = (uint32_t)_mm256_movemask_epi8(b);
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quote, backslash), control));
}

static inline uint32_t lane_blank(const char *p)
{
    __m256i b = load(p);
    __m256i space = _mm256_or_si256(_mm256_cmpeq_epi8(b, _mm256_set1_epi8(' ')), _mm256_cmpeq_epi8(b, _mm256_set1_epi8('\t')));
    __m256i line = _mm256_or_si256(_mm256_cmpeq_epi8(b, _mm256_set1_epi8('\n')), _mm256_cmpeq_epi8(b, _mm256_set1_epi8('\r')));

    return ~(uint32_t)_mm256_movemask_epi8(_mm256_or_si256(space, line));
}

static inline uint32_t lane_digits(const char *p)
{
    __m256i value = _mm256_sub_epi8(load(p), _mm256_set1_epi8('0'));

    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value));
}

/* Two lanes make a block. */
static inline uint64_t block_string(const char *p, uint64_t *high)
{
    uint32_t h[2];
    uint64_t stops = lane_string(p, &h[0]) | (uint64_t)lane_string(p + LANE, &h[1]) << LANE;

    *high = h[0] | (uint64_t)h[1] << LANE;
    return stops;
}

static inline uint64_t block_blank(const char *p)
{
    return lane_blank(p) | (uint64_t)lane_blank(p + LANE) << LANE;
}

static inline uint64_t block_digits(const char *p)
{
    return lane_digits(p) | (uint64_t)lane_digits(p + LANE) << LANE;
}

/* Mistakes of a byte pair. */
#define TOO_SHORT     (1 << 0) /* lead, then no continuation */
#define TOO_LONG      (1 << 1) /* ASCII, then a continuation */
#define OVERLONG_3    (1 << 2) /* E0 80..9F */
#define TOO_LARGE     (1 << 3) /* F4 90..BF, F5.. and up with 90..BF */
#define SURROGATE     (1 << 4) /* ED A0..BF */
#define OVERLONG_2    (1 << 5) /* C0, C1 */
#define OVERLONG_4    (1 << 6) /* F0 80..8F */
#define TOO_LARGE_80  (1 << 6) /* F5.. and up with 80..8F: shares the bit, the first byte's low nibble tells */
#define CONTINUATIONS (1 << 7) /* two in a row: right only as third or fourth byte */
#define ANY_LOW       (TOO_SHORT | TOO_LONG | CONTINUATIONS) /* do not depend on the first byte's low nibble */

static inline __m256i lookup(__m256i nibbles, char v0, char v1, char v2, char v3, char v4, char v5, char v6, char v7, char v8,
                             char v9, char va, char vb, char vc, char vd, char ve, char vf)
{
    __m128i table = _mm_setr_epi8(v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, va, vb, vc, vd, ve, vf);

    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles);
}

static inline __m256i high_nibbles(__m256i b)
{
    return _mm256_and_si256(_mm256_srli_epi16(b, 4), _mm256_set1_epi8(0x0F));
}

static inline __m256i pair_mistakes(__m256i first, __m256i second)
{
    const char l = TOO_LONG, cc = (char)CONTINUATIONS, s = TOO_SHORT;
    const char any = (char)ANY_LOW, large = (char)(ANY_LOW | TOO_LARGE | TOO_LARGE_80);
    const char cont = (char)(TOO_LONG | OVERLONG_2 | CONTINUATIONS);
    __m256i low = _mm256_and_si256(first, _mm256_set1_epi8(0x0F));

    __m256i by_first_high = lookup(high_nibbles(first), l, l, l, l, l, l, l, l, cc, cc, cc, cc, s | OVERLONG_2, s,
                                   s | OVERLONG_3 | SURROGATE, s | TOO_LARGE | TOO_LARGE_80 | OVERLONG_4);
    __m256i by_first_low =
        lookup(low, (char)(any | OVERLONG_2 | OVERLONG_3 | OVERLONG_4), any | OVERLONG_2, any, any, any | TOO_LARGE, large, large,
               large, large, large, large, large, large, large | SURROGATE, large, large);
    __m256i by_second_high =
        lookup(high_nibbles(second), s, s, s, s, s, s, s, s, cont | OVERLONG_3 | TOO_LARGE_80 | OVERLONG_4,
               cont | OVERLONG_3 | TOO_LARGE, cont | SURROGATE | TOO_LARGE, cont | SURROGATE | TOO_LARGE, s, s, s, s);
    return _mm256_and_si256(_mm256_and_si256(by_first_high, by_first_low), by_second_high);
}

/* Nonzero where BLOCK, which follows BEFORE, is wrong. */
static inline __m256i block_mistakes(__m256i before, __m256i block)
{
    __m256i middle = _mm256_permute2x128_si256(before, block, 0x21);
    __m256i back1 = _mm256_alignr_epi8(block, middle, 15);
    __m256i back2 = _mm256_alignr_epi8(block, middle, 14);
    __m256i back3 = _mm256_alignr_epi8(block, middle, 13);
    __m256i third = _mm256_subs_epu8(back2, _mm256_set1_epi8((char)(0xE0 - 0x80)));
    __m256i fourth = _mm256_subs_epu8(back3, _mm256_set1_epi8((char)(0xF0 - 0x80)));
    __m256i expected = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));

    return _mm256_xor_si256(expected, pair_mistakes(back1, block));
}

/* The last block is filled up with zeros, before which no sequence may be open. */
static const char *scan_utf8(const char *start, const char *end)
{
    __m256i before = _mm256_setzero_si256(), mistakes = before;
    const char *p = start;

    for (; end - p >= LANE; p += LANE) {
        __m256i block = load(p);
        mistakes = _mm256_or_si256(mistakes, block_mistakes(before, block));
        before = block;
    }
    char rest[LANE] = { 0 };
    memcpy(rest, p, (size_t)(end - p));
    mistakes = _mm256_or_si256(mistakes, block_mistakes(before, load(rest)));
    if (_likely_(_mm256_testz_si256(mistakes, mistakes)))
        return end;
    return json_scan_utf8(start, end);
}

#include "json/scan_impl.h"
#endif
