/* plugin/chain.c -- one run: its states on the loop, its steps on a plugin thread (chain.h draws it)
 *
 *   from      to        by           when
 *   NEW       WORKING   run_start    started: the loop takes steps itself, then a job waits for a thread, or
 *   WORKING   OVER      on_through   nothing was left to do
 *   WORKING   WORKING   leave        a call paused, and was resumed before the thread's message came
 *   WORKING   PAUSED    leave        a call paused
 *   PAUSED    WORKING   on_resume    it was answered
 *   PAUSED    WORKING   on_deadline  it was not, in time
 *   WORKING   OVER      leave        the thread went through the rest
 *   WORKING   OVER      on_deadline  no thread was free in time;  on_refused: the queue was full
 *   any       (freed)   let_go       dropped, and neither a thread nor an engine has it
 */
#include "plugin/chain.h"

#include <assert.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"

#define TARGET "smg::plugin"

static void work_on(struct plugin_run *run);
static void work(struct plugin_job *job);
static void on_left(struct loop *loop, struct message *m);
static void on_through(struct deferred *d);
static void on_resume(struct loop *loop, struct message *m);
static void on_deadline(struct timer *t);
static void on_refused(struct deferred *d);
static void finish(struct plugin_run *run);
static void let_go(struct plugin_run *run);

static void enter(struct plugin_run *run, int to)
{
    static const bool MAY[4][4] = { [RUN_NEW] = { [RUN_WORKING] = true },
                                    [RUN_WORKING] = { [RUN_WORKING] = true, [RUN_PAUSED] = true, [RUN_OVER] = true },
                                    [RUN_PAUSED] = { [RUN_WORKING] = true } };

    assert(MAY[run->state][to]);
    timer_stop(&run->deadline);
    run->state = to;
}

/* ---- on the plugin thread, or on the loop ---- */

static const struct plugin_descriptor *descriptor_of(const struct plugin_run *run)
{
    return &run->steps[run->at].module->d;
}

static void prepare(struct plugin_run *run)
{
    const struct plugin_step *s = &run->steps[run->at];
    const struct plugin_descriptor *d = descriptor_of(run);
    const struct plugin_message *m = &run->message;
    struct wasm_headers headers = plugin_message_headers(m, &run->arena);
    struct str body = d->without_body ? STR_NONE : m->body;

    run->call = (struct plugin_call){ .code = s->module->code,
                                      .point = s->point,
                                      .limits = { .timeout_ms = d->timeout_ms ? d->timeout_ms : run->chain->conf.timeout_ms,
                                                  .max_memory_pages = d->max_memory_pages ? d->max_memory_pages
                                                                                          : run->chain->conf.max_memory_pages },
                                      .request_id = run->request_id,
                                      .arena = &run->arena,
                                      .resume = run->call.resume };
    if (s->point == PLUGIN_ON_REQUEST)
        run->call.request = (struct wasm_request){ .method = run->method,
                                                   .path = run->path,
                                                   .query = run->query,
                                                   .headers = headers,
                                                   .body = body,
                                                   .request_id = run->request_id,
                                                   .now_ms = clock_wall_us() / 1000 };
    else
        run->call.response = (struct wasm_response){ .status = (uint16_t)m->status, .headers = headers, .body = body };
}

static enum plugin_progress call_engine(struct plugin_run *run, bool on_loop)
{
    struct plugin_module *m = run->steps[run->at].module;
    uint64_t began_us = clock_now_us();
    enum plugin_progress p;

    run->call.on_loop = on_loop;
    p = m->engine->call(m->engine, &run->call);
    plugin_module_pace(m, clock_now_us() - began_us, p == PLUGIN_SUSPENDED);
    return p;
}

/* PLUGIN_ANSWERED: the answer to the call at hand is there, or will not come. */
static enum plugin_progress ask(struct plugin_run *run, bool on_loop)
{
    struct plugin_module *m = run->steps[run->at].module;

    if (run->suspended) {
        run->suspended = false;
        return call_engine(run, on_loop);
    }
    prepare(run);
    plugin_module_accessed(m);
    if (run->arena.failed)
        run->call.status = err_set(&run->call.err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    else if (!m->code)
        run->call.status = err_set(&run->call.err, ERR_INVALID, "it could not be loaded: %.*s", STR_FMT(m->trouble));
    else
        return call_engine(run, on_loop);
    return PLUGIN_ANSWERED;
}

static void count(struct plugin_run *run, struct plugin_step *s, int status, uint64_t us)
{
    s->ran = true;
    s->status = status;
    s->us = us;
    plugin_count(&s->module->counts, status == 0, us);
    plugin_count(&run->chain->conf.totals->counts, status == 0, us);
}

static bool is_last_word(const struct plugin_descriptor *d)
{
    return d->on_failure == PLUGIN_FAILURE_REJECT;
}

static void log_failure(const struct plugin_run *run, const struct plugin_step *s, const struct err *err)
{
    log_error(TARGET, "Failed to execute WASM module", LF_STR("module", s->module->d.name),
              LF_CSTR("attach_point", plugin_point_name(s->point)), LF_STR("request_id", run->request_id),
              LF_CSTR("error", err->message[0] ? err->message : err_text(err->code)),
              LF_CSTR("on_failure", is_last_word(&s->module->d) ? "reject" : "allow"));
}

/* Acts on the answer and goes to the next step. False: the phase is over. */
static bool settle(struct plugin_run *run)
{
    struct plugin_step *s = &run->steps[run->at];
    struct plugin_call *c = &run->call;
    uint64_t now_us = clock_now_us();
    int status = c->status;

    if (status == 0 && c->action.type == WASM_MODIFY)
        status = plugin_message_modify(&run->message, &c->action, run->chain->conf.max_body_bytes, &c->err);
    count(run, s, status, now_us - run->step_began_us);
    run->step_began_us = now_us;
    run->answered = false;
    run->at++;
    if (status < 0) {
        log_failure(run, s, &c->err);
        if (is_last_word(&s->module->d))
            run->verdict = PLUGIN_REFUSED;
    } else if (c->action.type == WASM_REJECT) {
        run->verdict = PLUGIN_REJECTED;
        run->status = plugin_reject_status(c->action.status);
    }
    return run->verdict == PLUGIN_PASS;
}

/* Whether the loop makes the call at hand itself. */
static bool is_for_loop(const struct plugin_run *run)
{
    const struct plugin_module *m = run->steps[run->at].module;

    return plugin_module_is_quick(m) && m->engine->suspends && m->code && m->engine->suspends(m->engine, m->code) &&
           (m->d.without_body || run->message.body.n <= CHAIN_LOOP_BODY) && run->chain->suspended_n < WASM_SUSPENDED_MAX;
}

/* Plugin after plugin. False, on a loop only: the one at hand is for a thread. */
static bool take_steps(struct plugin_run *run, bool on_loop)
{
    bool more = !run->answered || settle(run);

    while (more && run->at < run->steps_n && !atomic_load_explicit(&run->stop, memory_order_relaxed)) {
        enum plugin_progress p;

        if (on_loop && !is_for_loop(run))
            return false;
        p = ask(run, on_loop);
        if (p == PLUGIN_SUSPENDED) {
            run->suspended = true;
            return false;
        }
        run->pausing = p == PLUGIN_PAUSED;
        if (run->pausing)
            break;
        more = settle(run);
    }
    return true;
}

static void work(struct plugin_job *job)
{
    struct plugin_run *run = CONTAINER_OF(job, struct plugin_run, job);

    (void)take_steps(run, /* on_loop= */ false);
    loop_post(run->chain->loop, &run->left);
}

/* Any thread: the engine's answer to a paused call. */
static void resume(struct plugin_call *c)
{
    struct plugin_run *run = CONTAINER_OF(c, struct plugin_run, call);

    loop_post(run->chain->loop, &run->resume);
}

/* ---- on the loop ---- */

/* To a plugin thread, in RUN_WORKING. */
static void submit(struct plugin_run *run)
{
    run->pausing = false;
    run->resumed = false;
    run->counted = run->suspended;
    run->chain->suspended_n += run->counted;
    run->job.work = work;
    timer_start(run->chain->loop, &run->deadline, run->chain->conf.queue_ms, on_deadline);
    if (plugin_threads_submit(run->chain->conf.threads, &run->job) < 0)
        loop_defer(run->chain->loop, &run->refused);
}

static void work_on(struct plugin_run *run)
{
    enter(run, RUN_WORKING);
    submit(run);
}

static bool engine_cancels(struct plugin_run *run)
{
    struct plugin_engine *e = run->steps[run->at].module->engine;

    return e->cancel && e->cancel(e, &run->call);
}

static void uncount(struct plugin_run *run)
{
    run->chain->suspended_n -= run->counted;
    run->counted = false;
}

/* No thread has the run, and none will. */
static void give_up_suspended(struct plugin_run *run)
{
    uncount(run);
    if (run->suspended)
        (void)engine_cancels(run);
    run->suspended = false;
}

/* With everything, or until a plugin is ready to answer. */
static void leave(struct plugin_run *run)
{
    uncount(run);
    if (!run->pausing) {
        finish(run);
        return;
    }
    enter(run, RUN_PAUSED);
    if (run->resumed) {
        run->answered = true;
        if (run->dropped)
            let_go(run);
        else
            work_on(run);
        return;
    }
    if (run->dropped && engine_cancels(run))
        let_go(run);
    else
        timer_start(run->chain->loop, &run->deadline, run->call.limits.timeout_ms, on_deadline);
}

/* The thread is through. */
static void on_left(struct loop *loop, struct message *m)
{
    (void)loop;
    leave(CONTAINER_OF(m, struct plugin_run, left));
}

/* The loop itself is. */
static void on_through(struct deferred *d)
{
    leave(CONTAINER_OF(d, struct plugin_run, through));
}

static void on_resume(struct loop *loop, struct message *m)
{
    struct plugin_run *run = CONTAINER_OF(m, struct plugin_run, resume);

    (void)loop;
    run->resumed = true;
    if (run->state != RUN_PAUSED)
        return; /* the thread's message is on its way */
    run->answered = true;
    if (run->dropped)
        let_go(run);
    else
        work_on(run);
}

/* No thread came for the rest of the plugins: each of them has failed. */
static void fail_rest(struct plugin_run *run, const char *why)
{
    struct err err = { 0 };
    uint64_t us = clock_now_us() - run->step_began_us;

    give_up_suspended(run);
    (void)err_set(&err, ERR_BUSY, "%s", why);
    atomic_fetch_add_explicit(&run->chain->conf.totals->refused, 1, memory_order_relaxed);
    for (; run->at < run->steps_n && run->verdict == PLUGIN_PASS; run->at++) {
        struct plugin_step *s = &run->steps[run->at];

        plugin_module_accessed(s->module);
        count(run, s, ERR_BUSY, us);
        log_failure(run, s, &err);
        if (is_last_word(&s->module->d))
            run->verdict = PLUGIN_REFUSED;
    }
    finish(run);
}

static void on_refused(struct deferred *d)
{
    fail_rest(CONTAINER_OF(d, struct plugin_run, refused), "too many requests wait for a plugin thread");
}

static void on_deadline(struct timer *t)
{
    struct plugin_run *run = CONTAINER_OF(t, struct plugin_run, deadline);

    if (run->state == RUN_WORKING) {
        if (plugin_threads_cancel(run->chain->conf.threads, &run->job))
            fail_rest(run, "no plugin thread was free in time");
        return; /* or it runs: the engine's own deadlines hold */
    }
    if (!engine_cancels(run))
        return; /* the answer is on its way */
    run->call.status = err_set(&run->call.err, ERR_TIMEOUT, "it did not answer within %u ms", run->call.limits.timeout_ms);
    run->answered = true;
    if (run->dropped)
        let_go(run);
    else
        work_on(run);
}

static void tell(struct plugin_run *run)
{
    if (!run->told && run->chain->conf.ended)
        run->chain->conf.ended(run, run->chain->conf.arg);
    run->told = true;
}

static void finish(struct plugin_run *run)
{
    enter(run, RUN_OVER);
    tell(run);
    if (run->dropped)
        let_go(run);
    else
        run->done(run);
}

/* ---- life ---- */

static void run_free(struct plugin_run *run)
{
    give_up_suspended(run);
    list_remove(&run->link);
    plugin_table_unref(run->table);
    if (run->kept.p)
        budget_give(run->kept.cap);
    buf_fini(&run->kept);
    arena_fini(&run->arena);
    free(run);
}

static void on_free(struct deferred *d)
{
    run_free(CONTAINER_OF(d, struct plugin_run, free_later));
}

static void let_go(struct plugin_run *run)
{
    tell(run);
    timer_stop(&run->deadline);
    loop_defer(run->chain->loop, &run->free_later);
}

void plugin_run_drop(struct plugin_run *run)
{
    run->dropped = true;
    atomic_store_explicit(&run->stop, true, memory_order_relaxed);
    switch (run->state) {
    case RUN_WORKING:
        if (run->through.queued)
            return; /* on_through lets it go, as on_left does below */
        if (run->refused.queued)
            loop_defer_cancel(run->chain->loop, &run->refused);
        else if (!plugin_threads_cancel(run->chain->conf.threads, &run->job))
            return;
        break;
    case RUN_PAUSED:
        if (!engine_cancels(run))
            return; /* on_resume does */
        break;
    default:
        break;
    }
    let_go(run);
}

static void add_steps(struct plugin_run *run, enum plugin_point point)
{
    struct plugin_table *t = run->table;

    for (size_t i = 0; i < t->n; i++)
        if (t->modules[i]->points & 1u << point)
            run->steps[run->steps_n++] = (struct plugin_step){ .module = t->modules[i], .point = point };
}

struct plugin_run *plugin_run_new(struct plugin_chain *c, struct plugin_table *table, unsigned points, enum plugin_side side)
{
    static const enum plugin_point ORDER[] = { PLUGIN_ON_REQUEST, PLUGIN_ON_ERROR, PLUGIN_ON_RESPONSE };
    struct plugin_run *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    arena_init(&run->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    run->arena.budgeted = true;
    run->chain = c;
    run->table = plugin_table_ref(table);
    run->message = (struct plugin_message){ .side = side, .arena = &run->arena };
    run->through.run = on_through;
    run->refused.run = on_refused;
    run->free_later.run = on_free;
    run->left.run = on_left;
    run->resume.run = on_resume;
    run->call.resume = resume;
    list_append(&c->runs, &run->link);
    run->steps = arena_array(&run->arena, table->n * PLUGIN_POINTS + 1, sizeof(*run->steps));
    if (!run->steps) {
        run_free(run);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(ORDER); i++)
        if (points & 1u << ORDER[i])
            add_steps(run, ORDER[i]);
    return run;
}

void plugin_run_start(struct plugin_run *run, void (*done)(struct plugin_run *run), void *owner)
{
    run->done = done;
    run->owner = owner;
    run->step_began_us = clock_now_us();
    enter(run, RUN_WORKING);
    if (take_steps(run, /* on_loop= */ true))
        loop_defer(run->chain->loop, &run->through);
    else
        submit(run);
}

void plugin_chain_init(struct plugin_chain *c, const struct plugin_chain_conf *conf, struct loop *loop)
{
    *c = (struct plugin_chain){ .conf = *conf, .loop = loop };
    if (!c->conf.queue_ms)
        c->conf.queue_ms = CHAIN_QUEUE_MS;
    list_init(&c->runs);
}

void plugin_chain_fini(struct plugin_chain *c)
{
    struct plugin_run *run;

    if (!c->loop)
        return;
    while ((run = list_first(&c->runs, struct plugin_run, link)) != NULL)
        run_free(run);
}
