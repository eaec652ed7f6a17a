/* base/arena.h -- memory that is freed in one go
 *
 * One arena per exchange. Small pieces are cut from blocks of ARENA_BLOCK bytes, which come from and go back to a per-thread cache, so that
 * the steady state calls malloc not at all; a piece larger than half a block, unless the newest block has room for it, has a malloc of
 * its own.
 * Failure is sticky: arena_alloc returns NULL and sets `failed`; a step checks once and answers 503.
 * One owner, one thread; the cache must be the one of the thread that frees.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#define ARENA_BLOCK 8192 /* bytes of one block, its header included; an exchange with a 2 KB chat request fits into one */

struct arena_block;

/* Blocks that wait for their next arena. Zeroed = empty. At most `max` are kept (0 = 1024), the rest is freed. */
struct arena_cache {
    struct arena_block *free; /* owned */
    unsigned n, max;
};

struct arena {
    struct arena_cache *cache;  /* borrowed for life; NULL = malloc and free directly */
    struct arena_block *blocks; /* owned; newest first */
    struct arena_block *large;  /* owned; pieces with a malloc of their own */
    char *at, *end;             /* free room of the newest block */
    size_t used;                /* bytes handed out, each piece rounded up to 16 */
    size_t max;                 /* bound of `used`; 0 = none */
    bool
        budgeted; /* set by the owner behind arena_init: `large` draws from the memory budget (base/budget.h); a refusal fails as no memory does */
    bool failed;
};

void arena_cache_fini(struct arena_cache *c);

void arena_init(struct arena *a, struct arena_cache *cache, size_t max_bytes);
void arena_fini(struct arena *a); /* frees everything; the arena is empty and usable again */

/* N bytes, aligned to 16, not zeroed; NULL when memory or the bound is out. N = 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t n) _must_check_;
void *arena_alloc_zero(struct arena *a, size_t n) _must_check_;
#define arena_new(a, type) ((type *)arena_alloc_zero((a), sizeof(type)))

/* COUNT * SIZE bytes, checked for overflow, zeroed. */
void *arena_array(struct arena *a, size_t count, size_t size) _must_check_;

/* A copy that lives as long as the arena; {NULL, 0} on failure. A NUL stands behind it (not counted in n). */
struct str arena_str(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...) _printf_(2, 3);

/* Gives back the unused end of the piece P, the newest of the arena, of which only N bytes are kept. No-op for a large piece. */
void arena_trim(struct arena *a, void *p, size_t n);

/* TO takes all that FROM holds, which is empty then; the pieces stay where they are. FROM has no cache. Fails (TO as no memory does, its bound) by setting `failed` of TO only. */
void arena_take(struct arena *to, struct arena *from);
