/* text/tokenizer/regex.h -- regular expressions as Oniguruma understands them, done by PCRE2
 *
 *   tokenizer.json's regex --regex_translate.c--> PCRE2's syntax --regex.c--> compiled (JIT where the system lets us) --regex_next--> matches
 *
 * Hugging Face's `tokenizers` searches with Oniguruma (its own syntax, Unicode 16). What PCRE2 says differently is rewritten; what cannot be said exactly makes regex_new fail with a text that
 * names the construct. Bounds: pattern REGEX_PATTERN_MAX bytes, nesting REGEX_DEPTH_MAX; a match that backtracks more than REGEX_STEPS_MAX times from one place, needs more than REGEX_STACK_MAX bytes,
 * or searches that burn more processor time than regex_work_begin allows, end in ERR_LIMIT. (Oniguruma itself gives up at ten million steps.)
 * A struct regex never changes: any thread. A struct regex_work belongs to one thread at a time.
 * Read next: regex_translate.c (the syntax), regex_class.c ([...] and \p{...}).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define REGEX_PATTERN_MAX 16384u     /* bytes of the text in the file; the longest that models use has 700 */
#define REGEX_DEPTH_MAX   100u       /* groups and classes inside each other */
#define REGEX_STEPS_MAX   10000000u  /* as Oniguruma's retry limit */
#define REGEX_STACK_MAX   (8u << 20) /* bytes of backtracking, reserved at first need and touched as used */
#define REGEX_CPU_BASE_NS 500000000u /* what one run may burn whatever its text, ... */
#define REGEX_CPU_BYTE_NS 2000u      /* ... and for each byte of it: twenty times what ordinary regexes need */

struct regex;
struct regex_work;

int regex_new(struct str pattern, struct regex **ret,
              struct err *err) _must_check_;                             /* ERR_SYNTAX, ERR_UNSUPPORTED, ERR_LIMIT, ERR_NOMEM */
int regex_new_literal(struct str text, struct regex **ret) _must_check_; /* matches exactly TEXT (empty: at every place) */
void regex_free(struct regex *r);                                        /* NULL is fine */
size_t regex_memory(const struct regex *r);                              /* with machine code */

int regex_work_new(struct regex_work **ret) _must_check_;
void regex_work_free(struct regex_work *w);                /* NULL is fine */
void regex_work_begin(struct regex_work *w, size_t bytes); /* a run over so much text begins: its allowance of time */

/* All matches in TEXT (valid UTF-8) from left to right, as the crate `onig` gives them: no empty match right behind the match before. */
struct regex_scan {
    const struct regex *r;
    struct regex_work *w;
    struct str text;
    size_t at;       /* where to search on */
    size_t last_end; /* end of the match before, once `any` */
    bool any;
};

static inline struct regex_scan regex_scan(const struct regex *r, struct regex_work *w, struct str text)
{
    return (struct regex_scan){ .r = r, .w = w, .text = text };
}

/* 1 = a match at [*ret_start, *ret_end), 0 = no more, ERR_LIMIT, ERR_NOMEM. */
int regex_next(struct regex_scan *s, size_t *ret_start, size_t *ret_end, struct err *err) _must_check_;

/* ---- for regex.c and its tests: the translation ---- */

struct regex_translator; /* regex_internal.h */
int regex_translate(struct str pattern, struct buf *out, struct err *err) _must_check_;
