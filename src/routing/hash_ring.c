/* routing/hash_ring.c -- making a ring out of the one before, and walking it */
#include "routing/hash_ring.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "routing/blake3.h"

#define URL_MAX 2048 /* of a worker, as far as it is hashed */
#define WALK_SPARE \
    32 /* so many times the expected walk is gone: a ring with a candidate on it ends it before, but for one case in e^32 */

static_assert(WORKERS_MAX <= UINT16_MAX, "owners are 16 bits");

struct node {
    uint64_t position;
    uint16_t owner;
};

/* WORKER's position number V. */
static uint64_t position_of(struct str url, unsigned v)
{
    char text[URL_MAX + 8];
    struct str u = str_first(url, URL_MAX);
    int n;

    memcpy(text, u.p, u.n);
    n = snprintf(text + u.n, sizeof text - u.n, "#%u", v);
    return blake3_u64((struct str){ text, u.n + (size_t)n });
}

static int by_position(const void *a, const void *b)
{
    const struct node *x = a, *y = b;

    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return (x->owner > y->owner) - (x->owner < y->owner); /* of two workers at one place the older one has it */
}

static struct hash_ring *ring_alloc(size_t workers_n)
{
    size_t n = workers_n * HASH_RING_NODES;
    struct hash_ring *r = malloc(sizeof(*r) + workers_n * sizeof(*r->orders) + n * (sizeof(*r->positions) + sizeof(*r->owners)));

    if (!r)
        return NULL;
    r->workers_n = workers_n;
    r->n = 0;
    r->orders = (uint64_t *)(r + 1);
    r->positions = r->orders + workers_n;
    r->owners = (uint16_t *)(r->positions + n);
    return r;
}

static void put(struct hash_ring *r, struct node node)
{
    r->positions[r->n] = node.position;
    r->owners[r->n++] = node.owner;
}

#define GONE UINT16_MAX

/* Who of OLD's workers is where in the new ring (GONE: nowhere); which workers are new. Both lists ascend by order. Returns how many are new. */
static size_t compare(const struct hash_ring *old, const struct worker *const *workers, size_t n, uint16_t *moved, uint16_t *added)
{
    size_t old_n = old ? old->workers_n : 0, i = 0, added_n = 0;

    for (size_t k = 0; k < n; k++) {
        while (i < old_n && old->orders[i] < workers[k]->order)
            moved[i++] = GONE;
        if (i < old_n && old->orders[i] == workers[k]->order)
            moved[i++] = (uint16_t)k;
        else
            added[added_n++] = (uint16_t)k;
    }
    while (i < old_n)
        moved[i++] = GONE;
    return added_n;
}

static struct node *hash_added(const struct worker *const *workers, const uint16_t *added, size_t n)
{
    struct node *nodes = reallocarray(NULL, n * HASH_RING_NODES + 1, sizeof(*nodes));

    if (!nodes)
        return NULL;
    for (size_t i = 0; i < n; i++)
        for (unsigned v = 0; v < HASH_RING_NODES; v++)
            nodes[i * HASH_RING_NODES + v] = (struct node){ position_of(workers[added[i]]->spec.url, v), added[i] };
    qsort(nodes, n * HASH_RING_NODES, sizeof(*nodes), by_position);
    return nodes;
}

/* What stays of OLD, and NODES, into R, by position. */
static void merge(struct hash_ring *r, const struct hash_ring *old, const uint16_t *moved, const struct node *nodes, size_t nodes_n)
{
    size_t k = 0;

    for (size_t i = 0; old && i < old->n; i++) {
        struct node kept = { old->positions[i], moved[old->owners[i]] };

        if (kept.owner == GONE)
            continue;
        while (k < nodes_n && by_position(&nodes[k], &kept) < 0)
            put(r, nodes[k++]);
        put(r, kept);
    }
    while (k < nodes_n)
        put(r, nodes[k++]);
}

struct hash_ring *hash_ring_new(const struct hash_ring *old, const struct worker *const *workers, size_t n)
{
    size_t old_n = old ? old->workers_n : 0, added_n;
    struct hash_ring *r = ring_alloc(n);
    uint16_t *moved = reallocarray(NULL, old_n + n + 1, sizeof(*moved)), *added = moved ? moved + old_n : NULL;
    struct node *nodes = NULL;

    assert(n <= WORKERS_MAX);
    if (r && moved) {
        added_n = compare(old, workers, n, moved, added);
        nodes = hash_added(workers, added, added_n);
        if (nodes)
            merge(r, old, moved, nodes, added_n * HASH_RING_NODES);
        for (size_t i = 0; i < n; i++)
            r->orders[i] = workers[i]->order;
    }
    if (!nodes) {
        free(r);
        r = NULL;
    }
    free(nodes);
    free(moved);
    return r;
}

/* The place of the first position at or behind POSITION; n when there is none. */
static size_t first_from(const struct hash_ring *ring, uint64_t position)
{
    size_t low = 0, high = ring->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ring->positions[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where in CAND the worker of ORDER is, or -1. CAND is usually all of the ring's workers or nearly so: it is at AT or near, and looked for from there in growing steps. */
static int candidate(const struct worker *const *cand, size_t n, uint64_t order, size_t at)
{
    size_t low = MIN(at, n - 1), high = low, step;

    for (step = 1; low > 0 && cand[low]->order > order; step *= 2) {
        high = low;
        low -= MIN(step, low);
    }
    for (step = 1; high < n && cand[high]->order <= order; step *= 2) {
        low = high;
        high += step;
    }
    high = MIN(high, n);
    while (high - low > 1) { /* not before low, before high */
        size_t middle = low + (high - low) / 2;

        if (cand[middle]->order <= order)
            low = middle;
        else
            high = middle;
    }
    return cand[low]->order == order ? (int)low : -1;
}

int hash_ring_find(const struct hash_ring *ring, uint64_t position, const struct worker *const *cand, size_t n)
{
    size_t at = first_from(ring, position), left = MIN(ring->n, WALK_SPARE * (ring->workers_n / n + 1));

    for (; left > 0; left--, at++) {
        uint16_t owner;
        int found;

        if (at >= ring->n)
            at = 0;
        owner = ring->owners[at];
        found = candidate(cand, n, ring->orders[owner], owner);
        if (found >= 0)
            return found;
    }
    return -1;
}

int hash_ring_find_slowly(uint64_t position, const struct worker *const *cand, size_t n)
{
    uint64_t nearest = UINT64_MAX;
    int found = -1;

    for (size_t i = 0; i < n; i++)
        for (unsigned v = 0; v < HASH_RING_NODES; v++) {
            uint64_t way = position_of(cand[i]->spec.url, v) - position; /* wraps, as the ring does */

            if (found < 0 || way < nearest) {
                nearest = way;
                found = (int)i;
            }
        }
    return found;
}
