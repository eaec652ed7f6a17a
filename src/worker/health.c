/* worker/health.c -- who is well enough to get requests: probes and their consequences
 *
 * The status (spec control-plane 11.2; S successes wanted, F failures allowed; health_step() is all of it, and pure):
 *
 *    pending --S ok--> ready --F failures--> not_ready --3F failures--> failed
 *       |                ^                     |  ^                       |
 *       |                +--------S ok---------+  |                       |
 *       |                +------------------------|---------S ok----------+   decision 9: a failed worker that recovers comes back
 *       +--10F probes without becoming ready--> failed
 *    draining: left alone.
 *
 * A worker's probes:
 *
 *   from       to         by            when
 *   OFF        WAITING    health_begin  registered, not disabled (or QUEUED at once)
 *   WAITING    QUEUED     on_due        the interval is over; at most HEALTH_PROBES_MAX probes run, the others stand in line
 *   QUEUED     PROBING    on_turn       GET <health endpoint> with the worker's key
 *   PROBING    WAITING    on_result     2xx is well, and so is no answer in time while replies come in (is_at_work); the status may change
 *   any        OFF        health_stop   draining, removed, shutdown, checks switched off
 *   OFF, WAITING QUEUED   health_settings_changed   the operator changed something: probed at once, then at the new interval
 *
 * What is asked: the health endpoint, or /v1/models of an engine that has none (found out at registration) and of a provider.
 *
 * The interval is shortened by up to a tenth, at random: workers that were registered in one second are not probed in one second for ever. A failed worker is
 * probed SLOW times more rarely (5 s to 5 min), until a probe goes well.
 */
#include "worker/registry_internal.h"

#include "base/log.h"

#define SLOW        5
#define SLOW_MS_MIN 5000
#define SLOW_MS_MAX 300000

static void on_due(struct timer *t);
static void on_turn(struct gate_wait *w);
static void on_result(struct probe *p, int result);

/* ---- the state machine ---- */

static enum worker_status after_success(struct health_counters *c, enum worker_status from, uint32_t wanted)
{
    c->failures = 0;
    c->successes++;
    if (from == WORKER_READY || c->successes < wanted)
        return from;
    *c = (struct health_counters){ 0 };
    return WORKER_READY;
}

static enum worker_status after_failure(struct health_counters *c, enum worker_status from, uint32_t allowed)
{
    c->successes = 0;
    c->failures++;
    if (from == WORKER_READY && c->failures >= allowed) {
        c->failures = 0;
        return WORKER_NOT_READY;
    }
    if (from == WORKER_NOT_READY && c->failures >= 3 * (uint64_t)allowed) {
        c->failures = 0;
        return WORKER_FAILED;
    }
    return from;
}

enum worker_status health_step(struct health_counters *c, enum worker_status from, bool ok, uint32_t successes_wanted,
                               uint32_t failures_allowed)
{
    uint32_t wanted = MAX(successes_wanted, 1u), allowed = MAX(failures_allowed, 1u);
    enum worker_status to;

    if (from == WORKER_DRAINING)
        return from;
    if (from == WORKER_PENDING)
        c->pending_probes++;
    to = ok ? after_success(c, from, wanted) : after_failure(c, from, allowed);
    if (to == WORKER_PENDING && c->pending_probes >= 10 * (uint64_t)allowed) {
        *c = (struct health_counters){ 0 };
        to = WORKER_FAILED;
    }
    return to;
}

/* ---- the probes ---- */

static void count(struct entry *e, bool ok)
{
    static const struct metric_family CHECKS = {
        .name = "smg_worker_health_checks_total",
        .help = "Health checks of workers",
        .type = METRIC_COUNTER,
        .labels = { "worker_type", "result" },
    };
    struct str values[] = { worker_type_text(e->worker->spec.type), ok ? STR("success") : STR("failure") };

    metric_add(metric_cell(e->registry->loop->metrics, &CHECKS, values), 1);
}

static void wait(struct entry *e)
{
    struct health *h = &e->health;
    struct random *random = &e->registry->loop->random;
    uint64_t ms = (uint64_t)e->worker->spec.health.interval_s * 1000;

    if (worker_status(e->worker) == WORKER_FAILED && h->counters.successes == 0)
        ms = MIN(MAX(ms * SLOW, (uint64_t)SLOW_MS_MIN), MAX((uint64_t)SLOW_MS_MAX, ms));
    ms -= random_below(random, ms / 10 + 1);
    h->state = HEALTH_WAITING;
    timer_start(e->registry->loop, &h->timer, ms, on_due);
}

void health_begin(struct entry *e, enum health_first first)
{
    struct health *h = &e->health;

    if (e->worker->spec.health.disabled)
        return;
    h->counters = (struct health_counters){ 0 };
    gate_wait_init(&h->turn, on_turn);
    if (first == HEALTH_AT_ONCE)
        on_due(&h->timer);
    else
        wait(e);
}

void health_stop(struct entry *e)
{
    struct health *h = &e->health;

    timer_stop(&h->timer);
    if (h->state == HEALTH_QUEUED)
        gate_forget(&h->turn);
    if (h->state == HEALTH_PROBING) {
        probe_cancel(STEAL(h->probe));
        gate_leave(&e->registry->probes);
    }
    h->state = HEALTH_OFF;
}

struct str health_path(const struct entry *e)
{
    return e->health.by_models ? STR("/v1/models") : e->registry->conf.health_endpoint;
}

void health_settings_changed(struct entry *e)
{
    struct health *h = &e->health;
    enum worker_status status = worker_status(e->worker);

    if (!e->listed || status == WORKER_DRAINING)
        return;
    if (e->worker->spec.health.disabled) {
        health_stop(e);
        h->counters = (struct health_counters){ 0 };
        atomic_store_explicit(&e->worker->live->reason, 0, memory_order_relaxed);
        if (status != WORKER_READY)
            registry_set_status(e, WORKER_READY); /* never probed means ready: spec control-plane 11.2, case 31 */
    } else if (h->state == HEALTH_OFF) {
        health_begin(e, HEALTH_AT_ONCE);
    } else if (h->state == HEALTH_WAITING) {
        timer_stop(&h->timer);
        on_due(&h->timer);
    }
}

static void on_due(struct timer *t)
{
    struct entry *e = CONTAINER_OF(t, struct entry, health.timer);

    e->health.state = HEALTH_QUEUED;
    if (gate_enter(&e->registry->probes, &e->health.turn))
        on_turn(&e->health.turn);
}

#define PREFILL_S 30 /* a prompt of a hundred thousand tokens takes an engine that long, and some answer nothing else meanwhile */

/* An engine may be too busy to answer a probe in time. One that sends us replies meanwhile, or sent some before what may be a long prefill, is at work, not sick. */
static bool is_at_work(const struct entry *e, int result)
{
    const struct worker *w = e->worker;
    uint64_t heard_us = atomic_load_explicit(&w->live->heard_us, memory_order_relaxed);

    return result == ERR_TIMEOUT && worker_load(w) > 0 && heard_us &&
           loop_now_us(e->registry->loop) < heard_us + (uint64_t)MAX(w->spec.health.timeout_s, PREFILL_S) * 1000000 + HEARD_STEP_US;
}

/* The status after a probe, and what follows from it. */
static void conclude(struct entry *e, int result)
{
    const struct worker_health_conf *conf = &e->worker->spec.health;
    bool ok = (result >= 200 && result <= 299) || is_at_work(e, result);
    enum worker_status before = worker_status(e->worker);
    enum worker_status after = health_step(&e->health.counters, before, ok, conf->success_threshold, conf->failure_threshold);

    count(e, ok);
    atomic_store_explicit(&e->worker->live->reason, ok ? 0 : result, memory_order_relaxed);
    if (after != before)
        registry_set_status(e, after);
    if (after == WORKER_FAILED && e->registry->conf.remove_unhealthy)
        registry_remove_failed(e);
    if (ok && after == WORKER_READY)
        registry_ask_again(e);
    wait(e);
}

static void on_turn(struct gate_wait *w)
{
    struct entry *e = CONTAINER_OF(w, struct entry, health.turn);
    struct registry *r = e->registry;
    struct probe_ask ask = {
        .path = health_path(e), .total_ms = e->worker->spec.health.timeout_s * 1000, .done = on_result, .owner = e
    };

    if (e->worker->spec.runtime == RUNTIME_EXTERNAL)
        ask.bearer = external_key(&e->worker->spec);
    e->health.state = HEALTH_PROBING;
    if (probe_start(r->client, r->loop, e->worker, &ask, &e->health.probe) == 0)
        return;
    gate_leave(&r->probes);
    wait(e); /* our own lack of memory says nothing about the worker */
}

static void on_result(struct probe *p, int result)
{
    struct entry *e = p->owner;

    e->health.probe = NULL;
    e->health.state = HEALTH_WAITING; /* before conclude(), which may stop the checks: the place is given back once */
    gate_leave(&e->registry->probes);
    conclude(e, result);
}
