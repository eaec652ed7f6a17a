/* dispatch/dispatch.h -- carrying a request out: pick a worker, send, try again when that failed, deliver the reply to a sink
 *
 *   inference/ --dispatch_start--> pick (routing/) --> attempt (http/client) --head, parts, batch--> struct reply_sink --> the client
 *                                      ^                    |
 *                                      +----- try again ----+ (retry.h says when and after which pause; before any byte of a reply went to the sink)
 *
 * In:       a request with its model, path and a prepare() that gives the bytes for a dialect.   Out: calls of the sink; facts on the exchange; metrics.
 * Owner:    a dispatch lives in its exchange's arena. It ends with exactly one of on_end, on_error, or dispatch_abort (silent).
 * Load:     a worker's load is counted from the pick to the end of its body, the failure of its attempt, or the abort: exactly once per pick.
 * Threads:  the exchange's loop only; one struct dispatcher per loop.
 * Bounds:   attempts per request retry_conf.attempts_max; a worker is not tried twice while another candidate stands (decision 7). One error reply at a time is held (held.h).
 * Blame:    each attempt tells its worker's breaker once how it went (outcome.c).
 * Not here: what the reply looks like to the client (sinks: inference/sinks.c), whether the request is valid (api/).
 */
#pragma once

#include "base/metric.h"
#include "dispatch/retry.h"
#include "http/client.h"
#include "http/exchange.h"
#include "routing/dp_rank.h"
#include "routing/policy_set.h"
#include "upstream/upstream.h"
#include "worker/registry.h"

#define DISPATCH_TRIED_MAX    16 /* workers that a request remembers; the earliest is forgotten */
#define DISPATCH_REPLACED_MAX 5  /* workers that cannot be reached are replaced by others so often, even where retries are off */
#define DISPATCH_HELD_MAX     (64u << 10) /* bytes of a reply that is kept while others are tried */
#define DISPATCH_HOLD_MS      1000        /* a failed reply that takes longer than that is not waited for */
#define DISPATCH_PROBE_MS     1000 /* a probe that has been replying for so long has succeeded, even if its stream goes on for hours */

struct dispatch;

struct dispatcher_conf {
    uint32_t connect_ms;       /* 10000 */
    uint32_t head_ms;          /* --request-timeout-secs: until the first byte of the reply */
    uint32_t idle_ms;          /* between parts of a reply's body; a stream has no total limit */
    struct retry_conf retry;   /* the gateway's flags; workers may say otherwise for their models */
    bool pairs;                /* --pd-disaggregation */
    bool by_model;             /* --enable-igw: each model is carried as its workers can (way.c); `pairs` means nothing then */
    struct dp_ranks *dp_ranks; /* borrowed; of pairs; NULL = no --dp-minimum-tokens-scheduler */
};

struct dispatcher; /* per loop */

int dispatcher_new(struct loop *loop, struct http_client *client, struct registry *registry, struct policy_set *policies,
                   const struct dispatcher_conf *conf, struct dispatcher **ret) _must_check_;
void dispatcher_free(struct dispatcher *d);

/* From the next request on; on the dispatcher's loop. */
void dispatcher_set_retry(struct dispatcher *d, const struct retry_conf *retry);

/* The table of workers, good until the end of the turn. */
const struct worker_table *dispatcher_table(struct dispatcher *d);

/* Why a request could not be carried out, ready for http_error(). Strings: static or the exchange's arena. */
struct dispatch_failure {
    unsigned status;
    struct str code; /* SMG's: model_not_found, no_available_workers, call_upstream_connection_failed, call_upstream_timeout ... */
    struct str message;
    unsigned retry_after_s; /* 0 = none */
    int cause;              /* the negative err_code of the last attempt, or 0 */
};

/* Where a reply goes. One implementation per way of shaping a reply. All calls come from the loop's turn that read the bytes, never from dispatch_start. */
struct reply_sink;
struct reply_sink_ops {
    void (*on_head)(struct reply_sink *s, const struct http_head *head); /* once, first; views good until return */
    void (*on_part)(struct reply_sink *s, struct str part);              /* good until return */
    void (*on_batch)(struct reply_sink *s);                              /* optional: after the parts of one read: flush */
    void (*on_end)(struct reply_sink *s);                                /* terminal: the whole reply came */
    void (*on_error)(struct reply_sink *s, const struct dispatch_failure *f, bool after_head); /* terminal */
};
struct reply_sink {
    const struct reply_sink_ops *ops;
};

struct dispatch_request {
    struct exchange *ex;
    struct str model; /* as the client wrote it; empty or "unknown" = any worker */
    enum http_method method;
    struct str path;      /* on the worker */
    const char *endpoint; /* metric label, static */
    bool stream;
    bool engines_only;       /* not for a provider (runtime external) */
    bool no_retries;         /* an error reply of a worker is the answer; one that cannot be reached is replaced all the same */
    struct str content_type; /* of the body; empty = application/json */
    enum policy_leg leg;     /* which kind of worker, where one carries it */

    /* Prefill and decode on engines of their own (pair.h), as dispatcher_wants_pair said. */
    bool pair;
    bool merge_logprobs;                   /* the prompt's log-probabilities are asked for: prefill knows them */
    unsigned batch;                        /* prompts that came as a list; 0 = not a list */
    unsigned answers;                      /* to all prompts together; 0 = one */
    bool (*suits)(const struct worker *w); /* NULL = everybody does */

    /* The text that policies look at (spec data-plane 5.11), good until the loop calls any routing_text again; called for each pick of a policy that wants it.
     * NULL = there is none. */
    struct str (*routing_text)(const struct dispatch_request *r);

    /* The body for DIALECT and the canonical model id; called once per dialect and request, kept for retries. 0 or ERR_NOMEM. NULL = no body. */
    int (*prepare)(struct dispatch_request *r, enum upstream_dialect dialect, struct str canonical_model, struct str *ret_body);
    void *arg; /* for both */
};

/* Is a request for MODEL carried by a prefill and a decode engine, or by one worker? Asked once per request, since it may be drawn (way.c): its retries stay with the answer. */
bool dispatcher_wants_pair(struct dispatcher *d, struct str model);
bool dispatcher_goes_by_model(const struct dispatcher *d); /* dispatcher_conf.by_model */

/* 0: the sink will be called (*RET is the handle for pause, resume, abort). Negative: nothing was started and *FAILURE says what to answer.
 * REQUEST is copied; SINK is borrowed until the end. */
int dispatch_start(struct dispatcher *dispatcher, const struct dispatch_request *request, struct reply_sink *sink,
                   struct dispatch **ret, struct dispatch_failure *failure) _must_check_;

void dispatch_pause(struct dispatch *d); /* the client is slow: stop reading upstream */
void dispatch_resume(struct dispatch *d);
void dispatch_abort(struct dispatch *d); /* the client left: the upstream call is closed in this turn; no sink call follows */
