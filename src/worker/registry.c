/* worker/registry.c -- the table of workers: entries, commands, publication
 *
 *   command (message) --> add, remove, get --> entry changes --> dirty
 *   probes, timers ------------------------------^                 |
 *                                     end of the turn: publish --> tell the listeners --> answer the commands
 *
 * However many workers change in a turn, the table is built once, at its end; and since answers and events leave after that, whoever hears "registered" finds the
 * worker in the table. Counts for /readiness are published with it.
 * When memory is out the old table stays and publication is tried again PUBLISH_AGAIN_MS later.
 */
#include "worker/registry_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/url.h"

#define JOBS_MAX         1000
#define JOB_KEEP_S       3600
#define SWEEP_MS         30000
#define PUBLISH_AGAIN_MS 1000

static void at_turn_end(struct deferred *d);

/* ---- publication ---- */

static void changed(struct registry *r)
{
    loop_defer(r->loop, &r->turn_end);
}

static struct worker_table *build_table(struct registry *r)
{
    struct entry *e;
    size_t n = 0;

    if (r->listed_n > r->rows_cap) {
        const struct worker **grown = reallocarray(r->rows, r->listed_n * 2, sizeof(*grown));

        if (!grown)
            return NULL;
        r->rows = grown;
        r->rows_cap = r->listed_n * 2;
    }
    LIST_EACH(e, &r->listed, link)
    r->rows[n++] = e->worker;
    return worker_table_new(r->rows, n);
}

static void on_publish_again(struct timer *t)
{
    changed(CONTAINER_OF(t, struct registry, publish_again));
}

static void publish(struct registry *r)
{
    struct worker_table *t;

    atomic_store_explicit(&r->counts, (uint64_t)r->listed_n << 32 | r->ready_n, memory_order_relaxed);
    if (!r->dirty)
        return;
    t = build_table(r);
    if (!t) {
        log_error(WORKER_LOG, "out of memory for the table of workers; trying again", LF_UINT("workers", r->listed_n));
        timer_start(r->loop, &r->publish_again, PUBLISH_AGAIN_MS, on_publish_again);
        return;
    }
    r->dirty = false;
    snapshot_publish(&r->table, t);
    (void)snapshot_reclaim(); /* a burst of changes must not pile up tables until the next timer */
}

static void tell(struct registry *r)
{
    struct registry_happening *list = STEAL(r->happenings);
    size_t n = r->happenings_n;

    r->happenings_n = r->happenings_cap = 0;
    for (size_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < r->listeners_n; k++)
            r->listeners[k].fn(list[i].event, list[i].worker, r->listeners[k].arg);
        worker_unref(list[i].worker);
    }
    free(list);
}

static void send_answers(struct registry *r)
{
    struct registry_command *c = STEAL(r->answers);

    r->answers_tail = &r->answers;
    while (c) {
        struct registry_command *next = c->next;

        loop_post(c->asker, &c->message);
        c = next;
    }
}

static void at_turn_end(struct deferred *d)
{
    struct registry *r = CONTAINER_OF(d, struct registry, turn_end);

    publish(r);
    tell(r);
    send_answers(r);
}

/* Remembered until the table is out. Without memory a listener misses one: it must live with that anyway, the table is the truth. */
static void happened(struct registry *r, enum registry_event event, const struct worker *w)
{
    changed(r);
    if (r->listeners_n == 0)
        return;
    if (r->happenings_n == r->happenings_cap) {
        size_t cap = r->happenings_cap ? r->happenings_cap * 2 : 16;
        struct registry_happening *grown = reallocarray(r->happenings, cap, sizeof(*grown));

        if (!grown) {
            log_error(WORKER_LOG, "out of memory for an event", LF_STR("worker", w->spec.url));
            return;
        }
        r->happenings = grown;
        r->happenings_cap = cap;
    }
    r->happenings[r->happenings_n++] = (struct registry_happening){ event, worker_ref(w) };
}

/* ---- entries ---- */

static void free_entry(struct entry *e)
{
    worker_unref(e->worker);
    free(e->job.message);
    free(e);
}

static void on_free_entry(struct deferred *d)
{
    free_entry(CONTAINER_OF(d, struct entry, free_later));
}

/* Whatever runs on its behalf ends, silently. */
static void quiet(struct entry *e)
{
    health_stop(e);
    drain_stop(e);
    registration_free(STEAL(e->registration));
}

static int index_entry(struct registry *r, struct entry *e)
{
    struct str id = { e->id, UUID_TEXT_LEN };

    if (map_put(&r->by_url, e->url, e, /* ret_old= */ NULL) < 0)
        return ERR_NOMEM;
    if (map_put(&r->by_id, id, e, /* ret_old= */ NULL) == 0)
        return 0;
    map_remove(&r->by_url, e->url);
    return ERR_NOMEM;
}

static struct worker_spec in_force(const struct registry *r, const struct worker_spec *submitted)
{
    struct worker_spec s = *submitted;
    struct worker_health_conf base = r->conf.health;

    external_classify(&s);
    base.disabled |= s.runtime == RUNTIME_EXTERNAL; /* providers have no /health (spec control-plane 9.8) */
    s.health = worker_health_merge(&base, &s.health_update);
    return s;
}

/* The entry stands, unlisted, with an id; nothing runs yet. */
static int entry_new(struct registry *r, const struct worker_spec *submitted, enum entry_origin origin, struct entry **ret)
{
    struct worker_spec spec = in_force(r, submitted);
    struct entry *e;

    if (r->by_url.n >= WORKERS_MAX)
        return ERR_LIMIT;
    e = calloc(1, sizeof(*e) + spec.url.n);
    if (!e)
        return ERR_NOMEM;
    e->registry = r;
    e->origin = origin;
    e->url = (struct str){ (char *)(e + 1), spec.url.n };
    memcpy(e + 1, spec.url.p, spec.url.n);
    uuid_text(uuid_v7(), e->id);
    e->worker = worker_new(&spec, e->id, /* revision= */ 0, /* order= */ 0, /* live= */ NULL);
    if (!e->worker || registration_new(e) < 0 || index_entry(r, e) < 0) {
        free(e->registration);
        free_entry(e);
        return ERR_NOMEM;
    }
    list_append(&r->unlisted, &e->link);
    *ret = e;
    return 0;
}

void registry_forget_entry(struct entry *e)
{
    struct registry *r = e->registry;

    quiet(e);
    job_done(e);
    map_remove(&r->by_url, e->url);
    map_remove(&r->by_id, (struct str){ e->id, UUID_TEXT_LEN });
    list_remove(&e->link);
    if (e->listed) {
        r->listed_n--;
        r->ready_n -= worker_is_ready(e->worker);
        r->dirty = true;
        happened(r, REGISTRY_REMOVED, e->worker);
        log_info(WORKER_LOG, "worker removed", LF_STR("worker", e->url), LF_UINT("workers", r->listed_n));
    }
    e->free_later.run = on_free_entry;
    loop_defer(r->loop, &e->free_later);
}

struct worker *registry_describe(struct entry *e, const struct worker_spec *spec, uint64_t order)
{
    return worker_new(spec, e->id, e->worker->revision, order, e->worker->live);
}

void registry_set_status(struct entry *e, enum worker_status status)
{
    struct registry *r = e->registry;
    struct worker_live *live = e->worker->live;
    enum worker_status before = worker_status(e->worker);
    char reason[WORKER_REASON_MAX];

    if (e->listed) {
        r->ready_n -= before == WORKER_READY;
        r->ready_n += status == WORKER_READY;
    }
    atomic_store_explicit(&live->changed_s, clock_wall_s(), memory_order_relaxed);
    atomic_store_explicit(&live->status, status, memory_order_relaxed);
    happened(r, REGISTRY_STATUS, e->worker);
    if (status == WORKER_NOT_READY || status == WORKER_FAILED)
        log_warn(WORKER_LOG, "worker status changed", LF_STR("worker", e->url), LF_STR("from", worker_status_text(before)),
                 LF_STR("to", worker_status_text(status)),
                 LF_CSTR("reason", worker_reason_text(atomic_load(&live->reason), reason)));
    else
        log_info(WORKER_LOG, "worker status changed", LF_STR("worker", e->url), LF_STR("from", worker_status_text(before)),
                 LF_STR("to", worker_status_text(status)));
}

void registry_list_entry(struct entry *e, struct worker *w)
{
    struct registry *r = e->registry;
    struct str model = w->spec.models_n ? w->spec.models[0].id : STR("(any)");

    worker_unref(e->worker);
    e->worker = w;
    r->next_order = w->order + 1;
    list_remove(&e->link);
    list_append(&r->listed, &e->link);
    e->listed = true;
    r->listed_n++;
    r->ready_n++;
    atomic_store_explicit(&w->live->changed_s, clock_wall_s(), memory_order_relaxed);
    atomic_store_explicit(&w->live->status, WORKER_READY, memory_order_relaxed);
    r->dirty = true;
    happened(r, REGISTRY_ADDED, w);
    log_info(WORKER_LOG, "worker registered", LF_STR("worker", e->url), LF_STR("model", model),
             LF_STR("runtime", worker_runtime_text(w->spec.runtime)), LF_UINT("workers", r->listed_n));
    health_begin(e, e->origin == ORIGIN_STARTUP ? HEALTH_AFTER_INTERVAL : HEALTH_AT_ONCE);
}

/* ---- commands ---- */

/* A registration that failed starts afresh with the new description, under the same id. A worker of the command line stays one: it is never forgotten. */
static int start_again(struct entry *e, const struct worker_spec *submitted)
{
    struct worker_spec spec = in_force(e->registry, submitted);
    struct worker *w = worker_new(&spec, e->id, /* revision= */ 0, /* order= */ 0, /* live= */ NULL);
    struct registration *old = STEAL(e->registration);

    if (!w || registration_new(e) < 0) {
        worker_unref(w);
        e->registration = old;
        return ERR_NOMEM;
    }
    registration_free(old);
    worker_unref(e->worker);
    e->worker = w;
    return 0;
}

static int add(struct registry *r, struct registry_command *c)
{
    struct entry *e = map_get(&r->by_url, c->spec.url);
    bool known = e != NULL;
    int status;

    if (known) {
        memcpy(c->id, e->id, sizeof c->id);
        if (e->listed)
            return ERR_EXISTS;
        if (e->job.status != JOB_FAILED)
            return 0; /* joins the running job */
    }
    if (r->jobs_n >= r->conf.jobs_max)
        return ERR_BUSY;
    status = known ? start_again(e, &c->spec) : entry_new(r, &c->spec, ORIGIN_API, &e);
    if (status < 0)
        return status;
    memcpy(c->id, e->id, sizeof c->id);
    status = job_begin(e, JOB_ADD, JOB_COUNTED);
    assert(status == 0); /* there is room: looked up above */
    registration_begin(e);
    return status;
}

static int remove_worker(struct registry *r, struct registry_command *c)
{
    struct entry *e = map_get(&r->by_id, (struct str){ c->id, UUID_TEXT_LEN });

    if (!e)
        return ERR_NOT_FOUND;
    if (e->listed)
        return drain_begin(e, JOB_FREE); /* at most one per worker: a queue full of dead registrations must not stop it */
    log_info(WORKER_LOG, "registration cancelled", LF_STR("worker", e->url));
    registry_forget_entry(e);
    return 0;
}

static int get(struct registry *r, struct registry_command *c)
{
    struct entry *e = map_get(&r->by_id, (struct str){ c->id, UUID_TEXT_LEN });
    struct worker_job_view view;
    struct buf out = { 0 };
    struct json_writer w;

    if (!e)
        return ERR_NOT_FOUND;
    json_begin(&w, &out);
    worker_write_json(&w, e->worker, job_view(e, &view));
    c->json = out.failed ? STR_NONE : arena_str(&c->arena, buf_str(&out));
    buf_fini(&out);
    return c->json.p ? 0 : ERR_NOMEM;
}

static void on_answer(struct loop *loop, struct message *m)
{
    struct registry_command *c = CONTAINER_OF(m, struct registry_command, message);

    (void)loop;
    c->answered(c);
}

static void on_command(struct loop *loop, struct message *m)
{
    static int (*const COMMANDS[])(struct registry *, struct registry_command *) = {
        [REGISTRY_ADD] = add,
        [REGISTRY_REMOVE] = remove_worker,
        [REGISTRY_GET] = get,
    };
    struct registry_command *c = CONTAINER_OF(m, struct registry_command, message);
    struct registry *r = c->registry;

    (void)loop;
    if (r->stopped) { /* the process ends: nobody waits any more */
        registry_command_free(c);
        return;
    }
    c->result = COMMANDS[c->kind](r, c);
    c->message.run = on_answer;
    c->next = NULL;
    *r->answers_tail = c;
    r->answers_tail = &c->next;
    changed(r);
}

struct registry_command *registry_command_new(struct registry *r, struct loop *asker, enum registry_command_kind kind)
{
    struct registry_command *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->registry = r;
    c->asker = asker;
    c->kind = kind;
    arena_init(&c->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    return c;
}

void registry_command_post(struct registry_command *c)
{
    c->message.run = on_command;
    loop_post(c->registry->loop, &c->message);
}

void registry_command_free(struct registry_command *c)
{
    if (!c)
        return;
    arena_fini(&c->arena);
    free(c);
}

/* ---- workers of the command line ---- */

static void on_begin(struct loop *loop, struct message *m)
{
    struct registry *r = CONTAINER_OF(m, struct registry, begin);
    struct entry *e;

    (void)loop;
    r->begin_posted = false;
    if (r->stopped)
        return;
    LIST_EACH(e, &r->unlisted, link)
    {
        if (e->job.status == JOB_NONE && job_begin(e, JOB_ADD, JOB_FREE) == 0)
            registration_begin(e);
    }
}

int registry_add_startup(struct registry *r, struct str url, struct str api_key, struct err *err)
{
    struct arena arena;
    struct worker_spec spec;
    struct entry *e;
    int status;

    status = url_check_worker(url, err);
    if (status < 0)
        return status;
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    worker_spec_defaults(&spec);
    spec.url = worker_url_canonical(url, &arena);
    spec.mode = worker_mode_of(spec.url);
    spec.api_key = api_key;
    if (!spec.url.p)
        status = ERR_NOMEM;
    else if (!map_get(&r->by_url, spec.url)) /* twice on the command line is once */
        status = entry_new(r, &spec, ORIGIN_STARTUP, &e);
    arena_fini(&arena);
    if (status < 0)
        return err_set(err, status, status == ERR_LIMIT ? "more than %d workers" : "out of memory", WORKERS_MAX);
    if (!r->begin_posted) {
        r->begin_posted = true;
        r->begin.run = on_begin;
        loop_post(r->loop, &r->begin);
    }
    return 0;
}

/* ---- life ---- */

static void on_sweep(struct timer *t)
{
    struct registry *r = CONTAINER_OF(t, struct registry, sweep);
    uint64_t now = loop_now_us(r->loop);
    struct entry *e;

    LIST_EACH(e, &r->unlisted, link)
    if (e->origin == ORIGIN_API && job_is_over(e, now))
        registry_forget_entry(e);
    timer_start(r->loop, t, MIN((uint64_t)SWEEP_MS, (uint64_t)r->conf.job_keep_s * 1000), on_sweep);
}

static void on_first_message(struct loop *loop, struct message *m)
{
    struct registry *r = CONTAINER_OF(m, struct registry, start);

    (void)loop;
    if (!r->stopped)
        on_sweep(&r->sweep);
}

static void free_table(void *object)
{
    worker_table_free(object);
}

int registry_new(struct loop *control, struct http_client *client, const struct registry_conf *conf, struct registry **ret)
{
    struct registry *r = calloc(1, sizeof(*r));
    struct worker_table *first = worker_table_new(NULL, 0);

    if (!r || !first) {
        worker_table_free(first);
        free(r);
        return ERR_NOMEM;
    }
    r->loop = control;
    r->client = client;
    r->conf = *conf;
    r->conf.jobs_max = conf->jobs_max ? conf->jobs_max : JOBS_MAX;
    r->conf.job_keep_s = conf->job_keep_s ? conf->job_keep_s : JOB_KEEP_S;
    if (r->conf.health_endpoint.n == 0)
        r->conf.health_endpoint = STR("/health");
    list_init(&r->listed);
    list_init(&r->unlisted);
    gate_init(&r->registrations, control, REGISTRATIONS_MAX);
    gate_init(&r->probes, control, HEALTH_PROBES_MAX);
    r->turn_end.run = at_turn_end;
    r->answers_tail = &r->answers;
    snapshot_init(&r->table, first, free_table);
    r->start.run = on_first_message;
    loop_post(control, &r->start);
    *ret = r;
    return 0;
}

void registry_stop(struct registry *r)
{
    struct entry *e;

    if (!r || r->stopped)
        return;
    r->stopped = true;
    timer_stop(&r->sweep);
    timer_stop(&r->publish_again);
    LIST_EACH(e, &r->listed, link)
    quiet(e);
    LIST_EACH(e, &r->unlisted, link)
    quiet(e);
    gate_fini(&r->registrations);
    gate_fini(&r->probes);
    loop_defer_cancel(r->loop, &r->turn_end);
    while (r->answers) {
        struct registry_command *c = r->answers;

        r->answers = c->next;
        registry_command_free(c);
    }
    r->answers_tail = &r->answers;
}

static void free_entries(struct list *entries)
{
    struct entry *e;

    LIST_EACH(e, entries, link)
    {
        assert(!e->registration);
        free_entry(e);
    }
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    free_entries(&r->listed);
    free_entries(&r->unlisted);
    for (size_t i = 0; i < r->happenings_n; i++)
        worker_unref(r->happenings[i].worker);
    free(r->happenings);
    free(r->rows);
    map_fini(&r->by_url);
    map_fini(&r->by_id);
    snapshot_fini(&r->table);
    free(r);
}

const struct worker_table *registry_table(struct registry *r, struct loop *loop)
{
    return snapshot_get(loop, &r->table);
}

struct registry_counts registry_counts(struct registry *r)
{
    uint64_t counts = atomic_load_explicit(&r->counts, memory_order_relaxed);

    return (struct registry_counts){ .total = (unsigned)(counts >> 32), .ready = (unsigned)counts };
}

void registry_subscribe(struct registry *r, void (*fn)(enum registry_event e, const struct worker *w, void *arg), void *arg)
{
    assert(r->listeners_n < REGISTRY_LISTENERS_MAX);
    r->listeners[r->listeners_n].fn = fn;
    r->listeners[r->listeners_n++].arg = arg;
}
