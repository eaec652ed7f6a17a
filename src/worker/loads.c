/* worker/loads.c -- reading what engines say about their load */
#include "worker/loads.h"

#include <math.h>
#include <stdlib.h>

#include "observe/metrics_text.h"

static struct worker_loads *loads_new(size_t n)
{
    struct worker_loads *l = calloc(1, sizeof(*l) + n * sizeof(l->loads[0]));

    if (l)
        l->n = n;
    return l;
}

void loads_free(void *loads)
{
    free(loads);
}

/* ---- GET /v1/loads ---- */

static bool read_int(struct json object, const char *key, int64_t *ret)
{
    double v;

    if (json_to_i64(json_get(object, str_of(key)), ret) == 0)
        return true;
    if (json_to_double(json_get(object, str_of(key)), &v) < 0 || !(fabs(v) < 9e18))
        return false;
    *ret = (int64_t)v; /* engines in Python count in floats now and then */
    return true;
}

static bool read_real(struct json object, const char *key, double *ret)
{
    return json_to_double(json_get(object, str_of(key)), ret) == 0;
}

static void keep_text(char *to, size_t room, struct str s)
{
    s = str_first(s, room - 1);
    if (s.n)
        memcpy(to, s.p, s.n);
    to[s.n] = 0;
}

static void read_load(struct json v, size_t index, struct engine_load *l)
{
    struct str mode = json_raw_str(json_get(v, STR("disagg_mode")));

    l->dp_rank = (int64_t)index;
    (void)read_int(v, "dp_rank", &l->dp_rank); /* here and below: what is not there is 0 */
    (void)read_int(v, "num_running_reqs", &l->running);
    (void)read_int(v, "num_waiting_reqs", &l->waiting);
    (void)read_int(v, "num_waiting_uncached_tokens", &l->waiting_uncached_tokens);
    (void)read_int(v, "num_total_reqs", &l->total);
    (void)read_int(v, "num_used_tokens", &l->used_tokens);
    (void)read_int(v, "max_total_num_tokens", &l->max_tokens);
    (void)read_real(v, "token_usage", &l->token_usage);
    (void)read_real(v, "gen_throughput", &l->gen_throughput);
    (void)read_real(v, "cache_hit_rate", &l->cache_hit_rate);
    (void)read_real(v, "utilization", &l->utilization);
    (void)read_int(v, "max_running_requests", &l->max_running);
    l->has |= read_real(v, "kv_transfer_latency_ms", &l->kv_transfer_latency_ms) ? LOAD_LATENCY : 0;
    l->has |= read_real(v, "kv_transfer_speed_gb_s", &l->kv_transfer_speed_gb_s) ? LOAD_SPEED : 0;
    l->has |= read_int(v, "prefill_queue_reqs", &l->prefill_queue_reqs) ? LOAD_PREFILL_QUEUE : 0;
    l->has |= read_int(v, "decode_queue_reqs", &l->decode_queue_reqs) ? LOAD_DECODE_QUEUE : 0;
    if (mode.n) {
        keep_text(l->disagg_mode, sizeof l->disagg_mode, mode);
        l->has |= LOAD_DISAGG_MODE;
    }
}

static struct worker_loads *read_loads(struct json root)
{
    struct json list = json_get(root, STR("loads"));
    size_t n = MIN(json_count(list), (size_t)LOADS_RANKS_MAX), i = 0;
    struct json_iter it = json_iter(list);
    struct worker_loads *l;
    int64_t ranks;

    if (!json_is(root, JSON_OBJECT) || !json_is(list, JSON_ARRAY) || n == 0)
        return NULL;
    l = loads_new(n);
    if (!l)
        return NULL;
    while (i < n && json_next(&it)) {
        read_load(it.value, i, &l->loads[i]);
        i++;
    }
    keep_text(l->timestamp, sizeof l->timestamp, json_raw_str(json_get(root, STR("timestamp"))));
    l->dp_rank_count = read_int(root, "dp_rank_count", &ranks) && ranks >= 0 ? (uint64_t)ranks : n;
    return l;
}

struct worker_loads *loads_read_json(struct str text)
{
    struct arena arena;
    struct json_doc doc;
    struct worker_loads *l = NULL;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    if (json_parse(text, &arena, &doc, /* ret_error= */ NULL) == 0)
        l = read_loads(json_root(&doc));
    arena_fini(&arena);
    return l;
}

/* ---- GET /metrics ---- */

/* A gauge that comes once per rank, process or model: counts add up, shares are averaged. */
struct gauge {
    double sum;
    unsigned n;
};

enum gauge_name { G_RUNNING, G_WAITING, G_USAGE, G_THROUGHPUT, G_HIT_RATE, G_UTILIZATION, G_COUNT };

/* The name without its engine's prefix -> the gauge; G_COUNT = not ours. */
static enum gauge_name gauge_of(struct str name, enum worker_runtime runtime)
{
    static const struct {
        enum worker_runtime runtime;
        struct str name;
        enum gauge_name gauge;
    } NAMES[] = {
        { RUNTIME_SGLANG, STR_INIT("sglang:num_running_reqs"), G_RUNNING },
        { RUNTIME_SGLANG, STR_INIT("sglang:num_queue_reqs"), G_WAITING },
        { RUNTIME_SGLANG, STR_INIT("sglang:token_usage"), G_USAGE },
        { RUNTIME_SGLANG, STR_INIT("sglang:gen_throughput"), G_THROUGHPUT },
        { RUNTIME_SGLANG, STR_INIT("sglang:cache_hit_rate"), G_HIT_RATE },
        { RUNTIME_SGLANG, STR_INIT("sglang:utilization"), G_UTILIZATION },
        { RUNTIME_VLLM, STR_INIT("vllm:num_requests_running"), G_RUNNING },
        { RUNTIME_VLLM, STR_INIT("vllm:num_requests_waiting"), G_WAITING },
        { RUNTIME_VLLM, STR_INIT("vllm:gpu_cache_usage_perc"), G_USAGE },
        { RUNTIME_VLLM, STR_INIT("vllm:kv_cache_usage_perc"), G_USAGE },
        { RUNTIME_VLLM, STR_INIT("vllm:gpu_prefix_cache_hit_rate"), G_HIT_RATE },
    };

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct str want = NAMES[i].name;
        size_t colon = str_find_char(want, ':');

        if (NAMES[i].runtime != runtime || name.n != want.n || !str_eq(str_first(name, colon), str_first(want, colon)) ||
            !str_eq(str_skip(name, colon + 1), str_skip(want, colon + 1)))
            continue;
        if (name.p[colon] == ':' || (runtime == RUNTIME_SGLANG && name.p[colon] == '_'))
            return NAMES[i].gauge;
    }
    return G_COUNT;
}

static double mean(struct gauge g)
{
    return g.n ? g.sum / g.n : 0;
}

static int64_t count(struct gauge g)
{
    return g.sum > 0 && g.sum < 9e15 ? (int64_t)g.sum : 0;
}

/* Lines that nobody understands are skipped: the gauges stand on lines of their own. */
struct worker_loads *loads_read_metrics(struct str text, enum worker_runtime runtime)
{
    struct gauge gauges[G_COUNT] = { 0 };
    struct metrics_line line;
    struct worker_loads *l;

    while (metrics_next(&text, &line) != METRICS_END) {
        enum gauge_name g;

        if (line.kind != METRICS_SAMPLE || !isfinite(line.value))
            continue;
        g = gauge_of(line.name, runtime);
        if (g == G_COUNT)
            continue;
        gauges[g].sum += line.value;
        gauges[g].n++;
    }
    if (!gauges[G_USAGE].n)
        return NULL;
    l = loads_new(1);
    if (!l)
        return NULL;
    l->dp_rank_count = 1;
    l->loads[0] = (struct engine_load){ .running = count(gauges[G_RUNNING]),
                                        .waiting = count(gauges[G_WAITING]),
                                        .token_usage = mean(gauges[G_USAGE]),
                                        .gen_throughput = mean(gauges[G_THROUGHPUT]),
                                        .cache_hit_rate = mean(gauges[G_HIT_RATE]),
                                        .utilization = mean(gauges[G_UTILIZATION]) };
    l->loads[0].total = l->loads[0].running + l->loads[0].waiting;
    return l;
}

/* ---- using them ---- */

/* What /metrics tells is the worker's as a whole: it has no ranks to pick from. */
static bool counts(const struct worker_loads *l, const struct engine_load *row, int rank)
{
    return rank < 0 || row->dp_rank == rank || (l->n == 1 && !l->timestamp[0]);
}

bool loads_have(const struct worker_loads *l, int rank)
{
    for (size_t i = 0; i < l->n; i++)
        if (counts(l, &l->loads[i], rank))
            return true;
    return false;
}

int64_t loads_tokens(const struct worker_loads *l, int rank)
{
    int64_t sum = 0;
    bool absolute = false;

    for (size_t i = 0; i < l->n; i++) {
        if (!counts(l, &l->loads[i], rank))
            continue;
        if (__builtin_add_overflow(sum, l->loads[i].used_tokens, &sum))
            return -1;
        absolute |= l->loads[i].max_tokens > 0;
    }
    return absolute ? sum : -1;
}

struct loads_sum loads_sum(const struct worker_loads *l, int rank)
{
    struct loads_sum sum = { 0 };
    unsigned n = 0;

    for (size_t i = 0; i < l->n; i++) {
        if (!counts(l, &l->loads[i], rank))
            continue;
        n++;
        sum.token_usage += l->loads[i].token_usage;
        sum.gen_throughput += l->loads[i].gen_throughput;
        if (__builtin_add_overflow(sum.waiting_uncached_tokens, l->loads[i].waiting_uncached_tokens, &sum.waiting_uncached_tokens))
            sum.waiting_uncached_tokens = INT64_MAX;
    }
    sum.token_usage /= MAX(n, 1u);
    return sum;
}

static void write_load(struct json_writer *w, const struct engine_load *l)
{
    json_object(w);
    json_put_i64(w, "dp_rank", l->dp_rank);
    json_put_i64(w, "num_running_reqs", l->running);
    json_put_i64(w, "num_waiting_reqs", l->waiting);
    json_put_i64(w, "num_waiting_uncached_tokens", l->waiting_uncached_tokens);
    json_put_i64(w, "num_total_reqs", l->total);
    json_put_i64(w, "num_used_tokens", l->used_tokens);
    json_put_i64(w, "max_total_num_tokens", l->max_tokens);
    json_put_f64(w, "token_usage", l->token_usage);
    json_put_f64(w, "gen_throughput", l->gen_throughput);
    json_put_f64(w, "cache_hit_rate", l->cache_hit_rate);
    json_put_f64(w, "utilization", l->utilization);
    json_put_i64(w, "max_running_requests", l->max_running);
    if (l->has & LOAD_LATENCY)
        json_put_f64(w, "kv_transfer_latency_ms", l->kv_transfer_latency_ms);
    if (l->has & LOAD_SPEED)
        json_put_f64(w, "kv_transfer_speed_gb_s", l->kv_transfer_speed_gb_s);
    if (l->has & LOAD_PREFILL_QUEUE)
        json_put_i64(w, "prefill_queue_reqs", l->prefill_queue_reqs);
    if (l->has & LOAD_DECODE_QUEUE)
        json_put_i64(w, "decode_queue_reqs", l->decode_queue_reqs);
    if (l->has & LOAD_DISAGG_MODE)
        json_put_str(w, "disagg_mode", str_of(l->disagg_mode));
    json_end(w);
}

void loads_write_json(struct json_writer *w, const struct worker_loads *l, int rank)
{
    json_object(w);
    json_put_str(w, "timestamp", str_of(l->timestamp));
    json_put_u64(w, "dp_rank_count", l->dp_rank_count);
    json_put_array(w, "loads");
    for (size_t i = 0; i < l->n; i++)
        if (counts(l, &l->loads[i], rank))
            write_load(w, &l->loads[i]);
    json_end(w);
    json_end(w);
}

/* ---- asking ---- */

static bool asks_metrics(const struct fanout_target *t)
{
    return t->worker->spec.runtime == RUNTIME_VLLM || t->asked > 0;
}

bool loads_question_for(struct fanout *f, struct fanout_target *t, struct probe_ask *ask)
{
    enum worker_runtime runtime = t->worker->spec.runtime;
    unsigned questions = runtime == RUNTIME_SGLANG ? 2 : 1;

    (void)f;
    if (t->worker->spec.mode != WORKER_HTTP || runtime == RUNTIME_EXTERNAL) { /* a provider has no such endpoint */
        t->result = ERR_UNSUPPORTED;
        return false;
    }
    if (t->data || t->asked >= questions || (t->asked && t->result < 0)) /* who does not answer one question will not answer two */
        return false;
    *ask = (struct probe_ask){ .method = HTTP_GET, .total_ms = LOADS_EACH_MS, .body_max = LOADS_BODY_MAX };
    ask->path = asks_metrics(t) ? STR("/metrics") : STR("/v1/loads?include=core,disagg,queues,memory");
    return true;
}

bool loads_answered(struct fanout *f, struct fanout_target *t, struct buf *body)
{
    bool metrics = t->worker->spec.runtime == RUNTIME_VLLM || t->asked > 1;

    (void)f;
    if (fanout_succeeded(t->result) && !t->cut)
        t->data = metrics ? loads_read_metrics(buf_str(body), t->worker->spec.runtime) : loads_read_json(buf_str(body));
    return true;
}
