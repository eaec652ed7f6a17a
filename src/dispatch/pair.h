/* dispatch/pair.h -- one request carried by two engines: prefill computes the prompt's KV blocks, decode fetches them and answers; internal to dispatch/
 *
 *   dispatch_start (request->pair) --> pair_start --pick--> prefill leg --+--> struct reply_sink, as any dispatch
 *                                                  \------> decode leg  --+        (the decode engine's reply)
 *
 * How the legs run: at once for SGLang and its like, one after the other for vLLM (pair_body.h). What the client gets: spec data-plane 13.
 * Owner:   the exchange's arena; ends with exactly one of the sink's on_end or on_error, or pair_abort (silent).
 * Load:    each leg's worker is counted from the pick to the end of that leg, on every way out.
 * Bounds:  an error body ERROR_BODY_MAX, a prefill reply that is needed (kv_transfer_params, log-probabilities) and a decode reply to be merged REPLY_MAX; both of the budget.
 */
#pragma once

#include "dispatch/dispatch_internal.h"

struct pair;

/* As dispatch_start. */
int pair_start(struct dispatcher *dispatcher, const struct dispatch_request *request, struct reply_sink *sink, struct pair **ret,
               struct dispatch_failure *failure) _must_check_;
void pair_pause(struct pair *p);
void pair_resume(struct pair *p);
void pair_abort(struct pair *p);

/* pair_pick.c: the workers of one attempt, referenced and counted; or false with *FAILURE, none counted. TRIED: workers that failed this request before. */
struct pair_tried {
    const struct worker *of[DISPATCH_TRIED_MAX]; /* references */
    unsigned n;
};
struct pair_picked {
    struct dispatch_pick prefill, decode;
    struct str model; /* canonical; in: {NULL, 0} the first time */
};
bool pair_pick(struct dispatcher *d, const struct dispatch_request *r, const struct pair_tried *prefill,
               const struct pair_tried *decode, struct pair_picked *ret, struct dispatch_failure *failure);

/* Whom could the next pair be picked from? The worse of both sides. */
enum dispatch_outlook pair_outlook(struct dispatcher *d, const struct dispatch_request *r, const struct pair_tried *prefill,
                                   const struct pair_tried *decode);

/* metrics.c: spec operations 8.5, backend_type "pd" */
void pair_count_request(struct dispatcher *d, struct str model, const char *endpoint, bool streaming);
void pair_count_finished(struct dispatcher *d, struct str model, const char *endpoint, uint64_t duration_us);
void pair_count_failed(struct dispatcher *d, struct str model, const char *endpoint, unsigned status);
void pair_count_selection(struct dispatcher *d, enum policy_leg leg, struct str model, const char *policy);
void pair_count_worker_error(struct dispatcher *d, enum policy_leg leg, unsigned status);
void pair_count_retry(struct dispatcher *d, const char *endpoint);
void pair_count_retries_exhausted(struct dispatcher *d, const char *endpoint);
void pair_count_prefill(struct dispatcher *d, struct str model, struct str runtime, uint64_t duration_us);
void pair_count_transfer(struct dispatcher *d, struct str model, struct str runtime, uint64_t duration_us);
void pair_count_first_token(struct dispatcher *d, struct str model, struct str runtime, uint64_t duration_us);
void pair_count_connector(struct dispatcher *d, const char *mode);
void pair_count_bootstrap_failure(struct dispatcher *d);
void pair_count_transfer_failure(struct dispatcher *d);
