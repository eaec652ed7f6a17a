/* worker/table.c -- the snapshot of all workers: rows in order of registration, and an index by model
 *
 * Rules of the index (spec control-plane 11.1, data-plane 3): a canonical id always beats an alias of the same spelling; `unknown` and an alias of a
 * model to itself are ignored; of two models that claim an alias the one whose worker registered first has it, and when that worker leaves, the next
 * table gives the alias to the other. Since every table is built from nothing, none of this needs state.
 *
 * Cost: one allocation per row group, not per row; a table of 4,000 workers with one model takes well under a millisecond.
 */
#include "worker/worker.h"

#include <stdlib.h>

/* A model while its workers are being counted and then filled in. */
struct draft {
    struct worker_model model;
    const struct worker *last; /* who was counted last: a worker that names a model twice stands there once */
};

struct build {
    struct worker_table *t;
    struct draft *drafts; /* malloc */
    size_t n, cap;
    struct map index; /* id -> place in drafts + 1 */
};

static struct draft *draft_of(struct build *b, struct str id)
{
    uintptr_t at = (uintptr_t)map_get(&b->index, id);

    return at ? &b->drafts[at - 1] : NULL;
}

static struct draft *draft_add(struct build *b, struct str id)
{
    struct draft *grown;

    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        grown = reallocarray(b->drafts, b->cap, sizeof(*grown));
        if (!grown)
            return NULL;
        b->drafts = grown;
    }
    if (map_put(&b->index, id, (void *)(uintptr_t)(b->n + 1), /* ret_old= */ NULL) < 0)
        return NULL;
    b->drafts[b->n] = (struct draft){ .model.id = id };
    return &b->drafts[b->n++];
}

static bool count_rows(struct build *b)
{
    struct worker_table *t = b->t;

    for (size_t i = 0; i < t->n; i++) {
        const struct worker *w = t->workers[i];

        if (w->spec.models_n == 0)
            t->wildcard.n++;
        for (size_t k = 0; k < w->spec.models_n; k++) {
            struct draft *d = draft_of(b, w->spec.models[k].id);

            if (!d)
                d = draft_add(b, w->spec.models[k].id);
            if (!d)
                return false;
            d->model.n += d->last != w;
            d->last = w;
        }
    }
    return true;
}

static bool make_rooms(struct build *b)
{
    struct worker_table *t = b->t;

    t->wildcard.workers = arena_array(&t->arena, t->wildcard.n, sizeof(*t->wildcard.workers));
    t->wildcard.n = 0;
    for (size_t i = 0; i < b->n; i++) {
        struct worker_model *m = &b->drafts[i].model;

        m->workers = arena_array(&t->arena, m->n, sizeof(*m->workers));
        m->n = 0;
        b->drafts[i].last = NULL;
    }
    return !t->arena.failed;
}

static void fill_rows(struct build *b)
{
    struct worker_table *t = b->t;

    for (size_t i = 0; i < t->n; i++) {
        const struct worker *w = t->workers[i];

        if (w->spec.models_n == 0)
            t->wildcard.workers[t->wildcard.n++] = w;
        for (size_t k = 0; k < w->spec.models_n; k++) {
            struct draft *d = draft_of(b, w->spec.models[k].id);

            if (d->last != w)
                d->model.workers[d->model.n++] = w;
            d->last = w;
        }
    }
}

static int by_id(const void *a, const void *b)
{
    return str_cmp(((const struct worker_model *)a)->id, ((const struct worker_model *)b)->id);
}

static bool index_models(struct build *b)
{
    struct worker_table *t = b->t;

    t->models = arena_array(&t->arena, b->n, sizeof(*t->models));
    if (!t->models)
        return false;
    for (size_t i = 0; i < b->n; i++)
        t->models[i] = b->drafts[i].model;
    t->models_n = b->n;
    if (b->n)
        qsort(t->models, b->n, sizeof(*t->models), by_id);
    for (size_t i = 0; i < t->models_n; i++)
        if (map_put(&t->by_model, t->models[i].id, &t->models[i], /* ret_old= */ NULL) < 0)
            return false;
    return true;
}

static bool index_aliases(struct worker_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct worker_spec *s = &t->workers[i]->spec;

        for (size_t k = 0; k < s->models_n; k++) {
            struct worker_model *m = map_get(&t->by_model, s->models[k].id);

            for (size_t a = 0; a < s->models[k].aliases_n; a++) {
                struct str alias = s->models[k].aliases[a];

                if (str_eq(alias, STR("unknown")) || map_get(&t->by_model, alias))
                    continue;
                if (map_put(&t->by_model, alias, m, /* ret_old= */ NULL) < 0)
                    return false;
            }
        }
    }
    return true;
}

static bool take_rows(struct worker_table *t, const struct worker *const *workers, size_t n)
{
    t->workers = arena_array(&t->arena, n, sizeof(*t->workers));
    if (!t->workers)
        return false;
    for (; t->n < n; t->n++)
        t->workers[t->n] = worker_ref(workers[t->n]);
    t->all = (struct worker_model){ .workers = t->workers, .n = n };
    return true;
}

struct worker_table *worker_table_new(const struct worker *const *workers, size_t n)
{
    static _Atomic uint64_t serials; /* an address may come back with another table at it, a serial does not */
    struct worker_table *t = calloc(1, sizeof(*t));
    struct build b = { .t = t };
    bool done;

    if (!t)
        return NULL;
    t->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
    arena_init(&t->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    done = take_rows(t, workers, n) && count_rows(&b) && make_rooms(&b);
    if (done) {
        fill_rows(&b);
        done = index_models(&b) && index_aliases(t);
    }
    free(b.drafts);
    map_fini(&b.index);
    if (!done) {
        worker_table_free(t);
        return NULL;
    }
    return t;
}

void worker_table_free(struct worker_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        worker_unref(t->workers[i]);
    map_fini(&t->by_model);
    arena_fini(&t->arena);
    free(t);
}

const struct worker_model *worker_table_find(const struct worker_table *t, struct str model)
{
    const struct worker_model *m;

    if (model.n == 0 || str_eq(model, STR("unknown")))
        return &t->all;
    m = map_get(&t->by_model, model);
    if (m)
        return m;
    return t->wildcard.n ? &t->wildcard : NULL;
}

size_t worker_table_from(const struct worker_table *t, uint64_t order)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (t->workers[middle]->order < order)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
