/* info.c -- what a simulated engine tells about itself: health, models, server information, load, metrics; and the mock's own endpoints
 *
 * Shapes are those that gateways read (spec control-plane 9.4, 9.5, 15.2; data-plane 10). Load is real in realistic mode; a canned engine has no queue and no KV
 * cache: it shows what runs, and an empty cache.
 */
#include "base/clock.h"
#include "mock/engine.h"
#include "observe/prometheus.h"

/* ---- health ---- */

struct health_wait {
    struct mock_engine *engine;
    struct exchange *ex;
    struct due due;
};

static void answer_health(struct mock_engine *e, struct exchange *ex)
{
    uint64_t up_us = clock_now_us() - e->shared->born_us;

    if (up_us < (uint64_t)e->shared->conf.startup_ms * 1000)
        exchange_reply(ex, 503, TYPE_TEXT, STR("starting"));
    else if (engine_faults(e)->unhealthy)
        exchange_reply(ex, 503, TYPE_TEXT, STR("unhealthy"));
    else
        exchange_reply(ex, 200, TYPE_TEXT, STR("OK"));
}

static void on_health_due(struct due *d)
{
    struct health_wait *h = CONTAINER_OF(d, struct health_wait, due);

    answer_health(h->engine, h->ex);
}

static void on_health_abort(struct exchange *ex, void *arg)
{
    struct health_wait *h = arg;

    schedule_remove(&h->engine->schedule, &h->due);
}

void mock_health(struct exchange *ex, void *context)
{
    static const struct exchange_owner owner = { .on_abort = on_health_abort };
    struct mock_engine *e = context;
    uint64_t slow_ms = engine_faults(e)->slow_health_ms;
    struct health_wait *h = slow_ms ? arena_new(&ex->arena, struct health_wait) : NULL;

    if (h) {
        h->engine = e;
        h->ex = ex;
        exchange_own(ex, &owner, h);
        if (schedule_add(&e->schedule, &h->due, loop_now_us(e->loop) + slow_ms * 1000, on_health_due) == 0)
            return;
    }
    answer_health(e, ex);
}

/* ---- models and servers ---- */

static void begin(struct mock_engine *e, struct json_writer *w)
{
    buf_clear(&e->out);
    json_begin(w, &e->out);
}

void mock_models(struct exchange *ex, void *context)
{
    static const struct str owners[] = {
        [MOCK_SGLANG] = STR_INIT("sglang"),     [MOCK_VLLM] = STR_INIT("vllm"),      [MOCK_TRTLLM] = STR_INIT("trtllm"),
        [MOCK_OPENAI] = STR_INIT("openai"),     [MOCK_MLX] = STR_INIT("mlx"),        [MOCK_TOKENSPEED] = STR_INIT("tokenspeed"),
        [MOCK_LLAMACPP] = STR_INIT("llamacpp"), [MOCK_OLLAMA] = STR_INIT("library"),
    };
    struct mock_engine *e = context;
    struct json_writer w;

    begin(e, &w);
    json_object(&w);
    json_put_str(&w, "object", STR("list"));
    json_put_array(&w, "data");
    json_object(&w);
    json_put_str(&w, "id", e->shared->conf.model);
    json_put_str(&w, "object", STR("model"));
    json_put_u64(&w, "created", e->shared->born_wall_s);
    json_put_str(&w, "owned_by", owners[e->shared->conf.runtime]);
    json_put_str(&w, "root", e->shared->conf.model);
    json_put_null(&w, "parent");
    json_put_u64(&w, "max_model_len", MOCK_MODEL_LEN);
    json_end(&w);
    json_end(&w);
    json_end(&w);
    engine_reply_out(e, ex, TYPE_JSON);
}

void mock_model_info(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    struct json_writer w;

    begin(e, &w);
    json_object(&w);
    json_put_str(&w, "model_path", e->shared->conf.model);
    json_put_str(&w, "tokenizer_path", e->shared->conf.model);
    json_put_bool(&w, "is_generation", true);
    json_put_null(&w, "preferred_sampling_params");
    json_put_str(&w, "weight_version", STR("mock"));
    json_put_bool(&w, "has_image_understanding", false);
    json_put_bool(&w, "has_audio_understanding", false);
    json_put_str(&w, "model_type", STR("mock"));
    json_put_array(&w, "architectures");
    json_value_str(&w, STR("MockForCausalLM"));
    json_end(&w);
    json_end(&w);
    engine_reply_out(e, ex, TYPE_JSON);
}

static uint64_t capacity(const struct mock_engine *e)
{
    const struct mock_conf *c = &e->shared->conf;

    return c->mode == MOCK_REALISTIC ? c->kv_tokens / c->block_size * c->block_size : MOCK_CANNED_KV;
}

static const struct str ROLES[] = {
    [MOCK_ROLE_BOTH] = STR_INIT("null"), [MOCK_ROLE_PREFILL] = STR_INIT("prefill"), [MOCK_ROLE_DECODE] = STR_INIT("decode")
};

void mock_server_info(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    const struct mock_conf *c = &e->shared->conf;
    struct json_writer w;

    begin(e, &w);
    json_object(&w);
    json_put_str(&w, "model_path", c->model);
    json_put_str(&w, "served_model_name", c->model);
    json_put_str(&w, "tokenizer_path", c->model);
    json_put_u64(&w, "tp_size", 1);
    json_put_u64(&w, "dp_size", 1);
    json_put_u64(&w, "pp_size", 1);
    json_put_str(&w, "load_balance_method", STR("round_robin"));
    json_put_str(&w, "disaggregation_mode", ROLES[c->role]);
    json_put_bool(&w, "is_embedding", false);
    json_put_u64(&w, "context_length", MOCK_MODEL_LEN);
    json_put_u64(&w, "max_total_tokens", capacity(e));
    json_put_u64(&w, "max_running_requests", c->max_running);
    json_put_str(&w, "weight_version", STR("mock"));
    json_put_str(&w, "version", STR("mock"));
    json_end(&w);
    engine_reply_out(e, ex, TYPE_JSON);
}

void mock_version(struct exchange *ex, void *context)
{
    exchange_reply(ex, 200, TYPE_JSON, STR("{\"version\":\"mock\"}"));
}

/* ---- load ---- */

struct load {
    uint64_t running, waiting, waiting_uncached, used, capacity;
    double usage, throughput, hit_rate;
};

static struct load load_of(struct mock_engine *e)
{
    const struct model *m = &e->model;
    struct load l = { .running = ENGINE_SUM(e, running), .capacity = capacity(e) };

    if (e->shared->conf.mode == MOCK_CANNED)
        return l;
    l.running = m->running_n;
    l.waiting = m->waiting_n;
    l.waiting_uncached = m->waiting_uncached_tokens;
    l.used = model_used_tokens(m);
    l.usage = model_usage(m);
    l.throughput = m->throughput;
    l.hit_rate = m->cache_hit_rate;
    return l;
}

/* How busy the engine is, by the scarcer of its two resources. */
static double utilization(const struct mock_engine *e, const struct load *l)
{
    double slots = (double)l->running / (double)e->shared->conf.max_running;

    return MIN(MAX(slots, l->usage), 1.0);
}

void mock_loads(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    struct load l = load_of(e);
    char now[CLOCK_TEXT_MAX];
    struct json_writer w;

    begin(e, &w);
    json_object(&w);
    json_put_str(&w, "timestamp", ((struct str){ now, clock_rfc3339(now, clock_wall_us(), /* fraction= */ 6) }));
    json_put_u64(&w, "dp_rank_count", 1);
    json_put_array(&w, "loads");
    json_object(&w);
    json_put_u64(&w, "dp_rank", 0);
    json_put_u64(&w, "num_running_reqs", l.running);
    json_put_u64(&w, "num_waiting_reqs", l.waiting);
    json_put_u64(&w, "num_waiting_uncached_tokens", l.waiting_uncached);
    json_put_u64(&w, "num_total_reqs", l.running + l.waiting);
    json_put_u64(&w, "num_used_tokens", l.used);
    json_put_u64(&w, "max_total_num_tokens", l.capacity);
    json_put_f64(&w, "token_usage", l.usage);
    json_put_f64(&w, "gen_throughput", l.throughput);
    json_put_f64(&w, "cache_hit_rate", l.hit_rate);
    json_put_f64(&w, "utilization", utilization(e, &l));
    json_put_u64(&w, "max_running_requests", e->shared->conf.max_running);
    json_end(&w);
    json_end(&w);
    json_end(&w);
    engine_reply_out(e, ex, TYPE_JSON);
}

/* ---- metrics ---- */

enum what { RUNNING, WAITING, USAGE, THROUGHPUT, HIT_RATE, UTILIZATION, USED, CAPACITY, PROMPT_TOKENS, OUTPUT_TOKENS, FINISHED };

struct sample {
    const char *name, *help;
    enum metric_type type;
    enum what what;
};

static const struct sample SGLANG_METRICS[] = {
    { "sglang:num_running_reqs", "The number of running requests.", METRIC_GAUGE, RUNNING },
    { "sglang:num_queue_reqs", "The number of requests in the waiting queue.", METRIC_GAUGE, WAITING },
    { "sglang:token_usage", "The share of the KV cache that is in use.", METRIC_GAUGE, USAGE },
    { "sglang:gen_throughput", "The generation throughput in tokens per second.", METRIC_GAUGE, THROUGHPUT },
    { "sglang:cache_hit_rate", "The prefix cache hit rate.", METRIC_GAUGE, HIT_RATE },
    { "sglang:utilization", "The utilization of the engine.", METRIC_GAUGE, UTILIZATION },
    { "sglang:num_used_tokens", "The number of tokens in the KV cache that are in use.", METRIC_GAUGE, USED },
    { "sglang:max_total_num_tokens", "The capacity of the KV cache in tokens.", METRIC_GAUGE, CAPACITY },
    { "sglang:prompt_tokens_total", "Prompt tokens processed.", METRIC_COUNTER, PROMPT_TOKENS },
    { "sglang:generation_tokens_total", "Tokens generated.", METRIC_COUNTER, OUTPUT_TOKENS },
    { "sglang:num_requests_total", "Requests finished.", METRIC_COUNTER, FINISHED },
};

static const struct sample VLLM_METRICS[] = {
    { "vllm:num_requests_running", "Number of requests in the running batch.", METRIC_GAUGE, RUNNING },
    { "vllm:num_requests_waiting", "Number of requests waiting to be processed.", METRIC_GAUGE, WAITING },
    { "vllm:kv_cache_usage_perc", "KV-cache usage; 1 means 100 percent.", METRIC_GAUGE, USAGE },
    { "vllm:gpu_prefix_cache_hit_rate", "Prefix cache hit rate.", METRIC_GAUGE, HIT_RATE },
    { "vllm:prompt_tokens_total", "Prompt tokens processed.", METRIC_COUNTER, PROMPT_TOKENS },
    { "vllm:generation_tokens_total", "Tokens generated.", METRIC_COUNTER, OUTPUT_TOKENS },
    { "vllm:request_success_total", "Requests finished.", METRIC_COUNTER, FINISHED },
};

static double value_of(struct mock_engine *e, const struct load *l, enum what what)
{
    switch (what) {
    case RUNNING:
        return (double)l->running;
    case WAITING:
        return (double)l->waiting;
    case USAGE:
        return l->usage;
    case THROUGHPUT:
        return l->throughput;
    case HIT_RATE:
        return l->hit_rate;
    case UTILIZATION:
        return utilization(e, l);
    case USED:
        return (double)l->used;
    case CAPACITY:
        return (double)l->capacity;
    case PROMPT_TOKENS:
        return (double)ENGINE_SUM(e, prompt_tokens);
    case OUTPUT_TOKENS:
        return (double)ENGINE_SUM(e, output_tokens);
    case FINISHED:
        return (double)ENGINE_SUM(e, finished);
    }
    return 0;
}

void mock_metrics(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    bool vllm = e->shared->conf.runtime == MOCK_VLLM;
    const struct sample *samples = vllm ? VLLM_METRICS : SGLANG_METRICS;
    size_t n = vllm ? ARRAY_LEN(VLLM_METRICS) : ARRAY_LEN(SGLANG_METRICS);
    struct prometheus_label label = { "model_name", e->shared->conf.model };
    struct prometheus_writer w = { .out = &e->out };
    struct load l = load_of(e);

    buf_clear(&e->out);
    for (size_t i = 0; i < n; i++) {
        prometheus_family(&w, samples[i].name, samples[i].type, samples[i].help);
        prometheus_sample(&w, &label, 1, value_of(e, &l, samples[i].what));
    }
    engine_reply_out(e, ex, STR("text/plain; version=0.0.4; charset=utf-8"));
}

/* As SGLang: not while anything runs, for blocks in use cannot go. */
void mock_flush_cache(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;

    if (e->shared->conf.mode == MOCK_REALISTIC) {
        if (e->model.running_n + e->model.waiting_n > 0) {
            exchange_reply(ex, 400, TYPE_TEXT, STR("Flush cache failed: requests are running or waiting.\n"));
            return;
        }
        model_flush_cache(&e->model);
    }
    exchange_reply(ex, 200, TYPE_TEXT, STR("Cache flushed.\n"));
}

void mock_start_profile(struct exchange *ex, void *context)
{
    (void)context;
    exchange_reply(ex, 200, TYPE_TEXT, STR("Start profiling.\n"));
}

void mock_stop_profile(struct exchange *ex, void *context)
{
    (void)context;
    exchange_reply(ex, 200, TYPE_TEXT, STR("Stop profiling. This will take some time.\n"));
}

/* ---- the mock's own ---- */

void mock_requests(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    struct json_writer w;

    begin(e, &w);
    json_object(&w);
    json_put_u64(&w, "generations", ENGINE_SUM(e, requests));
    json_put_u64(&w, "running", ENGINE_SUM(e, running));
    json_put_u64(&w, "finished", ENGINE_SUM(e, finished));
    json_put_u64(&w, "aborted", ENGINE_SUM(e, aborted));
    json_put_u64(&w, "failed", ENGINE_SUM(e, failed));
    json_key(&w, STR("requests"));
    record_write_json(&e->shared->record, &w);
    json_end(&w);
    engine_reply_out(e, ex, TYPE_JSON);
}

void mock_requests_clear(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;

    record_clear(&e->shared->record);
    exchange_reply(ex, 200, TYPE_JSON, STR("{\"requests\":[]}"));
}

void mock_faults_get(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    struct json_writer w;

    begin(e, &w);
    faults_write_json(engine_faults(e), &w);
    engine_reply_out(e, ex, TYPE_JSON);
}

void mock_faults_set(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    struct mock_faults f = *engine_faults(e);
    struct err err = { 0 };
    struct json_doc doc;

    if (json_parse(ex->body, &ex->arena, &doc, /* ret_error= */ NULL) < 0) {
        engine_error(e, ex, 400, "the body is not JSON");
        return;
    }
    if (faults_read_json(json_root(&doc), &f, &err) < 0) {
        engine_error(e, ex, 400, err.message);
        return;
    }
    engine_set_faults(e, &f);
    mock_faults_get(ex, context);
}
