/* dispatch/metrics.c -- what dispatch counts: SMG's router and worker families (spec operations 8.5)
 *
 * BETTER than SMG: every failure counts in smg_router_request_errors_total, durations include the streamed body, TTFT is recorded for HTTP streams too.
 */
#include "dispatch/dispatch_internal.h"

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
static const struct metric_family RETRIES = { .name = "smg_worker_retries_total",
                                              .help = "Further attempts on another worker",
                                              .type = METRIC_COUNTER,
                                              .labels = { "worker_type", "endpoint" } };
static const struct metric_family EXHAUSTED = { .name = "smg_worker_retries_exhausted_total",
                                                .help = "Requests whose last attempt failed",
                                                .type = METRIC_COUNTER,
                                                .labels = { "worker_type", "endpoint" } };

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
