/* base/arena.c -- an arena cut from cached blocks
 *
 * A block is a header of 16 bytes and then room. Under AddressSanitizer the room is poisoned and each piece opened byte by byte as it is
 * cut, so that writing past a piece, or into a block that went back to the cache, is reported.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/budget.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN        16
#define CACHE_BLOCKS 1024 /* kept per cache unless its max says otherwise: 8 MiB */
#define LARGE_FROM   (ARENA_BLOCK / 2 + 1)

struct arena_block {
    _Alignas(ALIGN) struct arena_block *next;
    size_t budgeted; /* bytes of the memory budget, of a large piece; else not set */
};
_Static_assert(sizeof(struct arena_block) % ALIGN == 0, "pieces are aligned to 16");

#define BLOCK_ROOM (ARENA_BLOCK - sizeof(struct arena_block))

static char *room_of(struct arena_block *b)
{
    return (char *)(b + 1);
}

static size_t round_up(size_t n)
{
    return (MAX(n, 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static struct arena_block *cache_take(struct arena_cache *c)
{
    struct arena_block *b = c ? c->free : NULL;

    if (!b)
        return malloc(ARENA_BLOCK);
    c->free = b->next;
    c->n--;
    return b;
}

static void cache_give(struct arena_cache *c, struct arena_block *b)
{
    if (!c || c->n >= (c->max ? c->max : CACHE_BLOCKS)) {
        free(b);
        return;
    }
    ASAN_POISON_MEMORY_REGION(room_of(b), BLOCK_ROOM);
    b->next = c->free;
    c->free = b;
    c->n++;
}

static void free_large(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;

        budget_give(b->budgeted);
        free(b);
        b = next;
    }
}

static void free_all(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;

        free(b);
        b = next;
    }
}

void arena_cache_fini(struct arena_cache *c)
{
    free_all(c->free);
    *c = (struct arena_cache){ 0 };
}

void arena_init(struct arena *a, struct arena_cache *cache, size_t max_bytes)
{
    *a = (struct arena){ .cache = cache, .max = max_bytes };
}

void arena_fini(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;

        a->blocks = b->next;
        cache_give(a->cache, b);
    }
    free_large(a->large);
    *a = (struct arena){ .cache = a->cache, .max = a->max, .budgeted = a->budgeted };
}

static void *fail(struct arena *a)
{
    a->failed = true;
    return NULL;
}

static void *alloc_large(struct arena *a, size_t n)
{
    size_t budgeted = a->budgeted ? sizeof(struct arena_block) + n : 0;
    struct arena_block *b;

    if (!budget_take(budgeted))
        return fail(a);
    b = malloc(sizeof *b + n);
    if (!b) {
        budget_give(budgeted);
        return fail(a);
    }
    b->budgeted = budgeted;
    b->next = a->large;
    a->large = b;
    return room_of(b);
}

static bool open_block(struct arena *a)
{
    struct arena_block *b = cache_take(a->cache);

    if (!b)
        return false;
    b->next = a->blocks;
    a->blocks = b;
    a->at = room_of(b);
    a->end = a->at + BLOCK_ROOM;
    ASAN_POISON_MEMORY_REGION(a->at, BLOCK_ROOM);
    return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t bound = a->max ? a->max : SIZE_MAX / 2;
    size_t size;
    char *p;

    if (a->failed)
        return NULL;
    if (n > bound || a->used > bound - n)
        return fail(a);
    size = round_up(n);
    if (size > (size_t)(a->end - a->at)) {
        if (n >= LARGE_FROM) {
            p = alloc_large(a, n);
            a->used += p ? size : 0;
            return p;
        }
        if (!open_block(a))
            return fail(a);
    }
    p = a->at;
    a->at += size;
    a->used += size;
    ASAN_UNPOISON_MEMORY_REGION(p, n);
    return p;
}

void *arena_alloc_zero(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    return p ? memset(p, 0, n) : NULL;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;

    if (__builtin_mul_overflow(count, size, &n))
        return fail(a);
    return arena_alloc_zero(a, n);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : fail(a);

    if (!p)
        return STR_NONE;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return (struct str){ p, s.n };
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    p = n < 0 ? fail(a) : arena_alloc(a, (size_t)n + 1);
    if (!p)
        return STR_NONE;
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap); /* the same text as above: it fits */
    va_end(ap);
    return (struct str){ p, (size_t)n };
}

void arena_trim(struct arena *a, void *piece, size_t n)
{
    char *p = piece, *keep;

    if (!a->blocks || p < room_of(a->blocks) || p >= a->at)
        return;
    keep = p + round_up(n);
    if (keep > a->at)
        return;
    ASAN_POISON_MEMORY_REGION(p + n, (size_t)(a->at - (p + n)));
    a->used -= (size_t)(a->at - keep);
    a->at = keep;
}

static void append(struct arena_block **list, struct arena_block *more)
{
    while (*list)
        list = &(*list)->next;
    *list = more;
}

/* Behind what TO has: its newest block stays the first, and room that is left in FROM's is not used any more. */
void arena_take(struct arena *to, struct arena *from)
{
    append(&to->blocks, STEAL(from->blocks));
    append(&to->large, STEAL(from->large));
    to->used += from->used;
    to->failed = to->failed || from->failed || (to->max && to->used > to->max);
    arena_fini(from);
}
