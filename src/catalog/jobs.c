/* catalog/jobs.c -- the load of one tokenizer, from what was asked for to the table
 *
 *     NEW --catalog_job_begin--> QUEUED --start_next--> LOADING --on_loaded: it worked--> (an entry in the table; the job is gone)
 *                          ^                      | |
 *                          |      on_loaded: it did not, and may yet   on_loaded: it will not, or the attempts are used up
 *                       on_pause                  v                             v
 *                          +-------------------PAUSING                        FAILED --an hour, or catalog_job_forget--> (gone)
 *
 *   on_deadline, in LOADING: the load is told to give up; on_loaded follows when it has.
 *
 * Invariants: the list that a job is in is its state. A job in LOADING is the pool's until on_loaded. At most LOADS_AT_A_TIME are LOADING. What the API calls "pending" is QUEUED,
 * "processing" LOADING and PAUSING.
 * SMG's numbers: 3 attempts, 2 s apart, 300 s each, 600 s in all; BETTER: an error that cannot get better (a file that is not there, or is no tokenizer) is told at once.
 */
#include "catalog/catalog_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"

#define ATTEMPTS   3
#define PAUSE_MS   2000
#define ATTEMPT_MS 300000
#define JOB_MS     600000
#define KEEP_MS    3600000

static void start_next(struct catalog *c);
static void on_loaded(struct pool_job *work);
static void on_deadline(struct timer *t);
static void on_pause(struct timer *t);
static void on_forgotten(struct timer *t);

static uint32_t or_default(uint32_t given, uint32_t otherwise)
{
    return given ? given : otherwise;
}

static void enter(struct job *j, enum job_state state)
{
    struct catalog *c = j->catalog;
    struct list *const lists[] = {
        [JOB_QUEUED] = &c->queued, [JOB_LOADING] = &c->loading, [JOB_PAUSING] = &c->pausing, [JOB_FAILED] = &c->failed
    };

    assert(state != JOB_NEW);
    c->jobs_n -= j->state != JOB_NEW && j->state != JOB_FAILED;
    c->jobs_n += state != JOB_FAILED;
    list_remove(&j->link);
    list_append(lists[state], &j->link);
    timer_stop(&j->timer);
    j->state = state;
    if (state == JOB_LOADING)
        timer_start(c->loop, &j->timer, or_default(c->conf.attempt_ms, ATTEMPT_MS), on_deadline);
    else if (state == JOB_PAUSING)
        timer_start(c->loop, &j->timer, or_default(c->conf.pause_ms, PAUSE_MS), on_pause);
    else if (state == JOB_FAILED)
        timer_start(c->loop, &j->timer, or_default(c->conf.keep_ms, KEEP_MS), on_forgotten);
}

/* ---- life ---- */

struct job *catalog_job_new(struct catalog *c, const char id[UUID_TEXT_LEN + 1], struct str name, struct str source,
                            struct str chat_template, enum job_origin origin)
{
    struct job *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    list_init(&j->link);
    j->catalog = c;
    j->origin = origin;
    memcpy(j->id, id, sizeof j->id);
    j->name = str_dup(name);
    j->source = str_dup(source);
    j->chat_template = chat_template.n ? str_dup(chat_template) : NULL;
    if (j->name && j->source && (!chat_template.n || j->chat_template))
        return j;
    catalog_job_free(j);
    return NULL;
}

void catalog_job_free(struct job *j)
{
    if (!j)
        return;
    tokenizer_free(j->tokenizer);
    free(j->name);
    free(j->source);
    free(j->chat_template);
    free(j->message);
    free(j);
}

/* Takes J out of everything and frees it. */
static void discard(struct job *j)
{
    j->catalog->jobs_n -= j->state != JOB_NEW && j->state != JOB_FAILED;
    list_remove(&j->link);
    timer_stop(&j->timer);
    catalog_job_free(j);
}

void catalog_job_begin(struct job *j)
{
    assert(j->state == JOB_NEW);
    j->began_us = loop_now_us(j->catalog->loop);
    enter(j, JOB_QUEUED);
    start_next(j->catalog);
}

void catalog_job_forget(struct job *j)
{
    assert(j->state == JOB_FAILED);
    discard(j);
}

/* ---- an attempt ---- */

static void load(struct pool_job *work)
{
    struct job *j = CONTAINER_OF(work, struct job, work);
    const struct catalog *c = j->catalog;
    struct source_request request = {
        .source = str_of(j->source),
        .chat_template = str_of(j->chat_template),
        .hub = !c->conf.hub                     ? NULL
               : j->reach == CATALOG_LOCAL_ONLY ? &c->hub_offline
                                                : c->conf.hub,
        .progress = &j->progress,
        .cancel = &j->cancel,
    };

    j->status = tokenizer_source_load(&request, &j->tokenizer, &j->err);
}

static unsigned length_of(const struct list *l)
{
    unsigned n = 0;

    for (const struct list *link = l->next; link != l; link = link->next)
        n++;
    return n;
}

static void start_next(struct catalog *c)
{
    struct job *j;

    while (!c->stopped && length_of(&c->loading) < LOADS_AT_A_TIME && (j = list_first(&c->queued, struct job, link)) != NULL) {
        j->work.work = load;
        j->work.done = on_loaded;
        j->err = (struct err){ 0 };
        j->timed_out = false;
        atomic_store_explicit(&j->cancel, false, memory_order_relaxed);
        j->attempts++;
        enter(j, JOB_LOADING);
        if (pool_submit(c->pool, c->loop, &j->work) < 0) /* its queue is longer than ours can be */
            enter(j, JOB_PAUSING);
    }
}

static void on_deadline(struct timer *t)
{
    struct job *j = CONTAINER_OF(t, struct job, timer);

    j->timed_out = true;
    atomic_store_explicit(&j->cancel, true, memory_order_relaxed);
}

static void on_pause(struct timer *t)
{
    struct job *j = CONTAINER_OF(t, struct job, timer);
    struct catalog *c = j->catalog;

    enter(j, JOB_QUEUED);
    start_next(c);
}

static void on_forgotten(struct timer *t)
{
    struct job *j = CONTAINER_OF(t, struct job, timer);

    if (j->origin == JOB_RESTORED) /* it is still known, and an operator should see why it is not there */
        timer_start(j->catalog->loop, &j->timer, KEEP_MS, on_forgotten);
    else
        discard(j);
}

/* ---- its end ---- */

static const struct metric_family LOADS = { .name = "smg_tokenizer_loads_total",
                                            .help = "Tokenizers that were to be loaded, by what came of it",
                                            .type = METRIC_COUNTER,
                                            .labels = { "result" } };

static void count(struct catalog *c, struct str result)
{
    metric_add(metric_cell(c->loop->metrics, &LOADS, &result), 1);
}

/* For good. What never was a tokenizer is forgotten with the restart, what had been one is not. */
static void fail(struct job *j, const char *message)
{
    struct catalog *c = j->catalog;

    if (j->reach == CATALOG_LOCAL_ONLY && j->status == ERR_NOT_FOUND) {
        log_debug(CATALOG_TARGET, "no tokenizer for a worker's model on this machine", LF_CSTR("name", j->name),
                  LF_CSTR("source", j->source));
        discard(j);
        return;
    }
    log_warn(CATALOG_TARGET, "tokenizer could not be loaded", LF_CSTR("name", j->name), LF_CSTR("source", j->source),
             LF_CSTR("id", j->id), LF_UINT("attempts", j->attempts), LF_CSTR("error", message));
    count(c, STR("failure"));
    j->message = str_dup(str_of(message)); /* without memory the state must do */
    if (j->stored && j->origin == JOB_OF_API) {
        j->stored = false;
        catalog_commands_forget(c, j->id);
    }
    if (length_of(&c->failed) >= CATALOG_NAMES_MAX)
        catalog_job_forget(list_first(&c->failed, struct job, link));
    enter(j, JOB_FAILED);
}

static void fail_taken(struct job *j, const struct tokenizer_entry *other)
{
    char message[ERR_MESSAGE_MAX];

    if (j->origin == JOB_WANTED) {
        discard(j);
        return;
    }
    snprintf(message, sizeof message, "Tokenizer '%s' already exists (id: %s)", j->name, other->id);
    fail(j, message);
}

static void succeed(struct job *j)
{
    struct catalog *c = j->catalog;
    struct tokenizer_entry *other = map_get(&catalog_now(c)->by_name, str_of(j->name)), *e;
    uint64_t ms = (loop_now_us(c->loop) - j->began_us) / 1000;

    if (other) {
        fail_taken(j, other);
        return;
    }
    e = tokenizer_entry_new(j->id, str_of(j->name), str_of(j->source), str_of(j->chat_template), STEAL(j->tokenizer));
    if (e)
        e->stored = j->stored;
    if (!e || catalog_publish(c, e, /* without= */ NULL) < 0) {
        tokenizer_entry_unref(e);
        fail(j, err_text(ERR_NOMEM));
        return;
    }
    log_info(CATALOG_TARGET, "tokenizer loaded", LF_STR("name", e->name), LF_STR("source", e->source), LF_CSTR("id", e->id),
             LF_UINT("vocab_size", e->vocab_size), LF_STR("kind", tokenizer_describe(e->tokenizer)),
             LF_UINT("bytes", tokenizer_memory(e->tokenizer)), LF_UINT("ms", ms));
    count(c, STR("success"));
    tokenizer_entry_unref(e); /* the table has its own */
    discard(j);
}

static bool may_try_again(const struct job *j)
{
    uint64_t spent_ms = (loop_now_us(j->catalog->loop) - j->began_us) / 1000;

    return !source_is_final(j->status) && j->attempts < ATTEMPTS && spent_ms < or_default(j->catalog->conf.job_ms, JOB_MS);
}

static void on_loaded(struct pool_job *work)
{
    struct job *j = CONTAINER_OF(work, struct job, work);
    struct catalog *c = j->catalog;
    char message[ERR_MESSAGE_MAX];

    assert(j->state == JOB_LOADING);
    if (c->stopped)
        return; /* catalog_jobs_free has it */
    if (j->status == 0) {
        succeed(j);
    } else {
        snprintf(message, sizeof message, "%s", j->err.message[0] ? j->err.message : err_text(j->status));
        if (j->timed_out)
            snprintf(message, sizeof message, "Step timeout after %us", or_default(c->conf.attempt_ms, ATTEMPT_MS) / 1000);
        if (may_try_again(j))
            enter(j, JOB_PAUSING);
        else
            fail(j, message);
    }
    start_next(c);
}

/* ---- looking ---- */

struct job *catalog_job_by_name(struct catalog *c, struct str name)
{
    struct list *const lists[] = { &c->queued, &c->loading, &c->pausing };
    struct job *j;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(j, lists[i], link)
    if (str_eq(str_of(j->name), name))
        return j;
    return NULL;
}

struct job *catalog_job_by_id(struct catalog *c, struct str id)
{
    struct list *const lists[] = { &c->queued, &c->loading, &c->pausing, &c->failed };
    struct job *j;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(j, lists[i], link)
    if (str_eq(str_of(j->id), id))
        return j;
    return NULL;
}

struct job *catalog_job_failed(struct catalog *c, struct str key)
{
    struct job *j;

    LIST_EACH(j, &c->failed, link)
    if (str_eq(str_of(j->id), key) || (j->stored && str_eq(str_of(j->name), key)))
        return j;
    return NULL;
}

static void put_mib(struct buf *out, uint64_t done, uint64_t total)
{
    if (total)
        buf_printf(out, ", %.1f of %.1f MB (%u %%)", (double)done / 1e6, (double)total / 1e6, (unsigned)(done * 100 / total));
    else if (done)
        buf_printf(out, ", %.1f MB", (double)done / 1e6);
}

/* "Tokenizer job is processing: file 2 of 5, 3.1 of 9.1 MB (34 %)"; SMG's own text where nothing is fetched. */
static void describe_progress(const struct job *j, struct buf *out)
{
    unsigned total = atomic_load_explicit(&j->progress.files_total, memory_order_relaxed);
    unsigned done = atomic_load_explicit(&j->progress.files_done, memory_order_relaxed);

    buf_puts(out, "Tokenizer job is processing");
    if (j->state == JOB_PAUSING)
        buf_printf(out, ": attempt %u of %d failed (%s), the next one follows", j->attempts, ATTEMPTS, j->err.message);
    else if (total) {
        buf_printf(out, ": %u of %u files fetched", done, total);
        put_mib(out, atomic_load_explicit(&j->progress.bytes_done, memory_order_relaxed),
                atomic_load_explicit(&j->progress.bytes_total, memory_order_relaxed));
    }
}

void catalog_job_describe(const struct job *j, struct arena *arena, struct str *ret_state, struct str *ret_text)
{
    _cleanup_(buf_fini) struct buf text = { 0 };

    switch (j->state) {
    case JOB_LOADING:
    case JOB_PAUSING:
        *ret_state = STR("processing");
        describe_progress(j, &text);
        break;
    case JOB_FAILED:
        *ret_state = STR("failed");
        buf_put(&text, j->message ? str_of(j->message) : str_of(err_text(ERR_NOMEM)));
        break;
    default:
        *ret_state = STR("pending");
        buf_puts(&text, "Tokenizer job is pending");
    }
    *ret_text = text.failed ? STR_NONE : arena_str(arena, buf_str(&text));
}

/* ---- the end of all ---- */

void catalog_jobs_stop(struct catalog *c)
{
    struct list *const lists[] = { &c->queued, &c->loading, &c->pausing, &c->failed };
    struct job *j;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(j, lists[i], link)
        {
            timer_stop(&j->timer);
            atomic_store_explicit(&j->cancel, true, memory_order_relaxed);
        }
}

void catalog_jobs_free(struct catalog *c)
{
    struct list *const lists[] = { &c->queued, &c->loading, &c->pausing, &c->failed };
    struct job *j;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(j, lists[i], link)
        {
            list_remove(&j->link);
            catalog_job_free(j);
        }
}
