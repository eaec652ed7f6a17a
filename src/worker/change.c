/* worker/change.c -- what commands change: planned, then applied
 *
 *              refused, nothing changed
 *                  ^
 *   command --> plan --> (the record becomes durable) --> apply
 *                  |                    |
 *                  |                    +-- it does not --> abandon: as if nothing had been planned
 *                  +-- nothing to do (joins what runs): plan.entry stays NULL
 *
 *   command   plan prepares                               apply
 *   ADD       a new entry in r->planned, or a fresh       the registration begins
 *             registration for one that failed
 *   REPLACE   a replacement                               its registration begins; an older replacement goes
 *   UPDATE    the merged descriptions                     they take the place of the old ones; a running replacement fails
 *   REMOVE    nothing                                     the drain begins, or the registration is cancelled
 *
 * All memory is taken by plan. What can happen to the entry between the two is little, as it is held: a registration may finish, in which case the UPDATE is merged
 * once more; a replacement that is complete waits for the outcome.
 */
#include "worker/registry_internal.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"

static bool is_draining(const struct entry *e)
{
    return e->listed && worker_status(e->worker) == WORKER_DRAINING;
}

static struct entry *entry_of(const struct registry *r, const struct registry_command *c)
{
    return map_get(&r->by_id, (struct str){ c->id, UUID_TEXT_LEN });
}

static bool queue_is_full(const struct registry *r)
{
    return r->jobs_n + r->batch_jobs_n >= r->conf.jobs_max;
}

/* SPEC NULL: the worker is deleted. */
static int write_record(struct registry *r, struct registry_command *c, const struct worker_spec *spec)
{
    struct registry_record *record = &c->plan.record;
    struct buf out = { 0 };
    struct json_writer w;

    if (!r->conf.store)
        return 0;
    record->id = (struct str){ c->plan.entry->id, UUID_TEXT_LEN };
    if (!spec)
        return 0;
    json_begin(&w, &out);
    worker_spec_write(&w, spec);
    record->spec = out.failed ? STR_NONE : arena_str(&c->arena, buf_str(&out));
    buf_fini(&out);
    return record->spec.p ? 0 : ERR_NOMEM;
}

/* ---- ADD ---- */

/* A registration that failed starts afresh with the new description, under the same id. A worker of the command line stays one: it is never forgotten. */
static int plan_start_again(struct registry *r, struct registry_command *c, struct entry *e)
{
    struct worker_spec spec = registry_in_force(r, &c->spec);
    struct registration *old = STEAL(e->registration);

    c->plan.submitted = worker_new(&spec, e->id, /* revision= */ 0, /* order= */ 0, /* live= */ NULL);
    if (!c->plan.submitted || registration_new(e) < 0) {
        e->registration = old;
        return ERR_NOMEM;
    }
    registration_free(old); /* must not come through while the record is being written */
    return 0;
}

static int plan_add(struct registry *r, struct registry_command *c)
{
    struct entry *e = map_get(&r->by_url, c->spec.url);
    int status;

    if (e) {
        memcpy(c->id, e->id, sizeof c->id);
        if (e->listed)
            return ERR_EXISTS;
        if (e->job.status != JOB_FAILED)
            return 0; /* joins the running job */
    }
    if (queue_is_full(r))
        return ERR_BUSY;
    status = e ? plan_start_again(r, c, e) : registry_entry_new(r, &c->spec, /* id= */ NULL, ORIGIN_API, &e);
    if (status < 0)
        return status;
    memcpy(c->id, e->id, sizeof c->id);
    c->plan.entry = e;
    return write_record(r, c, &c->spec);
}

static int apply_add(struct registry *r, struct registry_command *c)
{
    struct entry *e = c->plan.entry;
    int status;

    if (c->plan.submitted) {
        worker_unref(e->worker);
        worker_unref(e->submitted);
        e->submitted = STEAL(c->plan.submitted);
        e->worker = worker_ref(e->submitted);
    } else {
        list_remove(&e->link);
        list_append(&r->unlisted, &e->link);
    }
    status = job_begin(e, JOB_ADD, JOB_COUNTED);
    assert(status == 0); /* plan has kept room */
    registration_begin(e);
    return status;
}

static void abandon_add(const struct registry_command *c, struct entry *e)
{
    if (c->plan.submitted)
        registration_begin(e); /* as failed as before: tried now and then */
    else
        registry_forget_entry(e);
}

/* ---- REPLACE ---- */

static int mismatch(struct registry_command *c, const struct entry *e)
{
    c->reason =
        arena_printf(&c->arena,
                     "URL mismatch: worker has URL '%.*s' but request body has '%.*s'. URL changes are not supported via PUT. "
                     "Use DELETE + POST instead.",
                     STR_FMT(e->url), STR_FMT(str_first(c->spec.url, 1024)));
    return ERR_INVALID;
}

static int refuse_group(struct registry_command *c, const struct entry *e)
{
    c->reason = arena_printf(&c->arena,
                             "Worker '%.*s' belongs to a data-parallel group. PUT is not supported for data-parallel workers. Use "
                             "DELETE + POST instead.",
                             STR_FMT(entry_row(e, c->id)->spec.url));
    return ERR_INVALID;
}

static int plan_replace(struct registry *r, struct registry_command *c)
{
    struct entry *e = entry_of(r, c);

    if (!e || !e->listed)
        return ERR_NOT_FOUND;
    if (is_draining(e))
        return ERR_CANCELLED;
    if (e->ranks)
        return refuse_group(c, e);
    if (!str_eq(e->url, c->spec.url))
        return mismatch(c, e);
    if (queue_is_full(r))
        return ERR_BUSY;
    if (c->keep_api_key)
        c->spec.api_key = e->submitted->spec.api_key;
    if (registry_replacement_new(e, &c->spec, &c->plan.replacement) < 0)
        return ERR_NOMEM;
    c->plan.entry = e;
    return write_record(r, c, &c->spec);
}

static void say_outdated(const struct entry *e, char *text, size_t size)
{
    snprintf(text, size,
             "Workflow failed at step register_workers: Step failed: register_workers - Worker %s at %.*s is no longer at revision "
             "%llu, "
             "so the replacement was dropped",
             e->id, STR_FMT(e->url), (unsigned long long)e->worker->revision);
}

static int apply_replace(struct registry_command *c)
{
    struct entry *e = c->plan.entry, *older = STEAL(e->replacement), *newer = STEAL(c->plan.replacement);
    char text[ERR_MESSAGE_MAX];
    int status;

    if (older && !older->asks_again) { /* one job to a worker: its status is the newer one's */
        say_outdated(e, text, sizeof text);
        log_warn(WORKER_LOG, "replacement of a worker dropped for a newer one", LF_STR("worker", e->url), LF_CSTR("reason", text));
    }
    registry_replacement_drop(older);
    job_done(e);
    e->replacement = newer;
    status = job_begin(newer, JOB_ADD, JOB_COUNTED);
    assert(status == 0); /* plan has kept room */
    registration_begin(newer);
    return status;
}

/* ---- UPDATE ---- */

/* A listed entry's description with the patch over it. NULL: memory. */
static struct worker *describe_patched(struct registry *r, struct registry_command *c, const struct entry *e)
{
    struct worker_spec merged, spec;

    if (worker_patch_apply(&c->patch, &e->worker->spec, &c->arena, &merged) < 0)
        return NULL;
    spec = registry_in_force(r, &merged);
    return worker_new(&spec, e->id, e->worker->revision + 1, e->worker->order, e->worker->live);
}

static int plan_update(struct registry *r, struct registry_command *c)
{
    struct entry *e = entry_of(r, c);
    struct worker_spec merged, spec;
    struct err err = { 0 };
    int status;

    if (!e)
        return ERR_NOT_FOUND;
    if (is_draining(e))
        return ERR_CANCELLED;
    if (worker_patch_apply(&c->patch, &e->submitted->spec, &c->arena, &merged) < 0)
        return ERR_NOMEM;
    status = worker_spec_check(&merged, &err);
    if (status < 0) {
        c->reason = arena_str(&c->arena, str_of(err.message));
        return status;
    }
    spec = registry_in_force(r, &merged);
    c->plan.submitted = worker_new(&spec, e->id, /* revision= */ 0, /* order= */ 0, e->worker->live);
    if (!c->plan.submitted)
        return ERR_NOMEM;
    if (e->listed) {
        c->plan.described = describe_patched(r, c, e);
        if (!c->plan.described)
            return ERR_NOMEM;
    }
    c->plan.base = e->worker;
    c->plan.entry = e;
    return write_record(r, c, &merged);
}

static int apply_update(struct registry *r, struct registry_command *c)
{
    struct entry *e = c->plan.entry;
    const struct worker *w = STEAL(c->plan.described);
    struct entry *outdated = STEAL(e->replacement);
    char text[ERR_MESSAGE_MAX];

    if (e->listed && e->worker != c->plan.base) { /* its registration finished meanwhile */
        worker_unref(w);
        w = describe_patched(r, c, e);
        if (!w)
            return ERR_NOMEM;
    }
    if (outdated && !outdated->asks_again) {
        say_outdated(e, text, sizeof text);
        if (job_begin(e, JOB_ADD, JOB_FREE) == 0) /* JOB_FREE is never refused */
            job_fail(e, "%s", text);
    }
    registry_replacement_drop(outdated);
    worker_unref(e->submitted);
    e->submitted = STEAL(c->plan.submitted);
    if (e->listed)
        return registry_redescribe(e, w);
    worker_unref(e->worker);
    e->worker = worker_ref(e->submitted);
    return 0;
}

/* ---- REMOVE ---- */

static int plan_remove(struct registry *r, struct registry_command *c)
{
    struct entry *e = entry_of(r, c);

    if (!e)
        return ERR_NOT_FOUND;
    if (is_draining(e) || (c->only_if_failed && (!e->listed || worker_status(e->worker) != WORKER_FAILED)))
        return 0; /* joins the running removal; it has recovered */
    c->plan.entry = e;
    return write_record(r, c, /* spec= */ NULL);
}

static int apply_remove(struct registry_command *c)
{
    struct entry *e = c->plan.entry;

    registry_replacement_drop(STEAL(e->replacement));
    if (e->listed)
        return drain_begin(e, JOB_FREE); /* at most one per worker: a queue full of dead registrations must not stop it */
    log_info(WORKER_LOG, "registration cancelled", LF_STR("worker", e->url));
    registry_forget_entry(e);
    return 0;
}

/* ---- all of them ---- */

int change_plan(struct registry *r, struct registry_command *c)
{
    int status;

    if (c->kind == REGISTRY_ADD)
        status = plan_add(r, c);
    else if (c->kind == REGISTRY_REPLACE)
        status = plan_replace(r, c);
    else if (c->kind == REGISTRY_UPDATE)
        status = plan_update(r, c);
    else
        status = plan_remove(r, c);
    if (status < 0 && c->plan.entry)
        change_abandon(c);
    return status;
}

int change_apply(struct registry *r, struct registry_command *c)
{
    struct entry *e = c->plan.entry;

    e->held = false;
    if (c->kind == REGISTRY_ADD)
        return apply_add(r, c);
    if (c->kind == REGISTRY_REPLACE)
        return apply_replace(c);
    if (c->kind == REGISTRY_UPDATE)
        return apply_update(r, c);
    return apply_remove(c);
}

void change_abandon(struct registry_command *c)
{
    struct entry *e = STEAL(c->plan.entry);

    if (c->kind == REGISTRY_ADD) {
        e->held = false;
        abandon_add(c, e);
    } else {
        registry_entry_release(e);
    }
    change_free_plan(&c->plan);
}

void change_free_plan(struct registry_plan *p)
{
    worker_unref(p->submitted);
    worker_unref(p->described);
    registry_replacement_discard(p->replacement);
    *p = (struct registry_plan){ 0 };
}
