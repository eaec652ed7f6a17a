/* load/run.c -- one whole run: checks, drivers, progress, Ctrl+C, the sum
 *
 *   load_run (calling thread) --driver_start--> N threads
 *        |  control loop: progress timer, signals           |
 *        |  <------------------- on_done, once per driver --+
 *        +--> joins them, adds their tallies up
 *
 * The control loop runs on the calling thread until the last driver has said that it is done. Which it does in bounded time once it was interrupted.
 */
#include "load/load.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "load/driver.h"

#define CLOSED_CONCURRENCY 16
#define OPEN_CONCURRENCY   10000
#define PROGRESS_MS        500
#define FDS_BESIDE         32 /* files that are no connection ... */
#define FDS_PER_LOOP       8

struct run {
    struct load_conf conf; /* defaults resolved */
    struct load_request request;
    struct loop *control;
    struct driver *drivers; /* owned array, conf.threads long */
    struct done {
        struct message message;
        struct run *run;
    } done[LOAD_THREADS_MAX];
    unsigned running; /* drivers that have not said done */
    uint64_t begin_us;
    bool interrupted;

    uv_signal_t signals[2];
    unsigned signals_n; /* opened */

    struct timer tick;
    void (*progress)(void *arg, const struct load_progress *p);
    void *arg;
    uint64_t seen_us, seen_ended, seen_tokens;
    struct histogram latency; /* for progress: all drivers' so far */
};

/* ---- before ---- */

static int check(const struct load_conf *c, struct err *err)
{
    if (c->host.n == 0 || c->port == 0)
        return err_set(err, ERR_INVALID, "the target needs a host and a port");
    if (!(c->rate >= 0) || !(c->duration_s >= 0) || !(c->warmup_s >= 0) || !(c->drain_s >= 0) || !(c->shared_prefix >= 0) ||
        c->shared_prefix > 1)
        return err_set(err, ERR_INVALID, "rate, times and shares are not negative, and a share is at most 1");
    if (!(c->popularity >= 0) || c->popularity > POPULARITY_EXPONENT_MAX)
        return err_set(err, ERR_INVALID, "popularity: an exponent of 0 to %d", POPULARITY_EXPONENT_MAX);
    if (c->duration_s == 0 && c->requests == 0)
        return err_set(err, ERR_INVALID, "a run needs a duration or a number of requests");
    if (c->threads > LOAD_THREADS_MAX || c->concurrency > LOAD_CONCURRENCY_MAX || c->prompt_bytes > LOAD_PROMPT_MAX ||
        c->prefixes > LOAD_PREFIXES_MAX)
        return err_set(err, ERR_LIMIT, "at most %d threads, %d requests in flight, prompts of %u bytes, %d prefixes",
                       LOAD_THREADS_MAX, LOAD_CONCURRENCY_MAX, LOAD_PROMPT_MAX, LOAD_PREFIXES_MAX);
    return 0;
}

/* Each request in flight is a connection. The soft limit is raised to the hard one. */
static int check_descriptors(struct load_conf *c, bool chosen, struct err *err)
{
    struct rlimit limit;
    uint64_t beside = FDS_BESIDE + (uint64_t)FDS_PER_LOOP * (c->threads + 1), most;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return err_set(err, err_from_errno(-errno), "limit of file descriptors: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* if it is refused, the check below says what is missing */
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    most = limit.rlim_cur > beside ? limit.rlim_cur - beside : 1;
    if (c->concurrency <= most)
        return 0;
    if (chosen)
        return err_set(err, ERR_LIMIT,
                       "%u requests in flight need as many file descriptors; this process may have %llu (ulimit -Hn), which is "
                       "enough for %llu",
                       c->concurrency, (unsigned long long)limit.rlim_cur, (unsigned long long)most);
    c->concurrency = (uint32_t)most;
    return 0;
}

static int resolve_defaults(struct load_conf *c, struct err *err)
{
    bool chosen = c->concurrency > 0;

    if (!chosen)
        c->concurrency = c->rate > 0 ? OPEN_CONCURRENCY : CLOSED_CONCURRENCY;
    if (c->threads == 0)
        c->threads = 1;
    if (c->threads > c->concurrency)
        c->threads = c->concurrency;
    if (c->progress_ms == 0)
        c->progress_ms = PROGRESS_MS;
    if (c->body.p || c->endpoint == LOAD_GET)
        c->prompt_bytes = 0;
    if (c->endpoint == LOAD_GET)
        c->stream = false;
    return check_descriptors(c, chosen, err);
}

/* ---- while it runs ---- */

static void interrupt_all(struct run *run)
{
    if (run->interrupted)
        return;
    run->interrupted = true;
    for (unsigned i = 0; i < run->conf.threads; i++)
        if (run->drivers[i].begin_us)
            driver_interrupt(&run->drivers[i]);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct run *run = handle->data;

    (void)signum;
    loop_enter(run->control);
    interrupt_all(run);
}

static void close_control(struct run *run)
{
    timer_stop(&run->tick);
    while (run->signals_n)
        uv_close((uv_handle_t *)&run->signals[--run->signals_n], NULL);
    loop_stop(run->control);
}

static void on_done(struct loop *l, struct message *m)
{
    struct run *run = CONTAINER_OF(m, struct done, message)->run;

    (void)l;
    if (--run->running == 0)
        close_control(run);
}

static double per_second(uint64_t n, uint64_t us)
{
    return us ? (double)n * 1e6 / (double)us : 0;
}

static void on_tick(struct timer *t)
{
    struct run *run = CONTAINER_OF(t, struct run, tick);
    uint64_t now = clock_now_us(), tokens = 0;
    struct load_progress p = { .elapsed_us = now - run->begin_us };

    histogram_init(&run->latency);
    for (unsigned i = 0; i < run->conf.threads; i++) {
        struct driver *d = &run->drivers[i];

        p.in_flight += atomic_load_explicit(&d->live.in_flight, memory_order_relaxed);
        p.ended += atomic_load_explicit(&d->live.ended, memory_order_relaxed);
        p.failed += atomic_load_explicit(&d->live.failed, memory_order_relaxed);
        tokens += atomic_load_explicit(&d->live.tokens, memory_order_relaxed);
        histogram_merge(&run->latency, &d->tally.latency);
    }
    p.requests_per_s = per_second(p.ended - run->seen_ended, now - run->seen_us);
    p.tokens_per_s = per_second(tokens - run->seen_tokens, now - run->seen_us);
    p.p50_us = histogram_quantile(&run->latency, 0.5);
    p.p99_us = histogram_quantile(&run->latency, 0.99);
    p.warming_up = (double)p.elapsed_us < run->conf.warmup_s * 1e6;
    run->seen_us = now;
    run->seen_ended = p.ended;
    run->seen_tokens = tokens;
    timer_start(run->control, t, run->conf.progress_ms, on_tick);
    run->progress(run->arg, &p);
}

static int watch_signals(struct run *run, struct err *err)
{
    static const int SIGNALS[] = { SIGINT, SIGTERM };

    if (run->conf.ignore_signals)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(SIGNALS); i++) {
        int r = uv_signal_init(&run->control->uv, &run->signals[i]);

        if (r < 0)
            return err_set(err, err_from_errno(r), "signals: %s", uv_strerror(r));
        run->signals_n++;
        run->signals[i].data = run;
        r = uv_signal_start(&run->signals[i], on_signal, SIGNALS[i]);
        if (r < 0)
            return err_set(err, err_from_errno(r), "signals: %s", uv_strerror(r));
    }
    return 0;
}

/* ---- start and end ---- */

static int make_parts(struct run *run, struct err *err)
{
    int r = load_request_init(&run->request, &run->conf, err);

    if (r < 0)
        return r;
    run->drivers = calloc(run->conf.threads, sizeof *run->drivers);
    if (!run->drivers)
        return err_set(err, ERR_NOMEM, "bench: %s", err_text(ERR_NOMEM));
    r = loop_new("bench control", run->conf.loop_index, &run->control, err);
    for (unsigned i = 0; r == 0 && i < run->conf.threads; i++) {
        struct driver_conf conf = { &run->conf, &run->request, i, run->conf.threads, &run->done[i].message, run->control };

        run->done[i] = (struct done){ .message.run = on_done, .run = run };
        r = driver_init(&run->drivers[i], &conf, err);
    }
    return r < 0 ? r : watch_signals(run, err);
}

/* Starts the threads and returns when all have ended. */
static int run_parts(struct run *run, struct err *err)
{
    int r = 0;

    run->begin_us = run->seen_us = clock_now_us();
    for (unsigned i = 0; r == 0 && i < run->conf.threads; i++) {
        r = driver_start(&run->drivers[i], run->begin_us, err);
        if (r == 0)
            run->running++;
        else
            run->drivers[i].begin_us = 0;
    }
    if (r < 0)
        interrupt_all(run);
    if (run->running == 0) {
        close_control(run);
    } else if (run->progress) {
        timer_start(run->control, &run->tick, run->conf.progress_ms, on_tick);
    }
    loop_run(run->control);
    for (unsigned i = 0; i < run->conf.threads; i++)
        loop_join(run->drivers[i].loop);
    return r;
}

static void sum_up(const struct run *run, struct load_report *ret)
{
    uint64_t last = run->begin_us, measure_us = run->begin_us + (uint64_t)(run->conf.warmup_s * 1e6), end_us = 0;

    load_tally_init(&ret->t);
    ret->turn_p50_us = ret->turn_p99_us = ret->turn_max_us = 0;
    for (unsigned i = 0; i < run->conf.threads; i++) {
        const struct driver *d = &run->drivers[i];
        struct loop_turn_stats turns;

        load_tally_merge(&ret->t, &d->tally);
        last = MAX(last, d->ended_us);
        end_us = MAX(end_us, MIN(d->end_us, d->ended_us));
        loop_turn_stats(d->loop, &turns);
        ret->turn_p50_us = MAX(ret->turn_p50_us, turns.p50_us);
        ret->turn_p99_us = MAX(ret->turn_p99_us, turns.p99_us);
        ret->turn_max_us = MAX(ret->turn_max_us, turns.max_us);
    }
    ret->elapsed_us = last - run->begin_us;
    ret->window_us = end_us > measure_us ? end_us - measure_us : 0;
    ret->interrupted = run->interrupted;
    ret->concurrency = run->conf.concurrency;
    ret->threads = run->conf.threads;
}

static void free_parts(struct run *run)
{
    for (unsigned i = 0; run->drivers && i < run->conf.threads; i++)
        driver_fini(&run->drivers[i]);
    if (run->control)
        close_control(run);
    loop_free(run->control);
    free(run->drivers);
    load_request_fini(&run->request);
}

int load_run(const struct load_conf *conf, struct load_report *ret, void (*progress)(void *arg, const struct load_progress *p),
             void *arg, struct err *err)
{
    struct run *run;
    int r = check(conf, err);

    if (r < 0)
        return r;
    run = calloc(1, sizeof *run);
    if (!run)
        return err_set(err, ERR_NOMEM, "bench: %s", err_text(ERR_NOMEM));
    run->conf = *conf;
    run->progress = progress;
    run->arg = arg;
    r = resolve_defaults(&run->conf, err);
    if (r == 0)
        r = make_parts(run, err);
    if (r == 0)
        r = run_parts(run, err);
    if (r == 0)
        sum_up(run, ret);
    free_parts(run);
    free(run);
    return r;
}
