#include "routing/kv_events.h"

#include <stdatomic.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/budget.h"
#include "worker/worker_number.h"

#define SEED      1337 /* engines and SMG agree on it */
#define JUMP      64   /* blocks that a look-up passes over when those who hold this one hold that one, too */
#define FIRST_CAP 64

/* What an engine calls a block, and what it is. */
struct known {
    uint64_t hash, key;
    uint32_t position; /* in its prompt, in blocks */
    bool used;
};

/* One worker's blocks, by the engine's hashes: open addressing, at most half full, no gaps within a run. */
struct blocks {
    struct known *rows; /* owned, from the budget */
    size_t n, cap;      /* cap is a power of two */
};

struct kv_events {
    struct prefix_index *index;             /* owned */
    struct blocks *workers[WORKER_NUMBERS]; /* owned; by number */
    _Atomic uint32_t counts[WORKER_NUMBERS];
    _Atomic uint64_t count;
    _Atomic uint32_t block_size;
};

uint64_t kv_content_hash(const uint32_t *tokens, size_t n)
{
    return XXH3_64bits_withSeed(tokens, n * sizeof(*tokens), SEED);
}

uint64_t kv_prefix_hash(uint64_t before, uint64_t content)
{
    uint64_t pair[] = { before, content };

    return XXH3_64bits_withSeed(pair, sizeof pair, SEED);
}

int kv_events_new(struct kv_events **ret)
{
    struct kv_events *kv = calloc(1, sizeof(*kv)); /* pages that no number leads to are never touched */

    if (!kv)
        return ERR_NOMEM;
    if (prefix_index_new(&(struct prefix_index_conf){ .units_max = UINT64_MAX, .interval_s = 3600, .every_holder = true },
                         &kv->index) < 0) {
        free(kv);
        return ERR_NOMEM;
    }
    *ret = kv;
    return 0;
}

static void blocks_free(struct blocks *b)
{
    if (!b)
        return;
    budget_give(b->cap * sizeof(*b->rows));
    free(b->rows);
    free(b);
}

void kv_events_free(struct kv_events *kv)
{
    if (!kv)
        return;
    for (unsigned i = 0; i < WORKER_NUMBERS; i++)
        blocks_free(kv->workers[i]);
    prefix_index_free(kv->index);
    free(kv);
}

/* ---- an engine's names ---- */

static size_t slot_of(const struct blocks *b, uint64_t hash)
{
    return (size_t)(hash * 0x9e3779b97f4a7c15ull >> 32) & (b->cap - 1); /* engines count in low bits, or in high ones */
}

static struct known *find(const struct blocks *b, uint64_t hash)
{
    if (!b || !b->cap)
        return NULL;
    for (size_t i = slot_of(b, hash); b->rows[i].used; i = (i + 1) & (b->cap - 1))
        if (b->rows[i].hash == hash)
            return &b->rows[i];
    return NULL;
}

static void place(struct blocks *b, const struct known *k)
{
    size_t i = slot_of(b, k->hash);

    while (b->rows[i].used)
        i = (i + 1) & (b->cap - 1);
    b->rows[i] = *k;
}

static bool make_room(struct blocks *b)
{
    struct blocks next = { .cap = b->cap ? b->cap * 2 : FIRST_CAP, .n = b->n };

    if (b->n < b->cap / 2)
        return true;
    if (b->n >= KV_BLOCKS_MAX || !budget_take(next.cap * sizeof(*next.rows)))
        return false;
    next.rows = calloc(next.cap, sizeof(*next.rows));
    if (!next.rows) {
        budget_give(next.cap * sizeof(*next.rows));
        return false;
    }
    for (size_t i = 0; i < b->cap; i++)
        if (b->rows[i].used)
            place(&next, &b->rows[i]);
    budget_give(b->cap * sizeof(*b->rows));
    free(b->rows);
    *b = next;
    return true;
}

/* The rows behind it in its run close the gap. */
static void take_out(struct blocks *b, struct known *k)
{
    size_t gap = (size_t)(k - b->rows), i = gap;

    for (;;) {
        size_t home;

        i = (i + 1) & (b->cap - 1);
        if (!b->rows[i].used)
            break;
        home = slot_of(b, b->rows[i].hash);
        if (((i - home) & (b->cap - 1)) >= ((i - gap) & (b->cap - 1))) {
            b->rows[gap] = b->rows[i];
            gap = i;
        }
    }
    b->rows[gap] = (struct known){ 0 };
    b->n--;
}

/* ---- events ---- */

static void count(struct kv_events *kv, uint16_t worker, int by)
{
    atomic_fetch_add_explicit(&kv->counts[worker], (uint32_t)by, memory_order_relaxed);
    atomic_fetch_add_explicit(&kv->count, (uint64_t)(int64_t)by, memory_order_relaxed);
}

static void learn(struct kv_events *kv, uint16_t worker, struct blocks *b, const struct known *k, uint64_t now_s)
{
    struct known *old = find(b, k->hash);

    if (old && old->key == k->key)
        return;
    if (old) { /* the engine has given the name to another block */
        prefix_index_take(kv->index, old->key, worker);
        old->key = k->key;
        old->position = k->position;
    } else {
        if (!make_room(b))
            return;
        place(b, k);
        b->n++;
        count(kv, worker, 1);
    }
    prefix_index_add(kv->index, k->key, worker, now_s);
}

void kv_events_stored(struct kv_events *kv, uint16_t worker, const struct kv_block *blocks, size_t n, const uint64_t *parent,
                      uint32_t block_size, uint64_t now_s)
{
    struct blocks *b = kv->workers[worker];
    const struct known *before = parent ? find(b, *parent) : NULL;
    struct known k = { .used = true, .key = before ? before->key : 0, .position = before ? before->position + 1 : 0 };
    uint32_t none = 0;

    if (!worker)
        return;
    if (!b)
        b = kv->workers[worker] = calloc(1, sizeof(*b));
    if (!b)
        return;
    (void)atomic_compare_exchange_strong_explicit(&kv->block_size, &none, block_size, memory_order_relaxed, memory_order_relaxed);
    for (size_t i = 0; i < n; i++, k.position++) {
        uint64_t content = kv_content_hash(blocks[i].tokens, blocks[i].tokens_n);

        k.hash = blocks[i].hash;
        k.key = k.position ? kv_prefix_hash(k.key, content) : content;
        learn(kv, worker, b, &k, now_s);
    }
}

void kv_events_removed(struct kv_events *kv, uint16_t worker, const uint64_t *hashes, size_t n)
{
    struct blocks *b = kv->workers[worker];

    for (size_t i = 0; i < n; i++) {
        struct known *k = find(b, hashes[i]);

        if (!k)
            continue;
        prefix_index_take(kv->index, k->key, worker);
        take_out(b, k);
        count(kv, worker, -1);
    }
}

void kv_events_cleared(struct kv_events *kv, uint16_t worker)
{
    struct blocks *b = kv->workers[worker];

    if (!b)
        return;
    for (size_t i = 0; i < b->cap; i++)
        if (b->rows[i].used)
            prefix_index_take(kv->index, b->rows[i].key, worker);
    count(kv, worker, -(int)b->n);
    blocks_free(b);
    kv->workers[worker] = NULL;
}

void kv_events_tick(struct kv_events *kv, uint64_t now_s)
{
    prefix_index_tick(kv->index, now_s);
}

/* ---- questions ---- */

uint64_t kv_events_count(const struct kv_events *kv)
{
    return atomic_load_explicit(&kv->count, memory_order_relaxed);
}

uint64_t kv_events_blocks(const struct kv_events *kv, uint16_t worker)
{
    return atomic_load_explicit(&kv->counts[worker], memory_order_relaxed);
}

uint32_t kv_events_block_size(const struct kv_events *kv)
{
    return atomic_load_explicit(&kv->block_size, memory_order_relaxed);
}

/* Those of ACTIVE that do not hold the block of KEY leave, with SCORE; the number of those that stay. They stand first. */
static unsigned narrow(const struct kv_events *kv, uint64_t key, struct kv_score *active, unsigned n, uint32_t score)
{
    uint16_t holders[PREFIX_EVERY_MAX];
    unsigned holders_n = prefix_index_every_holder(kv->index, key, holders), stay = 0;

    for (unsigned i = 0; i < n; i++) {
        struct kv_score s = active[i];
        bool holds = false;

        for (unsigned k = 0; k < holders_n && !holds; k++)
            holds = holders[k] == s.worker;
        active[i].blocks = score;
        if (!holds)
            continue;
        s = active[i];
        active[i] = active[stay];
        active[stay++] = s;
    }
    return stay;
}

/* Do all of ACTIVE hold the block of KEY? */
static bool all_hold(const struct kv_events *kv, uint64_t key, const struct kv_score *active, unsigned n)
{
    struct kv_score copy[PREFIX_EVERY_MAX];

    memcpy(copy, active, n * sizeof(*copy));
    return narrow(kv, key, copy, n, 0) == n;
}

unsigned kv_events_scores(const struct kv_events *kv, const uint32_t *tokens, size_t n, uint32_t block_size,
                          struct kv_score ret[PREFIX_EVERY_MAX])
{
    uint32_t told = kv_events_block_size(kv), size = told ? told : block_size;
    size_t blocks = size ? MIN(n / size, (size_t)KV_PROMPT_MAX) : 0, at = 0;
    uint64_t keys[KV_PROMPT_MAX];
    uint16_t holders[PREFIX_EVERY_MAX];
    unsigned all, active;

    if (blocks == 0)
        return 0;
    for (size_t i = 0; i < blocks; i++) {
        uint64_t content = kv_content_hash(tokens + i * size, size);

        keys[i] = i ? kv_prefix_hash(keys[i - 1], content) : content;
    }
    all = active = prefix_index_every_holder(kv->index, keys[0], holders);
    for (unsigned i = 0; i < all; i++)
        ret[i] = (struct kv_score){ .worker = holders[i], .blocks = 1 };
    while (active > 0 && at + 1 < blocks) {
        size_t target = MIN(at + JUMP, blocks - 1);

        if (all_hold(kv, keys[target], ret, active)) {
            at = target;
            continue;
        }
        while (active > 0 && at < target) {
            at++;
            active = narrow(kv, keys[at], ret, active, (uint32_t)at);
        }
    }
    for (unsigned i = 0; i < active; i++)
        ret[i].blocks = (uint32_t)blocks;
    return all;
}
