/* load/arrivals.c -- exponential gaps, added up */
#include "load/arrivals.h"

void arrivals_init(struct arrivals *a, double per_second, uint64_t seed)
{
    random_init(&a->random, seed);
    a->mean_us = 1e6 / per_second;
    a->at_us = 0;
}

uint64_t arrivals_next(struct arrivals *a)
{
    a->at_us += random_exponential(&a->random, a->mean_us);
    return (uint64_t)a->at_us;
}
