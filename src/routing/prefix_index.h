/* routing/prefix_index.h -- which workers have seen the beginning of this prompt?
 *
 *   prompt --blocks--> a chain of keys --look up, deepest first known--> the workers of the deepest known block
 *                                      \--hold--> the chosen worker holds all blocks of the prompt
 *   control thread --tick--> grows the table, forgets removed workers, evicts by age and size
 *
 * A prompt is cut into blocks of PREFIX_BLOCK_BYTES. A block's key is made of its contents and the key before it, so it stands for the whole prompt up to its end.
 * The rest behind the last whole block is indexed in pieces of PREFIX_TAIL_UNITS units, the last one as short as it is: the next turn of a conversation finds where this
 * one ended. A new beginning is indexed in finer pieces yet, unit by unit at first, so that short prompts match exactly. (A unit is a byte of text, or a token id.)
 * So what an earlier prompt and this one have in common is found to the last whole block, or, where the earlier one ended or in the first block, to the last piece.
 * Keys are 64-bit hashes of which the table keeps 40 bits or so: a match may be wrong once in some hundred thousand prompts, which costs a cache miss on an engine.
 *
 * The table is an array of buckets (cache lines) of four entries of 16 bytes, each with up to three workers and the second in which each was last chosen for the block. A block that
 * more than three workers hold is marked as wide: "these three, and others". Hot blocks change only when their holders' ages do, once a second: readers of a system
 * prompt that everybody sends share cache lines and write nothing.
 *
 * Owner:    a policy instance. Prompts of different models go into one index under different seeds.
 * Threads:  match, hold, add, take, holders: any number of threads at once, without locks: an entry is two words that change by compare-and-swap, and all that
 *           hangs on a stale or lost one is where one request goes. tick, forget: the control thread.
 * Bounds:   bytes_max of memory, of which what is in use counts against the process's budget (base/budget.h), and never more than a quarter of that: at the bound a new
 *           block takes the place of the one in its bucket that was not used for longest. units_max per worker, kept by the sweep. PREFIX_UNITS_MAX of one prompt.
 * Not here: what to do with a match (cache_aware.c), what engines say about their caches (kv_events.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define PREFIX_BLOCK_BYTES 256
#define PREFIX_TAIL_UNITS  16
#define PREFIX_UNITS_MAX   (1u << 20) /* what follows is not looked at */
#define PREFIX_HOLDERS     3
#define PREFIX_AGE_MAX_S   32767 /* nine hours: no engine keeps an unused block for so long */

struct prefix_index;

struct prefix_index_conf {
    uint64_t units_max;  /* --max-tree-size: bytes of prompts (tokens) that a worker may hold after a sweep */
    uint64_t interval_s; /* --eviction-interval: between the starts of two sweeps */
    size_t bytes_max;    /* 0 = PREFIX_BYTES_MAX; rounded down to a power of two */
    unsigned first_log2; /* 0 = 14: buckets of 64 bytes at the start, as a power of two; for tests */
    uint64_t seed;       /* of the hashes */
    bool every_holder;   /* no block is wide: what does not fit into an entry goes into further ones (kv_events.h) */
};
#define PREFIX_BYTES_MAX ((size_t)1 << 30)

int prefix_index_new(const struct prefix_index_conf *conf, struct prefix_index **ret) _must_check_; /* ERR_NOMEM */
void prefix_index_free(struct prefix_index *ix);                                                    /* NULL is fine */

struct prefix_prompt {
    const void *units;
    size_t n;      /* units */
    unsigned unit; /* bytes of one: 1 (text), 4 (token ids, as the machine stores them) */
    uint64_t seed; /* tells models apart */
};

struct prefix_entry;
struct prefix_piece {
    uint64_t key;
    struct prefix_entry *entry; /* NULL: not known */
    uint32_t end;               /* units of the prompt */
    uint8_t units;
};

/* The way of a prompt through the index, between match and hold. On the caller's stack; most of it is never touched. */
#define PREFIX_PATH_MAX   (PREFIX_UNITS_MAX / PREFIX_BLOCK_BYTES)
#define PREFIX_PIECES_MAX (16 + 12 + 12 + 16)
struct prefix_path {
    size_t n;     /* whole blocks */
    size_t known; /* the last one that the index knew is the one before it; there may be gaps */
    size_t block; /* units of one */
    unsigned pieces_n;
    unsigned pieces_known; /* as `known`: of pieces behind the known blocks */
    unsigned pieces_own;   /* those before it are an earlier prompt's */
    bool is_hit;           /* the caller's, for the counts: the prompt goes where it was known */
    struct prefix_piece pieces[PREFIX_PIECES_MAX];
    uint64_t keys[PREFIX_PATH_MAX];
    struct prefix_entry *entries[PREFIX_PATH_MAX]; /* NULL: not known */
};

struct prefix_holders {
    unsigned n;
    bool wide;                        /* others hold it, too */
    uint16_t numbers[PREFIX_HOLDERS]; /* worker_live.number, last chosen first */
    uint32_t ages_s[PREFIX_HOLDERS];  /* since they were chosen */
};

struct prefix_match {
    size_t matched, total;         /* units */
    struct prefix_holders holders; /* of the deepest known block */
};

/* NOW_S: any clock that only this index is given, in seconds. */
void prefix_index_match(struct prefix_index *ix, const struct prefix_prompt *prompt, uint64_t now_s, struct prefix_path *path,
                        struct prefix_match *ret);

/* The path's known blocks and pieces, from the shallowest to the deepest; gaps among them count. */
static inline size_t prefix_index_steps(const struct prefix_path *path)
{
    return path->known + path->pieces_known;
}
/* Who holds the step AT (nobody: a gap), and how many units end with it. */
size_t prefix_index_step(const struct prefix_path *path, size_t at, uint64_t now_s, struct prefix_holders *ret);

/* WORKER (a number, not 0) holds the whole prompt from now on. After a match with the same path. */
void prefix_index_hold(struct prefix_index *ix, const struct prefix_path *path, uint16_t worker, uint64_t now_s);

/* ---- single blocks, for kv_events.c ---- */

void prefix_index_add(struct prefix_index *ix, uint64_t key, uint16_t worker, uint64_t now_s);
void prefix_index_take(struct prefix_index *ix, uint64_t key, uint16_t worker);
#define PREFIX_EVERY_MAX 96 /* holders of one block that an index with every_holder knows */
unsigned prefix_index_every_holder(const struct prefix_index *ix, uint64_t key, uint16_t ret[PREFIX_EVERY_MAX]);

/* ---- control thread ---- */

/* Once a second or so. Does a slice of the work that is due: some milliseconds at the most. */
void prefix_index_tick(struct prefix_index *ix, uint64_t now_s);
/* A worker was removed: the next sweep drops what it held. (Nobody asks for its number until then.) */
void prefix_index_forget(struct prefix_index *ix, uint16_t worker);
/* A whole sweep at once; for tests. */
void prefix_index_sweep(struct prefix_index *ix, uint64_t now_s);
/* Counts the table's entries and holders, for tests; nobody else may be at work. */
void prefix_index_recount(const struct prefix_index *ix, int64_t *ret_entries, int64_t *ret_holders);
/* Units that WORKER held at the last sweep, before it evicted. */
uint64_t prefix_index_units(const struct prefix_index *ix, uint16_t worker);

struct prefix_index_stats {
    int64_t entries, holders; /* now */
    uint64_t bytes;           /* of the table */
    uint64_t inserted;        /* blocks that were new */
    uint64_t evicted;         /* blocks: for want of room, and by sweeps */
    uint64_t sweeps;          /* that have ended */
    uint64_t lookups, hits;   /* prompts that were held; those of them that were hits */
};
void prefix_index_stats(const struct prefix_index *ix, struct prefix_index_stats *ret); /* any thread */
