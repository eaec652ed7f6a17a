/* routing/key_loads.c -- how many distinct routing keys a worker has in flight
 *
 * A place is one word: a tag of 40 bits in the upper part, the number of requests below. It changes by compare-and-swap only: from 0 to (tag, 1), up and down by one,
 * from (tag, 1) to 0. So whoever holds a place keeps it from being anybody else's.
 */
#include "routing/key_loads.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/err.h"

#define WAYS       8
#define COUNT_BITS 24
#define COUNT_MASK ((1ull << COUNT_BITS) - 1)

struct key_loads {
    _Atomic uint64_t places[KEY_LOADS_MAX];
};

int key_loads_new(struct key_loads **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : ERR_NOMEM;
}

void key_loads_free(struct key_loads *k)
{
    free(k);
}

/* One more request of TAG at PLACE, which is TAG's or free. *RET_FIRST: it was free. False: it has become somebody else's. */
static bool count_up(_Atomic uint64_t *place, uint64_t tag, bool *ret_first)
{
    uint64_t seen = atomic_load_explicit(place, memory_order_relaxed);

    while (seen == 0 ||
           (seen & ~COUNT_MASK) == tag) { /* 16 million requests in flight would be one too many: there are fewer sockets */
        *ret_first = seen == 0;
        if (atomic_compare_exchange_weak_explicit(place, &seen, seen ? seen + 1 : tag + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

/* TAG's place among WAYS, else a free one; NULL: all are others'. */
static _Atomic uint64_t *place_for(_Atomic uint64_t *bucket, uint64_t tag)
{
    _Atomic uint64_t *free_one = NULL;

    for (size_t i = 0; i < WAYS; i++) {
        uint64_t seen = atomic_load_explicit(&bucket[i], memory_order_relaxed);

        if (seen && (seen & ~COUNT_MASK) == tag)
            return &bucket[i];
        if (!seen && !free_one)
            free_one = &bucket[i];
    }
    return free_one;
}

struct key_hold key_loads_begin(struct key_loads *k, const struct worker *w, struct str key)
{
    uint64_t hash, tag;
    _Atomic uint64_t *place;
    bool first = false;

    if (!k || !key.n)
        return (struct key_hold){ 0 };
    hash = XXH3_64bits_withSeed(key.p, key.n, (uintptr_t)w->live);
    tag = hash & ~COUNT_MASK;
    do {
        place = place_for(&k->places[hash * WAYS % KEY_LOADS_MAX], tag);
    } while (place && !count_up(place, tag, &first));
    if (place && first)
        atomic_fetch_add_explicit(&w->live->routing_keys, 1, memory_order_relaxed);
    return (struct key_hold){ place };
}

void key_loads_end(struct key_hold *hold, const struct worker *w)
{
    _Atomic uint64_t *place = hold->place;
    uint64_t seen;
    bool last;

    hold->place = NULL;
    if (!place)
        return;
    seen = atomic_load_explicit(place, memory_order_relaxed);
    do {
        last = (seen & COUNT_MASK) == 1;
    } while (!atomic_compare_exchange_weak_explicit(place, &seen, last ? 0 : seen - 1, memory_order_relaxed, memory_order_relaxed));
    if (last)
        atomic_fetch_sub_explicit(&w->live->routing_keys, 1, memory_order_relaxed);
}
