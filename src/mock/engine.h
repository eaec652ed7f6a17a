/* mock/engine.h -- what the files of mock/ share: one engine's part on one loop, and what its parts have in common (internal to mock/) */
#pragma once

#include <stdatomic.h>

#include "http/server.h"
#include "mock/handover.h"
#include "mock/mock.h"
#include "mock/model.h"
#include "mock/record.h"
#include "mock/schedule.h"
#include "mock/text.h"

#define MOCK_MODEL_LEN  32768   /* context length that the information endpoints show */
#define MOCK_CANNED_KV  1000000 /* KV capacity that a canned engine shows, as SMG's mock does */
#define MOCK_ROUTES_MAX 32
#define MOCK_BLOCKS_MAX (1u << 22)   /* KV blocks of a realistic engine */
#define MOCK_PARTS_MAX  64           /* loops of one engine */
#define MOCK_BODY_MAX   (64u << 20)  /* bytes of a request; over it: 413 */
#define MOCK_REPLY_MAX  (256u << 20) /* bytes of a reply that is no stream; over it: 503 */
#define MOCK_OUT_BYTES  (32 * 1024)  /* of a stream that are put together before they are sent */

struct mock_part_counters {
    _Atomic uint64_t running, waiting, requests, finished, aborted, failed, prompt_tokens, cached_tokens, output_tokens;
};

/* Shared by the parts of one engine; goes with the last of them. */
struct mock_shared {
    _Atomic unsigned refs;
    struct mock_conf conf; /* conf.model is owned */
    struct buf model_json; /* the model's name as JSON, with quotes */
    uint64_t born_us;
    uint64_t born_wall_s;
    _Atomic uint64_t serial; /* of answers: their ids */
    struct mock_text text;
    struct record_ring record;

    pthread_mutex_t lock; /* guards faults */
    struct mock_faults faults;
    _Atomic unsigned faults_version;

    struct mock_part_counters parts[MOCK_PARTS_MAX];
    _Atomic unsigned parts_n;
};

struct mock_engine {
    struct mock_shared *shared; /* ref */
    struct loop *loop;
    struct http_server *server;           /* owned */
    struct router *router;                /* owned */
    struct route routes[MOCK_ROUTES_MAX]; /* the rows for this runtime */
    void *contexts[1];                    /* what handlers get: the engine */
    struct schedule schedule;
    struct mock_part_counters *counters; /* of this part */
    struct buf out;                      /* scratch for replies; used within one call */
    struct random random;                /* by seed */
    struct mock_faults faults;           /* this part's copy */
    unsigned faults_version;

    struct bootstrap *bootstrap; /* owned; of a prefill engine */
    struct http_client *client;  /* owned; of a decode engine */

    struct model model; /* realistic only */
    struct due step;    /* the end of the model's step */

    enum { MOCK_OPEN, MOCK_CLOSING, MOCK_CLOSED } state;
    bool free_wanted;
};

/* The faults in force; re-reads them when somebody changed them. */
const struct mock_faults *engine_faults(struct mock_engine *e);
void engine_set_faults(struct mock_engine *e, const struct mock_faults *f);

/* Gives a request to the realistic model. 0 or ERR_NOMEM (then the model does not have it). */
int engine_submit(struct mock_engine *e, struct model_request *r) _must_check_;

/* The sum of a counter over the parts: ENGINE_SUM(e, running). */
#define ENGINE_SUM(e, member)                                                                   \
    ({                                                                                          \
        uint64_t sum_ = 0;                                                                      \
        for (unsigned i_ = 0; i_ < atomic_load(&(e)->shared->parts_n); i_++)                    \
            sum_ += atomic_load_explicit(&(e)->shared->parts[i_].member, memory_order_relaxed); \
        sum_;                                                                                   \
    })

/* Only the part's own loop writes its counters. */
#define ENGINE_COUNT(e, member, by)                                                                            \
    atomic_store_explicit(&(e)->counters->member,                                                              \
                          atomic_load_explicit(&(e)->counters->member, memory_order_relaxed) + (uint64_t)(by), \
                          memory_order_relaxed)

/* An error as the simulated engine words it: SGLang's flat form, OpenAI's, or Anthropic's on /v1/messages. */
void engine_error(struct mock_engine *e, struct exchange *ex, unsigned status, const char *message);

/* The failure that a fault asked for (F->status is set): counted, and answered with its status and Retry-After. */
void engine_fail(struct mock_engine *e, struct exchange *ex, const struct mock_request_faults *f);

/* e->out as a JSON reply with status 200, or 503 when memory was out. */
void engine_reply_out(struct mock_engine *e, struct exchange *ex, struct str content_type);

/* ---- handlers; CONTEXT is the engine ---- */

/* generation.c and the dialects */
void mock_chat(struct exchange *ex, void *context);
void mock_completions(struct exchange *ex, void *context);
void mock_generate(struct exchange *ex, void *context);
void mock_messages(struct exchange *ex, void *context);
void mock_responses(struct exchange *ex, void *context);

/* vectors.c */
void mock_transcriptions(struct exchange *ex, void *context);
void mock_embeddings(struct exchange *ex, void *context);
void mock_rerank(struct exchange *ex, void *context);
void mock_classify(struct exchange *ex, void *context);

/* info.c */
void mock_health(struct exchange *ex, void *context);
void mock_models(struct exchange *ex, void *context);
void mock_model_info(struct exchange *ex, void *context);
void mock_server_info(struct exchange *ex, void *context);
void mock_version(struct exchange *ex, void *context);
void mock_loads(struct exchange *ex, void *context);
void mock_metrics(struct exchange *ex, void *context);
void mock_flush_cache(struct exchange *ex, void *context);
void mock_start_profile(struct exchange *ex, void *context);
void mock_stop_profile(struct exchange *ex, void *context);
void mock_requests(struct exchange *ex, void *context);
void mock_requests_clear(struct exchange *ex, void *context);
void mock_faults_get(struct exchange *ex, void *context);
void mock_faults_set(struct exchange *ex, void *context);
