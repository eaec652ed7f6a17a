/* worker/load_monitor.c -- polls the ready workers for their load
 *
 *   WAITING --tick()--> ASKING --on_done()--> WAITING        (any --load_monitor_stop--> STOPPED)
 *
 * Two fan-outs at most are alive: the one that asks, and the last finished one, whose targets hold what is shown.
 */
#include "worker/load_monitor.h"

#include <stdlib.h>

struct load_monitor {
    struct fanouts fanouts;
    struct fanout *asking; /* owned; NULL unless ASKING */
    struct fanout *shown;  /* owned; finished; NULL before the first tick's end */
    uint64_t interval_ms;
    struct timer timer; /* runs in WAITING */
    struct message start;
    bool stopped;
};

static void tick(struct timer *t);

static bool is_polled(const struct worker *w, void *owner)
{
    (void)owner;
    return worker_is_ready(w) && w->spec.mode == WORKER_HTTP && w->spec.runtime != RUNTIME_EXTERNAL;
}

static void wait(struct load_monitor *m)
{
    timer_start(m->fanouts.loop, &m->timer, m->interval_ms, tick);
}

static void on_done(struct fanout *f)
{
    struct load_monitor *m = f->owner;

    fanout_free(m->shown);
    m->shown = STEAL(m->asking);
    wait(m);
}

static void tick(struct timer *t)
{
    struct load_monitor *m = CONTAINER_OF(t, struct load_monitor, timer);
    const struct fanout_ask ask = { .kind = FANOUT_ADMIN,
                                    .all_ms = LOADS_ALL_MS,
                                    .wants = is_polled,
                                    .question_for = loads_question_for,
                                    .answered = loads_answered,
                                    .done = on_done,
                                    .drop = loads_free,
                                    .owner = m };

    if (fanout_start(&m->fanouts, &ask, &m->asking) < 0)
        wait(m); /* memory is out: what is shown grows older */
}

static void on_start(struct loop *loop, struct message *message)
{
    struct load_monitor *m = CONTAINER_OF(message, struct load_monitor, start);

    (void)loop;
    if (!m->stopped)
        tick(&m->timer);
}

struct load_monitor *load_monitor_new(struct loop *control, struct http_client *client, struct registry *registry,
                                      uint64_t interval_s)
{
    struct load_monitor *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    fanouts_init(&m->fanouts, control, client, registry);
    m->interval_ms = MIN(interval_s, TIMER_MS_MAX / 1000) * 1000;
    m->start.run = on_start;
    loop_post(control, &m->start);
    return m;
}

void load_monitor_stop(struct load_monitor *m)
{
    if (!m)
        return;
    m->stopped = true;
    timer_stop(&m->timer);
    fanout_free(STEAL(m->asking));
    fanout_free(STEAL(m->shown));
}

void load_monitor_free(struct load_monitor *m)
{
    free(m);
}

void load_monitor_each(const struct load_monitor *m,
                       void (*fn)(const struct worker *w, const struct worker_loads *l, int rank, void *arg), void *arg)
{
    const struct fanout *f = m ? m->shown : NULL;

    for (size_t i = 0; f && i < f->rows_n; i++) {
        const struct fanout_row *row = &f->rows[i];
        const struct worker_loads *l = f->targets[row->target].data;

        if (l && worker_is_ready(row->worker) && loads_have(l, row->rank))
            fn(row->worker, l, row->rank, arg);
    }
}
