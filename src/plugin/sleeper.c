/* Calls of guests that can sleep (they import wasi:io/poll).
 *
 * A guest that waits in the host, for a clock, is in no code that the epoch could stop. So its call is made on a thread of its own, which has everything that it touches to itself, and the caller waits until it is
 * done or its deadline has passed. Of the caller's the thread reads the body alone, under the lock, when it puts the arguments into the bridge, where no guest runs: a caller that leaves waits for that.
 *
 *   waiting --the thread is done--> done: the caller takes the answer, the thread has ended
 *      \--deadline (or the runtime stops) and GRACE_MS--> left: ERR_TIMEOUT for the caller; the job belongs to the thread, which ends at the epoch as soon as the guest wakes up
 *
 * Bound: SLEEPERS_MAX threads may be left at a time; from then on calls of such modules are refused (ERR_BUSY) until one ends.
 */
#include <stdlib.h>
#include <time.h>

#include "plugin/call.h"

#define LOOK_MS  100u
#define GRACE_MS 30u /* beyond the deadline: a guest that computes is stopped by the epoch in that time */

struct job {
    struct wasm_module *m; /* ref */
    enum component_interface f;
    struct wasm_limits limits;
    struct image in;       /* in the arena, but for a large body, which is the caller's: not to be read once left */
    struct output *output; /* ref of the call: with the caller, who tells it; the thread's streams have theirs. NULL once left */
    struct arena arena;
    union wasm_result out; /* points into the arena */
    struct err err;
    int result;

    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done, left; /* under the lock */
};

static void job_free(struct job *j)
{
    wasm_module_unref(j->m);
    arena_fini(&j->arena);
    pthread_cond_destroy(&j->ended);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

/* ERR_TIMEOUT: there is nobody to call for any more. */
static int put(struct job *j, struct call *c)
{
    int r;

    pthread_mutex_lock(&j->lock);
    r = j->left ? ERR_TIMEOUT : call_put(c, &j->in);
    pthread_mutex_unlock(&j->lock);
    return r;
}

static int call(struct job *j)
{
    struct call c = { .m = j->m, .limits = j->limits, .output = j->output, .err = &j->err };
    int r = call_begin(&c);

    if (r == 0)
        r = call_instantiate(&c);
    if (r == 0)
        r = put(j, &c);
    if (r == 0)
        r = call_ask(&c, j->f, &j->arena, &j->out);
    call_end(&c);
    return r;
}

static void *work(void *arg)
{
    struct job *j = arg;
    struct wasm_runtime *r = j->m->runtime;
    bool left;

    j->result = call(j);
    pthread_mutex_lock(&j->lock);
    j->done = true;
    left = j->left;
    pthread_cond_signal(&j->ended);
    pthread_mutex_unlock(&j->lock);
    if (left) {
        output_unref(j->output);
        job_free(j);
        atomic_fetch_sub(&r->sleepers, 1); /* the runtime may be closed from here on */
    }
    return NULL;
}

static struct job *job_new(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, struct output *output,
                           bool budgeted)
{
    struct job *j = calloc(1, sizeof *j);
    pthread_condattr_t attr;

    if (!j)
        return NULL;
    j->m = wasm_module_ref(m);
    j->f = f;
    j->limits = *l;
    j->output = output;
    arena_init(&j->arena, NULL, 0);
    j->arena.budgeted = budgeted;
    pthread_mutex_init(&j->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->ended, &attr);
    pthread_condattr_destroy(&attr);
    return j;
}

static struct timespec after_ms(uint64_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

static uint64_t now_ms(void)
{
    struct timespec t = after_ms(0);

    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Whether it is done; if not, it has been left. The wait looks up now and then: is the runtime stopping? */
static bool wait_for(struct job *j)
{
    uint64_t now = now_ms(), end = now + j->limits.timeout_ms + 2 * TICK_MS + GRACE_MS;
    bool stopping = false, done;

    pthread_mutex_lock(&j->lock);
    while (!j->done && now < end) {
        struct timespec until = after_ms(MIN(end - now, (uint64_t)LOOK_MS));

        (void)pthread_cond_timedwait(&j->ended, &j->lock, &until);
        now = now_ms();
        if (!stopping && atomic_load(&j->m->runtime->stopping)) {
            stopping = true;
            end = MIN(end, now + 2 * TICK_MS + GRACE_MS);
        }
    }
    done = j->done;
    j->left = !done;
    if (j->left) {
        atomic_fetch_add(&j->m->runtime->sleepers, 1);
        output_ref(j->output);
    }
    pthread_mutex_unlock(&j->lock);
    return done;
}

/* Starts J, waits, and takes what came of it. */
static int run(struct job *j, struct arena *arena, union wasm_result *ret, struct err *err)
{
    uint32_t timeout_ms = j->limits.timeout_ms;
    pthread_t thread;
    int r;

    if (pthread_create(&thread, NULL, work, j) != 0) {
        job_free(j);
        return err_set(err, ERR_NOMEM, "no thread for a plugin that may sleep");
    }
    if (!wait_for(j)) {
        pthread_detach(thread);
        return err_set(err, ERR_TIMEOUT, "the plugin slept past its deadline of %u ms", timeout_ms);
    }
    pthread_join(thread, NULL);
    r = j->result;
    if (r == 0) {
        arena_take(arena, &j->arena);
        *ret = j->out;
    } else {
        err_set(err, r, "%s", j->err.message);
    }
    job_free(j);
    return r;
}

int call_elsewhere(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
                   struct output *output, struct arena *arena, union wasm_result *ret, struct err *err)
{
    struct job *j;
    int r;

    if (atomic_load(&m->runtime->sleepers) >= SLEEPERS_MAX)
        return err_set(err, ERR_BUSY, "%d calls of plugins still sleep past their deadlines; no more are begun until one wakes up",
                       SLEEPERS_MAX);
    j = job_new(m, f, l, output, arena->budgeted);
    if (!j)
        return err_set(err, ERR_NOMEM, "no memory for a plugin's call");
    r = image_write(values, &j->arena, &j->in, err);
    if (r < 0) {
        job_free(j);
        return r;
    }
    return run(j, arena, ret, err);
}
