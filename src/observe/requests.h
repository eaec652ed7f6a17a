/* observe/requests.h -- counting and logging requests: two filters
 *
 * Metrics (spec operations 8.4; BETTER: in-flight and duration include the streamed body): smg_http_requests_total, smg_http_request_duration_seconds,
 * smg_http_responses_total, smg_http_connections_active, smg_http_inflight_request_age_count (every OBSERVE_AGE_S). Ours: smg_http_requests_ended_total.
 * Access log: one line per request when it ends, target smg::response, with SMG's messages and fields (method, uri, request_id, status_code, latency in
 * microseconds) and ours (model, worker, attempts, ttft_us, bytes_in, bytes_out, outcome). Probes (/health, /liveness, /readiness) are logged at debug. The query string is
 * left out: it may hold credentials.
 */
#pragma once

#include "http/exchange.h"

#define REQUEST_CELLS 128 /* direct-mapped caches; a collision costs a lookup */
#define AGE_BUCKETS   12  /* of the requests in flight: 0..30 s, ..60 s ... over a day */
#define OBSERVE_AGE_S 20

struct observe_requests {
    struct loop *loop; /* borrowed; its shard is counted in */
    struct metric_cell *active;
    struct metric_cell *ended[EX_ABORTED + 1]; /* by outcome */
    struct metric_cell *ages[AGE_BUCKETS];
    struct list in_flight; // exchange.observed
    struct timer age_timer;
    struct {
        const char *label;
        enum http_method method;
        struct metric_cell *requests, *duration;
    } by_route[REQUEST_CELLS];
    struct {
        const char *label;
        unsigned status;
        struct metric_cell *responses; /* with an empty error_code */
    } by_status[REQUEST_CELLS];
};

void observe_requests_init(struct observe_requests *o, struct loop *loop);
void observe_requests_stop(struct observe_requests *o); /* before the loop ends */

/* Which age bucket a request of SECONDS belongs to: an age equal to a bound belongs to the lower bucket (spec operations 8.4). */
unsigned observe_age_bucket(uint64_t seconds);

/* CONTEXT: struct observe_requests of the loop. */
enum filter_verdict observe_metrics_on_head(struct exchange *ex, void *context);
void observe_metrics_on_end(struct exchange *ex, void *context);
void observe_access_log_on_end(struct exchange *ex, void *context);
