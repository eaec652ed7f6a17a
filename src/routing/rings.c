/* routing/rings.c -- the hash rings of all models, made where nobody waits for them
 *
 *   a model's ring:  UNKNOWN --rings_find, on_wanted--> BEHIND --step, all workers are in--> UP TO DATE --rings_on_registry--> BEHIND ...
 *                                                       any --step, its last worker is gone--> UNKNOWN
 *
 * Loops look a model up in an immutable directory; a directory holds references on its slots, so that a slot and its ring outlive every reader. Slots are
 * made, changed and freed by the control thread only.
 */
#include "routing/rings.h"

#include <stdlib.h>

#define STEP_WORKERS 64
#define DUTY         20
#define RETRY_MS     1000 /* after memory ran out */
#define NAME_MAX_    512  /* longer names of models have no ring: their keys are spread by hash */

/* Names that no model has stand for the two lists of the table without a name. */
#define WILDCARD STR("\1wildcard")
#define ALL      STR("\1all")

struct slot {
    unsigned refs; /* control thread */
    bool behind;
    struct snapshot_cell ring; /* struct hash_ring; NULL before the first is whole */
    struct hash_ring *draft;   /* owned: what there is of a ring that is not whole yet */
    const struct hash_ring *current;
    struct str name; /* behind the struct */
};

struct directory {
    struct map by_name; /* struct slot */
};

struct rings {
    struct loop *loop;
    struct registry *registry;
    struct snapshot_cell cell;       /* struct directory */
    const struct directory *current; /* the control thread's view */
    struct timer pause;
    bool stopped;
    _Atomic bool asking; /* `wanted` is somebody's until the control thread has read it */
    struct message wanted;
    char wanted_name[NAME_MAX_];
    size_t wanted_n;
};

static void step(struct rings *r);

static void slot_unref(struct slot *s)
{
    if (--s->refs > 0)
        return;
    snapshot_fini(&s->ring);
    free(s->draft);
    free(s);
}

static void directory_free(void *object)
{
    struct directory *d = object;
    struct map_entry *e;

    for (size_t i = 0; (e = map_next(&d->by_name, &i)) != NULL;)
        slot_unref(e->value);
    map_fini(&d->by_name);
    free(d);
}

static bool directory_put(struct directory *d, struct slot *s)
{
    if (map_put(&d->by_name, s->name, s, /* ret_old= */ NULL) < 0)
        return false;
    s->refs++;
    return true;
}

/* The directory with MORE (may be NULL) and without LESS (may be NULL) from now on. False: memory is out, nothing changed. */
static bool change_directory(struct rings *r, struct slot *more, const struct slot *less)
{
    struct directory *d = calloc(1, sizeof(*d));
    struct map_entry *e;
    bool done = d && (!more || directory_put(d, more));

    for (size_t i = 0; done && (e = map_next(&r->current->by_name, &i)) != NULL;)
        done = e->value == less || directory_put(d, e->value);
    if (!done) {
        if (d)
            directory_free(d);
        return false;
    }
    r->current = d;
    snapshot_publish(&r->cell, d);
    return true;
}

static void slot_add(struct rings *r, struct str name)
{
    struct slot *s = calloc(1, sizeof(*s) + name.n);

    if (!s)
        return;
    s->refs = 1;
    s->behind = true;
    s->name = (struct str){ (char *)(s + 1), name.n };
    memcpy(s + 1, name.p, name.n);
    snapshot_init(&s->ring, NULL, free);
    (void)change_directory(r, s, NULL); /* without memory: the next request asks again */
    slot_unref(s);
}

/* ---- steps ---- */

static const struct worker_model *group_of(const struct worker_table *t, struct str name)
{
    const struct worker_model *m;

    if (str_eq(name, WILDCARD))
        return &t->wildcard;
    if (str_eq(name, ALL))
        return &t->all;
    m = map_get(&t->by_model, name);
    return m && str_eq(m->id, name) ? m : NULL;
}

/* Those of GROUP that are in RING, and the first STEP_WORKERS that are not. *RET_WHOLE: that is all. Their number; *RET_SAME: it is exactly the ring's. */
static size_t next_members(const struct worker_model *group, const struct hash_ring *ring, const struct worker **ret,
                           bool *ret_whole, bool *ret_same)
{
    size_t ring_n = ring ? ring->workers_n : 0, i = 0, n = 0, added = 0, kept = 0;

    *ret_whole = true;
    for (size_t k = 0; k < group->n; k++) {
        const struct worker *w = group->workers[k];

        while (i < ring_n && ring->orders[i] < w->order)
            i++;
        if (i < ring_n && ring->orders[i] == w->order)
            kept++;
        else if (added < STEP_WORKERS)
            added++;
        else {
            *ret_whole = false;
            continue;
        }
        ret[n++] = w;
    }
    *ret_same = ring && added == 0 && kept == ring_n;
    return n;
}

/* One step of S's ring; false: memory is out. */
static bool advance(struct slot *s, const struct worker_model *group)
{
    const struct hash_ring *from = s->draft ? s->draft : s->current;
    const struct worker **members = reallocarray(NULL, group->n, sizeof(*members));
    struct hash_ring *next = NULL;
    bool whole, same = false;
    size_t n;

    if (!members)
        return false;
    n = next_members(group, from, members, &whole, &same);
    if (!same)
        next = hash_ring_new(from, members, n);
    free(members);
    if (!next && !same)
        return false;
    if (next) {
        free(s->draft);
        s->draft = next;
    }
    s->behind = !whole;
    if (whole && s->draft) {
        s->current = s->draft;
        snapshot_publish(&s->ring, STEAL(s->draft));
    }
    return true;
}

static void on_pause(struct timer *t)
{
    step(CONTAINER_OF(t, struct rings, pause));
}

static struct slot *next_behind(const struct directory *d)
{
    struct map_entry *e;

    for (size_t i = 0; (e = map_next(&d->by_name, &i)) != NULL;)
        if (((struct slot *)e->value)->behind)
            return e->value;
    return NULL;
}

/* Whatever is cheap at once, the rest in pieces with pauses between them. */
static void step(struct rings *r)
{
    const struct worker_table *t = registry_table(r->registry, r->loop);
    uint64_t began_us = loop_now_exact_us(r->loop), took_us = 0;
    struct slot *s;

    while (took_us < 500 && (s = next_behind(r->current)) != NULL) {
        const struct worker_model *group = group_of(t, s->name);
        bool done = group && group->n ? advance(s, group) : change_directory(r, NULL, s);

        took_us = loop_now_exact_us(r->loop) - began_us;
        if (!done) {
            timer_start(r->loop, &r->pause, RETRY_MS, on_pause);
            return;
        }
    }
    if (next_behind(r->current) || took_us > 50) /* less is not worth a pause */
        timer_start(r->loop, &r->pause, took_us * DUTY / 1000, on_pause);
}

void rings_on_registry(struct rings *r)
{
    struct map_entry *e;

    if (!r || r->stopped)
        return;
    for (size_t i = 0; (e = map_next(&r->current->by_name, &i)) != NULL;)
        ((struct slot *)e->value)->behind = true;
    if (!r->pause.running)
        step(r);
}

/* ---- look-ups ---- */

static void on_wanted(struct loop *loop, struct message *m)
{
    struct rings *r = CONTAINER_OF(m, struct rings, wanted);
    struct str name = { r->wanted_name, r->wanted_n };

    (void)loop;
    if (r->stopped)
        return;
    if (!map_get(&r->current->by_name, name))
        slot_add(r, name);
    atomic_store_explicit(&r->asking, false, memory_order_release); /* acquired by the next who asks: the name was read */
    if (!r->pause.running)
        step(r);
}

static void ask(struct rings *r, struct str name)
{
    if (name.n > sizeof r->wanted_name || atomic_exchange_explicit(&r->asking, true, memory_order_acquire))
        return; /* one at a time: the next request for this model asks again */
    memcpy(r->wanted_name, name.p, name.n);
    r->wanted_n = name.n;
    r->wanted.run = on_wanted;
    loop_post(r->loop, &r->wanted);
}

const struct hash_ring *rings_find(struct rings *r, struct loop *loop, const struct worker_table *table,
                                   const struct worker_model *group)
{
    struct str name = group == &table->all ? ALL : group == &table->wildcard ? WILDCARD : group->id;
    const struct directory *d;
    struct slot *s;

    if (!r || !name.n)
        return NULL;
    d = snapshot_get(loop, &r->cell);
    s = map_get(&d->by_name, name);
    if (s)
        return snapshot_get(loop, &s->ring);
    ask(r, name);
    return NULL;
}

/* ---- life ---- */

int rings_new(struct loop *control, struct registry *registry, struct rings **ret)
{
    struct rings *r = calloc(1, sizeof(*r));
    struct directory *first = calloc(1, sizeof(*first));

    if (!r || !first) {
        free(r);
        free(first);
        return ERR_NOMEM;
    }
    r->loop = control;
    r->registry = registry;
    r->current = first;
    snapshot_init(&r->cell, first, directory_free);
    *ret = r;
    return 0;
}

void rings_stop(struct rings *r)
{
    if (!r)
        return;
    r->stopped = true;
    timer_stop(&r->pause);
}

void rings_free(struct rings *r)
{
    if (!r)
        return;
    snapshot_fini(&r->cell);
    free(r);
}
