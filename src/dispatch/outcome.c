/* dispatch/outcome.c -- from what happened to an attempt to what its worker's breaker is told */
#include "dispatch/dispatch_internal.h"

#include "base/log.h"

#define TARGET "smg::breaker"

static void log_change(const struct worker *w, enum breaker_outcome outcome)
{
    struct breaker_view v = breaker_view(&w->live->breaker);

    if (v.state == BREAKER_OPEN && outcome == BREAKER_FAILURE)
        log_warn(TARGET, "circuit breaker opened", LF_STR("worker", w->spec.url), LF_UINT("failures", v.failures),
                 LF_UINT("for_ms", w->spec.judge.breaker.timeout_ms));
    else if (v.state == BREAKER_CLOSED && outcome == BREAKER_SUCCESS)
        log_info(TARGET, "circuit breaker closed", LF_STR("worker", w->spec.url));
}

void dispatch_report(struct dispatcher *d, const struct worker *w, enum breaker_outcome outcome, bool probe)
{
    if (!breaker_report(&w->live->breaker, &w->spec.judge.breaker, outcome, probe, loop_now_us(d->loop)))
        return;
    registry_admissions_changed(d->registry);
    log_change(w, outcome);
}

void dispatch_heed(struct dispatcher *d, const struct worker *w, const struct http_head *head)
{
    unsigned seconds = worker_cooldown_s(head->status, http_value(&head->fields, HF_RETRY_AFTER));
    uint64_t until = loop_now_us(d->loop) + seconds * 1000000ull;
    uint64_t before = atomic_load_explicit(&w->live->cooling_until_us, memory_order_relaxed);

    if (seconds == 0)
        return;
    while (before < until)
        if (atomic_compare_exchange_weak_explicit(&w->live->cooling_until_us, &before, until, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            registry_admissions_changed(d->registry);
            return;
        }
}

/* Others get good replies from it while this one waits: it is at work. */
static bool is_at_work(const struct dispatcher *d, const struct worker *w, uint32_t waited_ms)
{
    uint64_t heard_us = atomic_load_explicit(&w->live->heard_us, memory_order_relaxed);

    return heard_us && heard_us + waited_ms * 1000ull > loop_now_us(d->loop) + HEARD_STEP_US;
}

enum breaker_outcome dispatch_blame(struct dispatcher *d, const struct worker *w, int status, uint32_t waited_ms)
{
    switch (status) {
    case ERR_NOMEM:
    case ERR_UNSUPPORTED:
    case ERR_CANCELLED:
        return BREAKER_NOTHING; /* ours */
    case ERR_TIMEOUT:
        return is_at_work(d, w, waited_ms) ? BREAKER_NOTHING : BREAKER_FAILURE;
    default:
        return BREAKER_FAILURE;
    }
}
