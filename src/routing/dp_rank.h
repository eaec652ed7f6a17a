/* routing/dp_rank.h -- which data-parallel rank of an engine has most room: --dp-minimum-tokens-scheduler (spec data-plane 6.15)
 *
 *   load polls (control thread) --dp_ranks_put ..., dp_ranks_publish--> snapshot: worker -> tokens in the KV cache of each rank
 *   dispatch of a prefill/decode pair --dp_ranks_choose(worker, cost)--> the rank with the fewest tokens, which the request's cost is added to until the next poll
 *
 * Only engines that tell absolute numbers count; about others there is no opinion (-1), and the engine chooses by itself.
 * Threads: choose: any loop. All else: the control thread. Bound: the ranks of the workers that were polled.
 */
#pragma once

#include "worker/load_monitor.h"

struct dp_ranks;

int dp_ranks_new(struct dp_ranks **ret) _must_check_; /* 0 or ERR_NOMEM */
void dp_ranks_free(struct dp_ranks *d);               /* when no loop runs any more */

/* What the monitor knows now takes the place of what was known; nothing at all changes nothing. */
void dp_ranks_follow(struct dp_ranks *d, const struct load_monitor *m);

/* One worker's loads and then all of them: what dp_ranks_follow is made of. Workers in order of registration. */
void dp_ranks_put(struct dp_ranks *d, const struct worker *w, const struct worker_loads *l);
void dp_ranks_publish(struct dp_ranks *d);

/* The rank of W to take, or -1: no opinion. D may be NULL. */
int dp_ranks_choose(struct dp_ranks *d, struct loop *loop, const struct worker *w, uint64_t cost);

/* What a request with this routing text is taken to cost: 1.3 tokens per word, at least 1. */
uint64_t dp_rank_cost(struct str text);
