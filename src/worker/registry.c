/* worker/registry.c -- the table of workers: entries, publication, life
 *
 *   commands.c --> change.c --> entry changes --> dirty
 *   probes, timers -----------------^               |
 *          end of the turn: commands in line --> publish --> tell the listeners --> answer the commands
 *
 * However many workers change in a turn, the table is built once, at its end; and since answers and events leave after that, whoever hears "registered" finds the
 * worker in the table. Counts for /readiness follow it: a client that hears of a ready worker is served.
 * When memory is out the old table stays and publication is tried again PUBLISH_AGAIN_MS later.
 */
#include "worker/registry_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

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
    struct entry_rows rows;
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
    {
        rows = entry_rows(e);
        for (unsigned i = 0; i < rows.n; i++)
            r->rows[n++] = rows.workers[i];
    }
    return worker_table_new(r->rows, n);
}

static void on_publish_again(struct timer *t)
{
    registry_changed(CONTAINER_OF(t, struct registry, publish_again));
}

/* False: memory is out, and it is tried again. */
static bool publish_table(struct registry *r)
{
    struct worker_table *t = build_table(r);

    if (!t) {
        log_error(WORKER_LOG, "out of memory for the table of workers; trying again", LF_UINT("workers", r->listed_n));
        timer_start(r->loop, &r->publish_again, PUBLISH_AGAIN_MS, on_publish_again);
        return false;
    }
    r->dirty = false;
    snapshot_publish(&r->table, t);
    (void)snapshot_reclaim(); /* a burst of changes must not pile up tables until the next timer */
    return true;
}

static void publish(struct registry *r)
{
    if (r->dirty && !publish_table(r))
        return;
    /* release: whoever is told of a ready worker (acquire in registry_counts) finds it in the table */
    atomic_store_explicit(&r->counts, (uint64_t)r->listed_n << 32 | r->ready_n, memory_order_release);
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

static void happened_to(struct entry *e, enum registry_event event)
{
    struct entry_rows rows = entry_rows(e);

    for (unsigned i = 0; i < rows.n; i++)
        happened(e->registry, event, rows.workers[i]);
}

/* ---- entries ---- */

static void free_entry(struct entry *e)
{
    ranks_free(e->ranks, e->ranks_n);
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
    s.judge = worker_judge_of(&r->conf.breaker, &s.resilience);
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

void registry_ask_again(struct entry *e)
{
    struct entry *again;

    if (!e->models_due || e->worker->spec.models_n > 0) /* they may have been named since */
        return;
    if (e->held || e->replacement || e->ranks) /* ranks: an engine that told them has told its model, too */
        return;
    if (registry_replacement_new(e, &e->submitted->spec, &again) < 0)
        return; /* the next good health check comes */
    again->asks_again = true;
    e->replacement = again;
    registration_begin(again);
}

static void end_put(struct entry *e)
{
    job_done(e);
    if (worker_is_ready(e->worker))
        return;
    e->health.counters = (struct health_counters){ 0 }; /* it has just answered */
    registry_set_status(e, WORKER_READY);
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
    e->health.by_models = replacement->health.by_models;
    e->models_due = replacement->models_due;
    if (registry_redescribe(e, w) < 0)
        log_error(WORKER_LOG, "out of memory for a worker's new description", LF_STR("worker", e->url));
    if (!replacement->asks_again)
        end_put(e);
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

/* The keys of the map are views of the workers: the new ones' take the place of the old ones'. */
static void ranks_swap(struct entry *e, const struct worker **ranks)
{
    const struct worker **old = e->ranks;
    int r;

    ranks_unindex(e);
    e->ranks = ranks;
    r = ranks_index(e);
    assert(r == 0); /* as many as were there: the map has room */
    (void)r;
    ranks_free(old, e->ranks_n);
}

/* Other rules: what was counted by the old ones says nothing. */
static void reset_breakers(struct entry *e)
{
    struct entry_rows rows = entry_rows(e);

    for (unsigned i = 0; i < rows.n; i++)
        breaker_reset(&rows.workers[i]->live->breaker);
}

int registry_redescribe(struct entry *e, const struct worker *w)
{
    struct registry *r = e->registry;
    const struct worker *old = e->worker, **ranks = NULL;
    bool watched_alike = same_health(&old->spec.health, &w->spec.health);
    bool judged_alike = breaker_conf_eq(&old->spec.judge.breaker, &w->spec.judge.breaker);

    assert(e->listed && w->live == old->live);
    if (e->ranks && ranks_make(e, w, e->ranks_n, &ranks) < 0) {
        worker_unref(w);
        return ERR_NOMEM;
    }
    if (ranks)
        ranks_swap(e, ranks);
    e->worker = w;
    if (!judged_alike)
        reset_breakers(e);
    r->dirty = true;
    happened_to(e, REGISTRY_REPLACED);
    worker_unref(old);
    log_info(WORKER_LOG, "worker changed", LF_STR("worker", e->url), LF_UINT("revision", w->revision));
    if (!watched_alike)
        health_settings_changed(e);
    return 0;
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
        unsigned n = entry_rows(e).n;

        ranks_unindex(e);
        r->listed_n -= n;
        r->ready_n -= worker_is_ready(e->worker) ? n : 0;
        r->dirty = true;
        happened_to(e, REGISTRY_REMOVED);
        log_info(WORKER_LOG, "worker removed", LF_STR("worker", e->url), LF_UINT("workers", r->listed_n));
    }
    free_entry_later(e);
}

/* With --dp-aware every engine that has ranks is one; providers have none. */
static bool is_group(const struct registry *r, const struct worker_spec *spec)
{
    return r->conf.dp_aware && spec->runtime != RUNTIME_EXTERNAL;
}

static int64_t ranks_of(const struct worker_spec *spec)
{
    unsigned n;

    return ranks_size(spec, &n, /* err= */ NULL) == 0 ? (int64_t)n : -1;
}

struct worker *registry_describe(struct entry *e, const struct worker_spec *spec, uint64_t order)
{
    struct worker_spec group = *spec;
    const struct worker *of = e->replaces ? e->replaces->worker : e->worker;

    if (e->replaces)
        return worker_new(spec, e->id, of->revision + 1, of->order, of->live);
    if (is_group(e->registry, spec)) {
        group.dp_base_url = e->url;
        group.dp_rank = -1;
        group.dp_size = ranks_of(spec);
    }
    return worker_new(&group, e->id, of->revision, order, of->live);
}

static void write_status(const struct worker *w, enum worker_status status)
{
    atomic_store_explicit(&w->live->changed_s, clock_wall_s(), memory_order_relaxed);
    atomic_store_explicit(&w->live->status, status, memory_order_relaxed);
}

static void set_live_status(struct entry *e, enum worker_status status)
{
    write_status(e->worker, status);
    for (unsigned i = 0; i < e->ranks_n; i++)
        write_status(e->ranks[i], status);
}

void registry_set_status(struct entry *e, enum worker_status status)
{
    struct registry *r = e->registry;
    struct entry_rows rows = entry_rows(e);
    enum worker_status before = worker_status(e->worker);
    char reason[WORKER_REASON_MAX];

    if (e->listed) {
        r->ready_n -= before == WORKER_READY ? rows.n : 0;
        r->ready_n += status == WORKER_READY ? rows.n : 0;
    }
    for (unsigned i = 0; status == WORKER_READY && before != WORKER_READY && i < rows.n; i++)
        breaker_recover(&rows.workers[i]->live->breaker, &rows.workers[i]->spec.judge.breaker);
    set_live_status(e, status);
    atomic_fetch_add_explicit(&r->status_changes, 1,
                              memory_order_release); /* acquired in registry_status_changes: who sees it sees the status */
    happened_to(e, REGISTRY_STATUS);
    if (status == WORKER_NOT_READY || status == WORKER_FAILED)
        log_warn(WORKER_LOG, "worker status changed", LF_STR("worker", e->url), LF_STR("from", worker_status_text(before)),
                 LF_STR("to", worker_status_text(status)),
                 LF_CSTR("reason", worker_reason_text(atomic_load(&e->worker->live->reason), reason)));
    else
        log_info(WORKER_LOG, "worker status changed", LF_STR("worker", e->url), LF_STR("from", worker_status_text(before)),
                 LF_STR("to", worker_status_text(status)));
}

/* The ranks of a new group; 0, or the job has failed. */
static int make_group(struct entry *e, const struct worker *w)
{
    struct registry *r = e->registry;
    const struct worker **ranks;
    struct err err = { 0 };
    unsigned n = 0;
    int status = ranks_size(&w->spec, &n, &err);

    if (status == 0 && r->listed_n + n > WORKERS_MAX)
        status = err_set(&err, ERR_LIMIT, "%.*s has %u ranks, but the gateway takes no more than %d workers", STR_FMT(e->url), n,
                         WORKERS_MAX);
    if (status == 0)
        status = ranks_make(e, w, n, &ranks);
    if (status == 0) {
        e->ranks = ranks;
        e->ranks_n = n;
        status = ranks_index(e);
        if (status < 0) {
            ranks_free(STEAL(e->ranks), n);
            e->ranks_n = 0;
        }
    }
    if (status < 0 && e->job.status != JOB_FAILED) {
        job_fail(e, "Workflow failed at step discover_dp_info: Step failed: discover_dp_info - %s",
                 status == ERR_NOMEM ? "out of memory" : err.message);
        log_warn(WORKER_LOG, "data-parallel worker not registered; it is asked again now and then", LF_STR("worker", e->url),
                 LF_CSTR("reason", status == ERR_NOMEM ? "out of memory" : err.message));
    }
    return status;
}

void registry_list_entry(struct entry *e, struct worker *w)
{
    struct registry *r = e->registry;
    struct str model = w->spec.models_n ? w->spec.models[0].id : STR("(any)");
    unsigned n;

    if (e->replaces) {
        replace(e, w);
        return;
    }
    if (is_group(r, &w->spec) && make_group(e, w) < 0) {
        worker_unref(w);
        registration_again(e);
        return;
    }
    job_done(e);
    worker_unref(e->worker);
    e->worker = w;
    n = entry_rows(e).n;
    r->next_order = w->order + n;
    list_remove(&e->link);
    list_append(&r->listed, &e->link);
    e->listed = true;
    r->listed_n += n;
    r->ready_n += n;
    set_live_status(e, WORKER_READY);
    r->dirty = true;
    happened_to(e, REGISTRY_ADDED);
    log_info(WORKER_LOG, "worker registered", LF_STR("worker", e->url), LF_STR("model", model),
             LF_STR("runtime", worker_runtime_text(w->spec.runtime)), LF_UINT("workers", r->listed_n));
    health_begin(e, e->origin == ORIGIN_STARTUP ? HEALTH_AFTER_INTERVAL : HEALTH_AT_ONCE);
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
    uint64_t counts = atomic_load_explicit(&r->counts, memory_order_acquire);

    return (struct registry_counts){ .total = (unsigned)(counts >> 32), .ready = (unsigned)counts };
}

uint64_t registry_status_changes(struct registry *r)
{
    return atomic_load_explicit(&r->status_changes, memory_order_acquire);
}

void registry_admissions_changed(struct registry *r)
{
    atomic_fetch_add_explicit(&r->status_changes, 1, memory_order_release);
}

void registry_subscribe(struct registry *r, void (*fn)(enum registry_event e, const struct worker *w, void *arg), void *arg)
{
    assert(r->listeners_n < REGISTRY_LISTENERS_MAX);
    r->listeners[r->listeners_n].fn = fn;
    r->listeners[r->listeners_n++].arg = arg;
}
