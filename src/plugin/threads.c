/* plugin/threads.c -- threads that take jobs from one queue
 *
 * A lock and a condition: a plugin takes tens of microseconds at least, and the lock is held for some instructions.
 */
#include "plugin/threads.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

struct plugin_threads {
    pthread_mutex_t lock; /* guards what follows, down to `ending` */
    pthread_cond_t work_or_end;
    struct list queue; // plugin_job.link
    unsigned queued_n;
    bool ending;

    unsigned queue_max, threads_n;
    pthread_t threads[]; /* threads_n of them run */
};

/* The next job, or NULL at the end. */
static struct plugin_job *take(struct plugin_threads *t)
{
    struct plugin_job *job = NULL;

    pthread_mutex_lock(&t->lock);
    while (t->queued_n == 0 && !t->ending)
        pthread_cond_wait(&t->work_or_end, &t->lock);
    if (!t->ending) {
        job = list_first(&t->queue, struct plugin_job, link);
        list_remove(&job->link);
        job->waits = false;
        t->queued_n--;
    }
    pthread_mutex_unlock(&t->lock);
    return job;
}

static void *thread_main(void *arg)
{
    struct plugin_threads *t = arg;
    struct plugin_job *job;

    pthread_setname_np(pthread_self(), "plugin"); /* for people who look with top: no matter when it fails */
    while ((job = take(t)) != NULL) {
        job->work(job);
        log_flush();
    }
    return NULL;
}

int plugin_threads_new(unsigned threads, unsigned queue_max, struct plugin_threads **ret, struct err *err)
{
    struct plugin_threads *t = calloc(1, sizeof(*t) + threads * sizeof(t->threads[0]));

    assert(threads >= 1);
    if (!t)
        return err_set(err, ERR_NOMEM, "plugin threads: %s", err_text(ERR_NOMEM));
    pthread_mutex_init(&t->lock, NULL); /* neither can fail with default attributes */
    pthread_cond_init(&t->work_or_end, NULL);
    list_init(&t->queue);
    t->queue_max = queue_max;
    while (t->threads_n < threads) {
        int r = pthread_create(&t->threads[t->threads_n], NULL, thread_main, t);

        if (r != 0) {
            plugin_threads_free(t);
            return err_set(err, err_from_errno(-r), "%u plugin threads cannot be started", threads);
        }
        t->threads_n++;
    }
    *ret = t;
    return 0;
}

void plugin_threads_free(struct plugin_threads *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->ending = true;
    pthread_cond_broadcast(&t->work_or_end);
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->threads_n; i++)
        pthread_join(t->threads[i], NULL);
    pthread_cond_destroy(&t->work_or_end);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int plugin_threads_submit(struct plugin_threads *t, struct plugin_job *job)
{
    int r = ERR_BUSY;

    pthread_mutex_lock(&t->lock);
    if (t->queued_n < t->queue_max && !t->ending) {
        r = 0;
        list_append(&t->queue, &job->link);
        job->waits = true;
        t->queued_n++;
        pthread_cond_signal(&t->work_or_end);
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

bool plugin_threads_cancel(struct plugin_threads *t, struct plugin_job *job)
{
    bool waited;

    pthread_mutex_lock(&t->lock);
    waited = job->waits;
    if (waited) {
        list_remove(&job->link);
        job->waits = false;
        t->queued_n--;
    }
    pthread_mutex_unlock(&t->lock);
    return waited;
}

unsigned plugin_threads_waiting(struct plugin_threads *t)
{
    unsigned n;

    pthread_mutex_lock(&t->lock);
    n = t->queued_n;
    pthread_mutex_unlock(&t->lock);
    return n;
}
