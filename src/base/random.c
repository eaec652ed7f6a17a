/* base/random.c -- xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64 as its authors advise; getrandom(2) for the rest */
#include "base/random.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void random_init(struct random *r, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

void random_init_os(struct random *r)
{
    uint64_t seed;

    random_bytes(&seed, sizeof seed);
    random_init(r, seed);
}

static uint64_t rotate(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

uint64_t random_u64(struct random *r)
{
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Lemire's way: the high half of a product; the few low halves that would favour small results are drawn again. */
uint64_t random_below(struct random *r, uint64_t n)
{
    unsigned __int128 product = (unsigned __int128)random_u64(r) * n;

    if ((uint64_t)product < n) {
        uint64_t unfair = -n % n;

        while ((uint64_t)product < unfair)
            product = (unsigned __int128)random_u64(r) * n;
    }
    return (uint64_t)(product >> 64);
}

double random_unit(struct random *r)
{
    return (double)(random_u64(r) >> 11) * 0x1p-53;
}

double random_exponential(struct random *r, double mean)
{
    return -mean * log1p(-random_unit(r));
}

void random_alnum(struct random *r, char *out, size_t n)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t bits = 0;
    unsigned left = 0;

    for (size_t i = 0; i < n;) {
        unsigned v;

        if (left == 0) {
            bits = random_u64(r);
            left = 10; /* six bits a letter */
        }
        v = bits & 63;
        bits >>= 6;
        left--;
        if (v < 62)
            out[i++] = LETTERS[v];
    }
}

void random_bytes(void *out, size_t n)
{
    unsigned char *p = out;

    while (n) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            perror("smg: getrandom");
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}
