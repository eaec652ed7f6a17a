/* base/str.h -- a view of bytes: pointer and length, never an owner, no NUL at its end
 *
 * A `struct str` is good for as long as the memory behind it; a header that stores one says whose memory that is (arena, static, borrowed).
 * All comparisons are of bytes; the _nocase forms fold ASCII letters only. p may be NULL when n is 0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_INIT(literal)               \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    } /* for static initialisers */
#define STR_NONE   ((struct str){ NULL, 0 })
#define STR_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

static inline struct str str_of(const char *cstring)
{
    return (struct str){ cstring, cstring ? strlen(cstring) : 0 };
}

static inline struct str str_range(const char *from, const char *to)
{
    return (struct str){ from, (size_t)(to - from) };
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_has_prefix(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_has_suffix(struct str s, struct str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static inline struct str str_skip(struct str s, size_t n) /* n <= s.n */
{
    return (struct str){ n ? s.p + n : s.p, s.n - n }; /* NULL + 0 is undefined in C */
}

static inline struct str str_first(struct str s, size_t n) /* the first n bytes, or all when there are fewer */
{
    return (struct str){ s.p, n < s.n ? n : s.n };
}

#define STR_NPOS SIZE_MAX

bool str_eq_nocase(struct str a, struct str b);
bool str_has_prefix_nocase(struct str s, struct str prefix);

/* <0, 0, >0 as memcmp orders the bytes; a prefix sorts before what it begins. */
int str_cmp(struct str a, struct str b);

/* Index of the first occurrence, or STR_NPOS. */
size_t str_find_char(struct str s, char c);
size_t str_find(struct str s, struct str needle);
size_t str_rfind_char(struct str s, char c);

/* Without blanks (space, tab, CR, LF) at both ends. */
struct str str_trim(struct str s);

/* Splits at the first SEP: *HEAD before it, *TAIL behind it; false (head = s, tail empty) when there is none. */
bool str_split(struct str s, char sep, struct str *head, struct str *tail);

/* Decimal digits only, all of them; 0, ERR_SYNTAX (empty, sign, other bytes) or ERR_LIMIT (past UINT64_MAX). */
int str_to_u64(struct str s, uint64_t *ret) _must_check_;

/* A decimal floating-point number, locale-free, nothing before or behind it ("1", "-.5", "+1.e3"); 0, ERR_SYNTAX ("nan" and "inf" too) or
 * ERR_LIMIT (too large for a double; too small ones become 0). Correctly rounded. */
int str_to_double(struct str s, double *ret) _must_check_;

/* A 64-bit hash for tables in memory (not for files or the wire, not against an attacker who can measure collisions). */
uint64_t str_hash(struct str s);

/* A malloc'ed copy with a NUL at its end, NULL when memory is out. Free with free(). */
char *str_dup(struct str s) _must_check_;

/* Equal in time that depends on b.n only: for secrets. */
bool str_eq_secret(struct str a, struct str b);
