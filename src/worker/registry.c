/* worker/registry.c -- the table of workers: entries, publication, life
 *
 *   commands.c --> change.c --> entry changes --> dirty
 *   probes, timers -----------------^               |
 *          end of the turn: commands in line --> publish --> tell the listeners --> answer the commands
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

void registry_changed(struct registry *r)
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
    registry_changed(CONTAINER_OF(t, struct registry, publish_again));
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

static void at_turn_end(struct deferred *d)
{
    struct registry *r = CONTAINER_OF(d, struct registry, turn_end);

    commands_run(r);
    publish(r);
    tell(r);
    commands_send(r);
}

/* Remembered until the table is out. Without memory a listener misses one: it must live with that anyway, the table is the truth. */
static void happened(struct registry *r, enum registry_event event, const struct worker *w)
{
    registry_changed(r);
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
    worker_unref(e->submitted);
    worker_unref(e->done);
    free(e->job.message);
    free(e);
}

static void on_free_entry(struct deferred *d)
{
    free_entry(CONTAINER_OF(d, struct entry, free_later));
}

static void free_entry_later(struct entry *e)
{
    e->free_later.run = on_free_entry;
    loop_defer(e->registry->loop, &e->free_later);
}

/* Whatever runs on its behalf ends, silently. */
static void quiet(struct entry *e)
{
    health_stop(e);
    drain_stop(e);
    registration_free(STEAL(e->registration));
    registry_replacement_drop(STEAL(e->replacement));
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

struct worker_spec registry_in_force(const struct registry *r, const struct worker_spec *submitted)
{
    struct worker_spec s = *submitted;
    struct worker_health_conf base = r->conf.health;

    external_classify(&s);
    base.disabled |= s.runtime == RUNTIME_EXTERNAL; /* providers have no /health (spec control-plane 9.8) */
    s.health = worker_health_merge(&base, &s.health_update);
    return s;
}

/* An entry with its description and an idle registration, in no list and no map. NULL: memory. */
static struct entry *entry_alloc(struct registry *r, const struct worker_spec *submitted, const char *id, enum entry_origin origin)
{
    struct worker_spec spec = registry_in_force(r, submitted);
    struct entry *e = calloc(1, sizeof(*e) + spec.url.n);

    if (!e)
        return NULL;
    e->registry = r;
    e->origin = origin;
    list_init(&e->link);
    e->url = (struct str){ (char *)(e + 1), spec.url.n };
    memcpy(e + 1, spec.url.p, spec.url.n);
    memcpy(e->id, id, UUID_TEXT_LEN);
    e->submitted = worker_new(&spec, e->id, /* revision= */ 0, /* order= */ 0, /* live= */ NULL);
    if (!e->submitted || registration_new(e) < 0) {
        free_entry(e);
        return NULL;
    }
    e->worker = worker_ref(e->submitted);
    return e;
}

int registry_entry_new(struct registry *r, const struct worker_spec *submitted, const char *id, enum entry_origin origin,
                       struct entry **ret)
{
    char fresh[UUID_TEXT_LEN + 1];
    struct entry *e;

    if (r->by_url.n >= WORKERS_MAX)
        return ERR_LIMIT;
    if (!id) {
        uuid_text(uuid_v7(), fresh);
        id = fresh;
    }
    e = entry_alloc(r, submitted, id, origin);
    if (!e)
        return ERR_NOMEM;
    if (index_entry(r, e) < 0) {
        registration_free(STEAL(e->registration));
        free_entry(e);
        return ERR_NOMEM;
    }
    list_append(&r->planned, &e->link);
    *ret = e;
    return 0;
}

/* ---- replacements ---- */

int registry_replacement_new(struct entry *of, const struct worker_spec *submitted, struct entry **ret)
{
    struct entry *e = entry_alloc(of->registry, submitted, of->id, of->origin);

    if (!e)
        return ERR_NOMEM;
    e->replaces = of;
    *ret = e;
    return 0;
}

void registry_replacement_drop(struct entry *replacement)
{
    if (!replacement)
        return;
    job_done(replacement);
    registration_free(STEAL(replacement->registration));
    free_entry_later(replacement);
}

void registry_replacement_discard(struct entry *replacement)
{
    if (!replacement)
        return;
    registration_free(STEAL(replacement->registration));
    free_entry(replacement);
}

/* The replacement is complete: takes W's reference. What was submitted with it is from now on what counts. */
static void replace(struct entry *replacement, const struct worker *w)
{
    struct entry *e = replacement->replaces;

    assert(e->replacement == replacement);
    if (e->held) { /* a change is being written that will drop this one, unless writing it fails */
        replacement->done = w;
        return;
    }
    e->replacement = NULL;
    worker_unref(e->submitted);
    e->submitted = worker_ref(replacement->submitted);
    job_done(e);
    registry_redescribe(e, w);
    if (!worker_is_ready(w)) { /* it has just answered */
        e->health.counters = (struct health_counters){ 0 };
        registry_set_status(e, WORKER_READY);
    }
    registry_replacement_drop(replacement);
}

void registry_entry_release(struct entry *e)
{
    e->held = false;
    if (e->replacement && e->replacement->done)
        replace(e->replacement, STEAL(e->replacement->done));
}

static bool same_health(const struct worker_health_conf *a, const struct worker_health_conf *b)
{
    return a->timeout_s == b->timeout_s && a->interval_s == b->interval_s && a->success_threshold == b->success_threshold &&
           a->failure_threshold == b->failure_threshold && a->disabled == b->disabled;
}

void registry_redescribe(struct entry *e, const struct worker *w)
{
    struct registry *r = e->registry;
    const struct worker *old = e->worker;
    bool watched_alike = same_health(&old->spec.health, &w->spec.health);

    assert(e->listed && w->live == old->live);
    e->worker = w;
    r->dirty = true;
    happened(r, REGISTRY_REPLACED, w);
    worker_unref(old);
    log_info(WORKER_LOG, "worker changed", LF_STR("worker", e->url), LF_UINT("revision", w->revision));
    if (watched_alike)
        return;
    health_stop(e);
    if (w->spec.health.disabled && !worker_is_ready(w))
        registry_set_status(e, WORKER_READY); /* nobody would ever say so (spec control-plane 10.1) */
    health_begin(e, HEALTH_AFTER_INTERVAL);
}

/* ---- steps of entries ---- */

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
    free_entry_later(e);
}

struct worker *registry_describe(struct entry *e, const struct worker_spec *spec, uint64_t order)
{
    const struct worker *of = e->replaces ? e->replaces->worker : e->worker;

    if (e->replaces)
        return worker_new(spec, e->id, of->revision + 1, of->order, of->live);
    return worker_new(spec, e->id, of->revision, order, of->live);
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
    atomic_fetch_add_explicit(&r->status_changes, 1,
                              memory_order_release); /* acquired in registry_status_changes: who sees it sees the status */
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

    if (e->replaces) {
        replace(e, w);
        return;
    }
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

/* ---- workers that stand at the start ---- */

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

/* Waits for the loop to run. */
static void begin_later(struct registry *r, struct entry *e)
{
    list_remove(&e->link);
    list_append(&r->unlisted, &e->link);
    if (r->begin_posted)
        return;
    r->begin_posted = true;
    r->begin.run = on_begin;
    loop_post(r->loop, &r->begin);
}

int registry_restore(struct registry *r, struct str id, struct str text, struct err *err)
{
    struct arena arena;
    struct worker_spec spec;
    struct json_doc doc;
    struct json_error where;
    struct uuid uuid;
    char name[UUID_TEXT_LEN + 1];
    struct entry *e;
    int status;

    if (uuid_parse(id, &uuid, err) < 0)
        return err_wrap(err, ERR_INVALID, "worker id \"%.*s\"", STR_FMT(str_first(id, 64)));
    uuid_text(uuid, name);
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    status = json_parse(text, &arena, &doc, &where);
    if (status == ERR_SYNTAX)
        status = err_set(err, ERR_INVALID, "%s at line %u column %u", where.message, where.line, where.column);
    if (status == 0)
        status = worker_spec_read(&doc, &arena, &spec, err);
    if (status == 0)
        status = url_check_worker(spec.url, err);
    if (status == 0)
        status = worker_spec_check(&spec, err);
    if (status == 0 && (map_get(&r->by_url, spec.url) || map_get(&r->by_id, (struct str){ name, UUID_TEXT_LEN })))
        status = err_set(err, ERR_EXISTS, "worker %.*s is known already", STR_FMT(spec.url));
    if (status == 0)
        status = registry_entry_new(r, &spec, name, ORIGIN_API, &e);
    arena_fini(&arena);
    if (status == ERR_LIMIT || status == ERR_NOMEM)
        return err_set(err, status, status == ERR_LIMIT ? "more than %d workers" : "out of memory", WORKERS_MAX);
    if (status == 0)
        begin_later(r, e);
    return status;
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
    else if ((e = map_get(&r->by_url, spec.url)) != NULL)
        e->origin = ORIGIN_STARTUP; /* twice on the command line is once; a kept one is the command line's too */
    else if ((status = registry_entry_new(r, &spec, /* id= */ NULL, ORIGIN_STARTUP, &e)) == 0)
        begin_later(r, e);
    arena_fini(&arena);
    if (status < 0)
        return err_set(err, status, status == ERR_LIMIT ? "more than %d workers" : "out of memory", WORKERS_MAX);
    return 0;
}

/* ---- life ---- */

static void on_sweep(struct timer *t)
{
    struct registry *r = CONTAINER_OF(t, struct registry, sweep);
    uint64_t now = loop_now_us(r->loop);
    struct entry *e;

    LIST_EACH(e, &r->unlisted, link)
    if (e->origin == ORIGIN_API && !r->conf.store && !e->held &&
        job_is_over(e, now)) /* what a store keeps, stays until it is deleted */
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
    list_init(&r->planned);
    commands_init(r);
    gate_init(&r->registrations, control, REGISTRATIONS_MAX);
    gate_init(&r->probes, control, HEALTH_PROBES_MAX);
    r->turn_end.run = at_turn_end;
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
    LIST_EACH(e, &r->planned, link)
    quiet(e);
    gate_fini(&r->registrations);
    gate_fini(&r->probes);
    loop_defer_cancel(r->loop, &r->turn_end);
    commands_stop(r);
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
    commands_fini(r);
    free_entries(&r->listed);
    free_entries(&r->unlisted);
    free_entries(&r->planned);
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

uint64_t registry_status_changes(struct registry *r)
{
    return atomic_load_explicit(&r->status_changes, memory_order_acquire);
}

void registry_subscribe(struct registry *r, void (*fn)(enum registry_event e, const struct worker *w, void *arg), void *arg)
{
    assert(r->listeners_n < REGISTRY_LISTENERS_MAX);
    r->listeners[r->listeners_n].fn = fn;
    r->listeners[r->listeners_n++].arg = arg;
}
