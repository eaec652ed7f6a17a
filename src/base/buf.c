/* base/buf.c -- a byte buffer that doubles, up to its bound */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAP 256 /* bytes; one line of log or one header block fits */

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ 0 };
}

static bool fail(struct buf *b)
{
    b->failed = true;
    return false;
}

/* Makes the memory hold SIZE bytes (may be max + 1: a NUL of vsnprintf stands behind the last byte). */
static bool grow(struct buf *b, size_t size)
{
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    char *p;

    if (size <= b->cap)
        return true;
    while (cap < size)
        cap = cap > SIZE_MAX / 2 ? size : cap * 2;
    if (b->max && cap > b->max + 1)
        cap = MAX(size, b->max + 1);
    p = realloc(b->p, cap);
    if (!p)
        return fail(b);
    b->p = p;
    b->cap = cap;
    return true;
}

/* May N more bytes come? */
static bool within_bound(struct buf *b, size_t n)
{
    size_t max = b->max ? b->max : SIZE_MAX / 2;

    return (n <= max && b->n <= max - n) || fail(b);
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->failed || !within_bound(b, n) || !grow(b, MAX(b->n + n, 1)))
        return NULL;
    return b->p + b->n;
}

void buf_put(struct buf *b, struct str s)
{
    char *to = buf_reserve(b, s.n);

    if (!to || s.n == 0)
        return;
    memcpy(to, s.p, s.n);
    b->n += s.n;
}

void buf_put_char(struct buf *b, char c)
{
    char *to = buf_reserve(b, 1);

    if (!to)
        return;
    *to = c;
    b->n++;
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    char text[20], *p = text + sizeof text;

    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_put(b, str_range(p, text + sizeof text));
}

void buf_put_i64(struct buf *b, int64_t v)
{
    if (v < 0)
        buf_put_char(b, '-');
    buf_put_u64(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

/* Prints into the room that is there, and once more when that was too little. */
void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    size_t room = b->cap - b->n;
    va_list again;
    int n;

    if (b->failed)
        return;
    va_copy(again, ap);
    n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, ap);
    if (n < 0)
        b->failed = true;
    else if (within_bound(b, (size_t)n)) {
        if ((size_t)n < room)
            b->n += (size_t)n;
        else if (grow(b, b->n + (size_t)n + 1))
            b->n += (size_t)vsnprintf(b->p + b->n, b->cap - b->n, fmt, again);
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
    b->n -= n;
    if (b->n && n)
        memmove(b->p, b->p + n, b->n);
}
