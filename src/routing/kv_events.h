/* routing/kv_events.h -- which workers have these tokens in their KV cache, by the engines' own word
 *
 *   an engine's event stream (gRPC; the control thread reads it) --stored, removed, cleared--> the index <--scores-- loop threads
 *
 * The index of one model (spec data-plane 6.14). Engines name a block by a hash of their own; what it holds is told by its tokens: the key of a block is the hash of its
 * contents chained with the key of the block before it, so equal prompts have equal keys on every engine. The keys stand in a prefix index (prefix_index.h) that knows
 * every holder of a block, up to PREFIX_EVERY_MAX.
 * Threads:  scores, count, blocks, block_size: any. All else: the control thread.
 * Bounds:   KV_BLOCKS_MAX blocks per worker and the process's memory budget; what does not fit is not known, as if it had never been stored.
 */
#pragma once

#include "routing/prefix_index.h"

#define KV_BLOCKS_MAX (1u << 22)
#define KV_PROMPT_MAX 8192 /* blocks of a prompt that are looked at */

struct kv_events;

int kv_events_new(struct kv_events **ret) _must_check_; /* ERR_NOMEM */
void kv_events_free(struct kv_events *kv);              /* NULL is fine */

/* XXH3-64 with seed 1337, of the tokens as little-endian 32-bit words; and of the chain: two little-endian 64-bit words. */
uint64_t kv_content_hash(const uint32_t *tokens, size_t n);
uint64_t kv_prefix_hash(uint64_t before, uint64_t content);

struct kv_block {
    uint64_t hash; /* the engine's name for it */
    const uint32_t *tokens;
    size_t tokens_n;
};

/* WORKER (worker_live.number) has stored BLOCKS, one after the other, behind the block PARENT. NULL, or one that is not known: at the start of a prompt.
 * BLOCK_SIZE: tokens of a whole block; the first event's holds for the index. */
void kv_events_stored(struct kv_events *kv, uint16_t worker, const struct kv_block *blocks, size_t n, const uint64_t *parent,
                      uint32_t block_size, uint64_t now_s);
/* Exactly these; not what came behind them. */
void kv_events_removed(struct kv_events *kv, uint16_t worker, const uint64_t *hashes, size_t n);
/* All; also when the worker is removed. */
void kv_events_cleared(struct kv_events *kv, uint16_t worker);

/* Grows the table of keys; once a second. */
void kv_events_tick(struct kv_events *kv, uint64_t now_s);

uint64_t kv_events_count(const struct kv_events *kv);                   /* blocks of all workers */
uint64_t kv_events_blocks(const struct kv_events *kv, uint16_t worker); /* of one */
uint32_t kv_events_block_size(const struct kv_events *kv);              /* 0: no event told yet */

struct kv_score {
    uint16_t worker;
    uint32_t blocks; /* from the prompt's start, without a gap */
};

/* The workers that hold the prompt's first block at least, in no order; the number of them. A last block that is not whole is not looked at.
 * BLOCK_SIZE: where no event told one. */
unsigned kv_events_scores(const struct kv_events *kv, const uint32_t *tokens, size_t n, uint32_t block_size,
                          struct kv_score ret[PREFIX_EVERY_MAX]);
