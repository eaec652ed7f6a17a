/* base/buf.h -- bytes that own their memory and grow
 *
 * Writers fail stickily: when memory or the bound runs out, `failed` is set, later calls do nothing, and the caller checks once, at the
 * end. Zeroed memory is a valid, empty buf without a bound. One owner, one thread.
 */
#pragma once

#include <stdarg.h>

#include "base/str.h"

struct buf {
    char *p; /* owned, malloc; NULL while nothing was written */
    size_t n, cap;
    size_t max;  /* bound of n in bytes; 0 = none */
    bool failed; /* set once, kept until buf_clear or buf_fini */
};

void buf_fini(struct buf *b); /* frees; the buf is zeroed and may be used again */

static inline void buf_clear(struct buf *b) /* empties, keeps the memory */
{
    b->n = 0;
    b->failed = false;
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){ b->p, b->n };
}

/* Room for N more bytes behind p + n, or NULL (failed is set). The caller writes there and adds to n itself. */
char *buf_reserve(struct buf *b, size_t n) _must_check_;

void buf_put(struct buf *b, struct str s);
void buf_put_char(struct buf *b, char c);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_i64(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) _printf_(2, 0);

/* Drops the first N bytes (n <= b->n); the rest moves to the front. */
void buf_consume(struct buf *b, size_t n);

#define buf_puts(b, literal) buf_put((b), STR(literal))
