/* cuts.h -- what a reasoning parser says of a text, however the text is cut */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#include "text/reasoning/reasoning.h"

struct seen {
    struct buf text, thoughts;
};

static inline void seen_fini(struct seen *s)
{
    buf_fini(&s->text);
    buf_fini(&s->thoughts);
}

static inline void see(void *owner, bool thought, struct str text)
{
    struct seen *s = owner;
    assert_true(text.n > 0);
    buf_put(thought ? &s->thoughts : &s->text, text);
}

static inline struct reasoning_parser *a_parser(const struct reasoning_format *f, const struct reasoning_config *c, struct seen *s)
{
    struct reasoning_config config = *c;
    struct reasoning_parser *p;
    config.sink = see;
    config.owner = s;
    assert_int_equal(reasoning_parser_new(f, &config, &p), 0);
    return p;
}

/* A copy of its own: reading past the piece is seen by the sanitizer. */
static inline void feed_copy(struct reasoning_parser *p, struct str piece)
{
    char *copy = malloc(piece.n + !piece.n);
    if (piece.n)
        memcpy(copy, piece.p, piece.n);
    assert_int_equal(reasoning_feed(p, (struct str){ copy, piece.n }), 0);
    free(copy);
}

/* Feeds TEXT in pieces that end at CUTS[0..n) and at its end. */
static inline void see_cut(const struct reasoning_format *f, const struct reasoning_config *c, struct str text, const size_t *cuts,
                           size_t n, struct seen *s)
{
    struct reasoning_parser *p = a_parser(f, c, s);
    size_t at = 0;
    for (size_t i = 0; i <= n; i++) {
        size_t end = i < n ? cuts[i] : text.n;
        feed_copy(p, (struct str){ text.p + at, end - at });
        at = end;
    }
    assert_int_equal(reasoning_finish(p), 0);
    reasoning_parser_free(p);
}

static inline void assert_same(const struct reasoning_format *f, const struct seen *a, const struct seen *b, const char *how,
                               struct str text)
{
    if (str_eq(buf_str(&a->text), buf_str(&b->text)) && str_eq(buf_str(&a->thoughts), buf_str(&b->thoughts)))
        return;
    fail_msg("%.*s: %s changes the result of %.*s\n whole: \"%.*s\" | \"%.*s\"\n cut:   \"%.*s\" | \"%.*s\"",
             STR_FMT(reasoning_name(f)), how, STR_FMT(text), STR_FMT(buf_str(&a->text)), STR_FMT(buf_str(&a->thoughts)),
             STR_FMT(buf_str(&b->text)), STR_FMT(buf_str(&b->thoughts)));
}

/* Every cut in two, byte by byte, and some random cuts give what the whole text gives; *WHOLE is that. */
static inline void assert_cuts_agree(const struct reasoning_format *f, const struct reasoning_config *c, struct str text,
                                     int random_rounds, struct seen *whole)
{
    size_t *cuts = malloc((text.n + 1) * sizeof(*cuts));
    see_cut(f, c, text, NULL, 0, whole);
    for (size_t i = 0; i <= text.n; i++) {
        struct seen s = { 0 };
        see_cut(f, c, text, &i, 1, &s);
        assert_same(f, whole, &s, "a cut in two", text);
        seen_fini(&s);
    }
    for (int round = 0; round <= random_rounds; round++) {
        struct seen s = { 0 };
        size_t n = 0;
        for (size_t at = 1; at < text.n; at += round ? 1 + (size_t)(rand() % (1 << (1 + round % 6))) : 1)
            cuts[n++] = at;
        see_cut(f, c, text, cuts, n, &s);
        assert_same(f, whole, &s, round ? "cutting at random" : "byte by byte", text);
        seen_fini(&s);
    }
    free(cuts);
}
