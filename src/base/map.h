/* base/map.h -- a hash table from byte strings to pointers
 *
 * Open addressing, robin hood, grows at 7/8. Keys are views: the caller keeps their bytes alive and unchanged while the entry stands
 * (usually they lie inside the value). Zeroed = empty. One thread. Lookup costs one hash and usually one cache line.
 */
#pragma once

#include "base/str.h"

struct map_entry {
    struct str key; /* borrowed */
    void *value;    /* not NULL */
    uint64_t hash;  /* 0 = the place is free */
};

struct map {
    struct map_entry *entries; /* owned */
    size_t n, cap;             /* cap is a power of two, or 0 */
};

void map_fini(struct map *m); /* frees the table, not the values */

void *map_get(const struct map *m, struct str key); /* NULL = absent */

/* Adds or replaces. *RET_OLD (may be NULL) = what stood there, or NULL. 0 or ERR_NOMEM (nothing changed). */
int map_put(struct map *m, struct str key, void *value, void **ret_old) _must_check_;

void *map_remove(struct map *m, struct str key); /* the value that stood there, or NULL */

/* Walks in unspecified order; no put or remove meanwhile. size_t i = 0; while ((e = map_next(m, &i)) != NULL) ... */
struct map_entry *map_next(const struct map *m, size_t *i);
