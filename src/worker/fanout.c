/* worker/fanout.c -- one question to many workers
 *
 *   ASKING ------> OVER         all_ms over or nobody left:  end()
 *     pump(): fills the free places with the next targets; runs at the end of the turn, after the start and after each reply, so that a burst of replies is
 *     one round of questions and no callback comes from inside the starting call
 *
 *   a target:   in line --ask_target--> asked --on_reply--> asked again (question_for) | has its result
 *
 * Invariants: (1) f->running counts the targets with a probe. (2) after end() no probe runs and no timer is armed. (3) `done` is called once.
 */
#include "worker/fanout.h"

#include <stdio.h>
#include <stdlib.h>

static void pump(struct deferred *d);
static void on_reply(struct probe *p, int result);
static void on_deadline(struct timer *t);
static void end(struct fanout *f);

struct str fanout_base_url(struct str url, int *ret_rank)
{
    size_t at = str_rfind_char(url, '@');
    uint64_t rank;

    *ret_rank = -1;
    if (at == STR_NPOS || str_to_u64(str_skip(url, at + 1), &rank) < 0 || rank > INT32_MAX)
        return url;
    *ret_rank = (int)rank;
    return str_first(url, at);
}

struct str fanout_why(int result, char out[FANOUT_WHY_MAX])
{
    int n;

    if (result > 0)
        n = snprintf(out, FANOUT_WHY_MAX, "HTTP %d %s", result, http_reason((unsigned)result));
    else if (result == ERR_CANCELLED)
        n = snprintf(out, FANOUT_WHY_MAX, "not asked: the deadline for all workers passed");
    else
        n = snprintf(out, FANOUT_WHY_MAX, "%s", err_text(result));
    return (struct str){ out, (size_t)n };
}

void fanouts_init(struct fanouts *all, struct loop *loop, struct http_client *client, struct registry *registry)
{
    *all = (struct fanouts){ .loop = loop, .client = client, .registry = registry };
}

/* ---- making one ---- */

static int add_row(struct fanout *f, const struct worker *w, struct map *by_url)
{
    struct fanout_row *row = &f->rows[f->rows_n];
    struct str base = fanout_base_url(w->spec.url, &row->rank);
    struct fanout_target *t = map_get(by_url, base);

    if (!t) {
        t = &f->targets[f->targets_n];
        if (map_put(by_url, base, t, NULL) < 0)
            return ERR_NOMEM;
        *t = (struct fanout_target){ .worker = w, .base_url = base, .fanout = f };
        f->targets_n++;
    }
    row->worker = worker_ref(w);
    row->target = (uint32_t)(t - f->targets);
    f->rows_n++;
    return 0;
}

static int add_rows(struct fanout *f, const struct worker_table *t)
{
    struct map by_url = { 0 };
    int r = 0;

    f->rows = calloc(t->n ? t->n : 1, sizeof(*f->rows));
    f->targets = calloc(t->n ? t->n : 1, sizeof(*f->targets));
    if (!f->rows || !f->targets)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->n && r == 0; i++)
        if (!f->ask.wants || f->ask.wants(t->workers[i], f->owner))
            r = add_row(f, t->workers[i], &by_url);
    map_fini(&by_url);
    return r;
}

static void free_now(struct deferred *d)
{
    struct fanout *f = CONTAINER_OF(d, struct fanout, free_later);

    for (size_t i = 0; i < f->targets_n; i++)
        if (f->targets[i].data && f->ask.drop)
            f->ask.drop(f->targets[i].data);
    for (size_t i = 0; i < f->rows_n; i++)
        worker_unref(f->rows[i].worker);
    free(f->rows);
    free(f->targets);
    free(f);
}

int fanout_start(struct fanouts *all, const struct fanout_ask *ask, struct fanout **ret)
{
    struct fanout *f;

    if (all->running[ask->kind] >= FANOUTS_MAX)
        return ERR_BUSY;
    f = calloc(1, sizeof(*f));
    if (!f)
        return ERR_NOMEM;
    f->ask = *ask;
    f->fanouts = all;
    f->owner = ask->owner;
    if (add_rows(f, registry_table(all->registry, all->loop)) < 0) {
        free_now(&f->free_later);
        return ERR_NOMEM;
    }
    all->running[ask->kind]++;
    f->pump.run = pump;
    loop_defer(all->loop, &f->pump);
    timer_start(all->loop, &f->deadline, ask->all_ms, on_deadline);
    *ret = f;
    return 0;
}

/* ---- asking ---- */

static bool question_for(struct fanout *f, struct fanout_target *t, struct probe_ask *ask)
{
    if (f->ask.question_for)
        return f->ask.question_for(f, t, ask);
    *ask = f->ask.question;
    return t->asked == 0;
}

/* True: a probe runs. False: T has its result. */
static bool ask_target(struct fanout *f, struct fanout_target *t)
{
    struct probe_ask ask = { 0 };

    if (!question_for(f, t, &ask))
        return false;
    ask.done = on_reply;
    ask.owner = t;
    t->asked++;
    t->result = probe_start(f->fanouts->client, f->fanouts->loop, t->worker, &ask, &t->probe);
    if (t->result < 0)
        return false;
    f->running++;
    return true;
}

static void pump(struct deferred *d)
{
    struct fanout *f = CONTAINER_OF(d, struct fanout, pump);

    while (f->running < FANOUT_PARALLEL && f->next < f->targets_n)
        (void)ask_target(f, &f->targets[f->next++]);
    if (f->running == 0)
        end(f);
}

static void on_reply(struct probe *p, int result)
{
    struct fanout_target *t = p->owner;
    struct fanout *f = t->fanout;
    struct buf body = probe_take_body(p);
    bool go_on;

    t->probe = NULL;
    t->result = result;
    t->cut = p->fetch.done_status == ERR_LIMIT;
    f->running--;
    go_on = !f->ask.answered || f->ask.answered(f, t, &body);
    buf_fini(&body);
    if (!go_on)
        end(f);
    else if (!f->ask.question_for || !ask_target(f, t))
        loop_defer(f->fanouts->loop, &f->pump);
}

static void stop(struct fanout *f, int result)
{
    timer_stop(&f->deadline);
    for (size_t i = 0; i < f->next; i++) {
        struct fanout_target *t = &f->targets[i];

        if (!t->probe)
            continue;
        probe_cancel(STEAL(t->probe));
        t->result = result;
    }
    for (size_t i = f->next; i < f->targets_n; i++)
        f->targets[i].result = ERR_CANCELLED;
    f->next = f->targets_n;
    f->running = 0;
}

static void on_deadline(struct timer *t)
{
    struct fanout *f = CONTAINER_OF(t, struct fanout, deadline);

    end(f);
}

/* `done` may come from here: pump and on_deadline are turns of their own, and on_reply is a probe's. */
static void end(struct fanout *f)
{
    stop(f, ERR_TIMEOUT);
    loop_defer_cancel(f->fanouts->loop, &f->pump);
    f->over = true;
    f->fanouts->running[f->ask.kind]--;
    f->ask.done(f);
}

void fanout_free(struct fanout *f)
{
    if (!f)
        return;
    if (!f->over) {
        stop(f, ERR_CANCELLED);
        loop_defer_cancel(f->fanouts->loop, &f->pump);
        f->fanouts->running[f->ask.kind]--;
        f->over = true;
    }
    f->free_later.run = free_now;
    loop_defer(f->fanouts->loop, &f->free_later);
}
