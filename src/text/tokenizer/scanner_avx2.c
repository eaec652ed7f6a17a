/* text/tokenizer/scanner_avx2.c -- the scanners 32 bytes at a time, for processors with AVX2 (built with -mavx2 -mbmi -mpopcnt; scanner.c asks the processor first) */
#include "text/tokenizer/scanner_rows.h"

#ifdef __AVX2__
#include <immintrin.h>

bool scanner_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
}

#define SCANNERS    SCANNERS_AVX2
#define SCAN_SUFFIX _avx2
struct masks;
static inline void classify(const char *p, struct masks *ret, bool camel);
#include "text/tokenizer/scanner_masks.h"

#define LANE 32

static inline uint64_t bits(__m256i v)
{
    return (unsigned)_mm256_movemask_epi8(v);
}

/* FROM <= byte <= TO; bytes from 80 up are negative and in no range. */
static inline __m256i within(__m256i v, char from, char to)
{
    return _mm256_and_si256(_mm256_cmpgt_epi8(v, _mm256_set1_epi8((char)(from - 1))),
                            _mm256_cmpgt_epi8(_mm256_set1_epi8((char)(to + 1)), v));
}

static inline void classify(const char *p, struct masks *ret, bool camel)
{
    *ret = (struct masks){ 0 };
    for (unsigned i = 0; i < WINDOW; i += LANE) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        __m256i space = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(' '));
        __m256i line = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\n')), _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\r')));
        __m256i white = _mm256_or_si256(within(v, '\t', '\r'), space);
        ret->high |= bits(v) << i;
        ret->letter |= bits(within(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), 'a', 'z')) << i;
        if (camel)
            ret->upper |= bits(within(v, 'A', 'Z')) << i;
        ret->digit |= bits(within(v, '0', '9')) << i;
        ret->space |= bits(space) << i;
        ret->white |= bits(white) << i;
        ret->line |= bits(line) << i;
        ret->quote |= bits(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\''))) << i;
        ret->slash |= bits(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('/'))) << i;
        __m256i control = _mm256_or_si256(within(v, 0, 0x1F), _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7F)));
        ret->control |= bits(_mm256_andnot_si256(white, control)) << i;
    }
}
#endif
