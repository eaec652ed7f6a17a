/* inference/carry.h -- the way of every inference request through this room; inside inference/ only */
#pragma once

#include "inference/inference.h"

/* What a handler decides. */
struct carry_plan {
    enum api_kind kind;
    struct str path;      /* on the worker */
    const char *endpoint; /* metric label */
    struct reply_sink *(*sink)(struct exchange *ex, struct inference *inf,
                               const struct api_request *request); /* arena; NULL = no memory */
    const char *
        not_by_pairs; /* what to say (501) where all requests go to pairs of engines; by model, others carry it. NULL = pairs can */
    bool needs_model; /* by model: a request that names none is refused */
};

/* Checks content type and body by PLAN->kind, starts the dispatch, ties sink, dispatch and exchange together. Replies on every failure. */
void carry(struct exchange *ex, struct inference *inf, const struct carry_plan *plan);

/* What both end with: REQUEST goes to a worker, its reply to SINK (NULL: there was no memory for one). */
void carry_start(struct exchange *ex, struct inference *inf, const struct dispatch_request *request, struct reply_sink *sink);

/* The same for a request without a body that any ready engine may answer: a prefill engine, or one that does everything. */
void carry_get(struct exchange *ex, struct inference *inf, struct str path, bool of_pair);

/* GET of PATH to both engines of one pair: 200 when both are well (spec data-plane 13.6). */
void carry_pair_health(struct exchange *ex, struct inference *inf, struct str path);

/* ---- sinks.c ---- */

/* The part of every sink that talks to the exchange: back-pressure and the client's leaving. First member of each sink. */
struct exchange_sink {
    struct reply_sink sink;
    struct exchange *ex;
    struct dispatch *dispatch;                /* set when dispatch_start succeeded; NULL after the end */
    void (*dropped)(struct exchange_sink *s); /* optional: frees what the sink holds when the client leaves */
};

/* What sink_relay does with a reply, for sinks that find out by its head that they have nothing to do. */
extern const struct reply_sink_ops SINK_RELAY;

/* The fields of a worker's reply that are the client's to see, added to EX's. Views are kept. */
void sink_copy_fields(struct exchange *ex, const struct http_fields *from);

/* Passes the worker's reply on as it comes: head filtered, body byte for byte. */
struct reply_sink *sink_relay(struct exchange *ex, struct inference *inf, const struct api_request *request);

/* Gathers the whole body, then hands it to rerank's reshaping (a 2xx) or passes it on as it is. */
struct reply_sink *sink_rerank(struct exchange *ex, struct inference *inf, const struct api_request *request);

/* Makes EX answer to SINK: on_ready resumes, on_abort aborts DISPATCH. */
void sink_attach(struct reply_sink *sink, struct dispatch *dispatch);

/* The error reply for a dispatch that failed before a head went out. */
void sink_reply_failure(struct exchange *ex, const struct dispatch_failure *f);
