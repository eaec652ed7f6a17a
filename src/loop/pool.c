/* loop/pool.c -- the blocking pool: threads that take jobs from one queue, oldest first
 *
 * A lock and a condition are good enough: jobs take milliseconds to minutes, and loop threads hold the lock for a few instructions only.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "loop/pool.h"
#include "loop/priority.h"

struct pool {
    uv_mutex_t lock; /* guards queue, queued_n, ending */
    uv_cond_t work_or_end;
    struct list queue; // pool_job.link
    unsigned queued_n;
    bool ending;
    unsigned threads_n;
    uv_thread_t threads[]; /* threads_n of them run */
};

static void on_back(struct loop *loop, struct message *m)
{
    struct pool_job *job = CONTAINER_OF(m, struct pool_job, back);

    (void)loop;
    job->done(job);
}

/* The next job, or NULL at the end of the pool. */
static struct pool_job *take(struct pool *p)
{
    struct pool_job *job;

    uv_mutex_lock(&p->lock);
    while (p->queued_n == 0 && !p->ending)
        uv_cond_wait(&p->work_or_end, &p->lock);
    job = list_first(&p->queue, struct pool_job, link);
    if (job) {
        list_remove(&job->link);
        p->queued_n--;
    }
    uv_mutex_unlock(&p->lock);
    return job;
}

static void thread_main(void *arg)
{
    struct pool *p = arg;
    struct pool_job *job;

    pthread_setname_np(pthread_self(), "pool"); /* for people who look with top: no matter when it fails */
    priority_stands_back();
    while ((job = take(p)) != NULL) {
        job->work(job);
        log_flush();
        loop_post(job->loop, &job->back);
    }
}

int pool_new(unsigned threads, struct pool **ret, struct err *err)
{
    struct pool *p = calloc(1, sizeof *p + threads * sizeof p->threads[0]);
    int r = 0;

    assert(threads >= 1);
    if (!p || uv_mutex_init(&p->lock) < 0) {
        free(p);
        return err_set(err, ERR_NOMEM, "blocking pool: %s", err_text(ERR_NOMEM));
    }
    if (uv_cond_init(&p->work_or_end) < 0) {
        uv_mutex_destroy(&p->lock);
        free(p);
        return err_set(err, ERR_NOMEM, "blocking pool: %s", err_text(ERR_NOMEM));
    }
    list_init(&p->queue);
    for (unsigned i = 0; i < threads && r == 0; i++) {
        r = uv_thread_create(&p->threads[i], thread_main, p);
        if (r == 0)
            p->threads_n++;
    }
    if (r < 0) {
        pool_free(p);
        return err_set(err, err_from_errno(r), "blocking pool of %u threads: %s", threads, uv_strerror(r));
    }
    *ret = p;
    return 0;
}

int pool_submit(struct pool *p, struct loop *l, struct pool_job *job)
{
    int r = 0;

    assert(loop_is_mine(l) && job->work && job->done);
    job->loop = l;
    job->back.run = on_back;
    uv_mutex_lock(&p->lock);
    if (p->queued_n >= POOL_QUEUE_MAX) {
        r = ERR_BUSY;
    } else {
        list_append(&p->queue, &job->link);
        p->queued_n++;
        uv_cond_signal(&p->work_or_end);
    }
    uv_mutex_unlock(&p->lock);
    return r;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    uv_mutex_lock(&p->lock);
    p->ending = true;
    uv_cond_broadcast(&p->work_or_end);
    uv_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads_n; i++)
        (void)uv_thread_join(&p->threads[i]); /* fails only for a thread that is no thread */
    uv_cond_destroy(&p->work_or_end);
    uv_mutex_destroy(&p->lock);
    free(p);
}
