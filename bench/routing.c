/* bench/routing.c -- decisions per second and core, per policy and size of the fleet
 *
 * A decision is everything between a prompt and a worker: for cache_aware the look-up and the insertion of what was new. Prompts have 8 KB, of which the first 70 % are
 * one of FAMILIES shared beginnings; the rest is new each time. The index is full: each new block pushes an old one out. Eight requests per worker are in flight: a decision counts a request in and the oldest one out.
 * As in a gateway, threads share the policy, each has its own list of candidates and board, and a control thread ticks once a second.
 *
 *     build/bench/routing [seconds per figure [policy]]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "routing/cache_aware.h"
#include "routing/policies.h"
#include "worker/registry.h"

#define PROMPT      8192
#define SHARED      (PROMPT * 7 / 10)
#define FAMILIES    256
#define IN_FLIGHT   8 /* per worker */
#define THREADS_MAX 2
#define RUNS        3
#define FLEET_MAX   10000
#define MEMORY      ((size_t)1 << 30) /* of the process: an index may take a quarter of it */

static const struct worker *fleet[FLEET_MAX];
static const size_t SIZES[] = { 8, 64, 1024, 10000 };

struct runner {
    struct policy *policy;
    size_t workers;
    _Atomic bool *stop;
    uint64_t serial, decisions;
    double seconds;
    struct policy_board board;
    struct random random;
    char *prompts; /* owned: FAMILIES of PROMPT bytes */
    const struct worker **in_flight;
};

static void make_fleet(void)
{
    char url[64], id[UUID_TEXT_LEN + 1] = "00000000-0000-4000-8000-000000000000";
    struct worker_spec spec;

    worker_spec_defaults(&spec);
    for (size_t i = 0; i < FLEET_MAX; i++) {
        struct worker *w;

        spec.url = (struct str){ url, (size_t)snprintf(url, sizeof url, "http://10.0.%zu.%zu:8000", i / 250, i % 250) };
        w = worker_new(&spec, id, 0, i, NULL);
        if (!w)
            abort();
        atomic_store(&w->live->status, WORKER_READY);
        fleet[i] = w;
    }
}

static void runner_init(struct runner *r, struct policy *p, size_t workers, unsigned index)
{
    *r = (struct runner){ .policy = p, .workers = workers, .serial = (uint64_t)index << 56 };
    random_init(&r->random, 1); /* both threads have the same families */
    r->prompts = malloc((size_t)FAMILIES * PROMPT);
    r->in_flight = calloc(workers * IN_FLIGHT, sizeof(*r->in_flight));
    if (!r->prompts || !r->in_flight)
        abort();
    random_alnum(&r->random, r->prompts, (size_t)FAMILIES * PROMPT);
    random_init(&r->random, index);
}

static void runner_fini(struct runner *r)
{
    for (size_t i = 0; i < r->workers * IN_FLIGHT; i++)
        if (r->in_flight[i])
            worker_load_end(r->in_flight[i]);
    board_fini(&r->board);
    free(r->prompts);
    free(r->in_flight);
}

static void decide(struct runner *r, struct policy_hint *hint)
{
    char *prompt = r->prompts + random_below(&r->random, FAMILIES) * PROMPT;
    size_t slot = r->serial % (r->workers * IN_FLIGHT);
    struct policy_choice choice = { 0 };
    int at;

    r->serial++;
    memcpy(prompt + SHARED, &r->serial, sizeof r->serial);
    hint->text = (struct str){ prompt, PROMPT };
    hint->routing_key = (struct str){ prompt, 16 };
    at = policy_pick(r->policy, fleet, r->workers, hint, &choice);
    if (at < 0)
        return;
    worker_load_begin(fleet[at]);
    if (r->in_flight[slot])
        worker_load_end(r->in_flight[slot]);
    r->in_flight[slot] = fleet[at];
}

/* Of this thread: what else the machine does in the meantime is not counted. */
static uint64_t cpu_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void *run(void *arg)
{
    struct runner *r = arg;
    struct worker_model group = { .id = STR("model"), .workers = (const struct worker **)fleet, .n = r->workers };
    struct policy_hint hint = {
        .model = STR("model"), .group = &group, .table_serial = 1, .random = &r->random, .board = &r->board
    };
    uint64_t began = cpu_now_ns();

    r->decisions = 0;
    while (!atomic_load_explicit(r->stop, memory_order_relaxed)) {
        hint.now_us = clock_now_us(); /* a turn of a loop */
        for (int i = 0; i < 32; i++)
            decide(r, &hint);
        r->decisions += 32;
    }
    r->seconds = (double)(cpu_now_ns() - began) / 1e9;
    return NULL;
}

/* Decisions per second of all threads together. */
static double measure(struct runner *runners, unsigned threads, double seconds)
{
    pthread_t ids[THREADS_MAX];
    _Atomic bool stop = false;
    uint64_t until = clock_now_us() + (uint64_t)(seconds * 1e6);
    struct policy *p = runners[0].policy;
    double sum = 0;

    for (unsigned i = 0; i < threads; i++) {
        cpu_set_t cores;

        runners[i].stop = &stop;
        if (pthread_create(&ids[i], NULL, run, &runners[i]) != 0)
            abort();
        CPU_ZERO(&cores);
        CPU_SET(i, &cores);
        (void)pthread_setaffinity_np(ids[i], sizeof cores, &cores); /* fewer cores than threads: the figure will tell */
    }
    while (clock_now_us() < until) {
        uint64_t now = clock_now_us();

        if (p->ops->tick)
            p->ops->tick(p, now);
        usleep((useconds_t)MIN(until - MIN(until, clock_now_us()) + 1, 1000000u));
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        sum += (double)runners[i].decisions / runners[i].seconds;
    }
    return sum;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Until the index is as large as it may be, and old blocks make room for new ones. */
static void fill(struct runner *r)
{
    struct policy_hint hint = { .model = STR("model"), .random = &r->random, .board = &r->board };
    struct prefix_index_stats s;

    do {
        for (int i = 0; i < 5000; i++) {
            hint.now_us = clock_now_us();
            decide(r, &hint);
        }
        r->policy->ops->tick(r->policy, hint.now_us);
        cache_aware_stats(r->policy, &s);
    } while (s.bytes < MEMORY / 4 || (uint64_t)s.entries < s.bytes / 16 / 10 * 9);
}

/* The median of RUNS runs, and their spread. */
static double rate(struct policy *p, size_t workers, unsigned threads, double seconds, double *ret_spread)
{
    struct runner runners[THREADS_MAX];
    double rates[RUNS];

    for (unsigned i = 0; i < threads; i++)
        runner_init(&runners[i], p, workers, i);
    if (policy_is_cache_aware(p))
        fill(&runners[0]);
    (void)measure(runners, threads, seconds); /* warm caches; the rate is of no interest */
    for (unsigned i = 0; i < RUNS; i++)
        rates[i] = measure(runners, threads, seconds);
    for (unsigned i = 0; i < threads; i++)
        runner_fini(&runners[i]);
    qsort(rates, RUNS, sizeof *rates, by_value);
    *ret_spread = (rates[RUNS - 1] - rates[0]) / rates[RUNS / 2];
    return rates[RUNS / 2];
}

static struct policy *policy_of(const struct policy_ops *ops)
{
    struct policy *p;

    if (policy_new(ops, &POLICY_CONF_DEFAULTS, &p, NULL) < 0)
        abort();
    return p;
}

static void measure_policies(double seconds, const char *only)
{
    printf("%-20s %8s %14s %12s %8s\n", "policy", "workers", "decisions/s", "ns/decision", "spread");
    for (size_t i = 0; POLICIES[i]; i++) {
        for (size_t k = 0; k < ARRAY_LEN(SIZES); k++) {
            struct policy *p;
            double spread, per_second;

            if ((SIZES[k] > 1024 && POLICIES[i] != &policy_cache_aware) || (only && strcmp(only, POLICIES[i]->name)))
                continue;
            p = policy_of(POLICIES[i]);
            per_second = rate(p, SIZES[k], 1, seconds, &spread);
            printf("%-20s %8zu %14.0f %12.0f %7.0f%%\n", POLICIES[i]->name, SIZES[k], per_second, 1e9 / per_second, spread * 100);
            policy_unref(p);
        }
    }
}

static void measure_threads(double seconds)
{
    double rates[THREADS_MAX + 1] = { 0 }, spread;

    printf("\n%-20s %8s %14s %12s %8s\n", "cache_aware, 64", "threads", "decisions/s", "of one", "spread");
    for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
        struct policy *p = policy_of(&policy_cache_aware);

        rates[threads] = rate(p, 64, threads, seconds, &spread);
        printf("%-20s %8u %14.0f %11.2fx %7.0f%%\n", "", threads, rates[threads], rates[threads] / rates[1], spread * 100);
        policy_unref(p);
    }
}

/* Fills an index block by block of long prompts, as ticks let it grow. */
static void measure_memory(void)
{
    struct policy *p = policy_of(&policy_cache_aware);
    struct prefix_index_stats s;
    struct runner r;
    struct policy_hint hint = { .model = STR("model"), .now_us = 1000000 };
    double prompts = 0;

    runner_init(&r, p, 64, 0);
    hint.random = &r.random;
    hint.board = &r.board;
    do {
        for (int i = 0; i < 2000; i++)
            decide(&r, &hint);
        prompts += 2000;
        hint.now_us += 1000000;
        for (int i = 0; i < 8; i++)
            p->ops->tick(p, hint.now_us);
        cache_aware_stats(p, &s);
    } while (s.entries < 1000000);
    printf(
        "\nmemory: %.1f MB per million cached blocks (%lld blocks in %.1f MB), %.0f bytes per prompt of %d KB, 30 %% of it new\n",
        (double)s.bytes / (double)s.entries, (long long)s.entries, (double)s.bytes / 1e6, (double)s.bytes / prompts, PROMPT / 1024);
    runner_fini(&r);
    policy_unref(p);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.3;

    budget_set_limit(MEMORY);
    make_fleet();
    measure_policies(seconds, argc > 2 ? argv[2] : NULL);
    measure_threads(seconds);
    measure_memory();
    return 0;
}
