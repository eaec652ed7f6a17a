#include "observe/requests.h"

#include <stdio.h>

#include "base/log.h"

static const struct metric_family REQUESTS = { .name = "smg_http_requests_total",
                                               .help = "HTTP requests by method and path",
                                               .type = METRIC_COUNTER,
                                               .labels = { "method", "path" } };
static const struct metric_family DURATION = { .name = "smg_http_request_duration_seconds",
                                               .help = "Time from the request's head to the last byte of its reply",
                                               .type = METRIC_HISTOGRAM,
                                               .labels = { "method", "path" } };
static const struct metric_family RESPONSES = { .name = "smg_http_responses_total",
                                                .help = "HTTP replies by path, status and error code",
                                                .type = METRIC_COUNTER,
                                                .labels = { "path", "status_code", "error_code" } };
/* Ours: once every request has ended, smg_http_requests_total is the sum of the three. */
static const struct metric_family ENDED = {
    .name = "smg_http_requests_ended_total",
    .help = "HTTP requests that ended: finished, failed (the reply was cut), aborted (the client left)",
    .type = METRIC_COUNTER,
    .labels = { "outcome" }
};
static const struct metric_family IN_FLIGHT = { .name = "smg_http_connections_active",
                                                .help = "Requests in flight, until the last byte of their replies",
                                                .type = METRIC_GAUGE,
                                                .labels = { NULL } };

static const struct metric_family AGES = { .name = "smg_http_inflight_request_age_count",
                                           .help = "Requests in flight by age in seconds, not cumulative",
                                           .type = METRIC_GAUGE,
                                           .labels = { "gt", "le" } };

static const char *outcome_text(enum exchange_outcome o)
{
    static const char *const TEXTS[] = {
        [EX_RUNNING] = "running", [EX_FINISHED] = "finished", [EX_FAILED] = "failed", [EX_ABORTED] = "aborted"
    };

    return TEXTS[o];
}

/* Upper bounds in seconds; the last bucket has none. */
static const uint32_t AGE_BOUNDS_S[AGE_BUCKETS - 1] = { 30, 60, 180, 300, 600, 1200, 3600, 7200, 14400, 28800, 86400 };

unsigned observe_age_bucket(uint64_t seconds)
{
    unsigned i = 0;

    while (i < AGE_BUCKETS - 1 && seconds > AGE_BOUNDS_S[i])
        i++;
    return i;
}

static struct metric_cell *age_cell(struct observe_requests *o, unsigned bucket)
{
    char gt[16], le[16];
    int gt_n = snprintf(gt, sizeof gt, "%u", bucket ? AGE_BOUNDS_S[bucket - 1] : 0);
    int le_n = bucket < AGE_BUCKETS - 1 ? snprintf(le, sizeof le, "%u", AGE_BOUNDS_S[bucket]) : snprintf(le, sizeof le, "+Inf");
    struct str v[] = { { gt, (size_t)gt_n }, { le, (size_t)le_n } };

    return metric_cell(o->loop->metrics, &AGES, v);
}

static void sample_ages(struct timer *t)
{
    struct observe_requests *o = CONTAINER_OF(t, struct observe_requests, age_timer);
    unsigned counts[AGE_BUCKETS] = { 0 };
    struct exchange *ex;

    LIST_EACH(ex, &o->in_flight, observed)
    counts[observe_age_bucket((loop_now_us(o->loop) - ex->began_us) / 1000000)]++;
    for (unsigned i = 0; i < AGE_BUCKETS; i++)
        metric_set(o->ages[i], counts[i]);
    timer_start(o->loop, t, OBSERVE_AGE_S * 1000, sample_ages);
}

void observe_requests_init(struct observe_requests *o, struct loop *loop)
{
    *o = (struct observe_requests){ .loop = loop };
    list_init(&o->in_flight);
    o->active = metric_cell(loop->metrics, &IN_FLIGHT, NULL);
    for (enum exchange_outcome outcome = EX_FINISHED; outcome <= EX_ABORTED; outcome++) {
        struct str text = str_of(outcome_text(outcome));

        o->ended[outcome] = metric_cell(loop->metrics, &ENDED, &text);
    }
    for (unsigned i = 0; i < AGE_BUCKETS; i++)
        o->ages[i] = age_cell(o, i);
    timer_start(loop, &o->age_timer, OBSERVE_AGE_S * 1000, sample_ages);
}

void observe_requests_stop(struct observe_requests *o)
{
    timer_stop(&o->age_timer);
}

static size_t slot(const char *label, unsigned n)
{
    return (((uintptr_t)label >> 2) ^ ((uintptr_t)label >> 9) ^ n * 31) % REQUEST_CELLS;
}

/* The cells of the exchange's method and route, looked up once. */
static size_t route_cells(struct observe_requests *o, const struct exchange *ex)
{
    size_t at = slot(ex->route_label, ex->req.method);

    if (o->by_route[at].label != ex->route_label || o->by_route[at].method != ex->req.method) {
        struct str v[] = { http_method_text(ex->req.method), str_of(ex->route_label) };

        o->by_route[at].label = ex->route_label;
        o->by_route[at].method = ex->req.method;
        o->by_route[at].requests = metric_cell(o->loop->metrics, &REQUESTS, v);
        o->by_route[at].duration = metric_cell(o->loop->metrics, &DURATION, v);
    }
    return at;
}

enum filter_verdict observe_metrics_on_head(struct exchange *ex, void *context)
{
    struct observe_requests *o = context;

    metric_add(o->by_route[route_cells(o, ex)].requests, 1);
    metric_add(o->active, 1);
    list_append(&o->in_flight, &ex->observed);
    return FILTER_GO_ON;
}

static struct metric_cell *responses_cell(struct observe_requests *o, const char *label, unsigned status, struct str error_code)
{
    char text[8];
    int n = snprintf(text, sizeof text, "%u", status % 1000);
    struct str v[] = { str_of(label), { text, (size_t)n }, error_code };
    size_t at = slot(label, status);

    if (error_code.n)
        return metric_cell(o->loop->metrics, &RESPONSES, v);
    if (o->by_status[at].label != label || o->by_status[at].status != status) {
        o->by_status[at].label = label;
        o->by_status[at].status = status;
        o->by_status[at].responses = metric_cell(o->loop->metrics, &RESPONSES, v);
    }
    return o->by_status[at].responses;
}

/* 499 as nginx and SMG write it: the client left before there was a status. */
static unsigned status_of(const struct exchange *ex)
{
    return ex->status ? ex->status : 499;
}

void observe_metrics_on_end(struct exchange *ex, void *context)
{
    struct observe_requests *o = context;
    size_t at = route_cells(o, ex);

    if (ex->observed.next) {
        list_remove(&ex->observed);
        ex->observed = (struct list){ 0 };
        metric_add(o->active, -1);
    } else { /* malformed: no filter saw its head, but it was asked and is answered */
        metric_add(o->by_route[at].requests, 1);
    }
    metric_add(o->ended[ex->outcome], 1);
    metric_add(responses_cell(o, ex->route_label, status_of(ex), ex->facts.error_code), 1);
    metric_observe_us(o->by_route[at].duration, loop_now_exact_us(ex->loop) - ex->began_us);
}

static bool is_probe(const struct exchange *ex)
{
    return str_eq(ex->req.path, STR("/health")) || str_eq(ex->req.path, STR("/liveness")) ||
           str_eq(ex->req.path, STR("/readiness"));
}

void observe_access_log_on_end(struct exchange *ex, void *context)
{
    unsigned status = status_of(ex);
    enum log_level level = status >= 500 || ex->outcome == EX_FAILED ? LOG_ERROR : status >= 400 ? LOG_WARN : LOG_INFO;
    const char *message = level == LOG_ERROR  ? "request failed with server error"
                          : level == LOG_WARN ? "request failed with client error"
                                              : "finished processing request";
    uint64_t now = loop_now_exact_us(ex->loop);
    struct log_field f[14];
    size_t n = 0;

    (void)context;
    if (level == LOG_INFO && is_probe(ex))
        level = LOG_DEBUG;
    if (!log_enabled(level, "smg::response"))
        return;
    f[n++] = LF_BARE("method", ex->req.method_text);
    f[n++] = LF_BARE("uri", ex->req.path);
    f[n++] = LF_STR("request_id", ex->request_id);
    f[n++] = LF_UINT("status_code", status);
    f[n++] = LF_UINT("latency", now - ex->began_us);
    if (ex->facts.model.n)
        f[n++] = LF_STR("model", ex->facts.model);
    if (ex->facts.worker.n)
        f[n++] = LF_STR("worker", ex->facts.worker);
    if (ex->facts.attempts > 1)
        f[n++] = LF_UINT("attempts", ex->facts.attempts);
    if (ex->facts.first_byte_us)
        f[n++] = LF_UINT("ttft_us", ex->facts.first_byte_us - ex->began_us);
    f[n++] = LF_UINT("bytes_in", ex->bytes_in);
    f[n++] = LF_UINT("bytes_out", ex->bytes_out);
    if (ex->outcome != EX_FINISHED)
        f[n++] = LF_CSTR("outcome", outcome_text(ex->outcome));
    if (ex->facts.error_code.n)
        f[n++] = LF_STR("error_code", ex->facts.error_code);
    log_write(level, "smg::response", __FILE__, __LINE__, message, f, n);
}
