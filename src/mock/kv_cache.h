/* mock/kv_cache.h -- the KV cache of a simulated engine: blocks of tokens, found again by the hash of the whole prefix that they end
 *
 *   hash chain of a prompt  --kv_cache_match-->  its longest cached prefix  --kv_cache_pin-->  blocks in use (held)
 *   kv_cache_insert: a block that was computed (held)        kv_cache_unpin: in use no more --> newest of the idle ones
 *   kv_cache_shrink: idle blocks go, the oldest first (LRU)
 *
 * Some blocks have no name yet (prompt being prefilled, answer being decoded): they are only counted, as `unnamed`.
 * A held block is never evicted, and a block's prefix is unpinned after it, so that long prefixes lose their ends first.
 * Names are FNV-1a (64 bits) over the bytes of the whole prefix. One thread; no clock; memory is taken once, in kv_cache_init.
 */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"

struct kv_block;

struct kv_cache {
    size_t capacity; /* blocks */
    size_t named;    /* blocks with a name: held + idle */
    size_t held;     /* of those: in use */
    size_t unnamed;  /* in use without a name; may pass the capacity when the model admits more than fits */
    uint64_t evicted;

    struct kv_block *blocks; /* owned array of `capacity` */
    size_t touched;          /* of those: ever used */
    struct list idle;        // kv_block.link; the least recently used first
    struct list free;        // kv_block.link
    struct map by_hash;      /* key: the 8 bytes of kv_block.hash */
};

int kv_cache_init(struct kv_cache *c, size_t capacity_blocks) _must_check_;
void kv_cache_fini(struct kv_cache *c);

/* How many blocks at the start of HASHES are cached. */
size_t kv_cache_match(const struct kv_cache *c, const uint64_t *hashes, size_t n);

void kv_cache_pin(struct kv_cache *c, const uint64_t *hashes, size_t n);   /* all of them are cached */
void kv_cache_unpin(struct kv_cache *c, const uint64_t *hashes, size_t n); /* each was pinned or inserted by this user */

/* One of the unnamed blocks gets a name and is held. Already cached: that one is held and the unnamed one goes. False: no place or memory, nothing changed. */
bool kv_cache_insert(struct kv_cache *c, uint64_t hash);

/* Evicts idle blocks until at most BLOCKS blocks of all kinds are there, or no idle one is left. */
void kv_cache_shrink(struct kv_cache *c, size_t blocks);

static inline size_t kv_cache_in_use(const struct kv_cache *c)
{
    return c->held + c->unnamed;
}

static inline size_t kv_cache_total(const struct kv_cache *c)
{
    return c->named + c->unnamed;
}

/* Hashes a text that comes in pieces, block by block. */
struct kv_hasher {
    struct arena *arena; /* the hashes lie here */
    size_t block_bytes;  /* > 0 */
    uint64_t state;      /* of the prefix so far */
    size_t fill;         /* bytes of the block that is not complete */
    uint64_t bytes;      /* fed so far */
    uint64_t *hashes;    /* arena; of the complete blocks */
    size_t n, cap;
    bool failed; /* memory was out: later blocks are missing */
};

void kv_hasher_init(struct kv_hasher *h, struct arena *arena, size_t block_bytes);
void kv_hasher_feed(struct kv_hasher *h, struct str text);
