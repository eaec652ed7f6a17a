/* fail_alloc.c -- the allocator that fails when it is told to */
#include "fail_alloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t count, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t count, size_t size);

static _Atomic bool active;
static _Atomic unsigned seen;    /* allocations since the body began */
static _Atomic unsigned fail_at; /* 0 = none */
static unsigned total;           /* what the counting run saw */

/* The place for a breakpoint: the caller's caller is the allocation that fails. */
static bool fails_now(void)
{
    errno = ENOMEM;
    return true;
}

static bool shall_fail(void)
{
    return active && ++seen == fail_at && fails_now();
}

void *__wrap_malloc(size_t n)
{
    return shall_fail() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return shall_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return shall_fail() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t count, size_t size)
{
    return shall_fail() ? NULL : __real_reallocarray(p, count, size);
}

bool fail_alloc_failed(void)
{
    return fail_at && seen >= fail_at;
}

bool fail_alloc_next(unsigned *n)
{
    active = false;
    if (*n == FAIL_ALLOC_START)
        *n = 0;
    else {
        if (*n == 0)
            total = seen;
        if (*n == total) {
            fail_at = 0;
            return false;
        }
        (*n)++;
    }
    fail_at = *n;
    seen = 0;
    active = true;
    return true;
}
