/* base/histogram.c -- log-linear buckets
 *
 * Values below 64 have a bucket each; above, each power of two is cut into 64 equal ones. Cells are written and read as relaxed atomics:
 * a reader on another thread sees each number whole, though perhaps not all of the same moment.
 */
#include "base/histogram.h"

#include "base/attr.h"

#define SUB_BITS  6
#define VALUE_MAX ((UINT64_C(1) << 40) - 1)

#define GET(at)    __atomic_load_n((at), __ATOMIC_RELAXED)
#define SET(at, v) __atomic_store_n((at), (v), __ATOMIC_RELAXED)

void histogram_init(struct histogram *h)
{
    *h = (struct histogram){ .min = UINT64_MAX };
}

static unsigned bucket_of(uint64_t value)
{
    unsigned top;

    if (value < HISTOGRAM_SUB)
        return (unsigned)value;
    top = 63u - (unsigned)__builtin_clzll(value);
    return (top - SUB_BITS) * HISTOGRAM_SUB + (unsigned)(value >> (top - SUB_BITS));
}

/* The value in the middle of a bucket. */
static uint64_t middle_of(unsigned bucket)
{
    unsigned shift;

    if (bucket < 2 * HISTOGRAM_SUB)
        return bucket;
    shift = bucket / HISTOGRAM_SUB - 1;
    return ((uint64_t)(bucket % HISTOGRAM_SUB + HISTOGRAM_SUB) << shift) + (UINT64_C(1) << (shift - 1));
}

void histogram_add(struct histogram *h, uint64_t value)
{
    uint32_t *bucket;

    value = MIN(value, VALUE_MAX);
    bucket = &h->bucket[bucket_of(value)];
    SET(bucket, GET(bucket) + 1);
    SET(&h->sum, GET(&h->sum) + value);
    SET(&h->min, MIN(GET(&h->min), value));
    SET(&h->max, MAX(GET(&h->max), value));
    SET(&h->count, GET(&h->count) + 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (GET(&from->count) == 0)
        return;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        SET(&into->bucket[i], GET(&into->bucket[i]) + GET(&from->bucket[i]));
    SET(&into->sum, GET(&into->sum) + GET(&from->sum));
    SET(&into->min, MIN(GET(&into->min), GET(&from->min)));
    SET(&into->max, MAX(GET(&into->max), GET(&from->max)));
    SET(&into->count, GET(&into->count) + GET(&from->count));
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t count = GET(&h->count), min = GET(&h->min), max = GET(&h->max), rank, below = 0;

    if (count == 0)
        return 0;
    if (!(q > 0))
        return min;
    if (q >= 1)
        return max;
    rank = (uint64_t)(q * (double)count); /* values that are smaller than the one wanted */
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += GET(&h->bucket[i]);
        if (below > rank)
            return MAX(min, MIN(max, middle_of(i)));
    }
    return max;
}

double histogram_mean(const struct histogram *h)
{
    uint64_t count = GET(&h->count);

    return count ? (double)GET(&h->sum) / (double)count : 0.0;
}
