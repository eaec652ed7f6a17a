/* worker/worker.h -- the engines behind the gateway and what we know about them
 *
 *   admin commands --+                               loop threads (readers, no locks)
 *   startup list ----+--> control thread --> registry --publish--> struct worker_table --> dispatch, routing, admin reads
 *   health results --+    (the only writer)            (immutable snapshot, freed by epochs)
 *
 * In:       commands (add, remove), probe results.          Out: snapshots of all workers; events on the control loop.
 * Owner:    the registry and each snapshot hold references on workers; whoever keeps one past a turn takes a reference (worker_ref).
 * Threads:  registry_* : control thread.  worker_table_*, worker_ref/unref, worker_load_*: any thread.
 * Bounds:   WORKERS_MAX URLs known (registering ones included); at the bound adding one is refused with ERR_LIMIT.
 * Not here: choosing a worker (routing/), talking to one (upstream/).
 * Read next: registry.h, then register.c (the registration workflow), health.c and drain.c for their state machines.
 *
 * A worker's description never changes: a change makes a new struct worker that shares the old one's `live` part.
 * A worker is one allocation (about 600 bytes and its texts) beside its live part (about 200 bytes): thousands of them are cheap.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>

#include "base/ids.h"
#include "base/map.h"
#include "json/json_write.h"
#include "loop/snapshot.h"
#include "worker/resilience.h"

#define WORKERS_MAX 16384

enum worker_type { WORKER_REGULAR, WORKER_PREFILL, WORKER_DECODE, WORKER_ENCODE };
enum worker_mode { WORKER_HTTP, WORKER_GRPC, WORKER_ZMQ };
enum worker_runtime {
    RUNTIME_UNSPECIFIED,
    RUNTIME_SGLANG,
    RUNTIME_VLLM,
    RUNTIME_TRTLLM,
    RUNTIME_MLX,
    RUNTIME_TOKENSPEED,
    RUNTIME_EXTERNAL
};
enum worker_status { WORKER_PENDING, WORKER_READY, WORKER_NOT_READY, WORKER_FAILED, WORKER_DRAINING };

struct str worker_type_text(enum worker_type t);
struct str worker_mode_text(enum worker_mode m);
struct str worker_runtime_text(enum worker_runtime r);
struct str worker_status_text(enum worker_status s); /* "pending" "ready" "not_ready" "failed" "draining" */

/* The names of the bits of model_card.model_type, lowest bit first. */
extern const struct str WORKER_CAPABILITIES[];
extern const size_t WORKER_CAPABILITIES_N;
#define CAPABILITY_EMBEDDINGS (1u << 3)
#define CAPABILITY_RERANK     (1u << 4)
#define CAPABILITY_VISION     (1u << 6)
#define CAPABILITY_REASONING  (1u << 8)
#define CAPABILITY_IMAGE_GEN  (1u << 9)
#define CAPABILITY_AUDIO      (1u << 10)
#define CAPABILITY_MODERATION (1u << 11)
#define CAPABILITIES_DEFAULT  135 /* chat, completions, responses, tools */

/* Spec control-plane 6.2. */
struct model_card {
    struct str id;
    struct str display_name, hf_model_type, provider, tokenizer_path, chat_template, reasoning_parser,
        tool_parser; /* empty = absent */
    struct str *aliases;
    size_t aliases_n;
    struct str *architectures;
    size_t architectures_n;
    uint16_t model_type;     /* capability bits */
    uint32_t context_length; /* 0 = absent */
    uint32_t num_labels;
    struct str metadata_json; /* raw, empty = absent */
    struct str id2label_json; /* raw object, empty = absent */
};

struct worker_label {
    struct str key, value;
};

#define HEALTH_SECONDS_MAX 4294967 /* 49 days: milliseconds of it fit into 32 bits */

/* The health settings in force (spec control-plane 6.1 HealthCheckUpdate merged over the gateway's flags). */
struct worker_health_conf {
    uint32_t timeout_s, interval_s, success_threshold, failure_threshold, drain_settle_s;
    bool disabled;
};

/* HealthCheckUpdate as it was given: -1 = not given, seconds at most HEALTH_SECONDS_MAX. */
struct worker_health_update {
    int64_t timeout_s, interval_s, success_threshold, failure_threshold, drain_settle_s;
    int disabled; /* -1, 0, 1 */
};

/* UPDATE over BASE. An interval or timeout of 0 means BASE's, as in SMG. */
struct worker_health_conf worker_health_merge(const struct worker_health_conf *base, const struct worker_health_update *update);

/* What never changes while the struct lives; who made it owns its strings. Field order follows spec control-plane 6.1. */
struct worker_spec {
    struct str url; /* identity, canonical */
    struct model_card *models;
    size_t models_n; /* 0 = wildcard: serves any model */
    enum worker_type type;
    enum worker_mode mode;
    enum worker_runtime runtime;
    struct str provider;
    struct worker_label *labels;
    size_t labels_n;
    uint32_t priority;      /* 50 */
    float cost;             /* 1.0 */
    struct str api_key;     /* secret: never printed */
    int32_t bootstrap_port; /* -1 = absent */
    int64_t dp_size;        /* -1 = absent */
    struct str kv_connector, kv_role, kv_engine_id, zmq_handshake_address;
    struct str
        dp_base_url; /* of a rank of a data-parallel group: where requests go; `url` is "<dp_base_url>@<dp_rank>"; empty otherwise */
    int64_t dp_rank; /* -1: the group itself */
    /* What was given of these objects: valid compact JSON, members in the order of the spec page; empty = nothing given */
    struct str health_json, http_pool_json, resilience_json;
    uint32_t max_connection_attempts;                                         /* 20 */
    int64_t kv_block_size, load_monitor_interval_s, multimodal_shm_min_bytes; /* -1 = absent */
    struct str multimodal_tensor_transport;
    struct worker_health_update health_update;
    struct worker_health_conf health;    /* in force: health_update over the gateway's flags; filled at registration */
    struct worker_resilience resilience; /* as it was given; what it says of retries holds for the worker's models (dispatch/) */
    struct worker_pool pool;             /* as it was given */
    struct worker_judge judge;           /* in force, as `health` */
};

/* The last report of the load monitor, summed over the ranks that this worker stands for. Members are read one by one: a mixture of two reports is as good as either. */
struct worker_report {
    _Atomic uint64_t at_us;    /* loop clock; 0 = it reports nothing (any more), and the other members mean nothing */
    _Atomic double kv_usage;   /* share of the KV cache in use, mean over the ranks: 0..1 */
    _Atomic double throughput; /* tokens generated per second: the most of late, since one that has little to do generates little */
    _Atomic int64_t queued_tokens; /* prompt tokens that wait and are in no cache */
    _Atomic int64_t used_tokens;   /* in the KV cache; -1 = the engine does not tell */
    _Atomic int64_t load;          /* worker_live.load when it came, */
    _Atomic uint64_t processed;    /* and .processed: what was sent and what has ended since can be told */
};

/* What changes while requests run. Outlives snapshots and descriptions; all members atomic, written by any thread; readers accept slightly old values
 * because a choice among workers stays correct, only less balanced, with them.
 * What each request writes stands together on one cache line, apart from what every choice reads of it and seldom changes: a loop that counts a request takes that line
 * away from the others, and nothing else. */
struct worker_live {
    alignas(64) _Atomic unsigned refs;
    uint16_t number;            /* never changes; 1..65535, of no other worker that lives: see worker_number.h. 0 = none was free */
    uint64_t born_us;           /* never changes; clock_now_us() when the number was given */
    _Atomic int status;         /* enum worker_status; written by the control thread only, as the following two */
    _Atomic int reason;         /* why the last health probe failed: a negative enum err_code or an HTTP status; 0 = it did not */
    _Atomic uint64_t changed_s; /* wall clock: when `status` was written last */
    _Atomic uint64_t heard_us;  /* loop clock: when bytes of a good reply came last; up to HEARD_STEP_US late. 0 = never */
    _Atomic uint64_t cooling_until_us; /* loop clock: the worker asked for peace (429 or 503); 0 = it did not */

    alignas(64) _Atomic int64_t load; /* requests in flight: counted from the pick to the end of the body or the abort */
    _Atomic uint64_t processed;       /* picks */
    _Atomic uint64_t failures;        /* attempts that broke off, or were answered with a 5xx status */
    _Atomic uint64_t busy_us;         /* sum of the times from pick to end of the requests that ended */
    _Atomic int64_t routing_keys;     /* distinct routing keys of the requests in flight (routing/key_loads.h) */
    _Atomic int64_t shadow_load;      /* requests in flight that a shadow policy would have sent here */
    _Atomic int64_t credited_tokens;  /* of requests sent since the last report; written by any loop, reset with each report */

    alignas(64) struct worker_report report; /* what the engine said of itself last; written by the control thread only */
    alignas(64) struct breaker breaker;      /* written through breaker.h, with each outcome */
};

struct worker {
    _Atomic unsigned refs;
    char id[UUID_TEXT_LEN + 1];
    uint64_t revision; /* 0, +1 with every replacement */
    uint64_t order;    /* of registration: lists are sorted by it */
    struct worker_spec spec;
    struct str host; /* of the base URL; where requests go */
    uint16_t port;
    bool tls;                 /* https, grpcs */
    struct str base_path;     /* path of the URL without a trailing '/': prefix of every route; usually empty */
    struct str authority;     /* "host:port" for the Host field */
    struct worker_live *live; /* one reference */
};

/* A worker with one reference, status pending. Everything is copied. LIVE: shared with a former description (a reference is taken), or NULL for a new one.
 * NULL: memory is out. Any thread. */
struct worker *worker_new(const struct worker_spec *spec, const char id[UUID_TEXT_LEN + 1], uint64_t revision, uint64_t order,
                          struct worker_live *live) _must_check_;

/* A deep copy in ARENA; 0 or ERR_NOMEM. worker_spec_bytes: how many bytes it takes. */
size_t worker_spec_bytes(const struct worker_spec *spec);
int worker_spec_copy(const struct worker_spec *spec, struct arena *arena, struct worker_spec *ret) _must_check_;

const struct worker *worker_ref(const struct worker *w);
void worker_unref(const struct worker *w); /* any thread; NULL is fine */

static inline enum worker_status worker_status(const struct worker *w)
{
    return (enum worker_status)atomic_load_explicit(&w->live->status, memory_order_relaxed);
}

/* May W get a request? When the answer changes by time alone, *RECHECK_US says when (loop clock; only lowered). A worker that cools down is BREAKER_RESERVE: it asked
 * for peace, but where nobody else is left, it may say so again itself. */
static inline enum breaker_admission worker_admission(const struct worker *w, uint64_t now_us, uint64_t *recheck_us)
{
    uint64_t until = atomic_load_explicit(&w->live->cooling_until_us, memory_order_relaxed);
    enum breaker_admission a;

    if (worker_status(w) != WORKER_READY)
        return BREAKER_NO;
    a = breaker_look(&w->live->breaker, &w->spec.judge.breaker, now_us, recheck_us);
    if (until <= now_us)
        return a;
    *recheck_us = MIN(*recheck_us, until);
    return MIN(a, BREAKER_RESERVE);
}

/* One that nothing speaks against. */
static inline bool worker_is_available(const struct worker *w, uint64_t now_us, uint64_t *recheck_us)
{
    return worker_admission(w, now_us, recheck_us) == BREAKER_YES;
}

static inline bool worker_is_ready(const struct worker *w)
{
    return worker_status(w) == WORKER_READY;
}

/* Anthropic itself takes its key as x-api-key, beside anthropic-version. */
static inline bool worker_is_anthropic(const struct worker *w)
{
    return w->spec.runtime == RUNTIME_EXTERNAL && str_eq(w->spec.provider, STR("anthropic"));
}

/* The pair that counts a request: begin at the pick, end exactly once per begin. */
static inline void worker_load_begin(const struct worker *w)
{
    atomic_fetch_add_explicit(&w->live->load, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->live->processed, 1, memory_order_relaxed);
}
static inline void worker_load_end(const struct worker *w)
{
    atomic_fetch_sub_explicit(&w->live->load, 1, memory_order_relaxed);
}
/* What a request's time with a worker came to; for the rates of GET /metrics. */
static inline void worker_count_busy(const struct worker *w, uint64_t us)
{
    atomic_fetch_add_explicit(&w->live->busy_us, us, memory_order_relaxed);
}
static inline void worker_count_failure(const struct worker *w)
{
    atomic_fetch_add_explicit(&w->live->failures, 1, memory_order_relaxed);
}

/* What the engine says of itself now, in the terms of struct worker_report. Control thread. */
struct worker_told {
    double kv_usage, throughput;
    int64_t queued_tokens, used_tokens;
};
void worker_put_report(const struct worker *w, const struct worker_told *told, uint64_t now_us);
void worker_drop_report(const struct worker *w);

/* Requests of this gateway that ended since the report; 0 or more. */
static inline int64_t worker_ended_since_report(const struct worker *w)
{
    const struct worker_live *l = w->live;
    int64_t sent = (int64_t)(atomic_load_explicit(&l->processed, memory_order_relaxed) -
                             atomic_load_explicit(&l->report.processed, memory_order_relaxed));
    int64_t more =
        atomic_load_explicit(&l->load, memory_order_relaxed) - atomic_load_explicit(&l->report.load, memory_order_relaxed);

    return MAX(0, sent - more);
}

#define HEARD_STEP_US 250000 /* written this often at most: all loops share the cache line */

/* Bytes of a good reply came. */
static inline void worker_heard(const struct worker *w, uint64_t now_us)
{
    uint64_t before = atomic_load_explicit(&w->live->heard_us, memory_order_relaxed);

    if (now_us >= before + HEARD_STEP_US)
        atomic_store_explicit(&w->live->heard_us, now_us, memory_order_relaxed);
}

static inline int64_t worker_load(const struct worker *w)
{
    return atomic_load_explicit(&w->live->load, memory_order_relaxed);
}

/* ---- the snapshot ---- */

/* The workers that serve one model id, in order of registration. */
struct worker_model {
    struct str id; /* canonical */
    const struct worker **workers;
    size_t n;
};

struct worker_table {
    uint64_t
        serial; /* unlike that of any other table of this process: what was derived from a table can tell whether it still holds */
    const struct worker **workers; /* all, in order of registration; referenced */
    size_t n;
    struct map by_model;         /* canonical ids and aliases -> struct worker_model */
    struct worker_model *models; /* sorted by id, canonical ones only */
    size_t models_n;
    struct worker_model wildcard; /* workers without a model of their own: they serve every name */
    struct worker_model all;      /* every worker, for the model name "unknown" */
    struct arena arena;
};

/* A table of WORKERS (in order of registration), each referenced. Ids and aliases: spec control-plane 11.1. NULL: memory is out. Any thread. */
struct worker_table *worker_table_new(const struct worker *const *workers, size_t n) _must_check_;
void worker_table_free(struct worker_table *t); /* NULL is fine */

/* Workers for MODEL: the model's entry (id or alias), else the wildcard workers, else NULL: unknown model. MODEL empty or "unknown": all workers. */
const struct worker_model *worker_table_find(const struct worker_table *t, struct str model);

/* The place in t->workers of the first worker whose `order` is at least ORDER; t->n when there is none. For lists that are written in several turns. */
size_t worker_table_from(const struct worker_table *t, uint64_t order);

#define WORKER_REASON_MAX 64
/* Why a probe failed, in words: "status 503" or an err_text; NUL-terminated. */
const char *worker_reason_text(int reason, char out[WORKER_REASON_MAX]);

/* WorkerInfo JSON (spec control-plane 6.3, its key order). JOB (may be NULL) adds job_status; without one a failed worker tells its reason there (decision 9).
 * Never an api_key, only whether there is one: "has_api_key":true. */
struct worker_job_view {
    struct str type, url, status, message; /* message empty = null */
    uint64_t timestamp_s;
};
void worker_write_json(struct json_writer *w, const struct worker *worker, const struct worker_job_view *job);
