/* fleet_sim.c -- routing policies over fleets that no desk holds, in virtual time: mean time to first token and prefix hits at 8, 64 and 1,000 workers
 *
 *   arrivals (load/), prefix by popularity (load/) --request--> policy_pick (the real policies of routing/) --> the chosen engine's model (mock/model.h)
 *   a heap of step ends <-- model_begin_step / model_end_step --> first tokens into a histogram, worker_load_end when the last one is there
 *
 * What is real: the policies, the workers that they look at with their load counts and reports, the workload generator of `smg bench`, the engine model of `smg mock-engine`.
 * What is not there: the wire, the gateway's own microseconds, a second gateway. Time is a number, so 1,000 engines run for ten seconds in some seconds of one core, and
 * the same seed gives the same table. bench/fleet.py measures the same with real processes at 8 engines.
 *
 *   fleet_sim [--workers 8,64,1000] [--policies a,b] [--shared 0.7] [--popularity 0.5] [--seconds 6] [--tsv] ...
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/histogram.h"
#include "load/arrivals.h"
#include "load/popularity.h"
#include "load/request.h"
#include "mock/model.h"
#include "routing/hash_ring.h"
#include "routing/policy.h"

#define MODEL_ID      "mock-model"
#define TOKEN_BYTES   4
#define WORKERS_LIST  8
#define SECOND_US     1000000
#define REQUESTS_MAX  4000000 /* in flight at one time; a policy that piles up more than this has lost */
#define BLOCKS_MAX    256     /* KV blocks of a request */
#define RANDOM_SEED   1       /* of texts and arrivals; the policy's and the prefixes' draws must not be those of each other */
#define TAIL_ID_BYTES 17      /* 16 digits and a blank */

struct settings {
    unsigned workers[WORKERS_LIST], workers_n;
    const char *policies; /* comma-separated; NULL = all */
    double rate;          /* per worker and second */
    unsigned prefixes;    /* per worker */
    double shared, popularity;
    unsigned prompt_tokens, output_tokens;
    double warmup_s, seconds;
    bool tsv;
    struct model_conf engine;
};

/* One engine and the worker by which policies know it. */
struct engine {
    struct model model;
    struct worker *worker; /* one reference */
    uint64_t step_end_us;
    size_t place; /* in the heap, from 1; 0 = idle */
    uint64_t chosen;
};

struct request {
    struct model_request model;
    struct request *next_free;
    const struct worker *worker; /* borrowed: workers outlive the run */
    uint64_t due_us;
    bool measured;
    uint64_t blocks[BLOCKS_MAX];
};

/* One run: a policy over a fleet. */
struct sim {
    const struct settings *set;
    struct policy *policy;
    struct engine *engines;     /* owned */
    const struct worker **cand; /* owned; all of them, always available */
    struct worker_model group;
    struct hash_ring *ring; /* owned */
    struct policy_board board;
    size_t n;
    struct engine **heap; /* owned; by step_end_us, from 1 */
    size_t heap_n;
    struct request *free; /* a list of owned requests */
    uint64_t start_us, now_us, measure_us, end_us, serial;
    struct random random; /* the policy's */
    struct random which;  /* of prefixes */
    struct popularity popularity;
    const struct buf *prefixes; /* borrowed: the texts, one after another */
    size_t shared_bytes, prompt_bytes;
    char *prompt; /* owned scratch */
    struct histogram ttft;
    uint64_t prompt_tokens, cached_tokens, in_flight, peak;
};

static void fail(const char *what, const struct err *err)
{
    fprintf(stderr, "fleet_sim: %s%s%s\n", what, err ? ": " : "", err ? err->message : "");
    exit(1);
}

static void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p)
        fail("out of memory", NULL);
    return p;
}

/* ---- the heap of step ends ---- */

static void put_at(struct sim *s, size_t i, struct engine *e)
{
    s->heap[i] = e;
    e->place = i;
}

static void sift_up(struct sim *s, struct engine *e)
{
    size_t i = e->place;

    while (i > 1 && s->heap[i / 2]->step_end_us > e->step_end_us) {
        put_at(s, i, s->heap[i / 2]);
        i /= 2;
    }
    put_at(s, i, e);
}

static void sift_down(struct sim *s, struct engine *e)
{
    size_t i = e->place;

    for (;;) {
        size_t child = 2 * i;

        if (child + 1 <= s->heap_n && s->heap[child + 1]->step_end_us < s->heap[child]->step_end_us)
            child++;
        if (child > s->heap_n || s->heap[child]->step_end_us >= e->step_end_us)
            break;
        put_at(s, i, s->heap[child]);
        i = child;
    }
    put_at(s, i, e);
}

static void remove_first(struct sim *s)
{
    struct engine *last = s->heap[s->heap_n--];

    s->heap[1]->place = 0;
    if (s->heap_n == 0)
        return;
    put_at(s, 1, last);
    sift_down(s, last);
}

/* ---- engines ---- */

/* Starts E's next step; E is not stepping. */
static void begin_step(struct sim *s, struct engine *e)
{
    uint64_t us = model_begin_step(&e->model, s->now_us);

    if (us == 0)
        return;
    e->step_end_us = s->now_us + us;
    put_at(s, ++s->heap_n, e);
    sift_up(s, e);
}

static void end_step(struct sim *s)
{
    struct engine *e = s->heap[1];

    s->now_us = e->step_end_us;
    model_end_step(&e->model, s->now_us);
    remove_first(s);
    begin_step(s, e);
}

static void on_token(struct model *m, struct model_request *r, void *arg)
{
    struct request *q = CONTAINER_OF(r, struct request, model);
    struct sim *s = arg;

    (void)m;
    if (r->produced == 1 && q->measured) {
        histogram_add(&s->ttft, r->first_token_us - q->due_us);
        s->prompt_tokens += r->prompt_tokens;
        s->cached_tokens += r->cached_tokens;
    }
    if (r->state != MODEL_DONE)
        return;
    worker_load_end(q->worker);
    s->in_flight--;
    q->next_free = s->free;
    s->free = q;
}

/* What the gateway's load monitor would have learned by now. */
static void report_loads(struct sim *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct model *m = &s->engines[i].model;
        struct worker_told loads = {
            .kv_usage = model_usage(m),
            .throughput = m->throughput,
            .queued_tokens = (int64_t)m->waiting_uncached_tokens,
            .used_tokens = (int64_t)model_used_tokens(m),
        };

        worker_put_report(s->engines[i].worker, &loads, s->now_us);
    }
}

/* ---- requests ---- */

static struct request *take_request(struct sim *s)
{
    struct request *q = s->free;

    if (++s->in_flight > REQUESTS_MAX)
        fail("the load is too much for these engines: requests pile up without end", NULL);
    s->peak = MAX(s->peak, s->in_flight);
    if (!q)
        return must_alloc(1, sizeof *q);
    s->free = q->next_free;
    return q;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ b;

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Names of the KV blocks: those that lie in the shared part whole are the prefix's, the others nobody else's. */
static void name_blocks(const struct sim *s, struct request *q, uint32_t prefix)
{
    const struct settings *set = s->set;
    size_t shared = s->shared_bytes / TOKEN_BYTES / set->engine.block_size;
    size_t n = (set->prompt_tokens + set->output_tokens) / set->engine.block_size;

    for (size_t i = 0; i < n; i++)
        q->blocks[i] = i < shared ? mix(prefix, i) : mix(~s->serial, i);
    q->model.blocks = q->blocks;
    q->model.blocks_n = n;
}

/* The routing text as the gateway would see it: the shared part, a blank, digits that are of no other request, and more. */
static struct str prompt_of(struct sim *s, uint32_t prefix)
{
    char *tail = s->prompt + s->shared_bytes;

    memcpy(s->prompt, s->prefixes->p + prefix * s->shared_bytes, s->shared_bytes);
    if (s->prompt_bytes >= s->shared_bytes + TAIL_ID_BYTES) {
        load_request_mark(tail + 1, RANDOM_SEED, s->serial);
        tail[0] = ' ';
    }
    return (struct str){ s->prompt, s->prompt_bytes };
}

static size_t choose(struct sim *s, uint32_t prefix)
{
    const struct policy_ops *ops = s->policy->ops;
    struct policy_choice choice = { 0 };
    struct policy_hint hint = { .model = STR(MODEL_ID),
                                .group = &s->group,
                                .table_serial = 1,
                                .ring = s->ring,
                                .board = &s->board,
                                .body_bytes = s->prompt_bytes,
                                .now_us = s->now_us,
                                .random = &s->random };
    char key[24];
    int at;

    if (ops->wants_text)
        hint.text = prompt_of(s, prefix);
    if (strcmp(ops->name, "consistent_hashing") == 0 || strcmp(ops->name, "manual") == 0) /* clients that name their session */
        hint.routing_key = (struct str){ key, (size_t)snprintf(key, sizeof key, "prefix-%u", prefix) };
    at = policy_pick(s->policy, s->cand, s->n, &hint, &choice);
    if (at < 0)
        fail("a policy found none of the workers acceptable", NULL);
    return (size_t)at;
}

static void arrive(struct sim *s)
{
    const struct settings *set = s->set;
    uint32_t prefix = popularity_draw(&s->popularity, &s->which);
    struct request *q = take_request(s);
    struct engine *e = &s->engines[choose(s, prefix)];

    q->model = (struct model_request){ .prompt_tokens = set->prompt_tokens, .output_tokens = set->output_tokens, .choices = 1 };
    q->worker = e->worker;
    q->due_us = s->now_us;
    q->measured = s->now_us >= s->measure_us;
    e->chosen += q->measured;
    name_blocks(s, q, prefix);
    s->serial++;
    worker_load_begin(e->worker);
    model_submit(&e->model, &q->model, s->now_us);
    if (!e->model.stepping)
        begin_step(s, e);
}

/* ---- a run ---- */

static void make_engine(struct sim *s, size_t i)
{
    struct engine *e = &s->engines[i];
    char url[40], id[UUID_TEXT_LEN + 1];
    struct worker_spec spec = { .priority = 50, .cost = 1, .bootstrap_port = -1, .dp_size = -1, .dp_rank = -1 };

    spec.url = (struct str){ url, (size_t)snprintf(url, sizeof url, "http://10.0.%zu.%zu:8000", i / 250, i % 250) };
    (void)snprintf(id, sizeof id, "00000000-0000-7000-8000-%012zx", i);
    e->worker = worker_new(&spec, id, 0, i, NULL);
    if (!e->worker || model_init(&e->model, &s->set->engine) < 0)
        fail("out of memory", NULL);
    e->model.on_token = on_token;
    e->model.arg = s;
    atomic_store(&e->worker->live->status, WORKER_READY);
    s->cand[i] = e->worker;
}

static void tick(struct sim *s)
{
    if (s->policy->ops->wants_loads)
        report_loads(s);
    if (s->policy->ops->tick)
        s->policy->ops->tick(s->policy, s->now_us);
}

/* Runs until the requests that are measured have had their first token. */
static void run(struct sim *s)
{
    struct arrivals arrivals;
    uint64_t next_us, tick_us = s->start_us;

    arrivals_init(&arrivals, s->set->rate * (double)s->n, RANDOM_SEED);
    next_us = s->start_us + arrivals_next(&arrivals);
    while (next_us < s->end_us || s->heap_n > 0) {
        uint64_t step_us = s->heap_n ? s->heap[1]->step_end_us : UINT64_MAX, at = MIN(next_us, step_us);

        if (tick_us <= at && tick_us < s->end_us) {
            s->now_us = tick_us;
            tick_us += SECOND_US;
            tick(s);
        } else if (next_us <= step_us) {
            s->now_us = next_us;
            arrive(s);
            next_us = s->start_us + arrivals_next(&arrivals);
            if (next_us >= s->end_us)
                next_us = UINT64_MAX;
        } else {
            end_step(s);
        }
    }
}

static void sim_init(struct sim *s, const struct settings *set, size_t n, const struct policy_ops *ops, const struct buf *prefixes)
{
    struct err err = { 0 };

    *s = (struct sim){ .set = set, .n = n, .prefixes = prefixes };
    s->prompt_bytes = (size_t)set->prompt_tokens * TOKEN_BYTES;
    s->shared_bytes = (size_t)((double)s->prompt_bytes * set->shared);
    /* Behind the clock that workers are born by; from here on time is a number. */
    s->now_us = s->start_us = clock_now_us() + SECOND_US;
    s->measure_us = s->start_us + (uint64_t)(set->warmup_s * 1e6);
    s->end_us = s->measure_us + (uint64_t)(set->seconds * 1e6);
    s->engines = must_alloc(n, sizeof *s->engines);
    s->cand = must_alloc(n, sizeof(struct worker *));
    s->heap = must_alloc(n + 1, sizeof(struct engine *));
    s->prompt = must_alloc(1, s->prompt_bytes + 1);
    memset(s->prompt, 'x', s->prompt_bytes);
    histogram_init(&s->ttft);
    random_init(&s->random, RANDOM_SEED + 1);
    random_init(&s->which, RANDOM_SEED + 2);
    for (size_t i = 0; i < n; i++)
        make_engine(s, i);
    s->ring = hash_ring_new(/* old= */ NULL, s->cand, n);
    if (!s->ring)
        fail("out of memory", NULL);
    s->group = (struct worker_model){ .id = STR(MODEL_ID), .workers = s->cand, .n = n };
    if (popularity_init(&s->popularity, set->prefixes * (uint32_t)n, set->popularity) < 0)
        fail("out of memory", NULL);
    if (policy_new(ops, &POLICY_CONF_DEFAULTS, &s->policy, &err) < 0)
        fail(ops->name, &err);
}

static void sim_fini(struct sim *s)
{
    struct request *q;

    policy_unref(s->policy);
    for (size_t i = 0; i < s->n; i++) {
        model_fini(&s->engines[i].model);
        worker_unref(s->engines[i].worker);
    }
    while ((q = s->free) != NULL) {
        s->free = q->next_free;
        free(q);
    }
    popularity_fini(&s->popularity);
    board_fini(&s->board);
    free(s->ring);
    free(s->engines);
    free(s->cand);
    free(s->heap);
    free(s->prompt);
}

/* ---- the tables ---- */

static double busiest(const struct sim *s)
{
    uint64_t most = 0, sum = 0;

    for (size_t i = 0; i < s->n; i++) {
        most = MAX(most, s->engines[i].chosen);
        sum += s->engines[i].chosen;
    }
    return sum ? (double)most * (double)s->n / (double)sum : 0;
}

/* BASE_US: round_robin's mean; 0 before it ran. Returns the mean. */
static double run_policy(const struct settings *set, size_t n, const struct policy_ops *ops, const struct buf *prefixes,
                         double base_us)
{
    uint64_t began = clock_now_us();
    static struct sim s;
    double mean, hits;

    sim_init(&s, set, n, ops, prefixes);
    run(&s);
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&s.engines[i].worker->live->load) != 0)
            fail("a load count is not 0 at the end", NULL);
    mean = histogram_mean(&s.ttft);
    hits = s.prompt_tokens ? 100.0 * (double)s.cached_tokens / (double)s.prompt_tokens : 0;
    if (set->tsv)
        printf("%zu\t%g\t%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\n", n, set->shared, ops->name, mean / 1e3,
               (double)histogram_quantile(&s.ttft, 0.5) / 1e3, (double)histogram_quantile(&s.ttft, 0.99) / 1e3, hits, busiest(&s));
    else
        printf("%-19s %13.1f %8.1f %8.1f %15.2fx %10.1f %% %8.2f %9" PRIu64 " %10.1f\n", ops->name, mean / 1e3,
               (double)histogram_quantile(&s.ttft, 0.5) / 1e3, (double)histogram_quantile(&s.ttft, 0.99) / 1e3,
               base_us > 0 ? base_us / mean : 1, hits, busiest(&s), s.ttft.count, (double)(clock_now_us() - began) / 1e6);
    fflush(stdout);
    sim_fini(&s);
    return mean;
}

static bool is_wanted(const struct settings *set, const char *name)
{
    struct str list, one;

    if (!set->policies)
        return strcmp(name, "passthrough") != 0; /* no choice among equals */
    for (list = str_of(set->policies); list.n; list = str_skip(list, MIN(one.n + 1, list.n))) {
        size_t comma = str_find_char(list, ',');

        one = comma == STR_NPOS ? list : str_first(list, comma);
        if (str_eq(one, str_of(name)))
            return true;
    }
    return false;
}

static void run_fleet(const struct settings *set, size_t n)
{
    size_t shared = (size_t)((double)set->prompt_tokens * TOKEN_BYTES * set->shared);
    uint32_t prefixes_n = set->prefixes * (uint32_t)n;
    struct buf prefixes = { 0 };
    double base_us = 0;

    for (uint32_t i = 0; i < prefixes_n; i++)
        load_put_prefix(&prefixes, RANDOM_SEED, i, shared);
    if (prefixes.failed)
        fail("out of memory", NULL);
    if (!set->tsv)
        printf("\n%zu workers, %g requests/s each, prompts of %u tokens of which %zu are one of %u prefixes\n%-19s %13s %8s %8s "
               "%16s %12s %8s %9s %10s\n",
               n, set->rate, set->prompt_tokens, shared / TOKEN_BYTES, prefixes_n, "policy", "mean TTFT ms", "p50", "p99",
               "than round_robin", "prefix hits", "busiest", "requests", "run took s");
    if (is_wanted(set, "round_robin")) /* first: the others are compared with it */
        base_us = run_policy(set, n, policy_find(STR("round_robin")), &prefixes, /* base_us= */ 0);
    for (size_t i = 0; POLICIES[i]; i++)
        if (is_wanted(set, POLICIES[i]->name) && strcmp(POLICIES[i]->name, "round_robin") != 0)
            (void)run_policy(set, n, POLICIES[i], &prefixes, base_us); /* the mean is printed */
    buf_fini(&prefixes);
}

/* ---- the command line ---- */

static double number(const char *text, double least, double most)
{
    double v;

    if (str_to_double(str_of(text), &v) < 0 || v < least || v > most) {
        fprintf(stderr, "fleet_sim: \"%s\" is not a number from %g to %g\n", text, least, most);
        exit(2);
    }
    return v;
}

static void read_workers(struct settings *set, char *list)
{
    char *save = NULL;

    set->workers_n = 0;
    for (char *one = strtok_r(list, ",", &save); one && set->workers_n < WORKERS_LIST; one = strtok_r(NULL, ",", &save))
        set->workers[set->workers_n++] = (unsigned)number(one, 1, WORKERS_MAX);
}

static void read_options(struct settings *set, int argc, char **argv)
{
    enum { WORKERS = 1, NAMES, RATE, PREFIXES, SHARED, POPULARITY, PROMPT, OUTPUT, WARMUP, SECONDS, PREFILL, KV, TSV };
    static const struct option OPTIONS[] = {
        { "workers", required_argument, NULL, WORKERS },
        { "policies", required_argument, NULL, NAMES },
        { "rate", required_argument, NULL, RATE },
        { "prefixes", required_argument, NULL, PREFIXES },
        { "shared", required_argument, NULL, SHARED },
        { "popularity", required_argument, NULL, POPULARITY },
        { "prompt-tokens", required_argument, NULL, PROMPT },
        { "output-tokens", required_argument, NULL, OUTPUT },
        { "warmup", required_argument, NULL, WARMUP },
        { "seconds", required_argument, NULL, SECONDS },
        { "prefill-tps", required_argument, NULL, PREFILL },
        { "kv-tokens", required_argument, NULL, KV },
        { "tsv", no_argument, NULL, TSV },
        { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (c) {
        case WORKERS:
            read_workers(set, optarg);
            break;
        case NAMES:
            set->policies = optarg;
            break;
        case RATE:
            set->rate = number(optarg, 0.001, 1e6);
            break;
        case PREFIXES:
            set->prefixes = (unsigned)number(optarg, 1, 1e4);
            break;
        case SHARED:
            set->shared = number(optarg, 0, 0.99);
            break;
        case POPULARITY:
            set->popularity = number(optarg, 0, POPULARITY_EXPONENT_MAX);
            break;
        case PROMPT:
            set->prompt_tokens = (unsigned)number(optarg, 16, 8192);
            break;
        case OUTPUT:
            set->output_tokens = (unsigned)number(optarg, 1, 8192);
            break;
        case WARMUP:
            set->warmup_s = number(optarg, 0, 1e5);
            break;
        case SECONDS:
            set->seconds = number(optarg, 0.1, 1e5);
            break;
        case PREFILL:
            set->engine.prefill_tps = number(optarg, 1, 1e9);
            break;
        case KV:
            set->engine.kv_tokens = (uint64_t)number(optarg, 1024, 1e8);
            break;
        case TSV:
            set->tsv = true;
            break;
        default:
            exit(2);
        }
    }
    if ((set->prompt_tokens + set->output_tokens) / set->engine.block_size > BLOCKS_MAX)
        fail("prompt and answer have too many tokens", NULL);
}

int main(int argc, char **argv)
{
    struct settings set = {
        .workers = { 8, 64, 1000 },
        .workers_n = 3,
        .rate = 14,
        .prefixes = 16,
        .shared = 0.7,
        .popularity = 0.5,
        .prompt_tokens = 4096,
        .output_tokens = 32,
        .warmup_s = 4,
        .seconds = 6,
        .engine = { .prefill_tps = 60000,
                    .decode_base_ms = 4,
                    .decode_per_req_ms = 0.1,
                    .prefill_chunk = 2048,
                    .max_running = 256,
                    .kv_tokens = 131072,
                    .block_size = 128,
                    .prefix_cache = true },
    };

    read_options(&set, argc, argv);
    for (unsigned i = 0; i < set.workers_n; i++)
        run_fleet(&set, set.workers[i]);
    return 0;
}
