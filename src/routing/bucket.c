/* routing/bucket.c -- prefill workers by the length of the prompt: short ones here, long ones there (spec data-plane 6.10)
 *
 *   characters of the prompt --ranges, one per worker in order of registration--> its worker        unless what the workers got lately is too uneven: then whoever got least
 *   every bucket_adjust_interval: the ranges are cut anew, so that each would have got the same of what came in the last interval
 *
 * For prefill workers only; a request for one worker alone is given to any (SMG has no buckets for it). When the prefill workers of a model change, its ranges begin anew
 * at 4,096 characters over all (BETTER: SMG's second beginning gives nearly everything to the first worker), and what was counted is forgotten. A worker that cannot take the
 * request is replaced by the candidate that got least (BETTER: SMG answers 503).
 * Threads: one lock, held for one decision (a microsecond with a dozen workers) and one adjustment (a sort of at most ENTRIES_MAX numbers, once in seconds).
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/random.h"
#include "routing/choose.h"
#include "routing/policies.h"

#define FIRST_SPAN  4096  /* characters that the first ranges cover */
#define ENTRIES_MAX 16384 /* requests of the last interval that are remembered; the oldest gives way */
#define MODELS_MAX  64    /* with ranges; others' requests go to any worker */

struct entry {
    uint64_t at_us, size;
    uint32_t worker; /* index into workers */
};

/* One prefill worker of a model. */
struct range {
    uint64_t order;        /* worker->order */
    uint64_t lower, upper; /* characters, both inclusive */
    uint64_t got;          /* characters of the entries that are its */
};

struct buckets {
    struct str model;     /* owned */
    struct range *ranges; /* owned; by order of registration */
    size_t n;
    struct entry *entries; /* owned ring of ENTRIES_MAX */
    size_t first, entries_n;
    uint64_t share; /* characters per worker of the last adjustment; 0: none yet */
};

struct bucket {
    struct policy policy;
    pthread_mutex_t lock;
    struct buckets models[MODELS_MAX];
    size_t n;
    uint64_t adjusted_us;
};

static int init(struct policy *p, struct err *err)
{
    (void)err;
    pthread_mutex_init(&CONTAINER_OF(p, struct bucket, policy)->lock, NULL);
    return 0;
}

static void fini(struct policy *p)
{
    struct bucket *b = CONTAINER_OF(p, struct bucket, policy);

    for (size_t i = 0; i < b->n; i++) {
        free((char *)b->models[i].model.p);
        free(b->models[i].ranges);
        free(b->models[i].entries);
    }
    pthread_mutex_destroy(&b->lock);
}

static uint64_t characters(struct str text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return n;
}

/* ---- which ranges ---- */

static bool is_prefill(const struct worker *w)
{
    return w->spec.type == WORKER_PREFILL;
}

/* Are the ranges those of GROUP's prefill workers? */
static bool is_current(const struct buckets *m, const struct worker_model *group)
{
    size_t at = 0;

    for (size_t i = 0; i < group->n; i++) {
        if (!is_prefill(group->workers[i]))
            continue;
        if (at == m->n || m->ranges[at].order != group->workers[i]->order)
            return false;
        at++;
    }
    return at == m->n;
}

static bool begin_anew(struct buckets *m, const struct worker_model *group)
{
    struct range *ranges = calloc(group->n + 1, sizeof(*ranges));
    uint64_t gap;
    size_t n = 0;

    if (!ranges)
        return false;
    for (size_t i = 0; i < group->n; i++)
        if (is_prefill(group->workers[i]))
            ranges[n++].order = group->workers[i]->order;
    gap = FIRST_SPAN / MAX(n, 1u);
    for (size_t i = 0; i < n; i++) {
        ranges[i].lower = i * gap;
        ranges[i].upper = i + 1 < n ? (i + 1) * gap - 1 : UINT64_MAX;
    }
    free(m->ranges);
    m->ranges = ranges;
    m->n = n;
    m->first = m->entries_n = 0;
    m->share = 0;
    return true;
}

/* The model's ranges, for GROUP; NULL: memory or room is out. */
static struct buckets *buckets_of(struct bucket *b, const struct policy_hint *hint)
{
    struct buckets *m = NULL;

    for (size_t i = 0; i < b->n && !m; i++)
        if (str_eq(b->models[i].model, hint->model))
            m = &b->models[i];
    if (!m) {
        char *name = b->n < MODELS_MAX ? malloc(hint->model.n + 1) : NULL;
        struct entry *entries = name ? malloc(ENTRIES_MAX * sizeof(*entries)) : NULL;

        if (!entries) {
            free(name);
            return NULL;
        }
        memcpy(name, hint->model.p, hint->model.n);
        m = &b->models[b->n++];
        *m = (struct buckets){ .model = { name, hint->model.n }, .entries = entries };
    } else if (is_current(m, hint->group)) {
        return m;
    }
    return begin_anew(m, hint->group) ? m : NULL;
}

/* ---- a decision ---- */

static bool is_uneven(const struct buckets *m, const struct policy_conf *conf)
{
    uint64_t min = UINT64_MAX, max = 0;

    for (size_t i = 0; i < m->n; i++) {
        min = MIN(min, m->ranges[i].got);
        max = MAX(max, m->ranges[i].got);
    }
    return max - min > conf->balance_abs_threshold && (float)max > (float)conf->balance_rel_threshold * (float)min;
}

static size_t least_served(const struct buckets *m)
{
    size_t least = 0;

    for (size_t i = 1; i < m->n; i++)
        if (m->ranges[i].got < m->ranges[least].got)
            least = i;
    return least;
}

static size_t range_of(const struct buckets *m, uint64_t size)
{
    size_t low = 0, high = m->n - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (m->ranges[middle].upper < size)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void drop_oldest(struct buckets *m)
{
    const struct entry *e = &m->entries[m->first];

    m->ranges[e->worker].got -= e->size;
    m->first = (m->first + 1) % ENTRIES_MAX;
    m->entries_n--;
}

static void account(struct buckets *m, const struct policy_conf *conf, size_t worker, uint64_t size, uint64_t now_us)
{
    uint64_t period_us = conf->bucket_adjust_interval_s * 1000000;

    while (m->entries_n && (m->entries_n == ENTRIES_MAX || m->entries[m->first].at_us + period_us < now_us))
        drop_oldest(m);
    m->ranges[worker].got += size;
    m->entries[(m->first + m->entries_n++) % ENTRIES_MAX] = (struct entry){ now_us, size, (uint32_t)worker };
}

/* The candidate that got least; *RET_RANGE: its range. */
static int stand_in(const struct buckets *m, const struct worker *const *cand, size_t n, size_t *ret_range)
{
    int found = -1;

    for (size_t i = 0; i < m->n; i++) {
        int at = choose_by_order(cand, n, m->ranges[i].order);

        if (at >= 0 && (found < 0 || m->ranges[i].got < m->ranges[*ret_range].got)) {
            found = at;
            *ret_range = i;
        }
    }
    return found;
}

static int pick_range(struct buckets *m, const struct policy_conf *conf, const struct worker *const *cand, size_t n,
                      const struct policy_hint *hint, struct policy_choice *choice)
{
    uint64_t size = characters(hint->text);
    bool uneven = is_uneven(m, conf);
    size_t range = uneven ? least_served(m) : range_of(m, size);
    int at = choose_by_order(cand, n, m->ranges[range].order);

    choice->branch = uneven ? "least_served" : "bucket";
    if (at < 0) {
        choice->branch = "stand_in";
        at = stand_in(m, cand, n, &range);
    }
    if (at >= 0)
        account(m, conf, range, size, hint->now_us);
    return at;
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    struct bucket *b = CONTAINER_OF(p, struct bucket, policy);
    struct buckets *m;
    int at = -1;

    if (hint->leg == POLICY_PREFILL) {
        pthread_mutex_lock(&b->lock);
        m = buckets_of(b, hint);
        if (m && m->n)
            at = pick_range(m, &p->conf, cand, n, hint, choice);
        pthread_mutex_unlock(&b->lock);
    }
    if (at >= 0)
        return at;
    choice->branch = "random";
    return (int)random_below(hint->random, n);
}

/* ---- adjusting ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Cuts the ranges so that each holds about SHARE characters of SIZES, which ascend. */
static void cut(struct buckets *m, const uint64_t *sizes, size_t sizes_n, uint64_t share)
{
    uint64_t lower = 0;
    size_t at = 0;

    for (size_t i = 0; i + 1 < m->n; i++) {
        uint64_t sum = 0, upper = lower + share;

        while (at < sizes_n && sum < share)
            sum += sizes[at++];
        if (sum >= share && sizes[at - 1] > lower)
            upper = sizes[at - 1];
        m->ranges[i].lower = lower;
        m->ranges[i].upper = upper;
        lower = upper + 1;
    }
    m->ranges[m->n - 1].lower = lower;
    m->ranges[m->n - 1].upper = UINT64_MAX;
}

static void adjust(struct buckets *m)
{
    uint64_t *sizes, total = 0, share;

    if (m->entries_n == 0 || m->n == 0)
        return;
    for (size_t i = 0; i < m->entries_n; i++)
        total += m->entries[(m->first + i) % ENTRIES_MAX].size;
    share = total / m->n;
    if (m->share && share <= 2 * m->share && m->share <= 2 * share)
        return;
    sizes = reallocarray(NULL, m->entries_n, sizeof(*sizes));
    if (!sizes)
        return; /* the ranges stay as they are */
    for (size_t i = 0; i < m->entries_n; i++)
        sizes[i] = m->entries[(m->first + i) % ENTRIES_MAX].size;
    qsort(sizes, m->entries_n, sizeof(*sizes), by_size);
    cut(m, sizes, m->entries_n, share);
    m->share = share;
    free(sizes);
}

static void tick(struct policy *p, uint64_t now_us)
{
    struct bucket *b = CONTAINER_OF(p, struct bucket, policy);

    if (now_us < b->adjusted_us + p->conf.bucket_adjust_interval_s * 1000000)
        return;
    b->adjusted_us = now_us;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->n; i++)
        adjust(&b->models[i]);
    pthread_mutex_unlock(&b->lock);
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
