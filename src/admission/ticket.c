/* ticket.c -- one request's way through admission
 *
 *                on_body: a slot is free                       on_end: permit back, tokens settled
 *   (new) ----------------------------------------> RUNNING ---------------------------------------> OVER
 *     |  on_body: no slot, room in the line           ^   |  on_preempted: taken from its worker, answered 503; then on_end as everybody
 *     +------------------> WAITING -- on_granted -----+
 *     |                      | on_deadline: 503; on_end: the client left
 *     |                      +-----------------------------------------------------------------------> OVER
 *     +-- on_body: refused, 429 ---------------------------------------------------------------------> OVER
 *
 * Two views: ticket.step is what the request's own loop knows; waiter.step is what the permits or the scheduler has decided, on any thread. WAITING with an ADMITTED waiter means that the
 * message is on its way. It may be overtaken by the client's leaving: then the permit goes back at once, and the message finds a ticket without an exchange.
 * A ticket's memory is free when it is OVER, has no exchange, and no message is under way.
 * Invariants: (1) ex->ticket == t <=> t->ex == ex, until on_end. (2) enter is answered by exactly one of leave_queue (true) and leave. (3) http_error ends the exchange, so on_end runs
 * inside of it: it is the last statement.
 */
#include <assert.h>
#include <stdlib.h>

#include "admission/admission_internal.h"
#include "base/clock.h"
#include "http/error.h"

#define RETRY_S     1 /* a place in the line or a slot may be free in a moment; nobody can say when */
#define RETRY_MAX_S UINT32_MAX

enum ticket_step { TICKET_NEW, TICKET_WAITING, TICKET_RUNNING, TICKET_OVER };

struct ticket {
    void *next_spare; /* loop_spares' first word */
    struct waiter waiter;
    struct admission_thread *thread;
    struct exchange *ex;               /* NULL after its end */
    struct list all;                   /* admission_thread.tickets */
    enum ticket_step step;             /* written only by enter() */
    struct message granted, preempted; /* from other threads */
    struct timer deadline;             /* WAITING */
    struct tenant_charge charge;       /* strings: the exchange's arena */
    struct usage_reader usage;         /* with tenant limits */
};

static void on_deadline(struct timer *timer);
static void on_granted(struct loop *loop, struct message *m);
static void on_preempted(struct loop *loop, struct message *m);

/* ---- the ticket ---- */

static void enter(struct ticket *t, enum ticket_step to)
{
    assert(to > t->step);
    t->step = to;
    if (to != TICKET_WAITING)
        timer_stop(&t->deadline);
}

/* On any thread, holding no lock: the rest is the loop's. */
static void send_granted(struct waiter *w)
{
    struct ticket *t = CONTAINER_OF(w, struct ticket, waiter);

    loop_post(t->thread->loop, &t->granted);
}

static void send_preempted(struct waiter *w)
{
    struct ticket *t = CONTAINER_OF(w, struct ticket, waiter);

    loop_post(t->thread->loop, &t->preempted);
}

static const struct waiter_ops WAITER_OPS = { .granted = send_granted, .preempted = send_preempted };

static struct ticket *ticket_new(struct admission_thread *thread, struct exchange *ex)
{
    struct ticket *t = loop_spare_get(&thread->spares, sizeof(*t));

    if (!t)
        return NULL;
    t->waiter = (struct waiter){ .ops = &WAITER_OPS, .preempted_by = -1 };
    list_init(&t->waiter.link);
    list_init(&t->waiter.wake);
    t->thread = thread;
    t->ex = ex;
    t->step = TICKET_NEW;
    t->granted = (struct message){ .run = on_granted };
    t->preempted = (struct message){ .run = on_preempted };
    t->deadline = (struct timer){ 0 };
    t->charge = (struct tenant_charge){ 0 };
    t->usage.has_input = t->usage.has_output = false;
    t->usage.input = t->usage.output = 0;
    t->usage.carry_n = 0;
    list_append(&thread->tickets, &t->all);
    ex->ticket = t;
    return t;
}

/* When nobody knows it any more. */
static void free_if_unknown(struct ticket *t)
{
    if (t->ex || atomic_load_explicit(&t->waiter.pending, memory_order_acquire) > 0)
        return;
    list_remove(&t->all);
    loop_spare_put(&t->thread->spares, t);
}

/* A message has arrived. */
static void arrived(struct ticket *t)
{
    atomic_fetch_sub_explicit(&t->waiter.pending, 1, memory_order_acq_rel);
}

static int class_of(const struct ticket *t)
{
    return t->thread->admission->has_scheduler ? t->waiter.class : -1;
}

/* ---- tenants ---- */

static const struct tenant_limits_conf *limits_conf(const struct ticket *t)
{
    return snapshot_get(t->thread->loop, &t->thread->admission->tenant_limits_conf);
}

static void refund(struct ticket *t)
{
    struct admission *a = t->thread->admission;

    if (t->charge.step == CHARGE_RESERVED)
        tenant_limits_refund(&a->tenants, limits_conf(t), &t->charge, loop_now_us(t->thread->loop));
}

static void settle(struct ticket *t)
{
    struct admission *a = t->thread->admission;

    if (t->charge.step != CHARGE_RESERVED || !(t->usage.has_input || t->usage.has_output))
        return;
    tenant_limits_settle(&a->tenants, limits_conf(t), &t->charge, t->usage.input + t->usage.output, loop_now_us(t->thread->loop));
    admission_count_settled(t->thread, t->usage.input, t->usage.output);
}

static void on_part(struct exchange *ex, struct str part, void *arg)
{
    struct ticket *t = arg;

    (void)ex;
    usage_read(&t->usage, part);
}

/* ---- answers: the last statement of whoever calls them ---- */

static void answer(struct ticket *t, unsigned status, uint64_t retry_s, struct str code, struct str message)
{
    struct exchange *ex = t->ex;

    if (t->step != TICKET_RUNNING)
        enter(t, TICKET_OVER);
    http_error_retry_after(ex, (unsigned)MIN(retry_s, RETRY_MAX_S));
    http_error(ex, status, code, message);
}

static void answer_full(struct ticket *t)
{
    refund(t);
    admission_count(t->thread, OUTCOME_QUEUE_FULL, class_of(t));
    if (t->thread->admission->has_scheduler)
        answer(t, 429, RETRY_S, STR("scheduler_queue_full"), STR("request queue is full for this priority class"));
    else
        answer(t, 429, RETRY_S, STR("queue_full"),
               STR("The gateway is at its limit of concurrent requests, and its queue is full; try again later"));
}

static void answer_timeout(struct ticket *t)
{
    refund(t);
    admission_count(t->thread, OUTCOME_QUEUE_TIMEOUT, class_of(t));
    if (t->thread->admission->has_scheduler)
        answer(t, 503, RETRY_S, STR("scheduler_queue_timeout"), STR("timed out waiting for an admission slot"));
    else
        answer(t, 503, RETRY_S, STR("queue_timeout"),
               STR("The gateway is at its limit of concurrent requests, and no place came free in time; try again later"));
}

static void answer_rate(struct ticket *t, uint64_t wait_ns)
{
    uint64_t retry_s = (wait_ns + 999999999) / 1000000000;

    admission_count(t->thread, OUTCOME_RATE_LIMITED, class_of(t));
    if (t->thread->admission->has_scheduler) /* SMG's words for it in this mode */
        answer(t, 429, retry_s, STR("scheduler_queue_full"), STR("request queue is full for this priority class"));
    else
        answer(t, 429, retry_s, STR("rate_limit_exceeded"),
               STR("The gateway's limit of requests per second is reached; try again later"));
}

static void answer_tenant(struct ticket *t, uint64_t retry_s)
{
    admission_count(t->thread, OUTCOME_TENANT_LIMITED, class_of(t));
    answer(t, 429, retry_s, STR("tenant_rate_limit_exceeded"), STR("Tenant rate limit exceeded for this request"));
}

/* ---- the filter: in ---- */

/* A request runs. */
static void begin(struct ticket *t)
{
    enter(t, TICKET_RUNNING);
    admission_count(t->thread, OUTCOME_ADMITTED, class_of(t));
    if (t->charge.step == CHARGE_RESERVED) {
        t->ex->tap = on_part;
        t->ex->tap_arg = t;
    }
}

static void choose_class(struct ticket *t, struct str tenant)
{
    struct admission *a = t->thread->admission;
    const struct scheduler_conf *conf = snapshot_get(t->thread->loop, &a->scheduler_conf);
    struct str asked = str_trim(http_value(&t->ex->req.fields, HF_X_SMG_PRIORITY));
    int named = sched_class_of(asked);
    enum sched_class max = scheduler_conf_max_class(conf, tenant), wanted = named < 0 ? CLASS_DEFAULT : (enum sched_class)named;

    if (named < 0 && asked.n)
        admission_count_unknown(t->thread, tenant);
    if (wanted > max)
        admission_count_clamp(t->thread, tenant, wanted, max);
    t->waiter.class = (uint8_t)MIN(wanted, max);
}

/* 0, or ERR_LIMIT with *RET_RETRY_S, or ERR_NOMEM. */
static int reserve(struct ticket *t, struct str tenant, uint64_t *ret_retry_s)
{
    struct admission *a = t->thread->admission;
    uint64_t tokens = usage_guess(t->ex->body, &t->ex->arena, &t->charge.model);

    t->charge.tenant = tenant;
    if (t->ex->arena.failed)
        return ERR_NOMEM;
    return tenant_limits_reserve(&a->tenants, limits_conf(t), &t->charge, tokens, loop_now_us(t->thread->loop), ret_retry_s);
}

static void wait_for(struct ticket *t)
{
    struct admission *a = t->thread->admission;
    const struct scheduler_conf *conf;
    uint64_t ms;

    if (!a->has_scheduler) {
        ms = MAX(1, (uint64_t)atomic_load_explicit(&a->queue_timeout_s, memory_order_relaxed)) * 1000;
    } else if (t->waiter.over_bound) {
        ms = SCHED_VICTIM_MS;
    } else {
        conf = snapshot_get(t->thread->loop, &a->scheduler_conf);
        ms = conf->classes[t->waiter.class].queue_timeout_s * 1000;
    }
    enter(t, TICKET_WAITING);
    timer_start(t->thread->loop, &t->deadline, ms, on_deadline);
}

static enum filter_verdict knock(struct ticket *t)
{
    struct admission *a = t->thread->admission;
    enum { IN, LINE, FULL } at;

    _Static_assert((int)PERMITS_ADMITTED == IN && (int)PERMITS_QUEUED == LINE && (int)PERMITS_FULL == FULL, "the same order");
    _Static_assert((int)SCHED_ADMITTED == IN && (int)SCHED_QUEUED == LINE && (int)SCHED_FULL == FULL, "the same order");
    t->waiter.since_us = loop_now_us(t->thread->loop);
    at = a->has_scheduler ? (int)scheduler_enter(&a->scheduler, &t->waiter, loop_now_us(t->thread->loop))
                          : (int)permits_enter(&a->permits, &t->waiter);
    switch (at) {
    case IN:
        begin(t);
        return FILTER_GO_ON;
    case LINE:
        wait_for(t);
        return FILTER_WAITING;
    case FULL:
        break;
    }
    answer_full(t);
    return FILTER_ANSWERED;
}

static enum filter_verdict answer_no_memory(struct exchange *ex)
{
    http_error_retry_after(ex, RETRY_S);
    http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
    return FILTER_ANSWERED;
}

enum filter_verdict admission_on_body(struct exchange *ex, void *context)
{
    struct admission_thread *thread = context;
    struct admission *a = thread->admission;
    struct ticket *t;
    uint64_t wait;
    struct str tenant = STR_NONE;
    int r;

    if (ex->route_group != ROUTE_DATA)
        return FILTER_GO_ON;
    t = ticket_new(thread, ex);
    if (!t)
        return answer_no_memory(ex);
    if (a->has_scheduler || a->has_tenant_limits)
        tenant = tenant_of(&a->tenant, ex);
    if (a->has_scheduler)
        choose_class(t, tenant);
    if (!rate_take(&a->rate, clock_now_ns(), &wait)) {
        answer_rate(t, wait);
        return FILTER_ANSWERED;
    }
    r = a->has_tenant_limits ? reserve(t, tenant, &wait) : 0;
    if (r == ERR_NOMEM) {
        enter(t, TICKET_OVER);
        return answer_no_memory(ex);
    }
    if (r < 0) {
        answer_tenant(t, wait);
        return FILTER_ANSWERED;
    }
    return knock(t);
}

/* ---- while it waits and runs ---- */

static bool leave_queue(struct ticket *t)
{
    struct admission *a = t->thread->admission;

    return a->has_scheduler ? scheduler_leave_queue(&a->scheduler, &t->waiter) : permits_leave_queue(&a->permits, &t->waiter);
}

static void leave(struct ticket *t)
{
    struct admission *a = t->thread->admission;

    if (a->has_scheduler)
        scheduler_leave(&a->scheduler, &t->waiter, loop_now_us(t->thread->loop));
    else
        permits_leave(&a->permits, &t->waiter);
}

static void on_deadline(struct timer *timer)
{
    struct ticket *t = CONTAINER_OF(timer, struct ticket, deadline);

    assert(t->step == TICKET_WAITING);
    if (!leave_queue(t))
        return; /* admitted in the last moment: the message is on its way */
    if (t->waiter.over_bound)
        answer_full(t);
    else
        answer_timeout(t);
}

/* It has its slot, whatever it will do with it. */
static void end_wait(struct ticket *t)
{
    begin(t);
    admission_count_wait(t->thread, class_of(t), loop_now_exact_us(t->thread->loop) - t->waiter.since_us);
    if (t->waiter.promoted)
        admission_count_promotion(t->thread, t->waiter.class);
}

static void on_granted(struct loop *loop, struct message *m)
{
    struct ticket *t = CONTAINER_OF(m, struct ticket, granted);

    (void)loop;
    arrived(t);
    if (t->ex && t->step == TICKET_WAITING) {
        end_wait(t);
        exchange_resume(t->ex);
        return;
    }
    free_if_unknown(t);
}

/* The scheduler chose this request. It may have ended meanwhile: then its slot is back already. It may have begun to reply: then another one must do. */
static void on_preempted(struct loop *loop, struct message *m)
{
    struct ticket *t = CONTAINER_OF(m, struct ticket, preempted);
    struct admission *a = t->thread->admission;
    int by = t->waiter.preempted_by;

    (void)loop;
    arrived(t);
    if (!t->ex) {
        free_if_unknown(t);
        return;
    }
    if (t->step == TICKET_WAITING) /* overtook the message that it was admitted */
        end_wait(t);
    if (t->waiter.started || by < 0 || !exchange_take_back(t->ex)) {
        scheduler_victim_lost(&a->scheduler, &t->waiter);
        return;
    }
    refund(t);
    admission_count(t->thread, OUTCOME_PREEMPTED, t->waiter.class);
    admission_count_preemption(t->thread, t->waiter.class, (enum sched_class)by);
    exchange_add_name(t->ex, STR("x-smg-preempted"), STR("true"));
    answer(t, 503, RETRY_S, STR("scheduler_preempted"), STR("request preempted by higher-priority traffic"));
}

/* ---- the filter: out ---- */

void admission_on_reply(struct exchange *ex, void *context)
{
    struct ticket *t = ex->ticket;

    (void)context;
    if (t && t->step == TICKET_RUNNING && t->thread->admission->has_scheduler)
        scheduler_started(&t->thread->admission->scheduler, &t->waiter);
}

void admission_on_end(struct exchange *ex, void *context)
{
    struct ticket *t = ex->ticket;

    (void)context;
    if (!t)
        return;
    ex->ticket = NULL;
    ex->tap = NULL;
    if (t->step == TICKET_WAITING) {
        if (!leave_queue(t))
            leave(t); /* it was admitted, and its message will find nobody */
        refund(t);
        admission_count(t->thread, OUTCOME_CLIENT_LEFT, class_of(t));
    } else if (t->step == TICKET_RUNNING) {
        leave(t);
        settle(t);
        admission_count_ended(t->thread);
    }
    if (t->step != TICKET_OVER)
        enter(t, TICKET_OVER);
    t->ex = NULL;
    free_if_unknown(t);
}

/* ---- a loop's part ---- */

int admission_thread_init(struct admission_thread *t, struct admission *a, struct loop *loop)
{
    *t = (struct admission_thread){ .admission = a, .loop = loop };
    list_init(&t->tickets);
    return admission_cells_new(t);
}

void admission_thread_fini(struct admission_thread *t)
{
    struct ticket *ticket;

    if (!t->admission)
        return;
    LIST_EACH(ticket, &t->tickets, all) /* whose last message came when the loop had ended */
    free(ticket);
    loop_spares_fini(&t->spares);
    free(t->cells);
    *t = (struct admission_thread){ 0 };
}
