/* worker/worker.c -- one worker: its memory, its references, its JSON
 *
 * A worker is packed into one allocation: the same walk over its description runs twice, first to add up what the texts and arrays need, then to copy
 * them behind the struct.
 */
#include "worker/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/url.h"
#include "worker/worker_number.h"

/* ---- names ---- */

struct str worker_type_text(enum worker_type t)
{
    static const struct str NAMES[] = { STR_INIT("regular"), STR_INIT("prefill"), STR_INIT("decode"), STR_INIT("encode") };

    return NAMES[t];
}

struct str worker_mode_text(enum worker_mode m)
{
    static const struct str NAMES[] = { STR_INIT("http"), STR_INIT("grpc"), STR_INIT("zmq") };

    return NAMES[m];
}

struct str worker_runtime_text(enum worker_runtime r)
{
    static const struct str NAMES[] = { STR_INIT("unspecified"), STR_INIT("sglang"),     STR_INIT("vllm"),    STR_INIT("trtllm"),
                                        STR_INIT("mlx"),         STR_INIT("tokenspeed"), STR_INIT("external") };

    return NAMES[r];
}

struct str worker_status_text(enum worker_status s)
{
    static const struct str NAMES[] = { STR_INIT("pending"), STR_INIT("ready"), STR_INIT("not_ready"), STR_INIT("failed"),
                                        STR_INIT("draining") };

    return NAMES[s];
}

/* Spec control-plane 6.2. */
const struct str WORKER_CAPABILITIES[] = {
    STR_INIT("chat"),      STR_INIT("completions"), STR_INIT("responses"), STR_INIT("embeddings"),
    STR_INIT("rerank"),    STR_INIT("generate"),    STR_INIT("vision"),    STR_INIT("tools"),
    STR_INIT("reasoning"), STR_INIT("image_gen"),   STR_INIT("audio"),     STR_INIT("moderation"),
};
const size_t WORKER_CAPABILITIES_N = ARRAY_LEN(WORKER_CAPABILITIES);

/* ---- packing ---- */

/* `to` NULL: only `n` is counted. */
struct pack {
    char *to;
    size_t n;
};

static void *pack_room(struct pack *p, size_t count, size_t size)
{
    size_t at = (p->n + 7) & ~(size_t)7;

    p->n = at + count * size; /* the array to copy is in memory already: no overflow */
    return p->to ? p->to + at : NULL;
}

/* A NUL stands behind each text, as behind arena_str's. */
static void pack_str(struct pack *p, struct str *s)
{
    char *to = p->to ? p->to + p->n : NULL;

    if (!s->p)
        return;
    p->n += s->n + 1;
    if (!to)
        return;
    memcpy(to, s->p, s->n);
    to[s->n] = 0;
    s->p = to;
}

static struct str *pack_strs(struct pack *p, const struct str *from, size_t n)
{
    struct str *to = pack_room(p, n, sizeof(*to));

    for (size_t i = 0; i < n; i++) {
        struct str s = from[i];

        pack_str(p, &s);
        if (to)
            to[i] = s;
    }
    return to;
}

static void pack_card(struct pack *p, struct model_card *c)
{
    struct str *const texts[] = { &c->id,
                                  &c->display_name,
                                  &c->hf_model_type,
                                  &c->provider,
                                  &c->tokenizer_path,
                                  &c->chat_template,
                                  &c->reasoning_parser,
                                  &c->tool_parser,
                                  &c->metadata_json,
                                  &c->id2label_json };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        pack_str(p, texts[i]);
    c->aliases = pack_strs(p, c->aliases, c->aliases_n);
    c->architectures = pack_strs(p, c->architectures, c->architectures_n);
}

static struct model_card *pack_cards(struct pack *p, const struct model_card *from, size_t n)
{
    struct model_card *to = pack_room(p, n, sizeof(*to));

    for (size_t i = 0; i < n; i++) {
        struct model_card c = from[i];

        pack_card(p, &c);
        if (to)
            to[i] = c;
    }
    return to;
}

static struct worker_label *pack_labels(struct pack *p, const struct worker_label *from, size_t n)
{
    struct worker_label *to = pack_room(p, n, sizeof(*to));

    for (size_t i = 0; i < n; i++) {
        struct worker_label l = from[i];

        pack_str(p, &l.key);
        pack_str(p, &l.value);
        if (to)
            to[i] = l;
    }
    return to;
}

static struct worker_spec pack_spec(struct pack *p, const struct worker_spec *from)
{
    struct worker_spec s = *from;
    struct str *const texts[] = { &s.url,
                                  &s.provider,
                                  &s.api_key,
                                  &s.kv_connector,
                                  &s.kv_role,
                                  &s.kv_engine_id,
                                  &s.zmq_handshake_address,
                                  &s.dp_base_url,
                                  &s.health_json,
                                  &s.http_pool_json,
                                  &s.resilience_json,
                                  &s.multimodal_tensor_transport };

    s.models = pack_cards(p, from->models, from->models_n);
    s.labels = pack_labels(p, from->labels, from->labels_n);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        pack_str(p, texts[i]);
    return s;
}

size_t worker_spec_bytes(const struct worker_spec *spec)
{
    struct pack p = { 0 };

    (void)pack_spec(&p, spec); /* counts */
    return p.n;
}

int worker_spec_copy(const struct worker_spec *spec, struct arena *arena, struct worker_spec *ret)
{
    struct pack p = { .to = arena_alloc(arena, worker_spec_bytes(spec)) };

    if (!p.to)
        return ERR_NOMEM;
    *ret = pack_spec(&p, spec);
    return 0;
}

/* ---- the worker ---- */

static struct worker_live *live_new(void)
{
    struct worker_live *l = aligned_alloc(alignof(struct worker_live), sizeof(*l));

    if (!l)
        return NULL;
    memset(l, 0, sizeof(*l));
    atomic_init(&l->refs, 1);
    atomic_init(&l->status, WORKER_PENDING);
    atomic_init(&l->changed_s, clock_wall_s());
    l->number = worker_number_take();
    l->born_us = clock_now_us();
    return l;
}

static void live_unref(struct worker_live *l)
{
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;
    worker_number_give(l->number);
    free(l);
}

/* ---- reports ---- */

#define THROUGHPUT_KEPT 0.98 /* of the most that was reported, per report: it counts for some minutes */

void worker_put_report(const struct worker *w, const struct worker_told *told, uint64_t now_us)
{
    struct worker_report *r = &w->live->report;
    double most = atomic_load_explicit(&r->throughput, memory_order_relaxed) * THROUGHPUT_KEPT;

    atomic_store_explicit(&r->kv_usage, told->kv_usage, memory_order_relaxed);
    atomic_store_explicit(&r->throughput, MAX(most, told->throughput), memory_order_relaxed);
    atomic_store_explicit(&r->queued_tokens, told->queued_tokens, memory_order_relaxed);
    atomic_store_explicit(&r->used_tokens, told->used_tokens, memory_order_relaxed);
    atomic_store_explicit(&r->load, worker_load(w), memory_order_relaxed);
    atomic_store_explicit(&r->processed, atomic_load_explicit(&w->live->processed, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&r->at_us, now_us, memory_order_relaxed);
    atomic_store_explicit(&w->live->credited_tokens, 0,
                          memory_order_relaxed); /* what was sent since the last one is part of this */
}

void worker_drop_report(const struct worker *w)
{
    atomic_store_explicit(&w->live->report.at_us, 0, memory_order_relaxed);
    atomic_store_explicit(&w->live->report.throughput, 0, memory_order_relaxed);
    atomic_store_explicit(&w->live->credited_tokens, 0, memory_order_relaxed);
}

/* Where the URL leads: views of w->spec.url, or of a rank's base URL. ipc:// URLs have no host. */
static void set_target(struct worker *w)
{
    struct str base = w->spec.dp_base_url.n ? w->spec.dp_base_url : w->spec.url;
    const char *end = base.p + base.n;
    struct url u;
    size_t begin;

    if (url_parse(base, &u, /* err= */ NULL) < 0)
        return;
    w->host = u.host;
    w->tls = str_eq(u.scheme, STR("https")) || str_eq(u.scheme, STR("grpcs"));
    w->port = u.port;
    w->base_path = u.path;
    while (str_has_suffix(w->base_path, STR("/")))
        w->base_path.n--;
    begin = u.scheme.n + strlen("://");
    w->authority = str_range(base.p + begin, end);
    for (size_t i = 0; i < w->authority.n; i++)
        if (strchr("/?#", w->authority.p[i]))
            w->authority.n = i;
}

struct worker *worker_new(const struct worker_spec *spec, const char id[UUID_TEXT_LEN + 1], uint64_t revision, uint64_t order,
                          struct worker_live *live)
{
    struct pack p = { .n = sizeof(struct worker) };
    struct worker *w;

    (void)pack_spec(&p, spec); /* counts */
    w = malloc(p.n);
    if (!w)
        return NULL;
    memset(w, 0, sizeof(*w));
    w->live = live ? live : live_new();
    if (!w->live) {
        free(w);
        return NULL;
    }
    if (live)
        atomic_fetch_add_explicit(&live->refs, 1, memory_order_relaxed);
    p = (struct pack){ .to = (char *)w, .n = sizeof(*w) };
    w->spec = pack_spec(&p, spec);
    atomic_init(&w->refs, 1);
    memcpy(w->id, id, sizeof w->id);
    w->revision = revision;
    w->order = order;
    set_target(w);
    return w;
}

const struct worker *worker_ref(const struct worker *w)
{
    atomic_fetch_add_explicit(&((struct worker *)w)->refs, 1, memory_order_relaxed);
    return w;
}

void worker_unref(const struct worker *w)
{
    struct worker *mine = (struct worker *)w;

    if (!w || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
        return;
    live_unref(mine->live);
    free(mine);
}

/* ---- WorkerInfo ---- */

#define PUT_TEXT(w, key, s)          \
    do {                             \
        if ((s).n)                   \
            json_put_str(w, key, s); \
    } while (0)
#define PUT_RAW(w, key, s)           \
    do {                             \
        if ((s).n)                   \
            json_put_raw(w, key, s); \
    } while (0)
#define PUT_NUMBER(w, key, v)        \
    do {                             \
        if ((v) >= 0)                \
            json_put_i64(w, key, v); \
    } while (0)

static void put_strs(struct json_writer *w, struct str key, const struct str *v, size_t n)
{
    if (n == 0)
        return;
    json_key(w, key);
    json_array(w);
    for (size_t i = 0; i < n; i++)
        json_value_str(w, v[i]);
    json_end(w);
}

static void put_capabilities(struct json_writer *w, uint16_t bits)
{
    json_put_array(w, "model_type");
    for (size_t i = 0; i < WORKER_CAPABILITIES_N; i++)
        if (bits >> i & 1)
            json_value_str(w, WORKER_CAPABILITIES[i]);
    json_end(w);
}

static void put_card(struct json_writer *w, const struct model_card *c)
{
    json_object(w);
    json_put_str(w, "id", c->id);
    PUT_TEXT(w, "display_name", c->display_name);
    put_strs(w, STR("aliases"), c->aliases, c->aliases_n);
    put_capabilities(w, c->model_type);
    PUT_TEXT(w, "hf_model_type", c->hf_model_type);
    put_strs(w, STR("architectures"), c->architectures, c->architectures_n);
    PUT_TEXT(w, "provider", c->provider);
    if (c->context_length)
        json_put_u64(w, "context_length", c->context_length);
    PUT_TEXT(w, "tokenizer_path", c->tokenizer_path);
    PUT_TEXT(w, "chat_template", c->chat_template);
    PUT_TEXT(w, "reasoning_parser", c->reasoning_parser);
    PUT_TEXT(w, "tool_parser", c->tool_parser);
    PUT_RAW(w, "metadata", c->metadata_json);
    PUT_RAW(w, "id2label", c->id2label_json);
    if (c->num_labels)
        json_put_u64(w, "num_labels", c->num_labels);
    json_end(w);
}

static void put_models_and_kind(struct json_writer *w, const struct worker_spec *s)
{
    if (s->models_n) {
        json_put_array(w, "models");
        for (size_t i = 0; i < s->models_n; i++)
            put_card(w, &s->models[i]);
        json_end(w);
    }
    json_put_str(w, "worker_type", worker_type_text(s->type));
    json_put_str(w, "connection_mode", worker_mode_text(s->mode));
    json_put_str(w, "runtime_type", worker_runtime_text(s->runtime));
    PUT_TEXT(w, "provider", s->provider);
    if (s->labels_n == 0)
        return;
    json_put_object(w, "labels");
    for (size_t i = 0; i < s->labels_n; i++) {
        json_key(w, s->labels[i].key);
        json_value_str(w, s->labels[i].value);
    }
    json_end(w);
}

enum secrets { SECRETS_HIDDEN, SECRETS_SHOWN };

static void put_settings(struct json_writer *w, const struct worker_spec *s, enum secrets secrets)
{
    json_put_u64(w, "priority", s->priority);
    json_put_f32(w, "cost", s->cost);
    if (s->api_key.n && secrets == SECRETS_SHOWN)
        json_put_str(w, "api_key", s->api_key);
    else if (s->api_key.n)
        json_put_bool(w, "has_api_key", true);
    PUT_NUMBER(w, "bootstrap_port", s->bootstrap_port);
    if (s->dp_base_url.n) {
        json_put_str(w, "dp_base_url", s->dp_base_url);
        PUT_NUMBER(w, "dp_rank", s->dp_rank);
        PUT_NUMBER(w, "dp_size", s->dp_size);
    }
    PUT_TEXT(w, "kv_connector", s->kv_connector);
    PUT_TEXT(w, "kv_role", s->kv_role);
    PUT_TEXT(w, "kv_engine_id", s->kv_engine_id);
    PUT_NUMBER(w, "kv_block_size", s->kv_block_size);
    PUT_RAW(w, "health", s->health_json);
    PUT_RAW(w, "http_pool", s->http_pool_json);
    PUT_RAW(w, "resilience", s->resilience_json);
    json_put_u64(w, "max_connection_attempts", s->max_connection_attempts);
    PUT_NUMBER(w, "load_monitor_interval_secs", s->load_monitor_interval_s);
    PUT_TEXT(w, "multimodal_tensor_transport", s->multimodal_tensor_transport);
    PUT_NUMBER(w, "multimodal_shm_min_bytes", s->multimodal_shm_min_bytes);
    PUT_TEXT(w, "zmq_handshake_address", s->zmq_handshake_address);
}

void worker_spec_write(struct json_writer *w, const struct worker_spec *s)
{
    json_object(w);
    json_put_str(w, "url", s->url);
    put_models_and_kind(w, s);
    put_settings(w, s, SECRETS_SHOWN);
    json_end(w);
}

static void put_job(struct json_writer *w, const struct worker_job_view *job)
{
    json_put_object(w, "job_status");
    json_put_str(w, "job_type", job->type);
    json_put_str(w, "worker_url", job->url);
    json_put_str(w, "status", job->status);
    if (job->message.n)
        json_put_str(w, "message", job->message);
    else
        json_put_null(w, "message");
    json_put_u64(w, "timestamp", job->timestamp_s);
    json_end(w);
}

const char *worker_reason_text(int reason, char out[WORKER_REASON_MAX])
{
    if (reason > 0)
        snprintf(out, WORKER_REASON_MAX, "status %d", reason);
    else
        snprintf(out, WORKER_REASON_MAX, "%s", err_text(reason));
    return out;
}

static void put_failure(struct json_writer *w, const struct worker *worker)
{
    int reason = atomic_load_explicit(&worker->live->reason, memory_order_relaxed);
    char why[WORKER_REASON_MAX], message[WORKER_REASON_MAX + 32];

    snprintf(message, sizeof message, "Health check failed: %s", worker_reason_text(reason, why));
    put_job(w, &(struct worker_job_view){
                   .type = STR("HealthCheck"),
                   .url = worker->spec.url,
                   .status = STR("failed"),
                   .message = str_of(message),
                   .timestamp_s = atomic_load_explicit(&worker->live->changed_s, memory_order_relaxed),
               });
}

void worker_write_json(struct json_writer *w, const struct worker *worker, const struct worker_job_view *job)
{
    const struct worker_spec *s = &worker->spec;
    enum worker_status status = worker_status(worker);
    int64_t load = worker_load(worker);

    json_object(w);
    json_put_str(w, "id", str_of(worker->id));
    if (s->models_n)
        json_put_str(w, "model_id", s->models[0].id);
    json_put_str(w, "url", s->url);
    put_models_and_kind(w, s);
    put_settings(w, s, SECRETS_HIDDEN);
    json_put_bool(w, "is_healthy", status == WORKER_READY);
    json_put_str(w, "status", worker_status_text(status));
    json_put_u64(w, "load", load > 0 ? (uint64_t)load : 0);
    if (job)
        put_job(w, job);
    else if (status == WORKER_FAILED)
        put_failure(w, worker);
    json_end(w);
}
