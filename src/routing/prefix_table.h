/* routing/prefix_table.h -- internal to the prefix index: its entries, and how they change
 *
 *   head   tag 28 | wide 1 | size class 3 | holder 32          0 = the entry is free; its block has 2 << size class units
 *   more   holder 32 | holder 32                               holder: worker number 16 | second 16; 0 = none
 *
 * Each word changes by compare-and-swap only. A reader that sees a head and a `more` of different times takes a worker for a holder that is none, or misses one: both are
 * harmless. Counts of entries and holders are exact, because whoever makes a change knows what was there before.
 * The bucket of a key is its lowest bits; the tag begins with the bits above those of the smallest table, so an entry's new place is known when the table grows.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>

#include "routing/prefix_index.h"
#include "worker/worker_number.h"

#define PREFIX_WAYS   4
#define TAG_SHIFT     36
#define TAG_BITS      28
#define WIDE          (1ull << 35)
#define CLASS_SHIFT   32
#define CLASS_MASK    7ull
#define HOLDER_MASK   0xffffffffull
#define PREFIX_SHARDS 16
#define PREFIX_HOT_S \
    8 /* a wide block's holders change this often: enough to know who is there, too seldom for loops to get into each other's way */

struct prefix_entry {
    _Atomic uint64_t head, more;
};
struct prefix_bucket {
    alignas(64) struct prefix_entry entries[PREFIX_WAYS];
};

/* What a call changed; added to the thread's shard at its end. */
struct prefix_delta {
    int64_t entries, holders, inserted, evicted, lookups, hits;
};
struct prefix_shard {
    alignas(64) _Atomic int64_t entries;
    _Atomic int64_t holders, inserted, evicted, lookups, hits;
};

#define OVER_MAX   255 /* workers over their bound that one sweep looks after; the others wait for the next */
#define AGE_LEVELS 17  /* by the logarithm of the age */

enum sweep_step { SWEEP_IDLE, SWEEP_COUNT, SWEEP_AGES, SWEEP_EVICT };

struct prefix_over {
    uint16_t number;
    unsigned level;          /* ages of this level go in part, older ones all */
    uint64_t left, left_old; /* units to evict at `level`, and above */
    uint64_t by_age[AGE_LEVELS];
};

/* Of the control thread. */
struct prefix_sweep {
    enum sweep_step step;
    size_t at; /* bucket */
    uint64_t began_s;
    bool began_once;
    uint32_t serial; /* of the sweep that runs, from 1 on */
    unsigned over_n;
    struct prefix_over over[OVER_MAX];
    uint8_t over_of[WORKER_NUMBERS];    /* place in `over` + 1 */
    uint32_t forgotten[WORKER_NUMBERS]; /* the first whole sweep that drops this number's holdings; 0 = it lives */
    uint64_t units[WORKER_NUMBERS];     /* held; of the last or the running count */
    unsigned highest;                   /* number that `units` is not 0 of, at most */
};

struct prefix_index {
    struct prefix_index_conf conf;
    void *space;                   /* owned: the mapping in which they lie */
    struct prefix_bucket *buckets; /* max_log2 of address space, of which the first ones can be touched */
    unsigned first_log2, max_log2; /* buckets */
    _Atomic uint32_t shape;        /* log2 of the buckets in use | the same before the table grew, while entries still move << 8 */
    size_t taken;                  /* bytes, from the budget */
    size_t moving;                 /* control thread: next bucket whose entries move */
    uint64_t evicted_before;       /* control thread: at the last tick */
    struct prefix_sweep *sweep;    /* owned */
    _Atomic uint64_t sweeps;
    struct prefix_shard shards[PREFIX_SHARDS];
};

static inline unsigned shape_log2(uint32_t shape)
{
    return shape & 0xff;
}
static inline unsigned shape_old_log2(uint32_t shape)
{
    return shape >> 8;
}

static inline uint64_t prefix_tag(const struct prefix_index *ix, uint64_t key)
{
    uint64_t tag = key >> ix->first_log2 << TAG_SHIFT;

    return tag ? tag : 1ull << 63;
}

static inline struct prefix_bucket *prefix_bucket(const struct prefix_index *ix, uint64_t key, unsigned log2)
{
    return &ix->buckets[key & (((uint64_t)1 << log2) - 1)];
}

static inline struct prefix_entry *prefix_find_in(struct prefix_bucket *b, uint64_t tag)
{
    unsigned found = 0;

    for (unsigned i = 0; i < PREFIX_WAYS; i++) /* without branches: which of the four it is cannot be predicted */
        found |= (unsigned)((atomic_load_explicit(&b->entries[i].head, memory_order_relaxed) ^ tag) >> TAG_SHIFT == 0) << i;
    return found ? &b->entries[__builtin_ctz(found)] : NULL;
}

static inline struct prefix_entry *prefix_find(const struct prefix_index *ix, uint32_t shape, uint64_t key)
{
    uint64_t tag = prefix_tag(ix, key);
    struct prefix_bucket *b = prefix_bucket(ix, key, shape_log2(shape));
    struct prefix_entry *e = prefix_find_in(b, tag);

    if (!e && _unlikely_(shape_old_log2(shape) != shape_log2(shape)))
        e = prefix_find_in(prefix_bucket(ix, key, shape_old_log2(shape)), tag);
    return e;
}

static inline uint32_t prefix_age(uint64_t holder, uint64_t now_s)
{
    uint16_t age = (uint16_t)((uint16_t)now_s - (uint16_t)holder);

    return age >= 0xff00 ? 0 : age; /* other threads' clocks may be a little ahead */
}
static inline uint16_t prefix_number(uint64_t holder)
{
    return (uint16_t)(holder >> 16);
}
static inline uint64_t prefix_holder(uint16_t number, uint64_t now_s)
{
    return (uint64_t)number << 16 | (uint16_t)now_s;
}
static inline unsigned prefix_holders_in(uint64_t head, uint64_t more)
{
    return ((head & HOLDER_MASK) != 0) + ((more & HOLDER_MASK) != 0) + (more >> 32 != 0);
}

/* WORKER holds E from NOW_S on. False: the entry is another one's by now. */
bool prefix_entry_hold(struct prefix_entry *e, uint64_t tag, uint16_t worker, uint64_t now_s, bool may_widen,
                       struct prefix_delta *delta);
/* WORKER, if it is one of E's, holds E no longer; an entry without holders is freed unless KEEP. */
bool prefix_entry_drop(struct prefix_entry *e, uint16_t worker, bool keep, struct prefix_delta *delta);
/* A new entry for KEY, in place of the one that was not used for longest when its bucket is full. */
void prefix_entry_insert(struct prefix_index *ix, uint32_t shape, uint64_t key, unsigned class, uint16_t worker, uint64_t now_s,
                         struct prefix_delta *delta);
/* The entry's words out of the table; false: somebody else was faster. */
bool prefix_entry_clear(struct prefix_entry *e, uint64_t head, struct prefix_delta *delta);
void prefix_count(struct prefix_index *ix, const struct prefix_delta *delta);
