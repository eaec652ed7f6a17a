/* load/arrivals.h -- when the requests of an open loop are due: a Poisson process, one per driver
 *
 * The sum of independent Poisson processes is one again, so each driver draws its own with its share of the rate. Times are offsets from the run's start,
 * accumulated as a double: exact to well below a microsecond for any run that ends.
 */
#pragma once

#include "base/random.h"

struct arrivals {
    struct random random;
    double mean_us; /* of the gaps */
    double at_us;   /* of the last one drawn */
};

/* PER_SECOND > 0. */
void arrivals_init(struct arrivals *a, double per_second, uint64_t seed);
uint64_t arrivals_next(struct arrivals *a); /* microseconds from the start, never less than the one before */
