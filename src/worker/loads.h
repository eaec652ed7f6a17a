/* worker/loads.h -- how busy engines say they are (spec control-plane 15.2, data-plane 10)
 *
 *   GET /v1/loads?include=core,disagg,queues,memory   SGLang, and what is neither of the others --loads_read_json----+
 *   GET /metrics                                      vLLM; SGLang when it has no /v1/loads    --loads_read_metrics--+--> struct worker_loads, one row per DP rank
 *
 * Pure readers, and the questions that a fan-out asks for them. The values are the engine's own; what it does not tell is 0.
 * Bound: LOADS_RANKS_MAX ranks of a worker, LOADS_BODY_MAX bytes of a reply.
 */
#pragma once

#include "json/json_write.h"
#include "worker/fanout.h"

#define LOADS_RANKS_MAX 1024
#define LOADS_BODY_MAX  (1u << 20) /* a rank takes about 400 bytes; an engine's metrics some hundred KiB */

/* One data-parallel rank, in the order of the JSON. */
struct engine_load {
    int64_t dp_rank, running, waiting, waiting_uncached_tokens, total, used_tokens, max_tokens;
    double token_usage, gen_throughput, cache_hit_rate, utilization; /* shares 0..1; throughput in tokens per second */
    int64_t max_running;
    /* only of engines with separate prefill and decode; see `has` */
    double kv_transfer_latency_ms, kv_transfer_speed_gb_s;
    int64_t prefill_queue_reqs, decode_queue_reqs;
    char disagg_mode[16];
    unsigned has; /* enum engine_load_has */
};
enum engine_load_has { LOAD_LATENCY = 1, LOAD_SPEED = 2, LOAD_PREFILL_QUEUE = 4, LOAD_DECODE_QUEUE = 8, LOAD_DISAGG_MODE = 16 };

/* One allocation (loads_free). */
struct worker_loads {
    char timestamp[40]; /* as the engine writes it; empty for /metrics */
    uint64_t dp_rank_count;
    size_t n; /* 1..LOADS_RANKS_MAX */
    struct engine_load loads[];
};

/* NULL: not such a text, no load in it, or memory is out. */
struct worker_loads *loads_read_json(struct str text) _must_check_;
struct worker_loads *loads_read_metrics(struct str text, enum worker_runtime runtime) _must_check_;
void loads_free(void *loads); /* NULL is fine */

/* Does row RANK (-1: all) of LOADS count? Whether there is any such row: loads_have. */
bool loads_have(const struct worker_loads *l, int rank);

/* Tokens in the KV caches of the rank, or of all ranks with -1; -1 when the engine does not tell absolute numbers. */
int64_t loads_tokens(const struct worker_loads *l, int rank);

/* What the ranks that count come to together: sums, and the mean share of the KV cache. */
struct loads_sum {
    double token_usage, gen_throughput;
    int64_t waiting_uncached_tokens;
};
struct loads_sum loads_sum(const struct worker_loads *l, int rank);

/* {"timestamp":..., "dp_rank_count":N,"loads":[...]}, only RANK's row unless that is -1. */
void loads_write_json(struct json_writer *w, const struct worker_loads *l, int rank);

/* For struct fanout_ask: t->data becomes struct worker_loads (freed by loads_free), or stays NULL with t->result >= 0: the engine tells no load. */
#define LOADS_EACH_MS 5000
#define LOADS_ALL_MS  30000
bool loads_question_for(struct fanout *f, struct fanout_target *t, struct probe_ask *ask);
bool loads_answered(struct fanout *f, struct fanout_target *t, struct buf *body);
