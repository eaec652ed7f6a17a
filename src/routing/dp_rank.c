/* routing/dp_rank.c -- which data-parallel rank of an engine has most room */
#include "routing/dp_rank.h"

#include <stdlib.h>

#include "base/err.h"

struct rank {
    uint64_t order; /* the worker's; ascending, a worker's ranks together and ascending */
    int64_t rank;
    _Atomic int64_t tokens; /* as polled, plus the cost of what was sent since */
};

struct table {
    size_t n;
    struct rank ranks[];
};

struct dp_ranks {
    struct snapshot_cell cell; /* struct table, or NULL */
    struct table *next;        /* owned: being put together */
    size_t cap;
    bool failed; /* memory ran out while it was put together */
};

int dp_ranks_new(struct dp_ranks **ret)
{
    struct dp_ranks *d = calloc(1, sizeof(*d));

    if (!d)
        return ERR_NOMEM;
    snapshot_init(&d->cell, NULL, free);
    *ret = d;
    return 0;
}

void dp_ranks_free(struct dp_ranks *d)
{
    if (!d)
        return;
    snapshot_fini(&d->cell);
    free(d->next);
    free(d);
}

static bool reserve(struct dp_ranks *d, size_t more)
{
    size_t n = d->next ? d->next->n : 0, cap = MAX(d->cap * 2, n + more);
    struct table *grown;

    if (n + more <= d->cap)
        return true;
    grown = realloc(d->next, sizeof(*grown) + cap * sizeof(grown->ranks[0]));
    if (!grown)
        return false;
    grown->n = n;
    d->next = grown;
    d->cap = cap;
    return true;
}

static int by_rank(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;

    return (x->rank > y->rank) - (x->rank < y->rank);
}

void dp_ranks_put(struct dp_ranks *d, const struct worker *w, const struct worker_loads *l)
{
    struct rank *first;

    if (loads_tokens(l, -1) < 0)
        return; /* shares only */
    if (!reserve(d, l->n)) {
        d->failed = true;
        return;
    }
    first = &d->next->ranks[d->next->n];
    for (size_t i = 0; i < l->n; i++) {
        first[i].order = w->order;
        first[i].rank = l->loads[i].dp_rank;
        atomic_init(&first[i].tokens, l->loads[i].used_tokens);
    }
    d->next->n += l->n;
    qsort(first, l->n, sizeof(*first), by_rank);
}

void dp_ranks_publish(struct dp_ranks *d)
{
    struct table *next = STEAL(d->next);

    d->cap = 0;
    if (d->failed || !next)
        free(next); /* the old one stays */
    else
        snapshot_publish(&d->cell, next);
    d->failed = false;
}

static void put_row(const struct worker *w, const struct worker_loads *l, int rank, void *arg)
{
    if (rank < 0) /* a rank that is a worker of its own is chosen by a policy */
        dp_ranks_put(arg, w, l);
}

void dp_ranks_follow(struct dp_ranks *d, const struct load_monitor *m)
{
    load_monitor_each(m, put_row, d);
    dp_ranks_publish(d);
}

static size_t first_of(const struct table *t, uint64_t order)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (t->ranks[middle].order < order)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int dp_ranks_choose(struct dp_ranks *d, struct loop *loop, const struct worker *w, uint64_t cost)
{
    struct table *t = d ? snapshot_get(loop, &d->cell) : NULL;
    int64_t least = INT64_MAX;
    struct rank *best = NULL;

    for (size_t i = t ? first_of(t, w->order) : 0; t && i < t->n && t->ranks[i].order == w->order; i++) {
        int64_t tokens = atomic_load_explicit(&t->ranks[i].tokens, memory_order_relaxed);

        if (tokens < least) {
            least = tokens;
            best = &t->ranks[i];
        }
    }
    if (!best)
        return -1;
    atomic_fetch_add_explicit(&best->tokens, (int64_t)cost, memory_order_relaxed);
    return (int)best->rank;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

uint64_t dp_rank_cost(struct str text)
{
    uint64_t words = 0;

    for (size_t i = 0; i < text.n; i++)
        words += !is_space(text.p[i]) && (i == 0 || is_space(text.p[i - 1]));
    return MAX((words * 13 + 9) / 10, (uint64_t)1);
}
