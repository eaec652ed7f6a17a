/* cuts.h -- what a parser of tool calls says of a text, however the text is cut
 *
 * A reply is written down as one line: content in quotes, then [name, arguments] for each call, in the order of the events: text between calls stands between them.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test.h"

#include "text/toolcall/format.h"

struct seen {
    struct buf text;  /* all content */
    struct buf calls; /* name, TAB, arguments, LF for each call */
    unsigned begun, ended;
};

static inline void seen_fini(struct seen *s)
{
    buf_fini(&s->text);
    buf_fini(&s->calls);
}

static inline void see(void *owner, const struct toolcall_event *e)
{
    struct seen *s = owner;
    switch (e->type) {
    case TOOLCALL_TEXT:
        assert_true(e->text.n > 0);
        buf_put(&s->text, e->text);
        break;
    case TOOLCALL_BEGIN:
        assert_int_equal(e->index, s->begun++);
        assert_int_equal(s->begun, s->ended + 1);
        buf_put(&s->calls, e->text);
        buf_put_char(&s->calls, '\t');
        break;
    case TOOLCALL_ARGUMENTS:
        assert_int_equal(e->index + 1, s->begun);
        buf_put(&s->calls, e->text);
        break;
    case TOOLCALL_END:
        s->ended++;
        buf_put_char(&s->calls, '\n');
        break;
    }
}

/* Feeds TEXT in pieces that end at CUTS[0..n) and at its end. */
static inline void see_cut(const struct toolcall_format *f, const struct toolcall_tools *tools, struct str text, const size_t *cuts,
                           size_t n, struct seen *s)
{
    struct toolcall_config c = { .tools = tools, .sink = see, .owner = s };
    struct toolcall_parser *p;
    struct err err;
    size_t at = 0;
    assert_int_equal(toolcall_parser_new(f, &c, &p), 0);
    for (size_t i = 0; i <= n; i++) {
        size_t end = i < n ? cuts[i] : text.n;
        /* A copy of its own: reading past the piece is seen by the sanitizer. */
        char *piece = malloc(end - at + 1);
        memcpy(piece, text.p + at, end - at);
        assert_int_equal(toolcall_feed(p, (struct str){ piece, end - at }, &err), 0);
        free(piece);
        at = end;
    }
    assert_int_equal(toolcall_finish(p, &err), 0);
    assert_false(toolcall_in_call(p));
    assert_int_equal(s->begun, s->ended);
    toolcall_parser_free(p);
}

static inline void assert_same(const struct seen *a, const struct seen *b, const char *how, struct str text)
{
    if (a->text.n != b->text.n || (a->text.n && memcmp(a->text.p, b->text.p, a->text.n)) || a->calls.n != b->calls.n ||
        (a->calls.n && memcmp(a->calls.p, b->calls.p, a->calls.n)))
        fail_msg("%s changes the result of %.*s\n whole: \"%.*s\" | %.*s\n cut:   \"%.*s\" | %.*s", how, STR_FMT(text),
                 STR_FMT(buf_str(&a->text)), STR_FMT(buf_str(&a->calls)), STR_FMT(buf_str(&b->text)), STR_FMT(buf_str(&b->calls)));
}

/* Every cut in two, byte by byte, and some random cuts give what the whole text gives. */
static inline void assert_cuts_agree(const struct toolcall_format *f, const struct toolcall_tools *tools, struct str text)
{
    struct seen whole = { 0 };
    size_t *cuts = malloc((text.n + 1) * sizeof(*cuts));
    see_cut(f, tools, text, NULL, 0, &whole);
    for (size_t i = 0; i <= text.n; i++) {
        struct seen s = { 0 };
        see_cut(f, tools, text, &i, 1, &s);
        assert_same(&whole, &s, "a cut in two", text);
        seen_fini(&s);
    }
    for (int round = 0; round < 12; round++) {
        struct seen s = { 0 };
        size_t n = 0;
        for (size_t at = 1; at < text.n; at += round ? 1 + (size_t)(rand() % (1 << (1 + round % 6))) : 1)
            cuts[n++] = at;
        see_cut(f, tools, text, cuts, n, &s);
        assert_same(&whole, &s, round ? "cutting at random" : "byte by byte", text);
        seen_fini(&s);
    }
    free(cuts);
    seen_fini(&whole);
}

/* The text gives this content and these calls ("name\targuments\n" each), however it is cut. */
static inline void assert_parses(const struct toolcall_format *f, const struct toolcall_tools *tools, const char *text,
                                 const char *content, const char *calls)
{
    struct seen s = { 0 };
    see_cut(f, tools, str_of(text), NULL, 0, &s);
    buf_put_char(&s.text, '\0');
    buf_put_char(&s.calls, '\0');
    assert_string_equal(s.text.p, content);
    assert_string_equal(s.calls.p, calls);
    seen_fini(&s);
    assert_cuts_agree(f, tools, str_of(text));
}

static inline double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* OPENER and then REPEATED again and again, byte by byte: quadratic work would be some 10^10 steps. */
static inline void assert_linear(const struct toolcall_format *f, const char *opener, const char *repeated)
{
    struct seen s = { 0 };
    struct toolcall_config c = { .sink = see, .owner = &s };
    struct toolcall_parser *p;
    struct err err;
    struct str more = str_of(repeated);
    double begun = cpu_s();
    assert_int_equal(toolcall_parser_new(f, &c, &p), 0);
    assert_int_equal(toolcall_feed(p, str_of(opener), &err), 0);
    for (size_t n = 0; n < 1u << 18; n++)
        assert_int_equal(toolcall_feed(p, (struct str){ more.p + n % more.n, 1 }, &err), 0);
    assert_int_equal(toolcall_finish(p, &err), 0);
    if (cpu_s() - begun > 3.0)
        fail_msg("%s takes too long over %s%s...", f->name, opener, repeated);
    toolcall_parser_free(p);
    seen_fini(&s);
}

/* Behind OPENER nothing ends: an error beyond the bound, and a reset mends it. */
static inline void assert_bounded(const struct toolcall_format *f, const char *opener)
{
    struct seen s = { 0 };
    struct toolcall_config c = { .sink = see, .owner = &s, .max_bytes = 1000 };
    struct toolcall_parser *p;
    struct err err;
    int r;
    assert_int_equal(toolcall_parser_new(f, &c, &p), 0);
    r = toolcall_feed(p, str_of(opener), &err);
    assert_true(toolcall_in_call(p));
    for (int n = 0; n < 200 && r == 0; n++)
        r = toolcall_feed(p, STR("0123456789"), &err);
    assert_int_equal(r, ERR_LIMIT);
    toolcall_reset(p);
    assert_false(toolcall_in_call(p));
    assert_int_equal(toolcall_feed(p, STR("again"), &err), 0);
    assert_int_equal(toolcall_finish(p, &err), 0);
    assert_str(buf_str(&s.text), "again");
    toolcall_parser_free(p);
    seen_fini(&s);
}
