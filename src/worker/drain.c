/* worker/drain.c -- taking a worker out without cutting its requests (spec control-plane 10.2, 10.3; decisions 9, 10)
 *
 *    (listed) --drain_begin--> draining --idle, or the time is over--> (forgotten)
 *        +--- not ready, or drain_settle_secs 0: at once ------------------^
 *
 *   A draining worker gets no new requests (its status says so to every loop at once) and no probes. It goes as soon as it is idle, at the latest after its drain time,
 *   drain_settle_secs: the reading of decision 10 under which spec control-plane's case 32 (5 s: gone after 5 s) holds. Requests that outlive the drain time are not cut: they hold a
 *   reference and go on to their end; only the table does not know the worker any more.
 *   A worker is idle when its load reads 0 at the end of a POLL_MS: a loop that picked it in the turn in which the status changed has counted its request by then.
 */
#include "worker/registry_internal.h"

#include "base/log.h"

#define POLL_MS 50

static void on_poll(struct timer *t)
{
    struct entry *e = CONTAINER_OF(t, struct entry, drain);
    struct registry *r = e->registry;
    int64_t load = entry_load(e);

    if (load > 0 && loop_now_us(r->loop) < e->drain_until_us) {
        timer_start(r->loop, t, POLL_MS, on_poll);
        return;
    }
    if (load > 0)
        log_warn(WORKER_LOG, "worker removed with requests in flight; they go on", LF_STR("worker", e->url),
                 LF_INT("requests", load));
    registry_forget_entry(e);
}

int drain_begin(struct entry *e, enum job_count count)
{
    struct registry *r = e->registry;
    uint32_t settle_s = e->worker->spec.health.drain_settle_s;
    int status;

    if (e->drain_until_us)
        return 0;
    status = job_begin(e, JOB_REMOVE, count);
    if (status < 0)
        return status;
    job_processing(e);
    health_stop(e);
    if (worker_status(e->worker) != WORKER_READY || settle_s == 0) {
        registry_forget_entry(e);
        return 0;
    }
    registry_set_status(e, WORKER_DRAINING);
    e->drain_until_us = loop_now_us(r->loop) + (uint64_t)settle_s * 1000000;
    timer_start(r->loop, &e->drain, POLL_MS, on_poll);
    return 0;
}

void drain_stop(struct entry *e)
{
    timer_stop(&e->drain);
}
