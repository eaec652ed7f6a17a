/* kv_cache.c -- blocks by hash, held or idle */
#include "mock/kv_cache.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"

#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME  0x100000001b3u

struct kv_block {
    uint64_t hash;
    unsigned users;   /* 0 = idle */
    struct list link; /* kv_cache.idle or .free; nowhere while held */
};

static struct str key_of(const uint64_t *hash)
{
    return (struct str){ (const char *)hash, sizeof(*hash) };
}

int kv_cache_init(struct kv_cache *c, size_t capacity_blocks)
{
    *c = (struct kv_cache){ .capacity = capacity_blocks };
    list_init(&c->idle);
    list_init(&c->free);
    c->blocks = calloc(capacity_blocks, sizeof(*c->blocks));
    if (!c->blocks)
        return ERR_NOMEM;
    return 0;
}

void kv_cache_fini(struct kv_cache *c)
{
    map_fini(&c->by_hash);
    free(c->blocks);
    c->blocks = NULL;
}

size_t kv_cache_match(const struct kv_cache *c, const uint64_t *hashes, size_t n)
{
    size_t i = 0;

    while (i < n && map_get(&c->by_hash, key_of(&hashes[i])))
        i++;
    return i;
}

static void hold(struct kv_cache *c, struct kv_block *b)
{
    if (b->users++ == 0) {
        list_remove(&b->link);
        c->held++;
    }
}

void kv_cache_pin(struct kv_cache *c, const uint64_t *hashes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hold(c, map_get(&c->by_hash, key_of(&hashes[i])));
}

void kv_cache_unpin(struct kv_cache *c, const uint64_t *hashes, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        struct kv_block *b = map_get(&c->by_hash, key_of(&hashes[i]));

        assert(b && b->users > 0);
        if (--b->users == 0) {
            list_append(&c->idle, &b->link);
            c->held--;
        }
    }
}

static void evict(struct kv_cache *c, struct kv_block *b)
{
    (void)map_remove(&c->by_hash, key_of(&b->hash));
    list_remove(&b->link);
    list_append(&c->free, &b->link);
    c->named--;
    c->evicted++;
}

void kv_cache_shrink(struct kv_cache *c, size_t blocks)
{
    while (kv_cache_total(c) > blocks && !list_empty(&c->idle))
        evict(c, list_first(&c->idle, struct kv_block, link));
}

/* A block without a name: never used (so the memory of a cache that stays empty is never touched), given back, or taken from the idle ones. */
static struct kv_block *take_free(struct kv_cache *c)
{
    if (c->touched < c->capacity && list_empty(&c->free)) {
        struct kv_block *b = &c->blocks[c->touched++];

        list_init(&b->link);
        list_append(&c->free, &b->link);
    }
    if (list_empty(&c->free))
        kv_cache_shrink(c, kv_cache_total(c) - 1);
    return list_first(&c->free, struct kv_block, link);
}

bool kv_cache_insert(struct kv_cache *c, uint64_t hash)
{
    struct kv_block *b = map_get(&c->by_hash, key_of(&hash));

    assert(c->unnamed > 0);
    if (!b) {
        b = take_free(c);
        if (!b)
            return false;
        b->hash = hash;
        b->users = 0;
        if (map_put(&c->by_hash, key_of(&b->hash), b, /* ret_old= */ NULL) < 0)
            return false;
        c->named++;
    }
    hold(c, b);
    c->unnamed--;
    return true;
}

void kv_hasher_init(struct kv_hasher *h, struct arena *arena, size_t block_bytes)
{
    *h = (struct kv_hasher){ .arena = arena, .block_bytes = block_bytes, .state = FNV_OFFSET };
}

static void push(struct kv_hasher *h, uint64_t hash)
{
    if (h->n == h->cap) {
        size_t cap = h->cap ? 2 * h->cap : 32;
        uint64_t *grown = h->failed ? NULL : arena_array(h->arena, cap, sizeof(*grown));

        if (!grown) {
            h->failed = true;
            return;
        }
        if (h->n)
            memcpy(grown, h->hashes, h->n * sizeof(*grown));
        h->hashes = grown;
        h->cap = cap;
    }
    h->hashes[h->n++] = hash;
}

void kv_hasher_feed(struct kv_hasher *h, struct str text)
{
    h->bytes += text.n;
    for (size_t i = 0; i < text.n; i++) {
        h->state = (h->state ^ (unsigned char)text.p[i]) * FNV_PRIME;
        if (++h->fill == h->block_bytes) {
            push(h, h->state);
            h->fill = 0;
        }
    }
}
