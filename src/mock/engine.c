/* engine.c -- one simulated engine: its routes, its part on each loop, the steps of the realistic model, start and end
 *
 *   OPEN --mock_engine_close--> CLOSING --(the timer handle is closed)--> CLOSED --(mock_engine_free was called)--> freed
 *          on_closed() makes the second step, maybe_free() the last
 */
#include "mock/engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/error.h"
#include "mock/generation.h"

#define MODEL_LAG_US 100000 /* a model clock that is further behind gives up catching up: the process was stopped or starved */

const struct mock_conf MOCK_DEFAULTS = {
    .model = STR_INIT("mock-model"),
    .output_tokens = 8,
    .tokens_per_chunk = 1,
    .burst = 1,
    .prefill_tps = 8000,
    .decode_base_ms = 6.0,
    .decode_per_req_ms = 0.35,
    .prefill_chunk = 2048,
    .max_running = 256,
    .kv_tokens = 524288,
    .block_size = 16,
    .prefix_cache = true,
    .bootstrap_port = MOCK_BOOTSTRAP_PORT,
    .host = STR_INIT("127.0.0.1"),
    .faults = MOCK_FAULTS_NONE,
};

/* ---- routes ---- */

#define SGLANG     (1u << MOCK_SGLANG)
#define VLLM       (1u << MOCK_VLLM)
#define TRTLLM     (1u << MOCK_TRTLLM)
#define TOKENSPEED (1u << MOCK_TOKENSPEED)
#define OLLAMA     (1u << MOCK_OLLAMA)
#define ALL        (~0u)

/* An engine of one runtime has the rows whose mask names it; the others answer 404, which is how a gateway tells engines apart. */
static const struct {
    unsigned runtimes;
    struct route route;
} ROUTES[] = {
    { ALL, { HTTP_POST, "/v1/chat/completions", .body = ROUTE_BODY_BUFFER, .handler = mock_chat } },
    { ALL, { HTTP_POST, "/v1/completions", .body = ROUTE_BODY_BUFFER, .handler = mock_completions } },
    { ALL, { HTTP_POST, "/generate", .body = ROUTE_BODY_BUFFER, .handler = mock_generate } },
    { ALL, { HTTP_POST, "/v1/messages", .body = ROUTE_BODY_BUFFER, .errors = ROUTE_ERRORS_ANTHROPIC, .handler = mock_messages } },
    { ALL, { HTTP_POST, "/v1/responses", .body = ROUTE_BODY_BUFFER, .handler = mock_responses } },
    { ALL, { HTTP_POST, "/v1/audio/transcriptions", .body = ROUTE_BODY_BUFFER, .handler = mock_transcriptions } },
    { ALL, { HTTP_POST, "/v1/embeddings", .body = ROUTE_BODY_BUFFER, .handler = mock_embeddings } },
    { ALL, { HTTP_POST, "/v1/rerank", .body = ROUTE_BODY_BUFFER, .handler = mock_rerank } },
    { ALL, { HTTP_POST, "/v1/classify", .body = ROUTE_BODY_BUFFER, .handler = mock_classify } },
    { ALL & ~OLLAMA, { HTTP_GET, "/health", .handler = mock_health } },
    { ALL & ~OLLAMA, { HTTP_GET, "/health_generate", .handler = mock_health } },
    { ALL, { HTTP_GET, "/v1/models", .handler = mock_models } },
    { SGLANG | TRTLLM | TOKENSPEED, { HTTP_GET, "/get_model_info", .handler = mock_model_info } },
    { SGLANG | TRTLLM | TOKENSPEED, { HTTP_GET, "/model_info", .handler = mock_model_info } },
    { SGLANG | TRTLLM | TOKENSPEED, { HTTP_GET, "/get_server_info", .handler = mock_server_info } },
    { SGLANG | TRTLLM | TOKENSPEED, { HTTP_GET, "/server_info", .handler = mock_server_info } },
    { VLLM, { HTTP_GET, "/version", .handler = mock_version } },
    { SGLANG | TRTLLM | TOKENSPEED, { HTTP_GET, "/v1/loads", .handler = mock_loads } },
    { SGLANG | TRTLLM | TOKENSPEED | VLLM, { HTTP_GET, "/metrics", .handler = mock_metrics } },
    { SGLANG | TRTLLM | TOKENSPEED | VLLM, { HTTP_POST, "/flush_cache", .handler = mock_flush_cache } },
    { SGLANG | VLLM, { HTTP_POST, "/start_profile", .body = ROUTE_BODY_BUFFER, .handler = mock_start_profile } },
    { SGLANG | VLLM, { HTTP_POST, "/stop_profile", .body = ROUTE_BODY_BUFFER, .handler = mock_stop_profile } },
    { ALL, { HTTP_GET, "/mock/requests", .handler = mock_requests } },
    { ALL, { HTTP_DELETE, "/mock/requests", .handler = mock_requests_clear } },
    { ALL, { HTTP_GET, "/mock/faults", .handler = mock_faults_get } },
    { ALL, { HTTP_POST, "/mock/faults", .body = ROUTE_BODY_BUFFER, .handler = mock_faults_set } },
};

/* The record shows what users of an engine sent, not who looked at the record. */
static enum filter_verdict record_request(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;

    if (!str_has_prefix(ex->req.path, STR("/mock/")))
        record_add(&e->shared->record, ex);
    return FILTER_GO_ON;
}

static const struct filter FILTERS[] = {
    { .name = "record", .on_body = record_request },
};

_Static_assert(ARRAY_LEN(ROUTES) <= MOCK_ROUTES_MAX, "mock_engine.routes has room for all rows");

/* The router borrows the array. */
static int make_router(struct mock_engine *e, struct err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(ROUTES); i++)
        if (ROUTES[i].runtimes & (1u << e->shared->conf.runtime))
            e->routes[n++] = ROUTES[i].route;
    return router_new(e->routes, n, &e->router, err);
}

/* ---- what the parts share ---- */

static int check_conf(const struct mock_conf *c, struct err *err)
{
    if (c->model.n == 0)
        return err_set(err, ERR_INVALID, "model: must not be empty");
    if (c->output_tokens == 0 || c->output_tokens > ASK_OUTPUT_MAX || c->tokens_per_chunk == 0 || c->burst == 0)
        return err_set(err, ERR_INVALID, "output-tokens, tokens-per-chunk and burst must be at least 1, output-tokens at most %d",
                       ASK_OUTPUT_MAX);
    if (c->tokens_per_second < 0)
        return err_set(err, ERR_INVALID, "tokens-per-second must not be negative");
    if (c->faults.fail_status < 400 || c->faults.fail_status > 599)
        return err_set(err, ERR_INVALID, "fail-status: %u is no error status; write 400 to 599", c->faults.fail_status);
    if (c->mode == MOCK_CANNED)
        return 0;
    if (!(c->prefill_tps > 0) || c->decode_base_ms < 0 || c->decode_per_req_ms < 0)
        return err_set(err, ERR_INVALID, "prefill-tps must be over 0, decode-base-ms and decode-per-req-ms not below 0");
    if (c->prefill_chunk == 0 || c->max_running == 0)
        return err_set(err, ERR_INVALID, "prefill-chunk and max-running must be at least 1");
    if (c->block_size == 0 || c->kv_tokens < c->block_size)
        return err_set(err, ERR_INVALID, "block-size must be at least 1 and at most kv-tokens");
    if (c->kv_tokens / c->block_size > MOCK_BLOCKS_MAX)
        return err_set(err, ERR_INVALID, "kv-tokens / block-size must be at most %u blocks", MOCK_BLOCKS_MAX);
    return 0;
}

static void shared_unref(struct mock_shared *s)
{
    if (atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    free((char *)s->conf.model.p);
    free((char *)s->conf.host.p);
    buf_fini(&s->model_json);
    record_fini(&s->record);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int shared_new(const struct mock_conf *conf, struct mock_shared **ret, struct err *err)
{
    struct mock_shared *s;
    struct json_writer w;
    int r = check_conf(conf, err);

    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ERR_NOMEM, "out of memory");
    atomic_init(&s->refs, 1);
    s->conf = *conf;
    s->conf.model = (struct str){ str_dup(conf->model), conf->model.n };
    s->conf.host = (struct str){ str_dup(conf->host), conf->host.n };
    s->faults = conf->faults;
    s->born_us = clock_now_us();
    s->born_wall_s = clock_wall_s();
    pthread_mutex_init(&s->lock, NULL);
    record_init(&s->record);
    text_init(&s->text, conf->seed);
    json_begin(&w, &s->model_json);
    json_value_str(&w, conf->model);
    if (!s->conf.model.p || !s->conf.host.p || s->model_json.failed) {
        shared_unref(s);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    *ret = s;
    return 0;
}

const struct mock_faults *engine_faults(struct mock_engine *e)
{
    struct mock_shared *s = e->shared;
    unsigned version = atomic_load_explicit(&s->faults_version, memory_order_acquire);

    if (_unlikely_(version != e->faults_version)) {
        pthread_mutex_lock(&s->lock);
        e->faults = s->faults;
        pthread_mutex_unlock(&s->lock);
        e->faults_version = version;
    }
    return &e->faults;
}

void engine_set_faults(struct mock_engine *e, const struct mock_faults *f)
{
    struct mock_shared *s = e->shared;

    pthread_mutex_lock(&s->lock);
    s->faults = *f;
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_add_explicit(&s->faults_version, 1, memory_order_release);
}

/* ---- the realistic model's steps ----
 *
 * The model's clock is the time at which a step was due, not the one at which the timer fired: timers come late, and a step of 6 ms must not become 7. */

static void on_step_end(struct due *d);

static int next_step(struct mock_engine *e, uint64_t model_now_us)
{
    uint64_t us;

    if (e->model.stepping)
        return 0;
    us = model_begin_step(&e->model, model_now_us);
    return us ? schedule_add(&e->schedule, &e->step, model_now_us + us, on_step_end) : 0;
}

static void count_queue(struct mock_engine *e)
{
    atomic_store_explicit(&e->counters->waiting, e->model.waiting_n, memory_order_relaxed);
}

static void on_step_end(struct due *d)
{
    struct mock_engine *e = CONTAINER_OF(d, struct mock_engine, step);
    uint64_t due_us = d->at_us, now_us = loop_now_us(e->loop);

    model_end_step(&e->model, due_us);
    if (now_us > due_us + MODEL_LAG_US)
        due_us = now_us;
    (void)next_step(e, due_us); /* the heap has room: this entry just left it */
    count_queue(e);
}

int engine_submit(struct mock_engine *e, struct model_request *r)
{
    uint64_t now_us = loop_now_us(e->loop);

    model_submit(&e->model, r, now_us);
    if (next_step(e, now_us) < 0) {
        e->model.stepping = false;
        model_cancel(&e->model, r);
        return ERR_NOMEM;
    }
    count_queue(e);
    return 0;
}

/* ---- replies ---- */

static const char *error_type(unsigned status)
{
    switch (status) {
    case 400:
    case 422:
        return "invalid_request_error";
    case 401:
        return "authentication_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    default:
        return "api_error";
    }
}

static void write_error(const struct mock_engine *e, struct json_writer *w, unsigned status, const char *message)
{
    bool flat = e->shared->conf.runtime == MOCK_SGLANG;

    json_object(w);
    if (flat)
        json_put_str(w, "object", STR("error"));
    else
        json_put_object(w, "error");
    json_put_str(w, "message", str_of(message));
    json_put_str(w, "type", str_of(error_type(status)));
    json_put_null(w, "param");
    json_put_u64(w, "code", status);
    if (!flat)
        json_end(w);
    json_end(w);
}

void engine_error(struct mock_engine *e, struct exchange *ex, unsigned status, const char *message)
{
    struct json_writer w;

    if (ex->route && ex->route->errors == ROUTE_ERRORS_ANTHROPIC) {
        http_error_invalid(ex, status, STR_NONE, STR_NONE, str_of(message));
        return;
    }
    buf_clear(&e->out);
    json_begin(&w, &e->out);
    write_error(e, &w, status, message);
    exchange_reply(ex, status, TYPE_JSON, e->out.failed ? STR_NONE : buf_str(&e->out));
}

void engine_fail(struct mock_engine *e, struct exchange *ex, const struct mock_request_faults *f)
{
    char seconds[16];

    ENGINE_COUNT(e, failed, 1);
    if (f->retry_after_s) {
        (void)snprintf(seconds, sizeof(seconds), "%u", f->retry_after_s);
        exchange_add(ex, HF_RETRY_AFTER, arena_str(&ex->arena, str_of(seconds)));
    }
    engine_error(e, ex, f->status, "this failure was asked for (mock fault)");
}

void engine_reply_out(struct mock_engine *e, struct exchange *ex, struct str content_type)
{
    if (e->out.failed || ex->arena.failed)
        exchange_reply(ex, 503, TYPE_TEXT, STR("out of memory"));
    else
        exchange_reply(ex, 200, content_type, buf_str(&e->out));
}

/* ---- start and end ---- */

static void free_part(struct mock_engine *e)
{
    bootstrap_free(e->bootstrap);
    if (e->shared->conf.mode == MOCK_REALISTIC)
        model_fini(&e->model);
    router_free(e->router);
    buf_fini(&e->out);
    shared_unref(e->shared);
    free(e);
}

static int make_server(struct mock_engine *e, struct err *err)
{
    struct http_server_conf conf = {
        .filters = FILTERS, .filters_n = ARRAY_LEN(FILTERS), .contexts = e->contexts, .max_body_bytes = MOCK_BODY_MAX
    };
    int r = make_router(e, err);

    if (r < 0)
        return r;
    e->contexts[0] = e;
    e->out.max = MOCK_REPLY_MAX;
    conf.router = e->router;
    conf.tls = e->shared->conf.tls;
    r = http_server_new(e->loop, &conf, &e->server);
    return r < 0 ? err_set(err, r, "%s", err_text(r)) : 0;
}

static int make_model(struct mock_engine *e)
{
    const struct mock_conf *c = &e->shared->conf;
    struct model_conf conf = {
        .prefill_tps = c->prefill_tps,
        .decode_base_ms = c->decode_base_ms,
        .decode_per_req_ms = c->decode_per_req_ms,
        .prefill_chunk = c->prefill_chunk,
        .max_running = c->max_running,
        .kv_tokens = c->kv_tokens,
        .block_size = c->block_size,
        .prefix_cache = c->prefix_cache,
    };

    if (c->mode == MOCK_CANNED)
        return 0;
    if (model_init(&e->model, &conf) < 0)
        return ERR_NOMEM;
    e->model.on_token = generation_on_token;
    e->model.arg = e;
    return 0;
}

static int make_role(struct mock_engine *e, struct err *err)
{
    switch (e->shared->conf.role) {
    case MOCK_ROLE_PREFILL:
        return bootstrap_new(e->loop, &e->bootstrap, err);
    case MOCK_ROLE_DECODE:
        return http_client_new(e->loop, &(struct http_client_conf){ 0 }, &e->client) < 0 ? err_set(err, ERR_NOMEM, "out of memory")
                                                                                         : 0;
    case MOCK_ROLE_BOTH:
        break;
    }
    return 0;
}

/* What was made of a part that does not come to be. */
static void unmake_role(struct mock_engine *e)
{
    if (e->bootstrap && e->bootstrap->server)
        bootstrap_close(e->bootstrap);
    if (e->client)
        http_client_free(e->client);
}

/* Takes over the reference on S. */
static int part_new(struct loop *l, struct mock_shared *s, struct mock_engine **ret, struct err *err)
{
    unsigned part = atomic_fetch_add(&s->parts_n, 1);
    struct mock_engine *e = part < MOCK_PARTS_MAX ? calloc(1, sizeof(*e)) : NULL;
    int r;

    if (!e) {
        atomic_fetch_sub(&s->parts_n, 1);
        shared_unref(s);
        return part < MOCK_PARTS_MAX ? err_set(err, ERR_NOMEM, "out of memory")
                                     : err_set(err, ERR_LIMIT, "an engine has at most %d loops", MOCK_PARTS_MAX);
    }
    e->shared = s;
    e->loop = l;
    e->counters = &s->parts[part];
    e->faults = s->faults;
    e->faults_version = atomic_load(&s->faults_version);
    random_init(&e->random, text_mix(text_mix(s->conf.seed, s->conf.instance), part));
    r = make_model(e);
    if (r < 0)
        err_set(err, r, "out of memory for %llu KV tokens", (unsigned long long)s->conf.kv_tokens);
    else
        r = make_role(e, err);
    if (r == 0)
        r = make_server(e, err);
    if (r < 0) {
        unmake_role(e);
        free_part(e);
        return r;
    }
    schedule_init(&e->schedule, l);
    *ret = e;
    return 0;
}

int mock_engine_new(struct loop *l, const struct mock_conf *conf, struct mock_engine **ret, struct err *err)
{
    struct mock_shared *s = NULL;
    int r = shared_new(conf, &s, err);

    return r < 0 ? r : part_new(l, s, ret, err);
}

int mock_engine_join(struct loop *l, struct mock_engine *first, struct mock_engine **ret, struct err *err)
{
    if (first->shared->conf.mode == MOCK_REALISTIC)
        return err_set(err, ERR_UNSUPPORTED, "a realistic engine has one batch and runs on one loop");
    if (first->shared->conf.role != MOCK_ROLE_BOTH)
        return err_set(err, ERR_UNSUPPORTED, "a prefill or decode engine runs on one loop");
    atomic_fetch_add(&first->shared->refs, 1);
    return part_new(l, first->shared, ret, err);
}

int mock_engine_listen(struct mock_engine *e, struct str address, uint16_t port, enum mock_share share, uint16_t *ret_port,
                       struct err *err)
{
    struct net_address at;

    if (net_address_parse(address, port, &at) < 0)
        return err_set(err, ERR_INVALID, "\"%.*s\" is not an IP address; write 127.0.0.1 or 0.0.0.0", STR_FMT(address));
    if (share == MOCK_SHARED_PORT && port && e->counters == e->shared->parts) { /* the others share with the first */
        int r = net_port_probe(&at, err);

        if (r < 0)
            return r;
    }
    if (e->bootstrap) {
        int r = bootstrap_listen(e->bootstrap, address, e->shared->conf.bootstrap_port, err);

        if (r < 0)
            return r;
    }
    return http_server_listen(e->server, &at, share == MOCK_SHARED_PORT ? LISTENER_SHARED : LISTENER_ALONE, ret_port, err);
}

uint16_t mock_engine_bootstrap_port(const struct mock_engine *e)
{
    return e->bootstrap ? e->bootstrap->port : 0;
}

static void maybe_free(struct mock_engine *e)
{
    if (e->state == MOCK_CLOSED && e->free_wanted)
        free_part(e);
}

static void on_closed(uv_handle_t *handle)
{
    struct schedule *s = handle->data;
    struct mock_engine *e = CONTAINER_OF(s, struct mock_engine, schedule);

    loop_enter(e->loop);
    e->state = MOCK_CLOSED;
    maybe_free(e);
}

void mock_engine_close(struct mock_engine *e)
{
    assert(e->state == MOCK_OPEN);
    e->state = MOCK_CLOSING;
    http_server_close(e->server);
    http_server_free(e->server);
    e->server = NULL;
    unmake_role(e); /* what was on its way to other engines ended with the requests */
    schedule_close(&e->schedule, on_closed);
}

void mock_engine_free(struct mock_engine *e)
{
    if (!e)
        return;
    assert(e->state != MOCK_OPEN);
    e->free_wanted = true;
    maybe_free(e);
}
