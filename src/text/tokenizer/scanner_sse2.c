/* text/tokenizer/scanner_sse2.c -- the scanners 16 bytes at a time: any x86-64 processor */
#include "text/tokenizer/scanner_rows.h"

#ifdef __x86_64__
#include <emmintrin.h>

#define SCANNERS    SCANNERS_SSE2
#define SCAN_SUFFIX _sse2
struct masks;
static inline void classify(const char *p, struct masks *ret, bool camel);
#include "text/tokenizer/scanner_masks.h"

#define LANE 16

static inline uint64_t bits(__m128i v)
{
    return (unsigned)_mm_movemask_epi8(v);
}

/* FROM <= byte <= TO; bytes from 80 up are negative and in no range. */
static inline __m128i within(__m128i v, char from, char to)
{
    return _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8((char)(from - 1))), _mm_cmpgt_epi8(_mm_set1_epi8((char)(to + 1)), v));
}

static inline void classify(const char *p, struct masks *ret, bool camel)
{
    *ret = (struct masks){ 0 };
    for (unsigned i = 0; i < WINDOW; i += LANE) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i space = _mm_cmpeq_epi8(v, _mm_set1_epi8(' '));
        __m128i line = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\r')));
        __m128i white = _mm_or_si128(within(v, '\t', '\r'), space);
        ret->high |= bits(v) << i;
        ret->letter |= bits(within(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 'z')) << i;
        if (camel)
            ret->upper |= bits(within(v, 'A', 'Z')) << i;
        ret->digit |= bits(within(v, '0', '9')) << i;
        ret->space |= bits(space) << i;
        ret->white |= bits(white) << i;
        ret->line |= bits(line) << i;
        ret->quote |= bits(_mm_cmpeq_epi8(v, _mm_set1_epi8('\''))) << i;
        ret->slash |= bits(_mm_cmpeq_epi8(v, _mm_set1_epi8('/'))) << i;
        __m128i control = _mm_or_si128(within(v, 0, 0x1F), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7F)));
        ret->control |= bits(_mm_andnot_si128(white, control)) << i;
    }
}
#endif
