/* dispatch/metrics.c -- what dispatch counts: SMG's router and worker families (spec operations 8.5)
 *
 * BETTER than SMG: every failure counts in smg_router_request_errors_total, durations include the streamed body, TTFT is recorded for HTTP streams too.
 */
#include "dispatch/pair.h"

#include <stdio.h>

#include "routing/policies.h"

#define ROUTER_LABELS "router_type", "backend_type", "connection_mode", "model", "endpoint"

static const struct metric_family REQUESTS = { .name = "smg_router_requests_total",
                                               .help = "Requests that a router accepted",
                                               .type = METRIC_COUNTER,
                                               .labels = { ROUTER_LABELS, "streaming" } };
static const struct metric_family DURATION = { .name = "smg_router_request_duration_seconds",
                                               .help = "Time from request to the last byte of a successful reply",
                                               .type = METRIC_HISTOGRAM,
                                               .labels = { ROUTER_LABELS } };
static const struct metric_family ERRORS = { .name = "smg_router_request_errors_total",
                                             .help = "Requests that failed, by kind",
                                             .type = METRIC_COUNTER,
                                             .labels = { ROUTER_LABELS, "error_type" } };
/* Ours: requests = durations (good replies) + errors + aborted, once all have ended. */
static const struct metric_family ABORTED = { .name = "smg_router_requests_aborted_total",
                                              .help = "Requests whose client left, or that were given up in favour of others",
                                              .type = METRIC_COUNTER,
                                              .labels = { ROUTER_LABELS } };
static const struct metric_family TTFT = { .name = "smg_router_ttft_seconds",
                                           .help = "Time from request to the first byte of a streamed reply's body",
                                           .type = METRIC_HISTOGRAM,
                                           .labels = { "router_type", "backend_type", "model", "endpoint" } };
static const struct metric_family UPSTREAM = { .name = "smg_router_upstream_responses_total",
                                               .help = "Attempts, by the status that ended them",
                                               .type = METRIC_COUNTER,
                                               .labels = { "router_type", "status_code", "error_code" } };
static const struct metric_family SELECTION = { .name = "smg_worker_selection_total",
                                                .help = "Workers chosen",
                                                .type = METRIC_COUNTER,
                                                .labels = { "worker_type", "connection_mode", "model", "policy" } };
static const struct metric_family WORKER_ERRORS = { .name = "smg_worker_errors_total",
                                                    .help = "5xx replies and transport failures of workers",
                                                    .type = METRIC_COUNTER,
                                                    .labels = { "worker_type", "connection_mode", "error_type" } };
static const struct metric_family RETRIES = {
    .name = "smg_worker_retries_total", .help = "Further attempts", .type = METRIC_COUNTER, .labels = { "worker_type", "endpoint" }
};
static const struct metric_family EXHAUSTED = { .name = "smg_worker_retries_exhausted_total",
                                                .help = "Requests whose last attempt failed",
                                                .type = METRIC_COUNTER,
                                                .labels = { "worker_type", "endpoint" } };

static const struct metric_family BACKOFF = { .name = "smg_worker_retry_backoff_seconds",
                                              .help = "Pauses before further attempts, by the number of the failed one",
                                              .type = METRIC_HISTOGRAM,
                                              .labels = { "attempt" } };
static const struct metric_family MANUAL_BRANCH = {
    .name = "smg_manual_policy_branch_total", .help = "Decisions of sticky sessions", .type = METRIC_COUNTER, .labels = { "branch" }
};
static const struct metric_family RING_BRANCH = { .name = "smg_consistent_hashing_policy_branch_total",
                                                  .help = "Decisions of consistent hashing",
                                                  .type = METRIC_COUNTER,
                                                  .labels = { "branch" } };
static const struct metric_family PREFIX_BRANCH = { .name = "smg_prefix_hash_policy_branch_total",
                                                    .help = "Decisions of prefix hashing",
                                                    .type = METRIC_COUNTER,
                                                    .labels = { "branch" } };

/* From a status to SMG's error_type. */
static struct str error_type(unsigned status)
{
    switch (status) {
    case 400:
        return STR("validation_error");
    case 404:
        return STR("no_workers");
    case 408:
    case 504:
        return STR("timeout");
    default:
        return status >= 500 ? STR("backend_error") : STR("internal_error");
    }
}

#define ROUTER_VALUES(model, endpoint) STR("http"), STR("regular"), STR("http"), (model), str_of(endpoint)

static struct route_cells *cells_of(struct dispatcher *d, struct str model, const char *endpoint, bool streaming)
{
    struct route_cells *c = &d->cells[(str_hash(model) ^ ((uintptr_t)endpoint >> 3) ^ streaming) % ROUTE_CELLS];
    struct str with_stream[] = { ROUTER_VALUES(model, endpoint), streaming ? STR("true") : STR("false") };
    struct str ttft[] = { STR("http"), STR("regular"), model, str_of(endpoint) };

    if (c->requests && c->endpoint == endpoint && c->streaming == streaming && str_eq(c->model, model))
        return c;
    c->requests = metric_cell(d->loop->metrics, &REQUESTS, with_stream);
    c->duration = metric_cell(d->loop->metrics, &DURATION, with_stream);
    c->ttft = streaming ? metric_cell(d->loop->metrics, &TTFT, ttft) : NULL;
    c->endpoint = endpoint;
    c->streaming = streaming;
    c->model = c->requests ? c->requests->values[3] : STR_NONE;
    return c;
}

void dispatch_count_request(struct dispatcher *d, struct str model, const char *endpoint, bool streaming)
{
    metric_add(cells_of(d, model, endpoint, streaming)->requests, 1);
}

void dispatch_count_finished(struct dispatcher *d, struct str model, const char *endpoint, bool streaming, uint64_t duration_us,
                             uint64_t ttft_us)
{
    struct route_cells *c = cells_of(d, model, endpoint, streaming);

    metric_observe_us(c->duration, duration_us);
    if (c->ttft && ttft_us)
        metric_observe_us(c->ttft, ttft_us);
}

void dispatch_count_failed(struct dispatcher *d, struct str model, const char *endpoint, unsigned status)
{
    struct str v[] = { ROUTER_VALUES(model, endpoint), error_type(status) };

    metric_add(metric_cell(d->loop->metrics, &ERRORS, v), 1);
}

void dispatch_count_aborted(struct dispatcher *d, struct str model, const char *endpoint)
{
    struct str v[] = { ROUTER_VALUES(model, endpoint) };

    metric_add(metric_cell(d->loop->metrics, &ABORTED, v), 1);
}

void dispatch_count_selection(struct dispatcher *d, struct str model, const char *policy)
{
    struct str v[] = { STR("regular"), STR("http"), model, str_of(policy) };

    metric_add(metric_cell(d->loop->metrics, &SELECTION, v), 1);
}

void dispatch_count_branch(struct dispatcher *d, const struct policy_ops *policy, const char *branch)
{
    const struct metric_family *family = policy == &policy_manual               ? &MANUAL_BRANCH
                                         : policy == &policy_consistent_hashing ? &RING_BRANCH
                                         : policy == &policy_prefix_hash        ? &PREFIX_BRANCH
                                                                                : NULL;

    if (family)
        metric_add(metric_cell(d->loop->metrics, family, &(struct str){ branch, strlen(branch) }), 1);
}

void dispatch_count_attempt(struct dispatcher *d, unsigned status, struct str error_code)
{
    char text[8];
    int n = snprintf(text, sizeof text, "%u", status % 1000);
    struct str v[] = { STR("http"), { text, (size_t)n }, error_code };

    metric_add(metric_cell(d->loop->metrics, &UPSTREAM, v), 1);
}

void dispatch_count_worker_error(struct dispatcher *d, unsigned status)
{
    struct str v[] = { STR("regular"), STR("http"), error_type(status) };

    metric_add(metric_cell(d->loop->metrics, &WORKER_ERRORS, v), 1);
}

void dispatch_count_retry(struct dispatcher *d, const char *endpoint)
{
    struct str v[] = { STR("regular"), str_of(endpoint) };

    metric_add(metric_cell(d->loop->metrics, &RETRIES, v), 1);
}

void dispatch_count_retries_exhausted(struct dispatcher *d, const char *endpoint)
{
    struct str v[] = { STR("regular"), str_of(endpoint) };

    metric_add(metric_cell(d->loop->metrics, &EXHAUSTED, v), 1);
}

void dispatch_count_backoff(struct dispatcher *d, unsigned attempt, uint32_t ms)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%u", attempt);
    struct str v[] = { { text, (size_t)n } };

    metric_observe_us(metric_cell(d->loop->metrics, &BACKOFF, v), (uint64_t)ms * 1000);
}

/* ---- prefill and decode apart: the same families under backend_type "pd", and SMG's own ones of pairs ---- */

#define PAIR_VALUES(model, endpoint) STR("http"), STR("pd"), STR("http"), (model), str_of(endpoint)
#define PAIR_LABELS                  "backend_type", "model", "runtime"

static const struct metric_family PAIR_PREFILL = { .name = "smg_pd_prefill_duration_seconds",
                                                   .help = "Time from sending a pair to the end of the prefill engine's reply",
                                                   .type = METRIC_HISTOGRAM,
                                                   .labels = { PAIR_LABELS } };
static const struct metric_family PAIR_TRANSFER = {
    .name = "smg_pd_kv_transfer_duration_seconds",
    .help = "Time from the end of prefill to the first byte of the decode engine's body, in sequence",
    .type = METRIC_HISTOGRAM,
    .labels = { PAIR_LABELS }
};
static const struct metric_family PAIR_TTFT = { .name = "smg_pd_ttft_seconds",
                                                .help = "Time from sending a pair to the first byte of the decode engine's body",
                                                .type = METRIC_HISTOGRAM,
                                                .labels = { PAIR_LABELS } };
static const struct metric_family PAIR_CONNECTOR = { .name = "smg_pd_kv_connector_mode_total",
                                                     .help = "Pairs in sequence, by the way their KV connector is told",
                                                     .type = METRIC_COUNTER,
                                                     .labels = { "mode" } };
static const struct metric_family PAIR_BOOTSTRAP_FAILURES = { .name = "smg_pd_bootstrap_failures_total",
                                                              .help = "Pairs whose bootstrap fields could not be written",
                                                              .type = METRIC_COUNTER };
static const struct metric_family PAIR_TRANSFER_FAILURES = { .name = "smg_pd_kv_transfer_failures_total",
                                                             .help = "Prefill replies without parameters for the hand-over",
                                                             .type = METRIC_COUNTER };

static struct str leg_text(enum policy_leg leg)
{
    return leg == POLICY_PREFILL ? STR("prefill") : STR("decode");
}

void pair_count_request(struct dispatcher *d, struct str model, const char *endpoint, bool streaming)
{
    struct str v[] = { PAIR_VALUES(model, endpoint), streaming ? STR("true") : STR("false") };

    metric_add(metric_cell(d->loop->metrics, &REQUESTS, v), 1);
}

void pair_count_finished(struct dispatcher *d, struct str model, const char *endpoint, uint64_t duration_us)
{
    struct str v[] = { PAIR_VALUES(model, endpoint) };

    metric_observe_us(metric_cell(d->loop->metrics, &DURATION, v), duration_us);
}

void pair_count_failed(struct dispatcher *d, struct str model, const char *endpoint, unsigned status)
{
    struct str v[] = { PAIR_VALUES(model, endpoint), error_type(status) };

    metric_add(metric_cell(d->loop->metrics, &ERRORS, v), 1);
}

void pair_count_selection(struct dispatcher *d, enum policy_leg leg, struct str model, const char *policy)
{
    struct str v[] = { leg_text(leg), STR("http"), model, str_of(policy) };

    metric_add(metric_cell(d->loop->metrics, &SELECTION, v), 1);
}

void pair_count_worker_error(struct dispatcher *d, enum policy_leg leg, unsigned status)
{
    struct str v[] = { leg_text(leg), STR("http"), error_type(status) };

    metric_add(metric_cell(d->loop->metrics, &WORKER_ERRORS, v), 1);
}

/* SMG's: a retry of a pair counts for both sides. */
static void count_both(struct dispatcher *d, const struct metric_family *f, const char *endpoint)
{
    struct str prefill[] = { STR("prefill"), str_of(endpoint) }, decode[] = { STR("decode"), str_of(endpoint) };

    metric_add(metric_cell(d->loop->metrics, f, prefill), 1);
    metric_add(metric_cell(d->loop->metrics, f, decode), 1);
}

void pair_count_retry(struct dispatcher *d, const char *endpoint)
{
    count_both(d, &RETRIES, endpoint);
}

void pair_count_retries_exhausted(struct dispatcher *d, const char *endpoint)
{
    count_both(d, &EXHAUSTED, endpoint);
}

static void observe_pair(struct dispatcher *d, const struct metric_family *f, struct str model, struct str runtime, uint64_t us)
{
    struct str v[] = { STR("pd"), model, runtime };

    metric_observe_us(metric_cell(d->loop->metrics, f, v), us);
}

void pair_count_prefill(struct dispatcher *d, struct str model, struct str runtime, uint64_t duration_us)
{
    observe_pair(d, &PAIR_PREFILL, model, runtime, duration_us);
}

void pair_count_transfer(struct dispatcher *d, struct str model, struct str runtime, uint64_t duration_us)
{
    observe_pair(d, &PAIR_TRANSFER, model, runtime, duration_us);
}

void pair_count_first_token(struct dispatcher *d, struct str model, struct str runtime, uint64_t duration_us)
{
    observe_pair(d, &PAIR_TTFT, model, runtime, duration_us);
}

void pair_count_connector(struct dispatcher *d, const char *mode)
{
    struct str v[] = { str_of(mode) };

    metric_add(metric_cell(d->loop->metrics, &PAIR_CONNECTOR, v), 1);
}

void pair_count_bootstrap_failure(struct dispatcher *d)
{
    metric_add(metric_cell(d->loop->metrics, &PAIR_BOOTSTRAP_FAILURES, NULL), 1);
}

void pair_count_transfer_failure(struct dispatcher *d)
{
    metric_add(metric_cell(d->loop->metrics, &PAIR_TRANSFER_FAILURES, NULL), 1);
}
