/* A map from (module, key) to the counter, and a heap of the counters by the end of their windows. A call first lets go of a few that have ended, so memory follows what is in use without a thread or timer. */
#include "plugin/counters.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/map.h"

#define ENDED_PER_CALL 8 /* more than one call can add: the table drains; few, so that no call pays for the others */

struct counter {
    uint64_t value;
    uint64_t ends_ms;
    size_t at; /* its place in the heap */
    size_t name_n;
    char name[]; /* the map's key: length of the module's name (one byte, it fits), the name, the counter's key */
};

struct counters {
    pthread_mutex_t lock; /* over all below */
    struct map map;
    struct counter **heap; /* owned, as what it points to: [0] ends first */
    size_t n, max;
};

_Static_assert(COUNTER_NAME_MAX <= 256, "a name's length less one is a byte of the map's key");

/* ---- the heap ---- */

static void place(struct counters *c, size_t at, struct counter *e)
{
    c->heap[at] = e;
    e->at = at;
}

static void up(struct counters *c, struct counter *e)
{
    size_t at = e->at;

    for (; at > 0 && c->heap[(at - 1) / 2]->ends_ms > e->ends_ms; at = (at - 1) / 2)
        place(c, at, c->heap[(at - 1) / 2]);
    place(c, at, e);
}

static void down(struct counters *c, struct counter *e)
{
    size_t at = e->at, child;

    for (; (child = 2 * at + 1) < c->n; at = child) {
        if (child + 1 < c->n && c->heap[child + 1]->ends_ms < c->heap[child]->ends_ms)
            child++;
        if (c->heap[child]->ends_ms >= e->ends_ms)
            break;
        place(c, at, c->heap[child]);
    }
    place(c, at, e);
}

static void take_out_first(struct counters *c)
{
    struct counter *first = c->heap[0], *last = c->heap[--c->n];

    map_remove(&c->map, (struct str){ first->name, first->name_n });
    free(first);
    if (c->n > 0) {
        last->at = 0;
        down(c, last);
    }
}

static void let_go_of_ended(struct counters *c, uint64_t now_ms)
{
    for (unsigned i = 0; i < ENDED_PER_CALL && c->n > 0 && c->heap[0]->ends_ms <= now_ms; i++)
        take_out_first(c);
}

/* ---- counting ---- */

static struct counter *add_counter(struct counters *c, struct str name, uint64_t ends_ms)
{
    struct counter *e = c->n < c->max ? malloc(sizeof *e + name.n) : NULL;

    if (!e)
        return NULL;
    *e = (struct counter){ .ends_ms = ends_ms, .at = c->n, .name_n = name.n };
    memcpy(e->name, name.p, name.n);
    if (map_put(&c->map, (struct str){ e->name, name.n }, e, NULL) < 0) {
        free(e);
        return NULL;
    }
    c->n++;
    up(c, e);
    return e;
}

static struct counter *restart(struct counters *c, struct counter *e, uint64_t ends_ms)
{
    e->value = 0;
    e->ends_ms = ends_ms;
    down(c, e); /* its end only moves away */
    return e;
}

static uint64_t add(struct counters *c, struct str name, uint64_t amount, uint64_t window_ms, uint64_t now_ms)
{
    struct counter *e;

    let_go_of_ended(c, now_ms);
    e = map_get(&c->map, name);
    if (amount == 0)
        return e && e->ends_ms > now_ms ? e->value : 0;
    if (!e)
        e = add_counter(c, name, now_ms + window_ms);
    else if (e->ends_ms <= now_ms)
        restart(c, e, now_ms + window_ms);
    if (!e)
        return 0;
    if (__builtin_add_overflow(e->value, amount, &e->value))
        e->value = UINT64_MAX;
    return e->value;
}

uint64_t counters_add(struct counters *c, struct str module, struct str key, uint64_t amount, uint64_t window_ms, uint64_t now_ms)
{
    char bytes[1 + COUNTER_NAME_MAX + COUNTER_KEY_MAX];
    uint64_t ret;

    module = str_first(module, COUNTER_NAME_MAX);
    if (key.n > COUNTER_KEY_MAX || module.n == 0 || window_ms == 0 || window_ms > COUNTER_WINDOW_MAX_MS)
        return 0;
    bytes[0] = (char)(module.n - 1);
    memcpy(bytes + 1, module.p, module.n);
    if (key.n > 0)
        memcpy(bytes + 1 + module.n, key.p, key.n);
    pthread_mutex_lock(&c->lock);
    ret = add(c, (struct str){ bytes, 1 + module.n + key.n }, amount, window_ms, now_ms);
    pthread_mutex_unlock(&c->lock);
    return ret;
}

size_t counters_count(struct counters *c)
{
    size_t n;

    pthread_mutex_lock(&c->lock);
    n = c->n;
    pthread_mutex_unlock(&c->lock);
    return n;
}

struct counters *counters_new(size_t max)
{
    struct counters *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->heap = calloc(max, sizeof *c->heap);
    if (!c->heap) {
        free(c);
        return NULL;
    }
    c->max = max;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void counters_free(struct counters *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        free(c->heap[i]);
    map_fini(&c->map);
    pthread_mutex_destroy(&c->lock);
    free(c->heap);
    free(c);
}
