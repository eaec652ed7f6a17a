/* routing/dp_rank.h -- which data-parallel rank of an engine gets a request: the one with the fewest tokens (--dp-minimum-tokens-scheduler, spec data-plane 6.15)
 *
 *   load poll --dp_ranks_begin, dp_ranks_put ..., dp_ranks_publish--> tokens per engine and rank --dp_ranks_choose(engine, cost)--> a rank, whose tokens grow by the cost
 *
 * Only engines that tell absolute numbers of tokens have rows. Between two polls the costs of what was sent stand in for what the engine has not told yet.
 * Threads: choose: any loop; all else: the control thread.
 */
#pragma once

#include "loop/snapshot.h"

struct dp_ranks;
struct dp_ranks_draft;

int dp_ranks_new(struct dp_ranks **ret) _must_check_; /* 0 or ERR_NOMEM */
void dp_ranks_free(struct dp_ranks *d);               /* when no loop runs any more; NULL is fine */

/* What the next poll told: begin, put each rank, publish. NULL from begin, or memory running out while putting: publish drops the draft, and the rows stay. */
struct dp_ranks_draft *dp_ranks_begin(void);
void dp_ranks_put(struct dp_ranks_draft *draft, struct str base_url, int64_t rank, int64_t tokens);
void dp_ranks_publish(struct dp_ranks *d, struct dp_ranks_draft *draft);

/* The rank of BASE_URL with the fewest tokens, of equals the lowest; -1: nothing is known of it. */
int64_t dp_ranks_choose(struct dp_ranks *d, struct loop *loop, struct str base_url, int64_t cost);

/* Tokens that a request with this routing text is taken for: 1.3 for each word, at least 1. */
int64_t dp_rank_cost(struct str routing_text);
