/* routing/ring_set.c -- the hash rings of all models */
#include "routing/ring_set.h"

#include <stdlib.h>

#include "base/log.h"

#define TARGET "smg::routing"

/* One ring, shared by the sets that know it. Counted by the control thread alone: it makes the sets, and it frees them. */
struct shared_ring {
    unsigned refs;
    struct hash_ring *ring; /* owned */
};

struct row {
    struct str model; /* owned */
    struct shared_ring *ring;
};

/* What the loops see: immutable. */
struct rings {
    struct row *rows; /* owned */
    size_t n;
    struct map by_model; /* model -> struct row; the wildcard's model is empty */
};

struct ring_set {
    struct loop *control;
    struct registry *registry;
    struct snapshot_cell cell; /* struct rings */
    const struct rings *now;   /* the current ones, for the control thread */
    struct timer pause;
    bool wanted, waiting, stopped;
};

static void unref(struct shared_ring *r)
{
    if (!r || --r->refs > 0)
        return;
    free(r->ring);
    free(r);
}

static void rings_free(void *object)
{
    struct rings *r = object;

    for (size_t i = 0; i < r->n; i++) {
        free((char *)r->rows[i].model.p);
        unref(r->rows[i].ring);
    }
    free(r->rows);
    map_fini(&r->by_model);
    free(r);
}

static bool is_current(const struct hash_ring *ring, const struct worker_model *m)
{
    bool same = ring->workers_n == m->n;

    for (size_t i = 0; same && i < m->n; i++)
        same = ring->orders[i] == m->workers[i]->order;
    return same;
}

/* The ring of M: the one before if nothing has changed, else a new one made from it. NULL: memory is out. */
static struct shared_ring *ring_of(const struct shared_ring *before, const struct worker_model *m)
{
    struct shared_ring *r;

    if (before && is_current(before->ring, m)) {
        r = (struct shared_ring *)before;
        r->refs++;
        return r;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->refs = 1;
    r->ring = hash_ring_new(before ? before->ring : NULL, m->workers, m->n);
    if (r->ring)
        return r;
    free(r);
    return NULL;
}

static bool add_row(struct rings *to, const struct rings *before, const struct worker_model *m)
{
    struct row *row = &to->rows[to->n];
    const struct row *old = map_get(&before->by_model, m->id);
    char *name = malloc(m->id.n + 1);

    row->ring = name ? ring_of(old ? old->ring : NULL, m) : NULL;
    if (!row->ring) {
        free(name);
        return false;
    }
    if (m->id.n)
        memcpy(name, m->id.p, m->id.n);
    row->model = (struct str){ name, m->id.n };
    to->n++;
    return map_put(&to->by_model, row->model, row, NULL) == 0;
}

static struct rings *rings_new(const struct rings *before, const struct worker_table *t)
{
    struct rings *r = calloc(1, sizeof(*r));
    bool good = r != NULL;

    if (!r)
        return NULL;
    r->rows = calloc(t->models_n + 1, sizeof(*r->rows));
    good = r->rows != NULL;
    for (size_t i = 0; good && i < t->models_n; i++)
        good = add_row(r, before, &t->models[i]);
    if (good && t->wildcard.n)
        good = add_row(r, before, &(struct worker_model){ STR(""), t->wildcard.workers, t->wildcard.n });
    if (good)
        return r;
    rings_free(r);
    return NULL;
}

static void replace(struct ring_set *s, struct rings *next)
{
    s->now = next;
    snapshot_publish(&s->cell, next);
}

static void on_pause(struct timer *t)
{
    struct ring_set *s = CONTAINER_OF(t, struct ring_set, pause);
    struct rings *next = s->wanted ? rings_new(s->now, registry_table(s->registry, s->control)) : calloc(1, sizeof(*next));

    s->waiting = false;
    if (next) {
        replace(s, next);
        return;
    }
    log_error(TARGET, "out of memory for hash rings; trying again");
    ring_set_changed(s);
}

int ring_set_new(struct loop *control, struct registry *registry, struct ring_set **ret)
{
    struct ring_set *s = calloc(1, sizeof(*s));
    struct rings *none = calloc(1, sizeof(*none));

    if (!s || !none) {
        free(s);
        free(none);
        return ERR_NOMEM;
    }
    s->control = control;
    s->registry = registry;
    s->now = none;
    snapshot_init(&s->cell, none, rings_free);
    *ret = s;
    return 0;
}

void ring_set_stop(struct ring_set *s)
{
    if (!s)
        return;
    s->stopped = true;
    timer_stop(&s->pause);
}

void ring_set_free(struct ring_set *s)
{
    if (!s)
        return;
    snapshot_fini(&s->cell);
    free(s);
}

void ring_set_changed(struct ring_set *s)
{
    if (s->waiting || s->stopped || (!s->wanted && s->now->n == 0))
        return;
    s->waiting = true;
    timer_start(s->control, &s->pause, RING_PAUSE_MS, on_pause);
}

void ring_set_want(struct ring_set *s, bool wanted)
{
    bool moved = s->wanted != wanted;

    s->wanted = wanted;
    if (moved)
        ring_set_changed(s);
}

const struct hash_ring *ring_set_find(struct ring_set *s, struct loop *loop, struct str model)
{
    const struct rings *r = snapshot_get(loop, &s->cell);
    const struct row *row = r->n ? map_get(&r->by_model, model) : NULL;

    return row ? row->ring->ring : NULL;
}
