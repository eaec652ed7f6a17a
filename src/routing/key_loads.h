/* routing/key_loads.h -- how many distinct routing keys a worker has in flight (worker_live.routing_keys)
 *
 *   pick --key_loads_begin--> [hash of worker and key | requests] of a fixed table        first request of the pair: worker_live.routing_keys + 1
 *   release --key_loads_end--> the same place                                             last one: - 1, the place is free
 *
 * A place is found among the 8 of a bucket; when all 8 are others' the request is not counted: KEY_LOADS_MAX places, a megabyte of address space that is
 * touched as it is used, are enough for several ten thousand keys in flight. Two threads that begin a pair in the same instant may count it twice until both end; a count
 * is never left behind, for the end goes to the place that the begin was counted in.
 * Threads: any, atomics only; no memory.
 */
#pragma once

#include "worker/worker.h"

#define KEY_LOADS_MAX (1u << 17)

struct key_loads;

/* What a begin counted; to be handed to one end. Zeroed: nothing. */
struct key_hold {
    _Atomic uint64_t *place; /* borrowed of the table */
};

int key_loads_new(struct key_loads **ret) _must_check_; /* 0 or ERR_NOMEM */
void key_loads_free(struct key_loads *k);               /* when nobody counts any more; NULL is fine */

/* KEY empty: nothing is counted. */
struct key_hold key_loads_begin(struct key_loads *k, const struct worker *w, struct str key);
void key_loads_end(struct key_hold *hold, const struct worker *w); /* HOLD is zeroed */
