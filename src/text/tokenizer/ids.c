/* text/tokenizer/ids.c -- the array of token ids that encoders append to */
#include "text/tokenizer/tokenizer.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/attr.h"

#define IDS_FIRST 256

void ids_fini(struct ids *ids)
{
    free(ids->v);
    *ids = (struct ids){ 0 };
}

uint32_t *ids_reserve(struct ids *ids, size_t n)
{
    if (ids->failed)
        return NULL;
    if (ids->v && n <= ids->cap - ids->n)
        return ids->v + ids->n;
    size_t cap = ids->cap ? ids->cap : IDS_FIRST;
    while (cap - ids->n < n && cap <= SIZE_MAX / 2 / sizeof(uint32_t))
        cap *= 2;
    uint32_t *v = cap - ids->n < n ? NULL : reallocarray(ids->v, cap, sizeof(*v));
    if (!v) {
        ids->failed = true;
        return NULL;
    }
    ids->v = v;
    ids->cap = cap;
    return v + ids->n;
}
