/* routing/hash_ring.h -- consistent hashing: which worker a key belongs to, so that few keys move when workers come and go (spec data-plane 6.7)
 *
 *   worker --"<url>#0" .. "<url>#149"--blake3--> 150 positions of 2^64        key --position--> the first position from there on, round the end,
 *                                                                                              whose worker is among the candidates
 *
 * A ring is immutable; a new one is made from the old one, so that a worker's positions are hashed once, when it comes. It knows workers by their order of registration,
 * not by reference: what it says about workers that are gone is passed over. Positions are SMG's: the same key goes to the same worker behind both gateways.
 * Cost: hash_ring_find a binary search and about (workers of the ring / candidates) steps. hash_ring_new: 150 hashes (some 20 us) for each new worker and one pass over
 * the ring. Memory: 10 bytes per position, 1.5 KB per worker. Bound: WORKERS_MAX workers.
 * Threads: an immutable value; any.
 */
#pragma once

#include "worker/worker.h"

#define HASH_RING_NODES 150 /* positions of one worker */

struct hash_ring {
    size_t n, workers_n;
    uint64_t *orders;    /* [workers_n] worker->order, ascending */
    uint64_t *positions; /* [n] ascending */
    uint16_t *owners;    /* [n] index into orders */
};

/* The ring of WORKERS (0..WORKERS_MAX, ascending by order). OLD, may be NULL: an earlier ring whose positions are used again; it stays as it is.
 * NULL: memory is out. Free with free(). */
struct hash_ring *hash_ring_new(const struct hash_ring *old, const struct worker *const *workers, size_t n) _must_check_;

/* Index into CAND (1.. workers, ascending by order) of the one that POSITION belongs to; -1 when no candidate is on the ring. */
int hash_ring_find(const struct hash_ring *ring, uint64_t position, const struct worker *const *cand, size_t n);

/* The same without a ring, by hashing 150 texts per candidate: for the moment until there is one. */
int hash_ring_find_slowly(uint64_t position, const struct worker *const *cand, size_t n);
