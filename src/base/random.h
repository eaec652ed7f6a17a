/* base/random.h -- random numbers: fast ones for choices, the kernel's for identities */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A small generator (xoshiro256**). The owner's thread only. Not for secrets. The same seed gives the same sequence on every machine. */
struct random {
    uint64_t s[4];
};

void random_init(struct random *r, uint64_t seed);
void random_init_os(struct random *r); /* seeded by the kernel */

uint64_t random_u64(struct random *r);
uint64_t random_below(struct random *r, uint64_t n);      /* uniform in [0, n), n > 0, no modulo bias */
double random_unit(struct random *r);                     /* uniform in [0, 1) */
double random_exponential(struct random *r, double mean); /* for Poisson arrivals */
void random_alnum(struct random *r, char *out, size_t n); /* n characters of A-Za-z0-9, no NUL */

/* N bytes from the kernel (getrandom). Aborts the process when the kernel has none to give: nothing could be safe then. */
void random_bytes(void *out, size_t n);
