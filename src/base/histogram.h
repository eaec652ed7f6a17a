/* base/histogram.h -- a histogram of durations with bounded relative error: for quantiles in reports and the watchdog
 *
 * Log-linear buckets: 64 per power of two, so any value is off by less than 1.6 %. 0 .. 2^40-1 (12 days in microseconds); larger ones
 * count as the largest. Fixed size, no allocation. One writer; reading while it writes gives a slightly old picture.
 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB     64
#define HISTOGRAM_BUCKETS ((40 - 6 + 1) * HISTOGRAM_SUB)

struct histogram {
    uint64_t count, sum, min, max;
    uint32_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);
uint64_t histogram_quantile(const struct histogram *h, double q); /* 0 when empty; q in 0..1 */
double histogram_mean(const struct histogram *h);
