/* load/popularity.c -- Zipf's law by its cumulative distribution */
#include "load/popularity.h"

#include <math.h>
#include <stdlib.h>

int popularity_init(struct popularity *p, uint32_t n, double exponent)
{
    double sum = 0;

    *p = (struct popularity){ .n = n };
    if (exponent <= 0 || n == 1)
        return 0;
    p->cumulative = calloc(n, sizeof *p->cumulative);
    if (!p->cumulative)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++)
        p->cumulative[i] = sum += pow(i + 1.0, -exponent);
    for (uint32_t i = 0; i < n; i++)
        p->cumulative[i] /= sum;
    return 0;
}

void popularity_fini(struct popularity *p)
{
    free(p->cumulative);
    p->cumulative = NULL;
}

uint32_t popularity_draw(const struct popularity *p, struct random *random)
{
    uint32_t low = 0, high = p->n - 1; /* the answer lies in low..high */
    double at;

    if (p->n == 1)
        return 0;
    if (!p->cumulative)
        return (uint32_t)random_below(random, p->n);
    at = random_unit(random);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (p->cumulative[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
