/* load/popularity.h -- which of N things a request is about: all equally often, or few of them most of the time
 *
 * Thing i (from 0) is drawn with a chance in proportion to 1 / (i + 1)^EXPONENT, Zipf's law: 0 is uniform; system prompts, documents and agents of real services lie
 * between 0.6 and 1.2. A draw is a binary search in the added-up chances. Constant after popularity_init: any thread, each with its own struct random.
 */
#pragma once

#include "base/err.h"
#include "base/random.h"

#define POPULARITY_EXPONENT_MAX 10

struct popularity {
    uint32_t n;         /* > 0 */
    double *cumulative; /* owned, n of them, the last one is 1; NULL = uniform */
};

/* EXPONENT 0..POPULARITY_EXPONENT_MAX. 0 or ERR_NOMEM. */
int popularity_init(struct popularity *p, uint32_t n, double exponent) _must_check_;
void popularity_fini(struct popularity *p); /* zeroed memory is fine */

/* 0..n-1. Nothing is drawn from RANDOM when n is 1. */
uint32_t popularity_draw(const struct popularity *p, struct random *random);
