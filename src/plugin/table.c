/* plugin/table.c -- life of modules and tables */
#include "plugin/table.h"

#include <stdlib.h>

#include "base/clock.h"

struct plugin_module *plugin_module_new(struct plugin_engine *engine, const struct plugin_descriptor *d)
{
    struct plugin_module *m = calloc(1, sizeof(*m));
    int *attach;

    if (!m)
        return NULL;
    arena_init(&m->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    atomic_init(&m->refs, 1);
    atomic_init(&m->held_back, PACE_FIRST);
    m->engine = engine;
    m->d = *d;
    m->d.name = arena_str(&m->arena, d->name);
    m->d.path = arena_str(&m->arena, d->path);
    attach = arena_array(&m->arena, d->attach_n + 1, sizeof(*attach));
    for (size_t i = 0; attach && i < d->attach_n; i++) {
        attach[i] = d->attach[i];
        m->points |= 1u << d->attach[i];
    }
    m->d.attach = attach;
    if (m->arena.failed) {
        plugin_module_unref(m);
        return NULL;
    }
    return m;
}

struct plugin_module *plugin_module_ref(struct plugin_module *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void plugin_module_unref(struct plugin_module *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (m->code)
        m->engine->release(m->engine, m->code);
    arena_fini(&m->arena);
    free(m);
}

void plugin_module_accessed(struct plugin_module *m)
{
    atomic_fetch_add_explicit(&m->accesses, 1, memory_order_relaxed);
    atomic_store_explicit(&m->accessed_us, clock_wall_us(), memory_order_relaxed);
}

void plugin_module_pace(struct plugin_module *m, uint64_t call_us, bool suspended)
{
    unsigned n = atomic_load_explicit(&m->held_back, memory_order_relaxed), now;

    if (suspended)
        now = PACE_SUSPENDED;
    else if (call_us > PACE_QUICK_US)
        now = MIN(n + PACE_SLOW, PACE_SUSPENDED);
    else
        now = n ? n - 1 : 0;
    if (now != n)
        atomic_store_explicit(&m->held_back, now, memory_order_relaxed);
}

bool plugin_module_is_quick(const struct plugin_module *m)
{
    return atomic_load_explicit(&m->held_back, memory_order_relaxed) == 0;
}

void plugin_count(struct plugin_counts *c, bool ok, uint64_t us)
{
    uint64_t max = atomic_load_explicit(&c->max_us, memory_order_relaxed);

    atomic_fetch_add_explicit(ok ? &c->done : &c->failed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->total_us, us, memory_order_relaxed);
    while (us > max && !atomic_compare_exchange_weak_explicit(&c->max_us, &max, us, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* ---- tables ---- */

static void put(struct plugin_table *t, struct plugin_module *m)
{
    t->modules[t->n++] = plugin_module_ref(m);
    t->attached |= m->points;
    if (!m->d.without_body)
        t->bodied |= m->points;
}

struct plugin_table *plugin_table_next(const struct plugin_table *now, struct plugin_module *with,
                                       const struct plugin_module *without)
{
    size_t n = now ? now->n : 0;
    struct plugin_table *t = calloc(1, sizeof(*t) + (n + 1) * sizeof(struct plugin_module *));

    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    for (size_t i = 0; i < n; i++)
        if (now->modules[i] != without)
            put(t, now->modules[i]);
    if (with)
        put(t, with);
    return t;
}

struct plugin_table *plugin_table_ref(struct plugin_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void plugin_table_unref(struct plugin_table *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < t->n; i++)
        plugin_module_unref(t->modules[i]);
    free(t);
}

struct plugin_module *plugin_table_by_hash(const struct plugin_table *t, const char *sha256)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->modules[i]->sha256, sha256) == 0)
            return t->modules[i];
    return NULL;
}

struct plugin_module *plugin_table_by_id(const struct plugin_table *t, const char *id)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->modules[i]->id, id) == 0)
            return t->modules[i];
    return NULL;
}
