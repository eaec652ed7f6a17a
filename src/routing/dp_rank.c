/* routing/dp_rank.c -- tokens per engine and rank, and the choice of a rank */
#include "routing/dp_rank.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/map.h"

#define TOKENS_PER_WORD 1.3

struct rank {
    int64_t rank;
    _Atomic int64_t tokens; /* any loop adds to it; a choice made with an older number is only less even */
};

/* One engine. */
struct row {
    char *base_url;     /* owned */
    struct rank *ranks; /* owned */
    size_t n;
};

struct dp_ranks_draft {
    struct map by_url; /* base URL -> struct row, owned */
    bool failed;
};

struct dp_ranks {
    struct snapshot_cell cell; /* struct dp_ranks_draft, published */
};

static void row_free(struct row *r)
{
    free(r->base_url);
    free(r->ranks);
    free(r);
}

static void draft_free(void *object)
{
    struct dp_ranks_draft *d = object;
    struct map_entry *e;
    size_t i = 0;

    while ((e = map_next(&d->by_url, &i)) != NULL)
        row_free(e->value);
    map_fini(&d->by_url);
    free(d);
}

int dp_ranks_new(struct dp_ranks **ret)
{
    struct dp_ranks *d = calloc(1, sizeof(*d));
    struct dp_ranks_draft *none = dp_ranks_begin();

    if (!d || !none) {
        free(d);
        free(none);
        return ERR_NOMEM;
    }
    snapshot_init(&d->cell, none, draft_free);
    *ret = d;
    return 0;
}

void dp_ranks_free(struct dp_ranks *d)
{
    if (d)
        snapshot_fini(&d->cell);
    free(d);
}

struct dp_ranks_draft *dp_ranks_begin(void)
{
    return calloc(1, sizeof(struct dp_ranks_draft));
}

static struct row *row_of(struct dp_ranks_draft *draft, struct str base_url)
{
    struct row *r = map_get(&draft->by_url, base_url);

    if (r)
        return r;
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->base_url = malloc(base_url.n + 1);
    if (r->base_url && base_url.n)
        memcpy(r->base_url, base_url.p, base_url.n);
    if (!r->base_url || map_put(&draft->by_url, (struct str){ r->base_url, base_url.n }, r, NULL) < 0) {
        row_free(r);
        return NULL;
    }
    return r;
}

void dp_ranks_put(struct dp_ranks_draft *draft, struct str base_url, int64_t rank, int64_t tokens)
{
    struct row *r = draft && !draft->failed ? row_of(draft, base_url) : NULL;
    struct rank *grown = r ? reallocarray(r->ranks, r->n + 1, sizeof(*grown)) : NULL;

    if (!grown) {
        if (draft)
            draft->failed = true;
        return;
    }
    r->ranks = grown;
    grown[r->n].rank = rank;
    atomic_init(&grown[r->n].tokens, tokens);
    r->n++;
}

void dp_ranks_publish(struct dp_ranks *d, struct dp_ranks_draft *draft)
{
    if (!draft)
        return;
    if (draft->failed)
        draft_free(draft);
    else
        snapshot_publish(&d->cell, draft);
}

int64_t dp_ranks_choose(struct dp_ranks *d, struct loop *loop, struct str base_url, int64_t cost)
{
    const struct dp_ranks_draft *rows = snapshot_get(loop, &d->cell);
    struct row *r = map_get(&rows->by_url, base_url);
    struct rank *best = NULL;
    int64_t least = 0;

    for (size_t i = 0; r && i < r->n; i++) {
        int64_t tokens = atomic_load_explicit(&r->ranks[i].tokens, memory_order_relaxed);

        if (!best || tokens < least || (tokens == least && r->ranks[i].rank < best->rank)) {
            best = &r->ranks[i];
            least = tokens;
        }
    }
    if (!best)
        return -1;
    atomic_fetch_add_explicit(&best->tokens, cost, memory_order_relaxed);
    return best->rank;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int64_t dp_rank_cost(struct str text)
{
    int64_t words = 0;

    for (size_t i = 0; i < text.n; i++)
        words += !is_blank(text.p[i]) && (i == 0 || is_blank(text.p[i - 1]));
    return MAX(1, (int64_t)ceil(TOKENS_PER_WORD * (double)words));
}
