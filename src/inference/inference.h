/* inference/inference.h -- the data plane's handlers: read the request, say what goes to the worker, shape the reply
 *
 *   route --> handler: content type, api_request_read() --> carry() --> dispatch_start() --> sink --> exchange
 *
 * In:       an exchange whose body is read.   Out: one reply, through a sink of sinks.c, or an error of http/error.h.
 * Owner:    struct inference is the loop's; what a request needs lives in its exchange's arena.
 * Not here: choosing a worker (dispatch/, routing/), the rules of the JSON (api/).
 * Read next: carry.c (the way of every request), sinks.c (how replies are shaped).
 */
#pragma once

#include "api/request.h"
#include "dispatch/dispatch.h"
#include "loop/pool.h"
#include "worker/fanout.h"

struct toolcall_format;
struct reasoning_format;

/* Parsing of chat replies by the gateway (parsed.h), the same for all loops. */
struct reply_parsing {
    bool on;                                  /* --parse-http-replies */
    const struct toolcall_format *calls;      /* --tool-call-parser; NULL = by the model's name */
    const struct reasoning_format *reasoning; /* --reasoning-parser; NULL = by the model's name */
};

struct inference {
    struct loop *loop;
    struct dispatcher *dispatcher; /* borrowed */
    struct fanouts *fanouts;       /* borrowed; of this loop */
    struct reply_parsing parsing;
    struct pool *pool;       /* borrowed: parses whole replies that are too long for a loop's turn; NULL where `parsing` is off */
    struct list parse_jobs;  // parse_job.link: what the pool has of this loop
    struct buf routing_text; /* scratch: of the request that is being given to a worker; at most ROUTING_TEXT_MAX */
};

#define ROUTING_TEXT_MAX (1u << 20) /* bytes of a prompt that policies look at */

void inference_init(struct inference *inf, struct loop *loop, struct dispatcher *dispatcher, struct fanouts *fanouts);
void inference_fini(struct inference *inf); /* the loop does not run any more, the pool is freed */

/* Handlers; CONTEXT is struct inference. One endpoint family per file. */
void inference_chat(struct exchange *ex, void *context);           /* POST /v1/chat/completions */
void inference_completions(struct exchange *ex, void *context);    /* POST /v1/completions */
void inference_generate(struct exchange *ex, void *context);       /* POST /generate */
void inference_embeddings(struct exchange *ex, void *context);     /* POST /v1/embeddings */
void inference_classify(struct exchange *ex, void *context);       /* POST /v1/classify */
void inference_messages(struct exchange *ex, void *context);       /* POST /v1/messages */
void inference_responses(struct exchange *ex, void *context);      /* POST /v1/responses */
void inference_rerank(struct exchange *ex, void *context);         /* POST /rerank */
void inference_v1_rerank(struct exchange *ex, void *context);      /* POST /v1/rerank */
void inference_transcriptions(struct exchange *ex, void *context); /* POST /v1/audio/transcriptions */
void inference_cancel(struct exchange *ex, void *context);         /* POST /v1/responses/{response_id}/cancel */
void inference_models(struct exchange *ex, void *context);         /* GET /v1/models */

/* GET, spec control-plane 16.3: asked of a ready engine; of a fleet of providers the gateway tells what it knows */
void inference_health(struct exchange *ex, void *context);      /* /health_generate */
void inference_server_info(struct exchange *ex, void *context); /* /get_server_info */
void inference_model_info(struct exchange *ex, void *context);  /* /get_model_info */
