/* admission.c -- what being admitted costs, and how long the scheduler's lock is held
 *
 * Pairs: enter and leave again, nanoseconds per pair and thread. The last line times a leave that admits somebody from a line and an enter into it, calls and lock included: what the lock is
 * held for is less. Rows with 2 threads on fewer than 2 cores say nothing. Median of RUNS; the spread is (slowest - fastest) / median.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admission/admission.h"
#include "base/clock.h"

#define RUNS        7
#define PAIRS       200000
#define THREADS_MAX 2

static struct permits permits;
static struct rate rate;
static struct scheduler scheduler;
static struct tenant_limits limits;
static struct tenant_limits_conf limits_conf = { .fallback = { .tokens_per_minute = UINT32_MAX,
                                                               .requests_per_minute = UINT32_MAX } };

static void ignore(struct waiter *w)
{
    atomic_fetch_sub(&w->pending, 1);
}

static const struct waiter_ops IGNORE = { .granted = ignore, .preempted = ignore };

static void pair_permits(struct waiter *w, unsigned i)
{
    (void)i;
    if (permits_enter(&permits, w) == PERMITS_ADMITTED)
        permits_leave(&permits, w);
}

static void take_rate(struct waiter *w, unsigned i)
{
    uint64_t wait;

    (void)w;
    (void)rate_take(&rate, i, &wait);
}

static void pair_scheduler(struct waiter *w, unsigned i)
{
    w->class = i % CLASSES;
    if (scheduler_enter(&scheduler, w, i) == SCHED_ADMITTED)
        scheduler_leave(&scheduler, w, i);
}

static void pair_tenant(struct waiter *w, unsigned i)
{
    static const char *const NAMES[] = { "auth:red", "auth:blue", "ip:10.0.0.1", "ip:10.0.0.2" };
    struct tenant_charge c = { .tenant = str_of(NAMES[i % ARRAY_LEN(NAMES)]) };
    uint64_t wait;

    (void)w;
    if (tenant_limits_reserve(&limits, &limits_conf, &c, 100, i, &wait) == 0)
        tenant_limits_settle(&limits, &limits_conf, &c, 90, i);
}

struct run {
    pthread_t thread;
    void (*pair)(struct waiter *w, unsigned i);
    uint64_t ns;
};

static void *work(void *arg)
{
    struct run *r = arg;
    struct waiter w = { .ops = &IGNORE, .preempted_by = -1 };
    uint64_t began = clock_now_ns();

    list_init(&w.link);
    list_init(&w.wake);
    for (unsigned i = 0; i < PAIRS; i++)
        r->pair(&w, i);
    r->ns = clock_now_ns() - began;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void row(const char *name, void (*pair)(struct waiter *, unsigned), unsigned threads)
{
    double ns[RUNS];

    for (int run = 0; run < RUNS; run++) {
        struct run r[THREADS_MAX] = { { .pair = pair }, { .pair = pair } };
        uint64_t sum = 0;

        for (unsigned i = 0; i < threads; i++)
            if (pthread_create(&r[i].thread, NULL, work, &r[i]) != 0)
                exit(1);
        for (unsigned i = 0; i < threads; i++) {
            pthread_join(r[i].thread, NULL);
            sum += r[i].ns;
        }
        ns[run] = (double)sum / threads / PAIRS;
    }
    qsort(ns, RUNS, sizeof *ns, by_value);
    printf("%-34s %7u %10.1f %7.0f %%\n", name, threads, ns[RUNS / 2], (ns[RUNS - 1] - ns[0]) / ns[RUNS / 2] * 100);
}

/* The 99.9th percentile of calls, of a full house: 64 slots taken, every queue with waiters, so that each leave admits one. */
static void held(void)
{
    static struct waiter w[64 + 256];
    static double ns[100000];
    size_t n = 0, next = 0;

    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        w[i] = (struct waiter){ .ops = &IGNORE, .class = (uint8_t)(i % CLASSES), .preempted_by = -1 };
        if (scheduler_enter(&scheduler, &w[i], i) == SCHED_FULL)
            exit(1);
    }
    while (n < ARRAY_LEN(ns)) {
        struct waiter *one = &w[next++ % ARRAY_LEN(w)];
        uint64_t began;

        if (one->step != WAITER_ADMITTED)
            continue;
        began = clock_now_ns();
        scheduler_leave(&scheduler, one, n);
        if (scheduler_enter(&scheduler, one, n) == SCHED_FULL)
            exit(1);
        ns[n++] = (double)(clock_now_ns() - began);
    }
    qsort(ns, n, sizeof *ns, by_value);
    printf("\nscheduler, 64 slots taken, 256 waiting: leave + enter %.0f ns (median), %.0f ns (p99.9)\n", ns[n / 2],
           ns[n - n / 1000]);
}

int main(void)
{
    permits_init(&permits, 1000, 100);
    rate_configure(&rate, UINT32_MAX);
    scheduler_init(&scheduler, SCHED_DEFAULTS, 1000);
    tenant_limits_init(&limits);
    printf("%-34s %7s %10s %9s\n", "", "threads", "ns/pair", "spread");
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        row("permits: enter, leave", pair_permits, threads);
        row("rate: take", take_rate, threads);
        row("scheduler: enter, leave", pair_scheduler, threads);
        row("tenant budget: reserve, settle", pair_tenant, threads);
    }
    scheduler_fini(&scheduler);
    scheduler_init(&scheduler, SCHED_DEFAULTS, 64);
    held();
    return 0;
}
