/* routing/bucket.c -- prompts by length: each prefill worker has a range of lengths, so that long ones do not hold up short ones (spec data-plane 6.10)
 *
 *   [0 .. a] worker 1   [a+1 .. b] worker 2   [b+1 .. ) worker 3        in order of registration; at first 4096 characters in equal parts
 *
 *   pick:   characters that each worker got within the last interval; too uneven (max - min > abs and max > rel * min) --> the one with the fewest; else by range
 *   tick:   every interval the ranges are drawn anew, so that the lengths of the last interval would have come out even; not when there are about as many as before
 *
 * Only prefill workers have ranges; elsewhere any candidate is taken. BETTER than SMG: the ranges begin at 4096 characters after every registration, and a chosen
 * worker that cannot take the request is replaced by the candidate with the fewest characters instead of a 503.
 *
 * Shared: a group per model behind a lock of its own, held for one pick (a search among the group's workers, plus what has just expired) or one redrawing (a copy).
 * Bounds: GROUPS_MAX models, further ones take any candidate; WORKERS_OF_GROUP workers with ranges; RECORDS_MAX requests of an interval, of more the oldest are
 * taken as expired.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/random.h"
#include "routing/choose.h"
#include "routing/policies.h"

#define LENGTH_FIRST     4096 /* characters */
#define GROUPS_MAX       32
#define WORKERS_OF_GROUP 512
#define RECORDS_MAX      8192

/* A request of the interval. */
struct record {
    uint64_t at_us;
    uint64_t size;
    uint32_t worker; /* index into the group's */
};

struct range {
    uint64_t order; /* the worker's */
    uint64_t last;  /* the longest prompt that is its */
    uint64_t got;   /* characters, of the records */
};

struct group {
    pthread_mutex_t lock;
    uint64_t model;        /* hash of its name */
    uint64_t table_serial; /* of the table that `ranges` was compared with last */
    struct range *ranges;  /* owned, by order; n may be 0 */
    unsigned n;
    struct record *records; /* owned, a ring of RECORDS_MAX */
    size_t first, records_n;
    uint64_t even; /* characters per worker at the last redrawing; 0 = there was none */
    uint64_t redrawn_us;
};

struct bucket {
    struct policy policy;
    pthread_mutex_t lock; /* guards the list, not the groups */
    struct group *groups[GROUPS_MAX];
    _Atomic unsigned groups_n; /* release when one is added, acquire by readers */
};

static int init(struct policy *p, struct err *err)
{
    (void)err;
    pthread_mutex_init(&CONTAINER_OF(p, struct bucket, policy)->lock, NULL);
    return 0;
}

static void group_free(struct group *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g->ranges);
    free(g->records);
    free(g);
}

static void fini(struct policy *p)
{
    struct bucket *b = CONTAINER_OF(p, struct bucket, policy);

    for (unsigned i = 0; i < b->groups_n; i++)
        group_free(b->groups[i]);
    pthread_mutex_destroy(&b->lock);
}

/* ---- groups ---- */

static struct group *group_find(struct bucket *b, uint64_t model)
{
    unsigned n = atomic_load_explicit(&b->groups_n, memory_order_acquire);

    for (unsigned i = 0; i < n; i++)
        if (b->groups[i]->model == model)
            return b->groups[i];
    return NULL;
}

static struct group *group_new(uint64_t model)
{
    struct group *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    pthread_mutex_init(&g->lock, NULL);
    g->model = model;
    g->ranges = calloc(WORKERS_OF_GROUP, sizeof(*g->ranges));
    g->records = calloc(RECORDS_MAX, sizeof(*g->records));
    if (g->ranges && g->records)
        return g;
    group_free(g);
    return NULL;
}

/* Once per model: memory is taken here and nowhere else. NULL: there is no room for it. */
static struct group *group_of(struct bucket *b, struct str name)
{
    uint64_t model = str_hash(name);
    struct group *g = group_find(b, model);
    unsigned n;

    if (g)
        return g;
    pthread_mutex_lock(&b->lock);
    g = group_find(b, model);
    n = atomic_load_explicit(&b->groups_n, memory_order_relaxed);
    if (!g && n < GROUPS_MAX) {
        g = group_new(model);
        b->groups[n] = g;
        if (g)
            atomic_store_explicit(&b->groups_n, n + 1, memory_order_release);
    }
    pthread_mutex_unlock(&b->lock);
    return g;
}

/* ---- ranges ---- */

static void draw_first(struct group *g)
{
    uint64_t part = LENGTH_FIRST / MAX(g->n, 1u);

    for (unsigned i = 0; i < g->n; i++) {
        g->ranges[i].last = i + 1 == g->n ? UINT64_MAX : (i + 1) * part - 1;
        g->ranges[i].got = 0;
    }
    g->records_n = 0;
    g->even = 0;
}

/* The group's prefill workers against those of the table: when they are others, all begins anew. */
static void follow_table(struct group *g, const struct policy_hint *hint)
{
    unsigned n = 0;
    bool changed = false;

    if (g->table_serial == hint->table_serial)
        return;
    g->table_serial = hint->table_serial;
    for (size_t i = 0; i < hint->group->n && n < WORKERS_OF_GROUP; i++) {
        const struct worker *w = hint->group->workers[i];

        if (w->spec.type != WORKER_PREFILL)
            continue;
        changed |= n >= g->n || g->ranges[n].order != w->order;
        g->ranges[n++].order = w->order;
    }
    changed |= n != g->n;
    g->n = n;
    if (changed)
        draw_first(g);
}

static void expire(struct group *g, uint64_t before_us)
{
    while (g->records_n > 0 && (g->records[g->first].at_us < before_us || g->records_n == RECORDS_MAX)) {
        g->ranges[g->records[g->first].worker].got -= g->records[g->first].size;
        g->first = (g->first + 1) % RECORDS_MAX;
        g->records_n--;
    }
}

static void account(struct group *g, unsigned worker, uint64_t size, uint64_t now_us)
{
    g->records[(g->first + g->records_n++) % RECORDS_MAX] = (struct record){ now_us, size, worker };
    g->ranges[worker].got += size;
}

static unsigned by_length(const struct group *g, uint64_t size)
{
    unsigned low = 0, high = g->n - 1;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (g->ranges[middle].last < size)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The worker whose turn it is, whether it can take the request or not. */
static unsigned wanted(const struct group *g, const struct policy_conf *conf, uint64_t size, struct policy_choice *choice)
{
    unsigned least = 0;
    uint64_t most = 0;

    for (unsigned i = 0; i < g->n; i++) {
        if (g->ranges[i].got < g->ranges[least].got)
            least = i;
        most = MAX(most, g->ranges[i].got);
    }
    choice->branch = "balance";
    if (most - g->ranges[least].got > conf->balance_abs_threshold &&
        (double)most > conf->balance_rel_threshold * (double)g->ranges[least].got)
        return least;
    choice->branch = "range";
    return by_length(g, size);
}

static int range_of(const struct group *g, uint64_t order)
{
    for (unsigned i = 0; i < g->n; i++)
        if (g->ranges[i].order == order)
            return (int)i;
    return -1;
}

/* The candidate with the fewest characters. */
static int fewest(const struct group *g, const struct worker *const *cand, size_t n)
{
    uint64_t least = UINT64_MAX;
    int at = 0;

    for (size_t i = 0; i < n; i++) {
        int range = range_of(g, cand[i]->order);

        if (range >= 0 && g->ranges[range].got < least) {
            least = g->ranges[range].got;
            at = (int)i;
        }
    }
    return at;
}

static int choose(struct group *g, const struct policy_conf *conf, const struct worker *const *cand, size_t n, uint64_t size,
                  const struct policy_hint *hint, struct policy_choice *choice)
{
    int at, range;

    follow_table(g, hint);
    if (g->n == 0)
        return -1;
    at = choose_by_order(cand, n, g->ranges[wanted(g, conf, size, choice)].order);
    if (at < 0) {
        choice->branch = "fallback_least_characters";
        at = fewest(g, cand, n);
    }
    range = range_of(g, cand[at]->order);
    if (range >= 0)
        account(g, (unsigned)range, size, hint->now_us);
    expire(g, hint->now_us - MIN(hint->now_us, conf->bucket_adjust_interval_s * 1000000));
    return at;
}

static uint64_t characters(struct str text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xC0) != 0x80;
    return n;
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    struct bucket *b = CONTAINER_OF(p, struct bucket, policy);
    struct group *g = hint->leg == POLICY_PREFILL ? group_of(b, hint->model) : NULL;
    int at = -1;

    if (g) {
        uint64_t size = characters(hint->text);

        pthread_mutex_lock(&g->lock);
        at = choose(g, &p->conf, cand, n, size, hint, choice);
        pthread_mutex_unlock(&g->lock);
    }
    if (at >= 0)
        return at;
    choice->branch = "random";
    return (int)random_below(hint->random, n);
}

/* ---- drawing the ranges anew ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* SIZES, ascending, cut into as many parts of about EVEN characters as there are workers. */
static void cut(struct range *ranges, unsigned n, const uint64_t *sizes, size_t sizes_n, uint64_t even)
{
    uint64_t lower = 0;
    size_t at = 0;

    for (unsigned i = 0; i + 1 < n; i++) {
        uint64_t sum = 0, last = lower + even;

        while (at < sizes_n && sum < even) {
            sum += sizes[at++];
            if (sum >= even && sizes[at - 1] > lower)
                last = sizes[at - 1];
        }
        ranges[i].last = last;
        lower = last + 1;
    }
    ranges[n - 1].last = UINT64_MAX;
}

static bool is_about(uint64_t now, uint64_t before)
{
    return before != 0 && now <= 2 * before && before <= 2 * now;
}

/* SIZES: room for RECORDS_MAX. Sorting is done without the lock; a worker that comes or goes meanwhile makes the drawing void. */
static void redraw(struct group *g, uint64_t *sizes)
{
    struct range ranges[WORKERS_OF_GROUP];
    uint64_t even = 0, serial;
    size_t n;
    unsigned workers_n;

    pthread_mutex_lock(&g->lock);
    n = g->records_n;
    workers_n = g->n;
    serial = g->table_serial;
    for (size_t i = 0; i < n; i++) {
        sizes[i] = g->records[(g->first + i) % RECORDS_MAX].size;
        even += sizes[i];
    }
    even = workers_n ? even / workers_n : 0;
    pthread_mutex_unlock(&g->lock);
    if (n == 0 || workers_n == 0 || is_about(even, g->even))
        return;
    qsort(sizes, n, sizeof(*sizes), by_size);
    cut(ranges, workers_n, sizes, n, even);
    pthread_mutex_lock(&g->lock);
    if (g->table_serial == serial) {
        for (unsigned i = 0; i < workers_n; i++)
            g->ranges[i].last = ranges[i].last;
        g->even = even;
    }
    pthread_mutex_unlock(&g->lock);
}

static void tick(struct policy *p, uint64_t now_us)
{
    struct bucket *b = CONTAINER_OF(p, struct bucket, policy);
    unsigned n = atomic_load_explicit(&b->groups_n, memory_order_acquire);
    uint64_t *sizes = n ? reallocarray(NULL, RECORDS_MAX, sizeof(*sizes)) : NULL;

    for (unsigned i = 0; sizes && i < n; i++) {
        if (now_us - b->groups[i]->redrawn_us < p->conf.bucket_adjust_interval_s * 1000000)
            continue;
        b->groups[i]->redrawn_us = now_us;
        redraw(b->groups[i], sizes);
    }
    free(sizes);
}

bool policy_bucket_range(struct policy *p, struct str model, unsigned index, uint64_t *ret_last)
{
    struct group *g = group_find(CONTAINER_OF(p, struct bucket, policy), str_hash(model));
    bool found = false;

    if (!g)
        return false;
    pthread_mutex_lock(&g->lock);
    if (index < g->n) {
        *ret_last = g->ranges[index].last;
        found = true;
    }
    pthread_mutex_unlock(&g->lock);
    return found;
}

const struct policy_ops policy_bucket = {
    .name = "bucket",
    .size = sizeof(struct bucket),
    .wants_text = true,
    .init = init,
    .pick = pick,
    .tick = tick,
    .fini = fini,
};
