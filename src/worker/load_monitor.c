/* worker/load_monitor.c -- polls the ready workers for their load
 *
 *   IDLE --load_monitor_want(true)--> WAITING --tick()--> ASKING --on_done()--> WAITING        (any but STOPPED --load_monitor_want(false)--> IDLE)
 *                                                                                              (any --load_monitor_stop--> STOPPED)
 *
 * A tick asks those workers whose own interval has passed, and those that nobody has asked yet. What is known is a row per worker, in order of registration; the ranks
 * of an engine share its answer.
 */
#include "worker/load_monitor.h"

#include <stdlib.h>

#define INTERVAL_MIN_S 1
#define NEWCOMER_MS    100  /* a worker that has become ready is asked so soon, together with others that have */
#define EARLY_US       8000 /* half a tick of the timer wheel: who would be due so soon is asked with the others */

/* An engine's answer. */
struct answer {
    unsigned refs;
    struct worker_loads *loads; /* owned */
};

struct known {
    const struct worker *worker; /* reference */
    int rank;
    struct answer *answer; /* reference; NULL: it was asked, but did not tell */
    uint64_t asked_us;
};

enum state { IDLE, WAITING, ASKING, STOPPED };

struct load_monitor {
    struct fanouts fanouts;
    enum state state;
    struct fanout *asking; /* owned; NULL unless ASKING */
    struct known *known;   /* owned; ascending by worker->order */
    size_t known_n;
    uint64_t interval_s;
    struct timer timer; /* runs in WAITING */
    void (*told)(void *arg);
    void *arg;
};

static void tick(struct timer *t);

/* ---- what is known ---- */

static void answer_unref(struct answer *a)
{
    if (!a || --a->refs > 0)
        return;
    loads_free(a->loads);
    free(a);
}

static void known_fini(struct known *k)
{
    worker_unref(k->worker);
    answer_unref(k->answer);
}

static struct known *known_of(const struct load_monitor *m, const struct worker *w)
{
    size_t low = 0, high = m->known_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (m->known[middle].worker->order < w->order)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->known_n && m->known[low].worker->order == w->order ? &m->known[low] : NULL;
}

/* For the policies. */
static void write_report(const struct known *k)
{
    struct worker_told loads;
    struct loads_sum sum;

    if (!k->answer) {
        worker_drop_report(k->worker);
        return;
    }
    sum = loads_sum(k->answer->loads, k->rank);
    loads = (struct worker_told){
        .kv_usage = sum.token_usage,
        .throughput = sum.gen_throughput,
        .queued_tokens = sum.waiting_uncached_tokens,
        .used_tokens = loads_tokens(k->answer->loads, k->rank),
    };
    worker_put_report(k->worker, &loads, k->asked_us);
}

static void forget_all(struct load_monitor *m)
{
    for (size_t i = 0; i < m->known_n; i++) {
        worker_drop_report(m->known[i].worker);
        known_fini(&m->known[i]);
    }
    free(STEAL(m->known));
    m->known_n = 0;
}

/* ---- who is asked, and when ---- */

static bool is_pollable(const struct worker *w)
{
    return worker_is_ready(w) && w->spec.mode == WORKER_HTTP && w->spec.runtime != RUNTIME_EXTERNAL;
}

/* Loop clock. */
static uint64_t due_us(const struct load_monitor *m, const struct worker *w)
{
    const struct known *k = known_of(m, w);
    uint64_t s = w->spec.load_monitor_interval_s >= 0 ? (uint64_t)w->spec.load_monitor_interval_s : m->interval_s;

    s = MIN(MAX(s, (uint64_t)INTERVAL_MIN_S), (uint64_t)TIMER_MS_MAX / 1000);
    return k ? k->asked_us + s * 1000000 : 0;
}

static bool is_due(const struct worker *w, void *owner)
{
    const struct load_monitor *m = owner;

    return is_pollable(w) && due_us(m, w) <= loop_now_us(m->fanouts.loop) + EARLY_US;
}

static void wait_ms(struct load_monitor *m, uint64_t ms)
{
    m->state = WAITING;
    timer_start(m->fanouts.loop, &m->timer, ms, tick);
}

/* Until the first is due. */
static void wait(struct load_monitor *m)
{
    const struct worker_table *t = registry_table(m->fanouts.registry, m->fanouts.loop);
    uint64_t now = loop_now_us(m->fanouts.loop), first = now + m->interval_s * 1000000;

    for (size_t i = 0; i < t->n; i++)
        if (is_pollable(t->workers[i]))
            first = MIN(first, due_us(m, t->workers[i]));
    wait_ms(m, first > now ? (first - now) / 1000 : NEWCOMER_MS);
}

/* ---- a tick ---- */

/* T's answer, shared by the rows of its ranks. NULL: none, or memory is out. */
static struct answer *take_answer(struct fanout_target *t)
{
    struct answer *a = t->data ? calloc(1, sizeof(*a)) : NULL;

    if (!a)
        return NULL;
    a->refs = 1;
    a->loads = STEAL(t->data);
    return a;
}

static struct known learn(const struct fanout_row *row, struct answer *a, uint64_t now_us)
{
    struct known k = { .worker = worker_ref(row->worker), .rank = row->rank, .asked_us = now_us };

    if (a && loads_have(a->loads, row->rank)) {
        a->refs++;
        k.answer = a;
    }
    return k;
}

/* The rows of F and those of the last ticks that are still good, into one list. The answers of F's targets: ANSWERS. */
static size_t merge(struct load_monitor *m, const struct fanout *f, struct answer *const *answers, struct known *ret)
{
    uint64_t now = loop_now_us(m->fanouts.loop);
    size_t n = 0, i = 0;

    for (size_t k = 0; k <= f->rows_n; k++) {
        uint64_t order = k < f->rows_n ? f->rows[k].worker->order : UINT64_MAX;

        for (; i < m->known_n && m->known[i].worker->order < order; i++) {
            if (worker_is_ready(m->known[i].worker))
                ret[n++] = m->known[i];
            else
                known_fini(&m->known[i]);
        }
        if (k == f->rows_n)
            break;
        if (i < m->known_n && m->known[i].worker->order == order)
            known_fini(&m->known[i++]);
        ret[n] = learn(&f->rows[k], answers[f->rows[k].target], now);
        if (worker_is_ready(ret[n].worker))
            write_report(&ret[n]);
        n++;
    }
    return n;
}

static void on_done(struct fanout *f)
{
    struct load_monitor *m = f->owner;
    struct answer **answers = calloc(f->targets_n + 1, sizeof(struct answer *));
    struct known *next = reallocarray(NULL, m->known_n + f->rows_n + 1, sizeof(*next));

    if (answers && next) {
        for (size_t i = 0; i < f->targets_n; i++)
            answers[i] = take_answer(&f->targets[i]);
        m->known_n = merge(m, f, answers, next);
        free(m->known);
        m->known = STEAL(next);
        for (size_t i = 0; i < f->targets_n; i++)
            answer_unref(answers[i]);
    } /* else memory is out: what is known grows older */
    free(answers);
    free(next);
    fanout_free(STEAL(m->asking));
    wait(m);
    if (m->told)
        m->told(m->arg);
}

static void tick(struct timer *t)
{
    struct load_monitor *m = CONTAINER_OF(t, struct load_monitor, timer);
    const struct fanout_ask ask = { .kind = FANOUT_ADMIN,
                                    .all_ms = LOADS_ALL_MS,
                                    .wants = is_due,
                                    .question_for = loads_question_for,
                                    .answered = loads_answered,
                                    .done = on_done,
                                    .drop = loads_free,
                                    .owner = m };

    m->state = ASKING;
    if (fanout_start(&m->fanouts, &ask, &m->asking) < 0)
        wait_ms(m, INTERVAL_MIN_S * 1000); /* memory is out: what is known grows older */
}

/* ---- from outside ---- */

void load_monitor_want(struct load_monitor *m, bool wanted)
{
    if (!m || m->state == STOPPED || wanted == (m->state != IDLE))
        return;
    if (wanted) {
        wait_ms(m, 0);
        return;
    }
    timer_stop(&m->timer);
    fanout_free(STEAL(m->asking));
    forget_all(m);
    m->state = IDLE;
}

void load_monitor_on_registry(struct load_monitor *m, enum registry_event e, const struct worker *w)
{
    struct known *k;

    if (!m || m->state == IDLE || m->state == STOPPED || e == REGISTRY_REPLACED)
        return;
    if (e != REGISTRY_REMOVED && worker_is_ready(w)) {
        if (m->state == WAITING && m->timer.due_ms > loop_now_us(m->fanouts.loop) / 1000 + NEWCOMER_MS)
            wait_ms(m, NEWCOMER_MS);
        return;
    }
    worker_drop_report(w);
    k = known_of(m, w);
    if (k) { /* its row goes with the next tick */
        answer_unref(STEAL(k->answer));
        k->asked_us = 0;
    }
}

void load_monitor_on_told(struct load_monitor *m, void (*told)(void *arg), void *arg)
{
    m->told = told;
    m->arg = arg;
}

struct load_monitor *load_monitor_new(struct loop *control, struct http_client *client, struct registry *registry,
                                      uint64_t interval_s)
{
    struct load_monitor *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    fanouts_init(&m->fanouts, control, client, registry);
    m->interval_s = MIN(MAX(interval_s, (uint64_t)INTERVAL_MIN_S), (uint64_t)TIMER_MS_MAX / 1000);
    return m;
}

void load_monitor_stop(struct load_monitor *m)
{
    if (!m)
        return;
    load_monitor_want(m, false);
    m->state = STOPPED;
}

void load_monitor_free(struct load_monitor *m)
{
    free(m);
}

void load_monitor_each(const struct load_monitor *m,
                       void (*fn)(const struct worker *w, const struct worker_loads *l, int rank, void *arg), void *arg)
{
    for (size_t i = 0; m && i < m->known_n; i++) {
        const struct known *k = &m->known[i];

        if (k->answer && worker_is_ready(k->worker))
            fn(k->worker, k->answer->loads, k->rank, arg);
    }
}
