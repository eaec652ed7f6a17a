/* journal/journal.c -- the queue of batches and the one job that writes
 *
 *           commit                  end of the turn: begin_frame                     the job came back: on_written
 *   IDLE ------------> GATHERING ----------------------------> WRITING --+--> batches wait: begin_frame --> WRITING
 *    ^                                                                   +--> the log is too long: begin_rewrite --> WRITING
 *    +-------------------------------------------------------------------+
 *   any -- journal_stop --> STOPPED (a job that runs comes back to nothing)
 *
 * Invariants: (1) the live set changes only in on_written, never while a job runs. (2) A batch is in `waiting`, in `writing`, or its owner's. (3) `writing` is what the running job
 * writes, in order; it is empty for a rewrite. (4) What a settled batch needs in memory was allocated when it was committed.
 */
#include "journal/journal.h"

#include <assert.h>
#include <stdlib.h>

#define FRAME_MEMORY_KEPT (1u << 20) /* a larger frame's buffer is given back */

enum state { IDLE, GATHERING, WRITING, STOPPED };

struct journal {
    struct journal_conf conf;
    struct live live;
    struct journal_file file; /* the job's while WRITING */
    enum state state;         /* written only by enter() */
    struct deferred gather;   /* queued while GATHERING */

    struct list waiting; // journal_batch.link
    struct list writing; // journal_batch.link
    unsigned waiting_n;  /* of `waiting` */

    /* The job: in, and out. */
    struct pool_job job;
    struct buf frame; /* owned; room for the head, then records; empty = rewrite the file */
    int job_status;
    struct err job_err;

    struct journal_stats stats; /* the counts */
    uint64_t file_bytes;        /* of `file`, as of the last job */
    struct histogram commit_us;
};

static void begin_frame(struct journal *j);
static void begin_rewrite(struct journal *j);
static void start_job(struct journal *j);
static void job_failed(struct deferred *d);
static void work(struct pool_job *job);
static void on_written(struct pool_job *job);
static void tell(struct journal *j);
static void go_on(struct journal *j, bool frame);

static void enter(struct journal *j, enum state to)
{
    static const bool ALLOWED[4][4] = {
        [IDLE] = { [GATHERING] = true, [WRITING] = true, [STOPPED] = true },
        [GATHERING] = { [IDLE] = true, [WRITING] = true, [STOPPED] = true },
        [WRITING] = { [IDLE] = true, [GATHERING] = true, [WRITING] = true, [STOPPED] = true },
        [STOPPED] = { [STOPPED] = true },
    };

    assert(ALLOWED[j->state][to]);
    j->state = to;
}

/* ---- batches ---- */

void journal_batch_init(struct journal_batch *b)
{
    *b = (struct journal_batch){ .records = { .max = FRAME_BYTES_MAX } };
    list_init(&b->link);
    list_init(&b->changes);
}

void journal_batch_fini(struct journal_batch *b)
{
    buf_fini(&b->records);
}

static void add(struct journal_batch *b, const struct record *r)
{
    bool fits = r->kind.n >= 1 && r->kind.n <= KIND_BYTES_MAX && r->key.n >= 1 && r->key.n <= KEY_BYTES_MAX &&
                r->value.n <= FRAME_BYTES_MAX && !memchr(r->kind.p, 0, r->kind.n);

    if (!fits || record_bytes(r) > FRAME_BYTES_MAX - b->records.n)
        b->failed = ERR_LIMIT;
    if (!b->failed)
        record_write(&b->records, r);
}

void journal_put(struct journal_batch *b, struct str kind, struct str key, struct str value)
{
    add(b, &(struct record){ .op = RECORD_PUT, .kind = kind, .key = key, .value = value });
}

void journal_delete(struct journal_batch *b, struct str kind, struct str key)
{
    add(b, &(struct record){ .op = RECORD_DELETE, .kind = kind, .key = key });
}

/* ---- committing ---- */

static int prepare(struct journal *j, struct journal_batch *b)
{
    struct str rest = buf_str(&b->records);
    struct record r;
    int status = 0;

    while (status == 0 && record_next(&rest, &r) > 0)
        status = live_prepare(&j->live, &r, &b->changes);
    if (status < 0)
        live_drop(&j->live, &b->changes);
    return status;
}

/* A put counts in full, also when it replaces a value: at the bound a little less fits than could. */
static bool is_full(const struct journal *j, const struct journal_batch *b)
{
    struct str rest = buf_str(&b->records);
    struct record r;
    uint64_t more = 0;

    while (record_next(&rest, &r) > 0)
        more += r.op == RECORD_PUT ? record_bytes(&r) : 0;
    return more && j->live.bytes + j->live.prepared_bytes + more > JOURNAL_LIVE_MAX;
}

static void gather_over(struct deferred *d)
{
    struct journal *j = CONTAINER_OF(d, struct journal, gather);

    if (j->state == GATHERING)
        begin_frame(j);
}

int journal_commit(struct journal *j, struct journal_batch *b, void (*done)(struct journal_batch *b))
{
    struct err *err = &b->err;

    assert(loop_is_mine(j->conf.loop) && list_empty(&b->link));
    if (b->failed)
        return err_set(err, b->failed, "a change of the saved state is larger than %u bytes", FRAME_BYTES_MAX);
    if (b->records.failed)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    if (j->state == STOPPED)
        return err_set(err, ERR_BUSY, "the gateway is ending");
    if (j->waiting_n >= JOURNAL_QUEUE_MAX)
        return err_set(err, ERR_BUSY, "%u changes wait to be saved; try again", j->waiting_n);
    if (is_full(j, b))
        return err_set(err, ERR_LIMIT, "the saved state has reached %llu bytes; remove something first", JOURNAL_LIVE_MAX);
    if (prepare(j, b) < 0)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    b->done = done;
    b->began_us = loop_now_us(j->conf.loop);
    list_append(&j->waiting, &b->link);
    j->waiting_n++;
    if (j->state == IDLE) {
        enter(j, GATHERING);
        loop_defer(j->conf.loop, &j->gather);
    }
    return 0;
}

/* Moves what waits to `writing`, as much as one frame takes: at least one batch. */
static void begin_frame(struct journal *j)
{
    static const char ROOM[FRAME_HEAD_BYTES];
    struct journal_batch *b;

    buf_clear(&j->frame);
    buf_put(&j->frame, (struct str){ ROOM, sizeof ROOM });
    LIST_EACH(b, &j->waiting, link)
    {
        if (j->frame.n + b->records.n > FRAME_HEAD_BYTES + FRAME_BYTES_MAX)
            break;
        buf_put(&j->frame, buf_str(&b->records));
        list_remove(&b->link);
        j->waiting_n--;
        list_append(&j->writing, &b->link);
    }
    start_job(j);
}

static void begin_rewrite(struct journal *j)
{
    buf_clear(&j->frame);
    start_job(j);
}

/* A job that cannot even be submitted has failed; that it is told in a later turn keeps the callbacks out of journal_commit. */
static void start_job(struct journal *j)
{
    int r;

    enter(j, WRITING);
    j->job = (struct pool_job){ .work = work, .done = on_written };
    j->job_err = (struct err){ 0 };
    j->job_status = 0;
    r = j->frame.failed ? ERR_NOMEM : pool_submit(j->conf.pool, j->conf.loop, &j->job);
    if (r == 0)
        return; /* the job may have run already: from here to on_written its results are not ours */
    j->job_status = err_set(&j->job_err, r, "%s", r == ERR_BUSY ? "the blocking pool is busy; try again" : err_text(r));
    j->gather.run = job_failed;
    loop_defer(j->conf.loop, &j->gather);
}

static void job_failed(struct deferred *d)
{
    struct journal *j = CONTAINER_OF(d, struct journal, gather);

    j->gather.run = gather_over;
    on_written(&j->job);
}

/* On a pool thread. */
static void work(struct pool_job *job)
{
    struct journal *j = CONTAINER_OF(job, struct journal, job);

    if (j->frame.n)
        j->job_status = journal_file_append(&j->file, &j->live, &j->frame, &j->job_err);
    else
        j->job_status = journal_file_rewrite(&j->file, &j->live, &j->job_err);
}

static void count(struct journal *j, bool frame)
{
    j->stats.frames += frame && j->job_status == 0;
    j->stats.rewrites += !frame && j->job_status == 0;
    j->stats.failures += j->job_status < 0;
}

/* The live set follows first, for all batches of the frame; then their owners are told, who may commit again (that waits) or stop the journal. */
static void on_written(struct pool_job *job)
{
    struct journal *j = CONTAINER_OF(job, struct journal, job);
    bool frame = j->frame.n > 0;
    struct journal_batch *b;

    if (j->state == STOPPED)
        return;
    assert(j->state == WRITING);
    count(j, frame);
    j->file_bytes = j->file.bytes;
    LIST_EACH(b, &j->writing, link)
    {
        if (j->job_status == 0)
            live_settle(&j->live, &b->changes);
        else
            live_drop(&j->live, &b->changes);
    }
    if (j->frame.cap > FRAME_MEMORY_KEPT)
        buf_fini(&j->frame);
    if (!frame && j->job_status < 0 && !j->file.stale && j->conf.trouble)
        j->conf.trouble(j->conf.arg, &j->job_err);
    tell(j);
    if (j->state != STOPPED)
        go_on(j, frame);
}

static void tell(struct journal *j)
{
    uint64_t now_us = loop_now_exact_us(j->conf.loop);
    struct journal_batch *b;

    while (j->state != STOPPED && (b = list_first(&j->writing, struct journal_batch, link)) != NULL) {
        list_remove(&b->link);
        b->status = j->job_status;
        b->err = j->job_err;
        if (b->status == 0) {
            j->stats.commits++;
            histogram_add(&j->commit_us, now_us - b->began_us);
        }
        b->done(b); /* the batch may be gone */
    }
}

/* A rewrite goes before what waits: under constant load it would never come otherwise. A file that a failed frame left unsure is mended at once, so that
 * the refused frame cannot come back; when that fails too, the next commit tries again. */
static void go_on(struct journal *j, bool frame)
{
    bool unsure = frame && j->job_status < 0 && j->file.stale && list_empty(&j->waiting);

    if (unsure || journal_file_outgrown(&j->file, &j->live))
        begin_rewrite(j);
    else if (!list_empty(&j->waiting))
        begin_frame(j);
    else
        enter(j, IDLE);
}

/* ---- the life of the journal ---- */

int journal_open(const struct journal_conf *conf, struct journal **ret, struct journal_report *report, struct err *err)
{
    struct journal *j = calloc(1, sizeof *j);
    int r;

    if (!j)
        return err_set(err, ERR_NOMEM, "state file: %s", err_text(ERR_NOMEM));
    j->conf = *conf;
    j->gather.run = gather_over;
    list_init(&j->waiting);
    list_init(&j->writing);
    histogram_init(&j->commit_us);
    live_init(&j->live);
    r = journal_file_open(&j->file, conf->disk, &j->live, report, err);
    if (r < 0) {
        live_fini(&j->live);
        free(j);
        return r;
    }
    j->file_bytes = j->file.bytes;
    *ret = j;
    return 0;
}

static void drop_all(struct journal *j, struct list *batches)
{
    struct journal_batch *b;

    LIST_EACH(b, batches, link)
    {
        list_remove(&b->link);
        live_drop(&j->live, &b->changes);
    }
}

void journal_stop(struct journal *j)
{
    assert(loop_is_mine(j->conf.loop));
    enter(j, STOPPED);
    loop_defer_cancel(j->conf.loop, &j->gather);
    drop_all(j, &j->writing);
    drop_all(j, &j->waiting);
    j->waiting_n = 0;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    assert(j->state == STOPPED);
    journal_file_close(&j->file);
    live_fini(&j->live);
    buf_fini(&j->frame);
    free(j);
}

bool journal_next(const struct journal *j, const void **cursor, struct journal_entry *ret)
{
    const struct list *at = *cursor ? *cursor : &j->live.entries;
    const struct live_entry *e;

    if (at->next == &j->live.entries)
        return false;
    e = CONTAINER_OF(at->next, struct live_entry, link);
    *cursor = &e->link;
    *ret = (struct journal_entry){ .kind = e->kind, .key = e->key, .value = e->value };
    return true;
}

void journal_stats(const struct journal *j, struct journal_stats *ret)
{
    *ret = j->stats;
    ret->entries = j->live.n;
    ret->live_bytes = j->live.bytes;
    ret->file_bytes = j->file_bytes;
    ret->p50_us = histogram_quantile(&j->commit_us, 0.5);
    ret->p99_us = histogram_quantile(&j->commit_us, 0.99);
    ret->max_us = j->commit_us.max;
}
