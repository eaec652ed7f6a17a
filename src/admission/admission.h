/* admission/admission.h -- who may begin, who waits, who is sent away: one filter behind the body, in front of every inference handler
 *
 *   body is here --> requests/s (rate) --> the tenant's budget (tenant_limits) --> permits, or scheduler --> handler ... --> end of the reply, abort, failure
 *                       | 429                 | 429                                 | line full: 429              |
 *                                                                                  | deadline in the line: 503   +--> permit back, tokens settled: exactly once
 *                                                                                  | preempted: 503
 *
 *   admission.h   this: what gateway/ wires; one struct admission for the process, one struct admission_thread per loop (the filter's context)
 *   ticket.c      a request's way through all of it; its state machine
 *   permits.h        N at a time, and a line: atomics, and a lock only when there is a line
 *   rate.h        requests per second: one atomic
 *   scheduler.h   classes, reservations, preemption: one lock                      scheduler_conf.h  its file
 *   tenant.h      whose request it is;  tenant_limits.h  per-minute budgets: a lock per 16th of the tenants;  usage.h  tokens before and after
 *
 * In:    struct admission_conf, checked by config/; the table of workers (labels max_running_requests are the scheduler's capacity).
 * Out:   FILTER_GO_ON, FILTER_WAITING or an error reply; metrics; admission_stats for the gauges.
 * Owner: gateway/. A request's state is its ticket (ex->ticket), from a free list of its loop; nothing is allocated per request in the steady state.
 * Threads: the filter on its loop; admission_* on the control thread unless said otherwise.
 * Bounds: queue_size, the classes' queue sizes, LIMITS_TENANTS_MAX; each says in its header what happens there.
 * Everything counts exactly once: requests = admitted + refused + left while waiting; admitted = ended + running.
 */
#pragma once

#include "admission/permits.h"
#include "admission/rate.h"
#include "admission/scheduler_conf.h"
#include "admission/tenant.h"
#include "admission/tenant_limits.h"
#include "worker/registry.h"

#define ADMISSION_QUEUE_MAX        1000000 /* waiting requests; a longer --queue-size means this */
#define ADMISSION_TENANT_NAMES     1024    /* bound of --priority-scheduler-tenant-metric-top-n */
#define ADMISSION_CAPACITY_UNKNOWN 1024    /* slots without workers and without --max-concurrent-requests (spec data-plane 12.3) */
#define ADMISSION_CAPACITY_SILENT  64      /* slots of a worker that does not tell */

struct admission_limits {
    int32_t max_concurrent; /* <= 0: no limit */
    uint64_t queue_size;
    uint32_t queue_timeout_s;    /* 1.. when queue_size > 0 */
    int32_t requests_per_second; /* <= 0: no limit */
};

struct admission_conf {
    struct admission_limits limits;
    struct tenant_conf tenant;
    bool scheduler; /* in place of the plain line */
    enum sched_class default_max_class;
    struct str scheduler_file; /* empty = defaults */
    uint32_t tenant_names;     /* tenants with metric series of their own */
    bool tenant_limits;
    struct str tenant_limits_file;
};

struct admission;

/* Reads the files (blocking). The message names file and line. Strings of CONF are borrowed for life. */
int admission_new(const struct admission_conf *conf, struct admission **ret, struct err *err) _must_check_;
void admission_free(struct admission *a); /* when no loop runs any more; NULL is fine */

/* Begins the scheduler's ticks on CONTROL. */
void admission_start(struct admission *a, struct loop *control);
void admission_stop(struct admission *a);

/* While requests run; each applies at once and cannot fail. Requests in flight keep their permits; a smaller number is reached as they end. */
void admission_set_limits(struct admission *a, const struct admission_limits *limits);
/* The files anew: *CONF as scheduler_conf_read and tenant_limits_conf_read made it (on any thread), taken over. Only where the start had switched the feature on: else
 * ERR_UNSUPPORTED, and CONF stays the caller's. */
int admission_set_scheduler(struct admission *a, struct scheduler_conf *conf) _must_check_;
int admission_set_tenant_limits(struct admission *a, struct tenant_limits_conf *conf) _must_check_;

/* Something about workers changed: the scheduler's capacity is computed anew. */
void admission_workers_changed(struct admission *a, const struct worker_table *table);
/* What that gives: every ready worker tells: their sum; some do: theirs, and ADMISSION_CAPACITY_SILENT for each other one; no ready worker: FALLBACK. */
uint32_t admission_capacity(const struct worker_table *table, int32_t max_concurrent);

/* A loop's own part: the context of the filter. */
struct admission_thread {
    struct admission *admission;   /* borrowed */
    struct loop *loop;             /* borrowed */
    struct loop_spares spares;     /* struct ticket */
    struct list tickets;           // ticket.all: those that are not spare
    struct admission_cells *cells; /* owned */
};

int admission_thread_init(struct admission_thread *t, struct admission *a, struct loop *loop) _must_check_;
void admission_thread_fini(struct admission_thread *t); /* when the loop has ended; of a zeroed one, too */

enum filter_verdict admission_on_body(struct exchange *ex, void *context);
void admission_on_reply(struct exchange *ex, void *context);
void admission_on_end(struct exchange *ex, void *context);

/* For gauges. Any thread. */
struct admission_stats {
    bool has_scheduler, has_tenant_limits;
    struct permits_state permits;     /* without a scheduler */
    struct scheduler_state scheduler; /* with one */
    size_t tenants;
    uint64_t tenants_forgotten;
};
void admission_stats(struct admission *a, struct admission_stats *ret);
