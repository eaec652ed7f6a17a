/* text/tokenizer/regex_internal.h -- between regex_translate.c (groups, quantifiers, escapes) and regex_class.c (sets of characters) */
#pragma once

#include "text/tokenizer/regex.h"

struct regex_translator {
    struct str pattern;
    const char *p, *end; /* what is left */
    struct buf *out;     /* PCRE2's text */
    struct err *err;
    bool ignore_case, dot_all, extended; /* (?i) (?m) (?x) at this place */
    bool named;                          /* the pattern has a named group: plain ones do not capture */
    unsigned depth, groups;
    uint32_t last_literal; /* code point of the atom before, 0 when it was none: folding may join two */
};

/* A set of characters while it is put together: `items` goes between brackets, each of `others` matches one character on its own. */
struct regex_set {
    struct buf items;
    struct buf others; /* joined with | */
    unsigned others_n;
};

int regex_fail(struct regex_translator *t, int code, const char *at, const char *what); /* "regex `...`: WHAT at byte N" */
int regex_read_code(struct regex_translator *t, uint32_t *ret) _must_check_;            /* one character of the pattern */
/* Behind a backslash: an escape that stands for one character. 0 with *ret, 1 = it is none of these (nothing consumed), or an error. */
int regex_read_escape(struct regex_translator *t, uint32_t *ret) _must_check_;
void regex_put_code(struct buf *out, uint32_t code); /* as PCRE2 writes a character anywhere */

/* Behind "[": to behind its "]". Writes something that matches one character. */
int regex_class(struct regex_translator *t) _must_check_;
/* Behind a backslash: \s \d \w \h \p{..} and their negations. 0: done, 1: none of these (nothing consumed), or an error. */
int regex_class_escape(struct regex_translator *t, bool in_class, struct regex_set *s) _must_check_;
void regex_put_set(struct buf *out, const struct regex_set *s, bool negated);
void regex_set_fini(struct regex_set *s);
void regex_put_word(struct buf *out, bool negated); /* \w and \W, for \b */
