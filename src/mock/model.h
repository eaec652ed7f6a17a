/* mock/model.h -- how long a GPU would take: continuous batching, simulated; pure: time is a number that the caller passes
 *
 *   model_submit --> WAITING (FIFO) --admission--> RUNNING: prefill in chunks, then one token per step --> DONE
 *
 * The engine works in steps. model_begin_step plans one and says how long it takes; model_end_step, that much later, applies it. A step is:
 *   1. admission, first come first served, while fewer than max_running run and the uncached part of the prompt fits into the free KV blocks (or nothing runs)
 *   2. prefill: at most prefill_chunk prompt tokens, shared in the order of admission
 *   3. every request whose prompt is done decodes one token for each of its choices; the one whose prefill ends in this step too
 *   duration = max(prefilled / prefill_tps, decode_base_ms + decode_per_req_ms * choices that decode), at least MODEL_STEP_MIN_US
 * So a lone request with P uncached prompt tokens and N output tokens takes ceil(P/chunk) + N - 1 steps (spec grpc-workers 19.1; the test has the formula).
 * The KV cache holds whole blocks; prompts find their prefix there (but for the last prompt token, which engines always compute); what an answer adds is found
 * by the next turn. Cached blocks that nobody uses are evicted, oldest first, from MODEL_HIGH to MODEL_LOW of the capacity.
 * A decoding batch may outgrow the capacity: real engines would send the newest request back to the queue; here usage shows 1.0 and the work goes on.
 * One thread. Nothing is allocated after model_init: requests are the caller's memory.
 */
#pragma once

#include "mock/kv_cache.h"

#define MODEL_STEP_MIN_US 1000
#define MODEL_HIGH        0.92
#define MODEL_LOW         0.85

struct model_conf {
    double prefill_tps;       /* prompt tokens per second, > 0 */
    double decode_base_ms;    /* of a step that decodes */
    double decode_per_req_ms; /* more, for each choice that decodes */
    uint32_t prefill_chunk;   /* prompt tokens in one step, >= 1 */
    uint32_t max_running;     /* requests, >= 1 */
    uint64_t kv_tokens;       /* capacity */
    uint32_t block_size;      /* tokens of a block, 1..kv_tokens */
    bool prefix_cache;
};

enum model_state { MODEL_IDLE, MODEL_WAITING, MODEL_RUNNING, MODEL_DONE };

/* One request: the caller's memory, zeroed before the first members are set. */
struct model_request {
    /* the caller's */
    uint64_t prompt_tokens; /* >= 1 */
    uint64_t output_tokens; /* >= 1, per choice */
    uint32_t choices;       /* >= 1 */
    const uint64_t *blocks; /* hash chain over prompt and the first choice's answer; borrowed until done or cancelled */
    bool remote;            /* the prompt's blocks come from another engine: only its last token is computed */
    size_t blocks_n;        /* may be fewer than there are blocks; 0 = not cached */

    /* the model's; for reading */
    struct list link; // model.waiting or .running
    enum model_state state;
    uint64_t cached_tokens; /* from admission on */
    uint64_t prefilled;     /* prompt tokens in the KV cache, the cached ones included */
    uint64_t produced;      /* tokens of each choice */
    uint64_t submitted_us, first_token_us, done_us;

    /* the model's own */
    uint64_t step_prefill; /* planned for the running step */
    bool step_decode;
    size_t held;             /* blocks[0..held) are pinned */
    size_t unnamed;          /* blocks counted in kv_cache.unnamed for this request */
    uint64_t waiting_tokens; /* its share of model.waiting_uncached_tokens */
};

struct model {
    struct model_conf conf;
    struct kv_cache cache;
    struct list waiting, running; // model_request.link
    uint32_t waiting_n, running_n;
    uint64_t waiting_uncached_tokens; /* as seen when each request came */
    bool stepping;                    /* between begin_step and end_step */
    uint64_t step_tokens;             /* produced by the running step, all choices */
    uint64_t step_us;

    double throughput;     /* output tokens per second, moving average over steps (weight 0.3) */
    double cache_hit_rate; /* cached share of prompt tokens, moving average over admissions (weight 0.2) */
    uint64_t steps, finished, prompt_tokens, cached_tokens, output_tokens;

    /* A request has one more token per choice; R->state is MODEL_DONE with the last. It may cancel R, nothing else of this model. */
    void (*on_token)(struct model *m, struct model_request *r, void *arg);
    void *arg;
};

int model_init(struct model *m, const struct model_conf *conf) _must_check_;
void model_fini(struct model *m);

void model_submit(struct model *m, struct model_request *r, uint64_t now_us);
void model_cancel(struct model *m, struct model_request *r); /* fine in any state; no call back */

/* Plans a step: its duration in microseconds, 0 = nothing to do. Not while one is running. */
uint64_t model_begin_step(struct model *m, uint64_t now_us);
void model_end_step(struct model *m, uint64_t now_us);

uint64_t model_used_tokens(const struct model *m); /* of the KV cache, in use */
double model_usage(const struct model *m);         /* 0..1 */

/* Forgets all blocks that are not in use. */
void model_flush_cache(struct model *m);
