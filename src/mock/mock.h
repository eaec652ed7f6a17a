/* mock/mock.h -- the simulated inference engine behind `smg mock-engine`: try the gateway and plan capacity without a GPU
 *
 *   exchange --ask--> generation --(delay, faults)--> canned:    words at once, or at a given rate
 *                                                \--> realistic: model.c says when each token is there
 *            generation --dialect--> OpenAI chat and completions, SGLang /generate, Anthropic messages, OpenAI responses; streamed or whole
 *
 * Two modes. Canned: a reply costs as little CPU as can be; it is the back end of benchmarks. Realistic: continuous batching is simulated (model.h): requests
 * queue, prefill and decode share steps, prompts find their prefix in a KV cache, and /v1/loads and /metrics report all that as real engines do.
 * What it says is words by seed (text.h): the same seed and prompt give the same answer. What it does wrong is faults.h.
 * One engine is one port. It may be served by several loops (mock_engine_join): text, faults, the record of requests and counters are shared, the rest is per loop.
 * A realistic engine runs on one loop, for it has one batch; so does one with a role, for its rooms.
 * Threads: mock_engine_new, _join and _listen before the loop runs or on it; _close and _free on the loop, or when it is not running.
 */
#pragma once

#include "loop/loop.h"
#include "mock/faults.h"

struct tls_context;

enum mock_mode { MOCK_CANNED, MOCK_REALISTIC };
/* The last two are servers that a gateway does not know by name: llama.cpp, and Ollama, which has no health endpoint. */
enum mock_runtime { MOCK_SGLANG, MOCK_VLLM, MOCK_TRTLLM, MOCK_OPENAI, MOCK_MLX, MOCK_TOKENSPEED, MOCK_LLAMACPP, MOCK_OLLAMA };

/* Prefill and decode may run on engines of their own: one computes prompts, the other answers (handover.h). */
enum mock_role { MOCK_ROLE_BOTH, MOCK_ROLE_PREFILL, MOCK_ROLE_DECODE };

#define MOCK_BOOTSTRAP_PORT 8998 /* SGLang's default */

struct mock_conf {
    struct str model; /* borrowed during mock_engine_new */
    enum mock_mode mode;
    enum mock_runtime runtime; /* which information endpoints there are, and owned_by */
    uint64_t seed;
    uint32_t instance; /* of several engines with one seed: texts are the same, ids and random failures are not */

    uint32_t output_tokens;    /* of an answer, where the request does not say less; 1..131072 */
    bool echo;                 /* the answer is the prompt (its text, cut at max_tokens) in place of words */
    uint32_t tokens_per_chunk; /* words in one event of a stream; 1.. */
    bool flush_each;           /* every event is a write of its own */
    uint32_t startup_ms;       /* GET /health answers 503 for so long */

    /* canned */
    uint32_t gen_ms;          /* before an answer, once */
    double tokens_per_second; /* of one answer; 0 = at once */
    uint32_t burst;           /* paced streams: so many events fall due together, in one write; 1.. */

    /* realistic: model.h */
    double prefill_tps;
    double decode_base_ms, decode_per_req_ms;
    uint32_t prefill_chunk;
    uint32_t max_running;
    uint64_t kv_tokens;
    uint32_t block_size;
    bool prefix_cache;

    enum mock_role role;     /* other than BOTH: one loop only */
    uint16_t bootstrap_port; /* prefill listens there; decode asks there when a request names none */
    struct str host;         /* vLLM's prefill answers that its blocks are there; borrowed during mock_engine_new */

    struct tls_context *tls; /* borrowed: outlives the engine; NULL = plain HTTP */

    struct mock_faults faults; /* at the start; POST /mock/faults changes them */
};

/* Everything at the defaults of `smg mock-engine`. */
extern const struct mock_conf MOCK_DEFAULTS;

struct mock_engine;

/* ERR_INVALID names the member that is out of range. */
int mock_engine_new(struct loop *l, const struct mock_conf *conf, struct mock_engine **ret, struct err *err) _must_check_;

/* Another loop's part of the engine FIRST. ERR_UNSUPPORTED for a realistic one, and for one with a role. */
int mock_engine_join(struct loop *l, struct mock_engine *first, struct mock_engine **ret, struct err *err) _must_check_;

/* ADDRESS is an IP literal; PORT 0 = any free one. Of several parts all listen on the port of the first. */
enum mock_share { MOCK_ALONE, MOCK_SHARED_PORT };
int mock_engine_listen(struct mock_engine *e, struct str address, uint16_t port, enum mock_share share, uint16_t *ret_port,
                       struct err *err) _must_check_;

/* Where decode engines ask a prefill engine that listens; 0 = it has another role. */
uint16_t mock_engine_bootstrap_port(const struct mock_engine *e);

void mock_engine_close(struct mock_engine *e); /* stops listening, cuts what runs */
void mock_engine_free(struct mock_engine *e);  /* after close; the memory goes in a later turn of the loop. NULL is fine. */
