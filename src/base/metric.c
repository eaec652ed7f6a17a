/* base/metric.c -- shards, and the cells in them
 *
 * A shard keeps its cells twice: in an open-addressed table that only its owner touches, for finding, and in a list that everybody may
 * walk. A cell is complete before the list's head points to it (release), and neither its text nor its `next` changes after that.
 * The owner is the only writer of the numbers, so that adding is a load and a store, not a locked instruction.
 */
#include "base/metric.h"

#include "base/err.h"
#include "base/utf8.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#define FIRST_CAP 64

struct slot {
    struct metric_cell *cell; /* NULL = free */
    uint64_t hash;
};

/* What a shard knows about a family: for the bound. */
struct family_use {
    const struct metric_family *family;
    struct metric_cell *other; /* stands for all series past the bound; NULL = not needed so far */
    unsigned series;
};

struct metrics_shard {
    struct metrics_shard *next; /* in the process's list; under shards_lock */
    struct metric_cell *_Atomic cells;
    struct slot *slots; /* owned; the rest is the owner thread's */
    size_t n, cap;
    struct family_use *uses; /* owned */
    size_t uses_n, uses_cap;
};

const double METRIC_DURATION_BOUNDS[] = { 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,    2.5,  5,    10,   15,   30,  45,
                                          60,    90,    120,  180,   240,  300, 480,  900, 1200, 1800, 2700, 3600, 5400, 7200 };

/* Written before the first shard is made, read only after that. */
static double own_bounds[METRIC_BUCKETS_MAX];
static const double *duration_bounds = METRIC_DURATION_BOUNDS;
static unsigned duration_bounds_n = ARRAY_LEN(METRIC_DURATION_BOUNDS);

static pthread_mutex_t shards_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metrics_shard *shards; /* under shards_lock */

int metrics_set_duration_bounds(const double *bounds, size_t n)
{
    if (n == 0 || n > METRIC_BUCKETS_MAX)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(bounds[i]) || (i && bounds[i] <= bounds[i - 1]))
            return ERR_INVALID;
    memcpy(own_bounds, bounds, n * sizeof *bounds);
    duration_bounds = own_bounds;
    duration_bounds_n = (unsigned)n;
    return 0;
}

struct metrics_shard *metrics_shard_new(void)
{
    struct metrics_shard *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    pthread_mutex_lock(&shards_lock);
    s->next = shards;
    shards = s;
    pthread_mutex_unlock(&shards_lock);
    return s;
}

void metrics_shard_free(struct metrics_shard *s)
{
    struct metrics_shard **at = &shards;
    struct metric_cell *c;

    if (!s)
        return;
    pthread_mutex_lock(&shards_lock);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&shards_lock);

    c = atomic_load_explicit(&s->cells, memory_order_relaxed);
    while (c) {
        struct metric_cell *next = atomic_load_explicit(&c->next, memory_order_relaxed);

        free(c);
        c = next;
    }
    free(s->slots);
    free(s->uses);
    free(s);
}

static size_t labels_of(const struct metric_family *f)
{
    size_t n = 0;

    while (n < METRIC_LABELS_MAX && f->labels[n])
        n++;
    return n;
}

/* The part of a label value that counts. */
static struct str cut(struct str value)
{
    return utf8_first(value, METRIC_VALUE_MAX);
}

static uint64_t hash_of(const struct metric_family *f, const struct str *values, size_t n)
{
    uint64_t h = (uint64_t)(uintptr_t)f >> 4;

    for (size_t i = 0; i < n; i++)
        h = (h << 7 | h >> 57) * 0x9e3779b97f4a7c15 ^ str_hash(cut(values[i]));
    return h * 0x9e3779b97f4a7c15 >> 8;
}

static bool same_values(const struct metric_cell *c, const struct str *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!str_eq(c->values[i], cut(values[i])))
            return false;
    return true;
}

static struct metric_cell *find(const struct metrics_shard *s, uint64_t hash, const struct metric_family *f,
                                const struct str *values, size_t n)
{
    if (s->cap == 0)
        return NULL;
    for (size_t i = hash & (s->cap - 1);; i = (i + 1) & (s->cap - 1)) {
        const struct slot *at = &s->slots[i];

        if (!at->cell)
            return NULL;
        if (at->hash == hash && at->cell->family == f && same_values(at->cell, values, n))
            return at->cell;
    }
}

static void place(struct slot *slots, size_t cap, struct slot entry)
{
    size_t i = entry.hash & (cap - 1);

    while (slots[i].cell)
        i = (i + 1) & (cap - 1);
    slots[i] = entry;
}

static int make_room(struct metrics_shard *s)
{
    size_t cap = s->cap ? s->cap * 2 : FIRST_CAP;
    struct slot *slots;

    if (s->n + 1 <= s->cap / 4 * 3)
        return 0;
    slots = calloc(cap, sizeof *slots);
    if (!slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i].cell)
            place(slots, cap, s->slots[i]);
    free(s->slots);
    s->slots = slots;
    s->cap = cap;
    return 0;
}

static struct family_use *use_of(struct metrics_shard *s, const struct metric_family *f)
{
    for (size_t i = 0; i < s->uses_n; i++)
        if (s->uses[i].family == f)
            return &s->uses[i];
    if (s->uses_n == s->uses_cap) {
        size_t cap = s->uses_cap ? s->uses_cap * 2 : 32;
        struct family_use *uses = reallocarray(s->uses, cap, sizeof *uses);

        if (!uses)
            return NULL;
        s->uses = uses;
        s->uses_cap = cap;
    }
    s->uses[s->uses_n] = (struct family_use){ .family = f };
    return &s->uses[s->uses_n++];
}

/* A cell with its buckets and its own copy of the values, in one piece. */
static struct metric_cell *make_cell(const struct metric_family *f, const struct str *values, size_t n)
{
    unsigned bounds_n = f->type != METRIC_HISTOGRAM ? 0 : f->bounds ? f->bounds_n : duration_bounds_n;
    size_t head = sizeof(struct metric_cell) + (bounds_n + 1) * sizeof(uint64_t), text = 0;
    struct metric_cell *c;
    char *p;

    for (size_t i = 0; i < n; i++)
        text += cut(values[i]).n;
    c = calloc(1, head + text);
    if (!c)
        return NULL;
    c->family = f;
    c->bounds_n = bounds_n;
    c->bounds = f->bounds ? f->bounds : duration_bounds;
    p = (char *)c + head;
    for (size_t i = 0; i < n; i++) {
        struct str v = cut(values[i]);

        c->values[i] = (struct str){ p, v.n };
        if (v.n)
            p = mempcpy(p, v.p, v.n);
    }
    return c;
}

static void publish(struct metrics_shard *s, struct metric_cell *c)
{
    atomic_store_explicit(&c->next, atomic_load_explicit(&s->cells, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&s->cells, c, memory_order_release); /* acquire in metrics_each */
}

/* The bound is reached: the family's last series takes all that come. */
static struct metric_cell *other_cell(struct metrics_shard *s, struct family_use *use, size_t n)
{
    struct str values[METRIC_LABELS_MAX];

    if (use->other)
        return use->other;
    for (size_t i = 0; i < n; i++)
        values[i] = STR("other");
    use->other = make_cell(use->family, values, n);
    if (use->other)
        publish(s, use->other);
    return use->other;
}

struct metric_cell *metric_cell(struct metrics_shard *s, const struct metric_family *family, const struct str *values)
{
    size_t n = labels_of(family);
    uint64_t hash = hash_of(family, values, n);
    struct metric_cell *c = find(s, hash, family, values, n);
    struct family_use *use;

    if (c)
        return c;
    use = use_of(s, family);
    if (!use)
        return NULL;
    if (use->series >= METRIC_SERIES_MAX - 1)
        return other_cell(s, use, n);
    if (make_room(s) < 0)
        return NULL;
    c = make_cell(family, values, n);
    if (!c)
        return NULL;
    place(s->slots, s->cap, (struct slot){ c, hash });
    s->n++;
    use->series++;
    publish(s, c);
    return c;
}

/* Only the owner writes: nobody can come between the load and the store. */
static void add_u64(_Atomic uint64_t *at, uint64_t n)
{
    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n, memory_order_relaxed);
}

void metric_add(struct metric_cell *c, int64_t n)
{
    if (c)
        atomic_store_explicit(&c->value, atomic_load_explicit(&c->value, memory_order_relaxed) + n, memory_order_relaxed);
}

void metric_set(struct metric_cell *c, int64_t value)
{
    if (c)
        atomic_store_explicit(&c->value, value, memory_order_relaxed);
}

/* The first bucket whose bound is not below VALUE. */
static unsigned bucket_of(const struct metric_cell *c, double value)
{
    unsigned from = 0, to = c->bounds_n;

    while (from < to) {
        unsigned middle = (from + to) / 2;

        if (value <= c->bounds[middle])
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

void metric_observe_us(struct metric_cell *c, uint64_t us)
{
    if (!c)
        return;
    add_u64(&c->buckets[bucket_of(c, (double)us / 1e6)], 1);
    add_u64(&c->sum_ns, us * 1000);
}

void metric_observe(struct metric_cell *c, double value)
{
    if (!c || !(value >= 0)) /* also not a number: its sum would be lost for ever */
        return;
    add_u64(&c->buckets[bucket_of(c, value)], 1);
    add_u64(&c->sum_ns, (uint64_t)MIN(value * 1e9 + 0.5, 9e18));
}

void metrics_each(void (*fn)(const struct metric_cell *cell, void *arg), void *arg)
{
    pthread_mutex_lock(&shards_lock);
    for (struct metrics_shard *s = shards; s; s = s->next)
        for (struct metric_cell *c = atomic_load_explicit(&s->cells, memory_order_acquire); c;
             c = atomic_load_explicit(&c->next, memory_order_relaxed))
            fn(c, arg);
    pthread_mutex_unlock(&shards_lock);
}
