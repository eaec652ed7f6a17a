/* gateway/state.c -- the registry's records as batches of the journal
 *
 *   registry --commit(records)--> one batch --journal_commit--> ... --on_saved--> done(registry)
 *
 * One batch at a time (the registry's rule), so one struct journal_batch is enough. A commit that the journal refuses at once is told in the turn's end: a store never calls
 * back from inside.
 */
#include "gateway/state.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define TARGET      "smg::state"
#define KIND_WORKER STR("worker")

struct gateway_state {
    struct registry_store store;
    char *directory; /* owned */
    struct disk *disk;
    struct pool *pool; /* one thread: the journal has one job at a time */
    struct loop *control;
    struct journal *journal;

    /* The batch that is being saved; done != NULL exactly then. */
    struct journal_batch batch;
    void (*done)(void *owner, int status);
    void *owner;
    struct deferred refused;
};

static void commit(struct registry_store *store, const struct registry_record *first, void (*done)(void *owner, int status),
                   void *owner);
static void on_saved(struct journal_batch *batch);
static void on_refused(struct deferred *d);
static void finish(struct gateway_state *s, int status, const struct err *err);

static void commit(struct registry_store *store, const struct registry_record *first, void (*done)(void *owner, int status),
                   void *owner)
{
    struct gateway_state *s = CONTAINER_OF(store, struct gateway_state, store);

    assert(!s->done);
    s->done = done;
    s->owner = owner;
    journal_batch_init(&s->batch);
    for (const struct registry_record *r = first; r; r = r->next) {
        if (r->spec.n)
            journal_put(&s->batch, KIND_WORKER, r->id, r->spec);
        else
            journal_delete(&s->batch, KIND_WORKER, r->id);
    }
    s->batch.status = journal_commit(s->journal, &s->batch, on_saved);
    if (s->batch.status < 0)
        loop_defer(s->control, &s->refused);
}

static void on_saved(struct journal_batch *batch)
{
    struct gateway_state *s = CONTAINER_OF(batch, struct gateway_state, batch);

    finish(s, batch->status, &batch->err);
}

static void on_refused(struct deferred *d)
{
    struct gateway_state *s = CONTAINER_OF(d, struct gateway_state, refused);

    finish(s, s->batch.status, &s->batch.err);
}

/* The registry may commit the next batch from its callback. */
static void finish(struct gateway_state *s, int status, const struct err *err)
{
    void (*done)(void *owner, int status) = STEAL(s->done);

    if (status < 0)
        log_error(TARGET, "changes could not be saved and were not made; they are answered with 503",
                  LF_CSTR("state_dir", s->directory), LF_CSTR("error", err->message));
    journal_batch_fini(&s->batch);
    done(s->owner, status);
}

static void on_trouble(void *arg, const struct err *err)
{
    struct gateway_state *s = arg;

    log_warn(TARGET, "the state file could not be compacted; nothing is lost, it is tried again when it has grown",
             LF_CSTR("state_dir", s->directory), LF_CSTR("error", err->message));
}

/* ---- start ---- */

static void log_damage(const struct gateway_state *s, const struct journal_report *report)
{
    const struct journal_damage *d = &report->damage;
    const char *kept = report->kept_as[0] ? report->kept_as : "(could not be kept)";

    if (d->places == 0)
        return;
    if (d->tail_only && d->frames_lost == 0)
        log_warn(TARGET,
                 "the state file ended in an unfinished or damaged write, which was cut off; acknowledged changes are not lost by "
                 "a crash",
                 LF_CSTR("state_dir", s->directory), LF_UINT("offset", d->at), LF_UINT("bytes", d->bytes),
                 LF_CSTR("reason", d->reason), LF_CSTR("kept_as", kept));
    else
        log_error(TARGET,
                  "the state file was damaged; everything that is whole was kept, what was damaged is lost: compare GET /workers "
                  "with what should be there",
                  LF_CSTR("state_dir", s->directory), LF_UINT("places", d->places), LF_UINT("offset", d->at),
                  LF_UINT("bytes", d->bytes), LF_UINT("commits_lost", d->frames_lost), LF_CSTR("reason", d->reason),
                  LF_CSTR("kept_as", kept));
    if (report->repair.code)
        log_error(TARGET, "the state file cannot be written; changes are refused until it can", LF_CSTR("state_dir", s->directory),
                  LF_CSTR("error", report->repair.message));
}

static int open_journal(struct gateway_state *s, struct err *err)
{
    struct journal_conf conf = { .loop = s->control, .trouble = on_trouble, .arg = s };
    struct journal_report report;
    uint64_t began_us = clock_now_us();
    int r = disk_open(s->directory, &s->disk, err);

    if (r == 0)
        r = pool_new(1, &s->pool, err);
    if (r < 0)
        return r;
    conf.disk = s->disk;
    conf.pool = s->pool;
    r = journal_open(&conf, &s->journal, &report, err);
    if (r < 0)
        return err_wrap(err, r, "--state-dir %s", s->directory);
    log_damage(s, &report);
    log_info(TARGET, report.fresh ? "state directory is new" : "state directory opened", LF_CSTR("state_dir", s->directory),
             LF_UINT("entries", report.entries), LF_UINT("bytes", report.bytes), LF_UINT("us", clock_now_us() - began_us));
    return 0;
}

int gateway_state_open(struct str directory, struct loop *control, struct gateway_state **ret, struct err *err)
{
    struct gateway_state *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(err, ERR_NOMEM, "--state-dir: %s", err_text(ERR_NOMEM));
    s->store.commit = commit;
    s->refused.run = on_refused;
    s->control = control;
    s->directory = str_dup(directory);
    r = s->directory ? open_journal(s, err) : err_set(err, ERR_NOMEM, "--state-dir: %s", err_text(ERR_NOMEM));
    if (r < 0) {
        gateway_state_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct registry_store *gateway_state_store(struct gateway_state *s)
{
    return s ? &s->store : NULL;
}

struct journal *gateway_state_journal(struct gateway_state *s)
{
    return s ? s->journal : NULL;
}

void gateway_state_restore(struct gateway_state *s, struct registry *registry)
{
    uint64_t began_us = clock_now_us();
    const void *cursor = NULL;
    struct journal_entry e;
    unsigned restored = 0, refused = 0;
    struct err err;

    while (s && journal_next(s->journal, &cursor, &e)) {
        if (!str_eq(e.kind, KIND_WORKER))
            continue;
        err = (struct err){ 0 };
        if (registry_restore(registry, e.key, e.value, &err) == 0) {
            restored++;
            continue;
        }
        refused++;
        log_error(TARGET, "a saved worker cannot be brought back; it stays in the state file", LF_STR("worker_id", e.key),
                  LF_CSTR("error", err.message));
    }
    if (s)
        log_info(TARGET, "workers restored", LF_UINT("workers", restored), LF_UINT("refused", refused),
                 LF_UINT("us", clock_now_us() - began_us));
}

bool gateway_state_stats(const struct gateway_state *s, struct journal_stats *ret)
{
    if (s)
        journal_stats(s->journal, ret);
    return s != NULL;
}

/* ---- end ---- */

void gateway_state_stop(struct gateway_state *s)
{
    if (!s)
        return;
    loop_defer_cancel(s->control, &s->refused);
    journal_stop(s->journal);
    if (s->done)
        journal_batch_fini(&s->batch);
    s->done = NULL;
}

void gateway_state_free(struct gateway_state *s)
{
    if (!s)
        return;
    if (s->pool)
        pool_free(s->pool);
    journal_free(s->journal);
    disk_free(s->disk);
    free(s->directory);
    free(s);
}
