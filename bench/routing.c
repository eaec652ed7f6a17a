/* bench/routing.c -- decisions per second and core, per policy and size of the fleet
 *
 * A decision is everything between a prompt and a worker: for cache_aware the look-up and the insertion of what was new. Prompts have 8 KB, of which the first 70 % are
 * one of FAMILIES shared beginnings; the rest is new each time. The index is full: each new block pushes an old one out. Eight requests per worker are in flight: a decision counts a request in and the oldest one out.
 * As in a gateway, threads share the policy, each has its own list of candidates and board, and a control thread ticks once a second. What sharing costs is told apart from what
 * the machine's cores cost each other: beside two threads of one policy run two that share nothing, each with a policy and workers of its own. One thread and two take turns.
 *
 *     build/bench/routing [seconds per figure [policy, or threads]]
 */
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "routing/cache_aware.h"
#include "routing/hash_ring.h"
#include "routing/policies.h"
#include "worker/registry.h"

#define PROMPT      8192
#define SHARED      (PROMPT * 7 / 10)
#define FAMILIES    256
#define IN_FLIGHT   8 /* per worker */
#define THREADS_MAX 2
#define RUNS        3
#define ROUNDS      7  /* of one thread and of two */
#define TOGETHER    64 /* workers of the figures for two threads */
#define FLEET_MAX   10000
#define MEMORY      ((size_t)1 << 30) /* of the process: an index may take a quarter of it */

static const struct worker *fleet[FLEET_MAX], *other_fleet[TOGETHER];
static const size_t SIZES[] = { 8, 64, 1024, 10000 };

struct runner {
    alignas(128) struct policy *policy; /* no cache line, nor the pair that is fetched at once, is of two runners */
    const struct worker *const *fleet;
    const struct hash_ring *ring;
    size_t workers;
    _Atomic bool *stop;
    uint64_t serial, decisions;
    double seconds;
    struct policy_board board;
    struct random random;
    char *prompts; /* owned: FAMILIES of PROMPT bytes */
    const struct worker **in_flight;
};

static void make_fleet(const struct worker **ret, size_t n)
{
    char url[64], id[UUID_TEXT_LEN + 1] = "00000000-0000-4000-8000-000000000000";
    struct worker_spec spec;

    worker_spec_defaults(&spec);
    for (size_t i = 0; i < n; i++) {
        struct worker *w;

        spec.url = (struct str){ url, (size_t)snprintf(url, sizeof url, "http://10.0.%zu.%zu:8000", i / 250, i % 250) };
        w = worker_new(&spec, id, 0, i, NULL);
        if (!w)
            abort();
        atomic_store(&w->live->status, WORKER_READY);
        ret[i] = w;
    }
}

static void runner_init(struct runner *r, struct policy *p, const struct worker *const *workers, size_t n, unsigned index)
{
    *r = (struct runner){ .policy = p, .fleet = workers, .workers = n, .serial = (uint64_t)index << 56 };
    r->ring = hash_ring_new(/* old= */ NULL, workers, n);
    random_init(&r->random, 1); /* both threads have the same families */
    r->prompts = malloc((size_t)FAMILIES * PROMPT);
    r->in_flight = calloc(n * IN_FLIGHT, sizeof(*r->in_flight));
    if (!r->ring || !r->prompts || !r->in_flight)
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
    free((void *)r->ring);
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
    at = policy_pick(r->policy, r->fleet, r->workers, hint, &choice);
    if (at < 0)
        return;
    worker_load_begin(r->fleet[at]);
    if (r->in_flight[slot])
        worker_load_end(r->in_flight[slot]);
    r->in_flight[slot] = r->fleet[at];
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
    struct worker_model group = { .id = STR("model"), .workers = (const struct worker **)r->fleet, .n = r->workers };
    struct policy_hint hint = {
        .model = STR("model"), .group = &group, .table_serial = 1, .ring = r->ring, .random = &r->random, .board = &r->board
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

        for (unsigned i = 0; i < threads; i++)
            if (runners[i].policy->ops->tick && (i == 0 || runners[i].policy != runners[0].policy))
                runners[i].policy->ops->tick(runners[i].policy, now);
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

static double median(double *values, size_t n, double *ret_spread)
{
    qsort(values, n, sizeof *values, by_value);
    *ret_spread = (values[n - 1] - values[0]) / values[n / 2];
    return values[n / 2];
}

/* Of one thread: the median of RUNS runs, and their spread. */
static double rate(struct policy *p, size_t workers, double seconds, double *ret_spread)
{
    struct runner r;
    double rates[RUNS];

    runner_init(&r, p, fleet, workers, 0);
    if (policy_is_cache_aware(p))
        fill(&r);
    (void)measure(&r, 1, seconds); /* warm caches; the rate is of no interest */
    for (unsigned i = 0; i < RUNS; i++)
        rates[i] = measure(&r, 1, seconds);
    runner_fini(&r);
    return median(rates, RUNS, ret_spread);
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
            per_second = rate(p, SIZES[k], seconds, &spread);
            printf("%-20s %8zu %14.0f %12.0f %7.0f%%\n", POLICIES[i]->name, SIZES[k], per_second, 1e9 / per_second, spread * 100);
            policy_unref(p);
        }
    }
}

static void measure_threads(double seconds)
{
    static const char *const NAMES[] = { "1", "2", "2, apart" };
    struct policy *p = policy_of(&policy_cache_aware), *other = policy_of(&policy_cache_aware);
    struct runner together[2], apart[2];
    double rates[3][ROUNDS], ratios[3][ROUNDS], spread, rate, ratio;

    runner_init(&together[0], p, fleet, TOGETHER, 0);
    runner_init(&together[1], p, fleet, TOGETHER, 1);
    runner_init(&apart[0], p, fleet, TOGETHER, 0);
    runner_init(&apart[1], other, other_fleet, TOGETHER, 1);
    fill(&together[0]);
    fill(&apart[1]);
    (void)measure(together, 2, 2 * seconds); /* warm caches, as above */
    for (unsigned i = 0; i < ROUNDS; i++) {
        rates[0][i] = measure(together, 1, seconds);
        rates[1][i] = measure(together, 2, seconds);
    }
    (void)measure(apart, 2, 2 * seconds);
    for (unsigned i = 0; i < ROUNDS; i++)
        rates[2][i] = measure(apart, 2, seconds);
    for (unsigned k = 0; k < 3; k++)
        for (unsigned i = 0; i < ROUNDS; i++)
            ratios[k][i] = rates[k][i] / rates[0][i];
    printf("\n%-20s %8s %14s %12s %8s\n", "cache_aware, 64", "threads", "decisions/s", "of one", "spread");
    for (unsigned k = 0; k < 3; k++) {
        ratio = median(ratios[k], ROUNDS, &spread);
        rate = median(rates[k], ROUNDS, &spread);
        printf("%-20s %8s %14.0f %11.2fx %7.0f%%\n", "", NAMES[k], rate, ratio, spread * 100);
    }
    for (unsigned i = 0; i < 2; i++) {
        runner_fini(&together[i]);
        runner_fini(&apart[i]);
    }
    policy_unref(p);
    policy_unref(other);
}

/* Fills an index block by block of long prompts, as ticks let it grow. */
static void measure_memory(void)
{
    struct policy *p = policy_of(&policy_cache_aware);
    struct prefix_index_stats s;
    struct runner r;
    struct policy_hint hint = { .model = STR("model"), .now_us = 1000000 };
    double prompts = 0;

    runner_init(&r, p, fleet, TOGETHER, 0);
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
    const char *only = argc > 2 ? argv[2] : NULL;

    budget_set_limit(MEMORY);
    make_fleet(fleet, FLEET_MAX);
    make_fleet(other_fleet, TOGETHER);
    if (!only || strcmp(only, "threads") != 0)
        measure_policies(seconds, only);
    if (!only || strcmp(only, "threads") == 0)
        measure_threads(seconds);
    if (!only)
        measure_memory();
    return 0;
}
