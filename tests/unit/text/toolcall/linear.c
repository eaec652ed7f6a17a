/* Every registered format, of tool calls and of thoughts, over long replies: linear time and bounded memory. linear PAGE [BYTES]
 *
 * What a call looks like stands in docs/tool-formats.md (PAGE), one example a format; the shapes are made of pieces of it: many calls, calls that are not closed, openers again and again, nesting.
 * Fed byte by byte, a reply of BYTES may take at most RATIO times as long per byte as one of an eighth of it (quadratic work: eight times). tools/soak runs it with a megabyte.
 */
#include <time.h>

#include "cuts.h"

#include "text/reasoning/format.h"

#define RATIO 4
#define TRIES 5

static struct buf page; /* NUL at its end */
static size_t bytes = 32u << 10;

static void nothing(void *owner, const struct toolcall_event *e)
{
}

static void nothing_thought(void *owner, bool thought, struct str text)
{
}

/* FIRST once, then REPEATED up to N bytes. */
static struct buf reply_of(struct str first, struct str repeated, size_t n)
{
    struct buf b = { 0 };
    buf_put(&b, first);
    while (b.n < n)
        buf_put(&b, repeated);
    assert_false(b.failed);
    return b;
}

static double calls_s(const void *format, struct str reply)
{
    struct toolcall_config c = { .sink = nothing };
    struct toolcall_parser *p;
    struct err err;
    double start = cpu_s();
    assert_int_equal(toolcall_parser_new(format, &c, &p), 0);
    for (size_t i = 0; i < reply.n; i++)
        assert_int_equal(toolcall_feed(p, (struct str){ reply.p + i, 1 }, &err), 0);
    assert_int_equal(toolcall_finish(p, &err), 0);
    toolcall_parser_free(p);
    return cpu_s() - start;
}

static double thoughts_s(const void *format, struct str reply)
{
    struct reasoning_config c = { .sink = nothing_thought };
    struct reasoning_parser *p;
    double start = cpu_s();
    assert_int_equal(reasoning_parser_new(format, &c, &p), 0);
    for (size_t i = 0; i < reply.n; i++)
        assert_int_equal(reasoning_feed(p, (struct str){ reply.p + i, 1 }), 0);
    assert_int_equal(reasoning_finish(p), 0);
    reasoning_parser_free(p);
    return cpu_s() - start;
}

/* Per byte, of a long reply and of a short one; a machine that does something else meanwhile gets more tries. */
static void assert_long_as_short(double (*time_s)(const void *, struct str), const void *format, const char *name, struct str first,
                                 struct str repeated)
{
    struct buf small = reply_of(first, repeated, bytes / 8), large = reply_of(first, repeated, bytes);
    double s = 0, l = 0;
    bool good = false;
    for (int i = 0; i < TRIES && !good; i++) {
        s = time_s(format, buf_str(&small)) / (double)small.n;
        l = time_s(format, buf_str(&large)) / (double)large.n;
        good = l < RATIO * s || l < 20e-9;
    }
    if (!good)
        fail_msg("%s: %.0f ns a byte in %zu bytes, %.0f ns in %zu: %.*s, then %.*s...", name, s * 1e9, small.n, l * 1e9, large.n,
                 STR_FMT(first), STR_FMT(repeated));
    buf_fini(&small);
    buf_fini(&large);
}

/* The format's example on the page; empty: it has none. */
static struct str example_of(const char *name)
{
    struct buf heading = { 0 };
    buf_printf(&heading, "\n## `%s`\n", name);
    struct str text = { page.p, page.n };
    size_t at = str_find(text, buf_str(&heading));
    buf_fini(&heading);
    assert_true(at != STR_NPOS);
    text = str_skip(text, at + 1);
    text = str_first(text, str_find(text, STR("\n## ")));
    at = str_find(text, STR("```text\n"));
    if (at == STR_NPOS)
        return (struct str){ 0 };
    bool four = at > 0 && text.p[at - 1] == '`';
    text = str_skip(text, at + sizeof("```text\n") - 1);
    return str_first(text, str_find(text, four ? STR("\n````\n") : STR("\n```\n")));
}

static const struct str PLAIN = STR_INIT("words and 3 < 4, [1] {x} don't\n");

static void long_replies_with_calls_take_linear_time(void **state)
{
    size_t n;
    const struct toolcall_format *const *formats = toolcall_formats(&n);
    for (size_t i = 0; i < n; i++) {
        const struct toolcall_format *f = formats[i];
        struct str example = example_of(f->name), none = { 0 };
        assert_long_as_short(calls_s, f, f->name, none, PLAIN);
        if (!example.n)
            continue;
        size_t value = str_find(example, STR("Paris"));
        assert_true(value != STR_NPOS);
        assert_long_as_short(calls_s, f, f->name, none, example);
        assert_long_as_short(calls_s, f, f->name, none, str_first(example, value));
        assert_long_as_short(calls_s, f, f->name, str_first(example, value), STR("x"));
        assert_long_as_short(calls_s, f, f->name, str_first(example, value - 1), STR("[{\"a\":"));
        assert_long_as_short(calls_s, f, f->name, str_first(example, value), str_first(example, example.n / 3));
    }
}

static void long_replies_with_thoughts_take_linear_time(void **state)
{
    static const struct str K3[2] = { STR_INIT("<|open|>think<|sep|>"), STR_INIT("<|close|>think<|sep|>") };
    static const struct str INKLING[2] = { STR_INIT("<|content_thinking|>"), STR_INIT("<|end_message|>") };
    size_t n;
    const struct reasoning_format *const *formats = reasoning_formats(&n);
    for (size_t i = 0; i < n; i++) {
        const struct reasoning_format *f = formats[i];
        const char *name = f->name.p;
        struct str none = { 0 };
        struct str start = f->tags ? f->tags->starts[0] : f == &REASONING_KIMI_K3 ? K3[0] : INKLING[0];
        struct str end = f->tags ? f->tags->ends[0] : f == &REASONING_KIMI_K3 ? K3[1] : INKLING[1];
        assert_long_as_short(thoughts_s, f, name, none, PLAIN);
        if (!start.n || !end.n)
            continue;
        assert_long_as_short(thoughts_s, f, name, start, PLAIN);
        assert_long_as_short(thoughts_s, f, name, none, start);
        assert_long_as_short(thoughts_s, f, name, start, end);
        assert_long_as_short(thoughts_s, f, name, start, str_first(end, end.n - 1));
        assert_long_as_short(thoughts_s, f, name, none, str_first(start, start.n - 1));
    }
}

/* Feeds OPENER and then filler, far beyond the bound. True: it was refused, in clear words. */
static bool is_refused(const struct toolcall_format *f, struct str opener)
{
    static const char FILLER[] = "0123456789 abcdefghijklmnopqrstuvwxyz ";
    struct toolcall_config c = { .sink = nothing, .max_bytes = 4096 };
    struct toolcall_parser *p;
    struct err err;
    size_t fed = opener.n;
    assert_int_equal(toolcall_parser_new(f, &c, &p), 0);
    int r = toolcall_feed(p, opener, &err);
    for (; fed < 16 * 4096 && r == 0; fed += sizeof(FILLER) - 1) {
        r = toolcall_feed(p, (struct str){ FILLER, sizeof(FILLER) - 1 }, &err);
        assert_true(p->pending.n + p->held.n <= 4096 + sizeof(FILLER));
    }
    if (r < 0) {
        assert_int_equal(r, ERR_LIMIT);
        assert_true(strncmp(err.message, "Tool call too long: ", 20) == 0 && strstr(err.message, "(max: 4096)"));
        assert_true(fed > 4096 - 2 * sizeof(FILLER));
    }
    toolcall_parser_free(p);
    return r < 0;
}

static void what_is_not_finished_is_bounded_in_every_format(void **state)
{
    size_t n;
    const struct toolcall_format *const *formats = toolcall_formats(&n);
    for (size_t i = 0; i < n; i++) {
        struct str example = example_of(formats[i]->name);
        size_t refused = 0;
        assert_false(is_refused(formats[i], (struct str){ 0 }));
        for (size_t at = 1; at < example.n; at++)
            refused += is_refused(formats[i], str_first(example, at));
        if (example.n && !refused)
            fail_msg("%s holds back nothing of a call that is not finished", formats[i]->name);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(long_replies_with_calls_take_linear_time),
        cmocka_unit_test(long_replies_with_thoughts_take_linear_time),
        cmocka_unit_test(what_is_not_finished_is_bounded_in_every_format),
    };
    FILE *f = argc > 1 ? fopen(argv[1], "re") : NULL;
    char part[4096];
    if (!f)
        return 2;
    for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
        buf_put(&page, (struct str){ part, n });
    fclose(f);
    if (argc > 2)
        bytes = strtoul(argv[2], NULL, 10);
    int r = cmocka_run_group_tests(TESTS, NULL, NULL);
    buf_fini(&page);
    return r;
}
