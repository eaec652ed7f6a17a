/* routing/sticky.h -- which worker a session was given: a bounded table from keys to workers
 *
 *     shard (of SHARDS, a lock and a cache line each)
 *       bucket of 8 entries  [key | first, second: workers | last use]  [...] ...     the key's hash tells shard and bucket
 *
 * A key has up to two workers: the one it was given first, and the one that stood in when that one was away. Keys are 64-bit hashes of the text, the model and the
 * leg: two keys that share a hash (one pair in about 30,000 tables of a million keys) share their workers, no more.
 * Workers are named by their order of registration, from which nobody has to be told when one goes.
 * Memory: 32 bytes per entry; a shard doubles when it is half full or a bucket is, out of the budget; at STICKY_ENTRIES_MAX entries, or when the budget refuses, the entry of the
 * bucket that was used longest ago gives way.
 * Threads: any; a shard's lock is held for one bucket's look (some ten nanoseconds), for a doubling (at most some hundred microseconds, ten times in a shard's life),
 * and by the sweep for SWEEP_STEP entries at a time.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define STICKY_ENTRIES_MAX (1u << 20)

/* Workers as order + 1; 0 = none. */
struct sticky_pair {
    uint64_t first, second;
};

struct sticky;

int sticky_new(struct sticky **ret) _must_check_; /* 0 or ERR_NOMEM */
void sticky_free(struct sticky *s);               /* NULL is fine */

/* A key's hash; LEG: any small number. */
uint64_t sticky_hash(struct str key, struct str model, unsigned leg);

/* The workers of HASH, and its last use becomes NOW_S. False: nobody knows it. */
bool sticky_get(struct sticky *s, uint64_t hash, uint32_t now_s, struct sticky_pair *ret);

/* HASH has the workers TO, if it has FROM (or, with FROM empty, none) until now. Returns what it has then: another thread may have been first.
 * TO without a place to be (memory is out) is returned all the same. */
struct sticky_pair sticky_settle(struct sticky *s, uint64_t hash, struct sticky_pair from, struct sticky_pair to, uint32_t now_s);

/* Drops what was used at BEFORE_S or earlier. Control thread. */
void sticky_sweep(struct sticky *s, uint32_t before_s);

size_t sticky_count(const struct sticky *s); /* entries; any thread */
