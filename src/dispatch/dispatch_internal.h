/* dispatch/dispatch_internal.h -- what the files of dispatch/ share */
#pragma once

#include "dispatch/dispatch.h"
#include "dispatch/retry.h"

/* Counters of one (model, endpoint, streaming) on one loop: looked up once, then kept. */
struct route_cells {
    struct str model; /* owned by the cells' own label copies: points into requests->values */
    const char *endpoint;
    bool streaming;
    struct metric_cell *requests, *duration, *ttft;
};

/* The workers of one model that may get a request now. Made anew when the table or a status has changed, or when a worker that was left out may have recovered:
 * a fleet of thousands costs a request no more than a fleet of four. */
struct candidates {
    const struct worker_model *of; /* borrowed: of the table with this serial; only compared unless the serial is the table's */
    enum policy_leg leg;
    uint64_t table_serial, status_changes;
    uint64_t recheck_us; /* loop clock: from then on the list is made anew */
    const struct worker *
        *rows; /* owned array of borrowed workers, good while the serial holds: first those that may get a request ... */
    size_t n, reserve_n, cap;  /* ... then those that may where no other is left (BREAKER_RESERVE) */
    size_t registered;         /* of the model and the leg, whatever speaks against them */
    unsigned handovers;        /* bits of enum handover: the ways of handing over blocks that those in `rows` know (pair_body.h) */
    struct retry_conf retry;   /* of this model */
    struct policy_board board; /* about the rows that may get a request; unused by `untried` */
};

#define CANDIDATE_LISTS 16 /* models at a time, direct-mapped by name; a collision costs a walk over the model's workers */

#define ROUTE_CELLS 64 /* direct-mapped; a collision costs a lookup, not a wrong count */

struct dispatcher {
    struct loop *loop;
    struct http_client *client;
    struct registry *registry;
    struct policy_set *policies;
    struct dispatcher_conf conf;
    struct candidates lists[CANDIDATE_LISTS];
    struct candidates untried; /* scratch of a retry: valid inside one call of pick() only */
    struct route_cells cells[ROUTE_CELLS];
};

/* dispatch.c */
void dispatch_out_of_memory(struct dispatch_failure *f);
/* A worker's own settings for its connections, over CALL's. */
void dispatch_heed_pool(const struct worker_pool *pool, struct http_call *call);
/* How long CALL, which timed out, had waited without a byte. */
uint32_t dispatch_waited_ms(const struct http_call *call);
/* The answer for a call that ended with STATUS (a negative err_code). Worker URLs stay out of it (decision 6). */
void dispatch_describe(int status, struct dispatch_failure *f);

/* metrics.c; names and labels: spec operations 8.5 */
void dispatch_count_request(struct dispatcher *d, struct str model, const char *endpoint, bool streaming);
void dispatch_count_finished(struct dispatcher *d, struct str model, const char *endpoint, bool streaming, uint64_t duration_us,
                             uint64_t ttft_us);
void dispatch_count_failed(struct dispatcher *d, struct str model, const char *endpoint, unsigned status);
void dispatch_count_aborted(struct dispatcher *d, struct str model, const char *endpoint);
void dispatch_count_selection(struct dispatcher *d, struct str model, const char *policy);
void dispatch_count_branch(struct dispatcher *d, const struct policy_ops *policy,
                           const char *branch); /* of the policies that SMG has a family for */
void dispatch_count_attempt(struct dispatcher *d, unsigned status, struct str error_code);
void dispatch_count_worker_error(struct dispatcher *d, unsigned status);
void dispatch_count_retry(struct dispatcher *d, const char *endpoint);
void dispatch_count_retries_exhausted(struct dispatcher *d, const char *endpoint);
void dispatch_count_backoff(struct dispatcher *d, unsigned attempt, uint32_t ms);

/* What a pick found out. */
struct dispatch_pick {
    const struct worker *worker; /* reference, already counted (worker_load_begin); NULL: *failure says why */
    const char *policy;          /* its name, static; NULL when no policy was asked */
    struct policy_choice choice;
    struct key_hold key;     /* of the worker's routing keys: to be ended with its load */
    bool probe;              /* the request is the probe of a half-open breaker: dispatch_report() is due, whatever becomes of it */
    struct retry_conf retry; /* of the model; with a worker only */
    const struct worker
        *shadow; /* reference, its shadow load counted: whom the shadow policy would have chosen; NULL = none asked. shadow_end() */
};

/* shadow.c: what the shadow policy would have chosen among the candidates of PICK's; for the first attempt of a request. */
void shadow_begin(struct dispatcher *d, const struct dispatch_request *r, const struct worker *const *cand, size_t n,
                  const struct policy_hint *hint, struct dispatch_pick *pick);
void shadow_end(const struct worker *shadow); /* the request is over; NULL is fine */

/* pick.c: an available worker of the request's model that was not tried, for LEG, let in by its breaker and chosen by the model's policy. *RET_MODEL: the canonical id, arena of the exchange. */
struct dispatch_pick dispatch_pick(struct dispatcher *d, const struct dispatch_request *r, enum policy_leg leg,
                                   const struct worker *const *tried, unsigned tried_n, struct str *ret_model,
                                   struct dispatch_failure *failure);

/* pick.c: the candidates of ENTRY, a model of TABLE; NULL: memory is out. Good until the next call for another model or leg. */
struct candidates *dispatch_candidates(struct dispatcher *d, const struct worker_table *table, const struct worker_model *entry,
                                       enum policy_leg leg);

/* way.c: the provider whose workers alone serve M of TABLE, where models are told apart and a provider serves it; else NULL. */
const struct worker *way_provider(const struct dispatcher *d, const struct worker_table *table, const struct worker_model *m);
/* Is W a worker of the same provider's for M? LEADER: what way_provider gave. */
bool way_is_of(const struct worker *w, const struct worker *leader, const struct worker_model *m);

/* Whom could the next pick choose from? */
enum dispatch_outlook { OUTLOOK_NOBODY, OUTLOOK_TRIED_ONLY, OUTLOOK_UNTRIED };
enum dispatch_outlook dispatch_outlook(struct dispatcher *d, const struct dispatch_request *r, enum policy_leg leg,
                                       const struct worker *const *tried, unsigned tried_n);

/* outcome.c: what an attempt says about its worker (worker/resilience.h). Exactly once for a pick with `probe`, else at most once. */
void dispatch_report(struct dispatcher *d, const struct worker *w, enum breaker_outcome outcome, bool probe);
/* A reply's head: a worker that is busy is left alone for a while. */
void dispatch_heed(struct dispatcher *d, const struct worker *w, const struct http_head *head);
/* Of an attempt that ended with STATUS, a negative code, after it had waited WAITED_MS without a byte. */
enum breaker_outcome dispatch_blame(struct dispatcher *d, const struct worker *w, int status, uint32_t waited_ms);

/* explain.c: one choice and what it was made from. Views good during the call. */
struct explained {
    struct exchange *ex;
    unsigned attempt; /* from 1 */
    enum policy_leg leg;
    struct str model;
    const char *policy;
    const struct policy_choice *choice;
    const struct worker *chosen; /* NULL: nobody was acceptable */
    const struct worker *const *cand;
    size_t n;
    const struct worker_model *group;
    const struct worker *const *tried;
    unsigned tried_n;
};
bool explain_is_wanted(const struct exchange *ex);
void explain(struct dispatcher *d, const struct explained *e);
