/* base/map.c -- robin-hood hashing with backward-shift deletion
 *
 * An entry stands at most as far from its home as the entries that it passed; so a lookup stops at the first entry that is nearer to its
 * own home than the key would be, and a removal needs no tombstones.
 */
#include "base/map.h"

#include "base/err.h"

#include <stdlib.h>

#define FIRST_CAP 8

void map_fini(struct map *m)
{
    free(m->entries);
    *m = (struct map){ 0 };
}

static uint64_t hash_of(struct str key)
{
    uint64_t h = str_hash(key);

    return h ? h : 1; /* 0 marks a free place */
}

/* How many places the entry at I is behind its home. */
static size_t distance(const struct map *m, size_t i)
{
    return (i - m->entries[i].hash) & (m->cap - 1);
}

static struct map_entry *find(const struct map *m, struct str key, uint64_t hash)
{
    size_t mask = m->cap - 1, i = hash & mask;

    if (m->n == 0)
        return NULL;
    for (size_t far = 0;; far++, i = (i + 1) & mask) {
        struct map_entry *e = &m->entries[i];

        if (e->hash == 0 || distance(m, i) < far)
            return NULL;
        if (e->hash == hash && str_eq(e->key, key))
            return e;
    }
}

void *map_get(const struct map *m, struct str key)
{
    struct map_entry *e = find(m, key, hash_of(key));

    return e ? e->value : NULL;
}

/* Places E, which is not in the table and for which there is room; those that are nearer to their homes move on. */
static void place(struct map *m, struct map_entry e)
{
    size_t mask = m->cap - 1, i = e.hash & mask;

    for (size_t far = 0;; far++, i = (i + 1) & mask) {
        struct map_entry *at = &m->entries[i];

        if (at->hash == 0) {
            *at = e;
            return;
        }
        if (distance(m, i) < far) {
            struct map_entry moved = *at;

            far = distance(m, i);
            *at = e;
            e = moved;
        }
    }
}

static int grow(struct map *m)
{
    struct map bigger = { .n = m->n, .cap = m->cap ? m->cap * 2 : FIRST_CAP };

    bigger.entries = calloc(bigger.cap, sizeof *bigger.entries);
    if (!bigger.entries)
        return ERR_NOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (m->entries[i].hash)
            place(&bigger, m->entries[i]);
    free(m->entries);
    *m = bigger;
    return 0;
}

int map_put(struct map *m, struct str key, void *value, void **ret_old)
{
    uint64_t hash = hash_of(key);
    struct map_entry *e = find(m, key, hash);

    if (e) {
        if (ret_old)
            *ret_old = e->value;
        e->key = key; /* the old key's bytes may go with the old value */
        e->value = value;
        return 0;
    }
    if (m->n + 1 > m->cap / 8 * 7 && grow(m) < 0)
        return ERR_NOMEM;
    place(m, (struct map_entry){ key, value, hash });
    m->n++;
    if (ret_old)
        *ret_old = NULL;
    return 0;
}

void *map_remove(struct map *m, struct str key)
{
    struct map_entry *e = find(m, key, hash_of(key));
    size_t mask = m->cap - 1, hole;
    void *value;

    if (!e)
        return NULL;
    value = e->value;
    hole = (size_t)(e - m->entries);
    for (size_t next = (hole + 1) & mask; m->entries[next].hash && distance(m, next) > 0; next = (next + 1) & mask) {
        m->entries[hole] = m->entries[next];
        hole = next;
    }
    m->entries[hole] = (struct map_entry){ 0 };
    m->n--;
    return value;
}

struct map_entry *map_next(const struct map *m, size_t *i)
{
    while (*i < m->cap) {
        struct map_entry *e = &m->entries[(*i)++];

        if (e->hash)
            return e;
    }
    return NULL;
}
