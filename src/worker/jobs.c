/* worker/jobs.c -- what the API calls a job: the state of an entry's running or last change
 *
 *    NONE --job_begin--> PENDING --job_processing--> PROCESSING --job_done--> NONE
 *                           ^ |                          |
 *                job_wait --+ +---------job_fail---------+--------> FAILED --(an hour, or the next job_begin)--> NONE
 *
 * One job per entry: decision 9 lets a second request join the running one. A job of the API counts against jobs_max while it is PENDING or PROCESSING, unless
 * it waits for something that this version does not have (job_wait): that must not keep others out.
 * There is no "completed": a registered worker without job_status is the answer.
 */
#include "worker/registry_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define MESSAGE_MAX 512

static const struct str TYPES[] = { [JOB_ADD] = STR_INIT("AddWorker"), [JOB_REMOVE] = STR_INIT("RemoveWorker") };
static const struct str STATUSES[] = { [JOB_NONE] = STR_INIT(""),
                                       [JOB_PENDING] = STR_INIT("pending"),
                                       [JOB_PROCESSING] = STR_INIT("processing"),
                                       [JOB_FAILED] = STR_INIT("failed") };

static void uncount(struct entry *e)
{
    e->registry->jobs_n -= e->job.counted;
    e->job.counted = false;
}

static void enter(struct entry *e, enum job_status status)
{
    e->job.status = status;
    e->job.timestamp_s = clock_wall_s();
    if (status == JOB_NONE || status == JOB_FAILED)
        uncount(e);
    free(e->job.message);
    e->job.message = NULL;
}

int job_begin(struct entry *e, enum job_type type, enum job_count count)
{
    struct registry *r = e->registry;

    uncount(e);
    if (count == JOB_COUNTED && r->jobs_n >= r->conf.jobs_max)
        return ERR_BUSY;
    e->job.type = type;
    e->job.counted = count == JOB_COUNTED;
    r->jobs_n += e->job.counted;
    enter(e, JOB_PENDING);
    return 0;
}

void job_processing(struct entry *e)
{
    if (e->job.status == JOB_PENDING)
        enter(e, JOB_PROCESSING);
}

void job_wait(struct entry *e, const char *message)
{
    enter(e, JOB_PENDING);
    uncount(e);
    e->job.message = str_dup(str_of(message)); /* without memory the state must do */
}

void job_done(struct entry *e)
{
    enter(e, JOB_NONE);
}

void job_fail(struct entry *e, const char *fmt, ...)
{
    char text[MESSAGE_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    enter(e, JOB_FAILED);
    e->job.message = str_dup(str_of(text));
    e->job.expires_us = loop_now_us(e->registry->loop) + (uint64_t)e->registry->conf.job_keep_s * 1000000;
}

bool job_is_over(const struct entry *e, uint64_t now_us)
{
    return e->job.status == JOB_FAILED && now_us >= e->job.expires_us;
}

const struct worker_job_view *job_view(const struct entry *e, struct worker_job_view *ret)
{
    if (e->replacement && !e->replacement->asks_again)
        e = e->replacement; /* the PUT's */
    if (e->job.status == JOB_NONE || ((e->listed || e->replaces) && job_is_over(e, loop_now_us(e->registry->loop))))
        return NULL;
    *ret = (struct worker_job_view){
        .type = TYPES[e->job.type],
        .url = e->url,
        .status = STATUSES[e->job.status],
        .message = str_of(e->job.message),
        .timestamp_s = e->job.timestamp_s,
    };
    return ret;
}
