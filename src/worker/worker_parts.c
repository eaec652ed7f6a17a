/* worker/worker_parts.c -- health, http_pool and resilience of a worker: shapes, forms, merging */
#include "worker/worker_parts.h"

/* ---- the shapes ---- */

static const struct json_shape_field HEALTH_FIELDS[] = {
    OPTIONAL(struct raw_health, HEALTH_TIMEOUT, timeout_secs, SHAPE_U64),
    OPTIONAL(struct raw_health, HEALTH_INTERVAL, check_interval_secs, SHAPE_U64),
    OPTIONAL(struct raw_health, HEALTH_SUCCESS, success_threshold, SHAPE_U32),
    OPTIONAL(struct raw_health, HEALTH_FAILURE, failure_threshold, SHAPE_U32),
    OPTIONAL(struct raw_health, HEALTH_DISABLE, disable_health_check, SHAPE_BOOL),
    OPTIONAL(struct raw_health, HEALTH_DRAIN, drain_settle_secs, SHAPE_U64),
};
const struct json_shape WORKER_HEALTH_SHAPE = {
    .name = "HealthCheckUpdate",
    .size = sizeof(struct raw_health),
    .fields = HEALTH_FIELDS,
    .fields_n = ARRAY_LEN(HEALTH_FIELDS),
};

static const struct json_shape_field POOL_FIELDS[] = {
    OPTIONAL(struct raw_pool, POOL_MAX_IDLE, pool_max_idle_per_host, SHAPE_U64),
    OPTIONAL(struct raw_pool, POOL_IDLE, pool_idle_timeout_secs, SHAPE_U64),
    OPTIONAL(struct raw_pool, POOL_TIMEOUT, timeout_secs, SHAPE_U64),
    OPTIONAL(struct raw_pool, POOL_CONNECT, connect_timeout_secs, SHAPE_U64),
};
const struct json_shape WORKER_POOL_SHAPE = {
    .name = "HttpPoolConfig",
    .size = sizeof(struct raw_pool),
    .fields = POOL_FIELDS,
    .fields_n = ARRAY_LEN(POOL_FIELDS),
};

static const struct json_shape_field RESILIENCE_FIELDS[] = {
    OPTIONAL(struct raw_resilience, RESILIENCE_RETRIES, max_retries, SHAPE_U32),
    OPTIONAL(struct raw_resilience, RESILIENCE_INITIAL, initial_backoff_ms, SHAPE_U64),
    OPTIONAL(struct raw_resilience, RESILIENCE_MAX, max_backoff_ms, SHAPE_U64),
    OPTIONAL(struct raw_resilience, RESILIENCE_MULTIPLIER, backoff_multiplier, SHAPE_F32),
    OPTIONAL(struct raw_resilience, RESILIENCE_JITTER, jitter_factor, SHAPE_F32),
    OPTIONAL(struct raw_resilience, RESILIENCE_NO_RETRY, disable_retry, SHAPE_BOOL),
    OPTIONAL(struct raw_resilience, RESILIENCE_CB_FAILURE, cb_failure_threshold, SHAPE_U32),
    OPTIONAL(struct raw_resilience, RESILIENCE_CB_SUCCESS, cb_success_threshold, SHAPE_U32),
    OPTIONAL(struct raw_resilience, RESILIENCE_CB_TIMEOUT, cb_timeout_secs, SHAPE_U64),
    OPTIONAL(struct raw_resilience, RESILIENCE_CB_WINDOW, cb_window_secs, SHAPE_U64),
    OPTIONAL(struct raw_resilience, RESILIENCE_NO_BREAKER, disable_circuit_breaker, SHAPE_BOOL),
    { .name = "retryable_status_codes",
      .type = SHAPE_ARRAY,
      .element = SHAPE_U16,
      .flags = SHAPE_NULLABLE,
      .at = offsetof(struct raw_resilience, retryable_status_codes),
      .at_given = offsetof(struct raw_resilience, given) + RESILIENCE_CODES },
};
const struct json_shape WORKER_RESILIENCE_SHAPE = {
    .name = "ResilienceUpdate",
    .size = sizeof(struct raw_resilience),
    .fields = RESILIENCE_FIELDS,
    .fields_n = ARRAY_LEN(RESILIENCE_FIELDS),
};

static void write_value(struct json_writer *w, enum json_shape_type type, const void *at)
{
    const struct json_shape_array *array = at;

    switch (type) {
    case SHAPE_U32:
        json_value_u64(w, *(const uint32_t *)at);
        break;
    case SHAPE_U64:
        json_value_u64(w, *(const uint64_t *)at);
        break;
    case SHAPE_F32:
        json_value_f32(w, *(const float *)at);
        break;
    case SHAPE_BOOL:
        json_value_bool(w, *(const bool *)at);
        break;
    default: /* the one array: of u16 */
        json_array(w);
        for (size_t i = 0; i < array->n; i++)
            json_value_u64(w, ((const uint16_t *)array->items)[i]);
        json_end(w);
        break;
    }
}

/* ---- writing and merging ---- */

/* What OBJECT was given, as JSON in ARENA; empty when nothing was. */
struct str worker_part_write(const struct json_shape *shape, const void *object, struct arena *arena)
{
    struct buf out = { 0 };
    struct json_writer w;
    bool any = false;
    struct str text;

    json_begin(&w, &out);
    json_object(&w);
    for (size_t i = 0; i < shape->fields_n; i++) {
        const struct json_shape_field *f = &shape->fields[i];

        if (!*((const bool *)object + f->at_given))
            continue;
        any = true;
        json_key(&w, str_of(f->name));
        write_value(&w, f->type, (const char *)object + f->at);
    }
    json_end(&w);
    arena->failed |= out.failed;
    text = any ? arena_str(arena, buf_str(&out)) : STR_NONE;
    buf_fini(&out);
    return text;
}

static size_t size_of(enum json_shape_type type)
{
    switch (type) {
    case SHAPE_U32:
        return sizeof(uint32_t);
    case SHAPE_U64:
        return sizeof(uint64_t);
    case SHAPE_F32:
        return sizeof(float);
    case SHAPE_BOOL:
        return sizeof(bool);
    default:
        return sizeof(struct json_shape_array);
    }
}

union raw_part {
    struct raw_health health;
    struct raw_pool pool;
    struct raw_resilience resilience;
};

/* TEXT is our own writing: it reads, unless memory is out. */
static bool read_part(struct str text, const struct json_shape *shape, struct arena *arena, union raw_part *ret)
{
    struct json_doc doc;

    if (text.n == 0)
        return true;
    if (json_parse(text, arena, &doc, /* error= */ NULL) == 0 &&
        json_shape_read(json_root(&doc), shape, arena, ret, /* err= */ NULL) == 0)
        return true;
    arena->failed = true;
    return false;
}

struct str worker_part_merge(const struct json_shape *shape, struct str older, struct str newer, struct arena *arena)
{
    union raw_part a = { 0 }, b = { 0 };

    if (!read_part(older, shape, arena, &a) || !read_part(newer, shape, arena, &b))
        return STR_NONE;
    for (size_t i = 0; i < shape->fields_n; i++) {
        const struct json_shape_field *f = &shape->fields[i];

        if (!*((bool *)&b + f->at_given))
            continue;
        *((bool *)&a + f->at_given) = true;
        memcpy((char *)&a + f->at, (char *)&b + f->at, size_of(f->type));
    }
    return worker_part_write(shape, &a, arena);
}

/* ---- health ---- */

/* Settings of seconds are cut where milliseconds would not fit any more: 49 days. */
static int64_t seconds(const struct raw_health *h, int which, uint64_t v)
{
    return h->given[which] ? (int64_t)MIN(v, (uint64_t)HEALTH_SECONDS_MAX) : -1;
}

struct worker_health_update worker_health_given(const struct raw_health *h)
{
    return (struct worker_health_update){
        .timeout_s = seconds(h, HEALTH_TIMEOUT, h->timeout_secs),
        .interval_s = seconds(h, HEALTH_INTERVAL, h->check_interval_secs),
        .success_threshold = h->given[HEALTH_SUCCESS] ? (int64_t)h->success_threshold : -1,
        .failure_threshold = h->given[HEALTH_FAILURE] ? (int64_t)h->failure_threshold : -1,
        .drain_settle_s = seconds(h, HEALTH_DRAIN, h->drain_settle_secs),
        .disabled = h->given[HEALTH_DISABLE] ? h->disable_health_check : -1,
    };
}

struct worker_health_conf worker_health_merge(const struct worker_health_conf *base, const struct worker_health_update *u)
{
    return (struct worker_health_conf){
        .timeout_s = u->timeout_s > 0 ? (uint32_t)u->timeout_s : base->timeout_s,
        .interval_s = u->interval_s > 0 ? (uint32_t)u->interval_s : base->interval_s,
        .success_threshold = u->success_threshold >= 0 ? (uint32_t)u->success_threshold : base->success_threshold,
        .failure_threshold = u->failure_threshold >= 0 ? (uint32_t)u->failure_threshold : base->failure_threshold,
        .drain_settle_s = u->drain_settle_s >= 0 ? (uint32_t)u->drain_settle_s : base->drain_settle_s,
        .disabled = u->disabled >= 0 ? u->disabled : base->disabled,
    };
}

/* ---- resilience, http_pool ---- */

/* -1 = not given. What is larger than 49 days (or, of a number, than anybody counts) is cut. */
static int64_t given_int(bool given, uint64_t v)
{
    return given ? (int64_t)MIN(v, (uint64_t)HEALTH_SECONDS_MAX) : -1;
}

struct worker_resilience worker_resilience_given(const struct raw_resilience *r)
{
    struct worker_resilience given = {
        .max_retries = given_int(r->given[RESILIENCE_RETRIES], r->max_retries),
        .initial_backoff_ms = given_int(r->given[RESILIENCE_INITIAL], r->initial_backoff_ms),
        .max_backoff_ms = given_int(r->given[RESILIENCE_MAX], r->max_backoff_ms),
        .backoff_multiplier = r->given[RESILIENCE_MULTIPLIER] ? (double)r->backoff_multiplier : -1,
        .jitter_factor = r->given[RESILIENCE_JITTER] ? (double)r->jitter_factor : -1,
        .disable_retry = r->given[RESILIENCE_NO_RETRY] ? r->disable_retry : -1,
        .cb_failure_threshold = given_int(r->given[RESILIENCE_CB_FAILURE], r->cb_failure_threshold),
        .cb_success_threshold = given_int(r->given[RESILIENCE_CB_SUCCESS], r->cb_success_threshold),
        .cb_timeout_s = given_int(r->given[RESILIENCE_CB_TIMEOUT], r->cb_timeout_secs),
        .cb_window_s = given_int(r->given[RESILIENCE_CB_WINDOW], r->cb_window_secs),
        .disable_breaker = r->given[RESILIENCE_NO_BREAKER] ? r->disable_circuit_breaker : -1,
        .has_codes = r->given[RESILIENCE_CODES],
    };

    for (size_t i = 0; given.has_codes && i < r->retryable_status_codes.n; i++)
        status_set_add(&given.codes, ((const uint16_t *)r->retryable_status_codes.items)[i]);
    return given;
}

struct worker_pool worker_pool_given(const struct raw_pool *p)
{
    return (struct worker_pool){
        .idle_max = given_int(p->given[POOL_MAX_IDLE], p->pool_max_idle_per_host),
        .idle_s = given_int(p->given[POOL_IDLE], p->pool_idle_timeout_secs),
        .timeout_s = given_int(p->given[POOL_TIMEOUT], p->timeout_secs),
        .connect_s = given_int(p->given[POOL_CONNECT], p->connect_timeout_secs),
    };
}
