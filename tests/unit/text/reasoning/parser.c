/* parser.c -- the engine: bounds, a new reply, what is known while one comes, and memory that runs out */
#include "cuts.h"
#include "fail_alloc.h"

static const struct reasoning_format *format(const char *name)
{
    return reasoning_find(str_of(name));
}

static struct buf many(char c, size_t n)
{
    struct buf b = { 0 };
    char *room = buf_reserve(&b, n);
    assert_non_null(room);
    memset(room, c, n);
    b.n = n;
    return b;
}

#define REPLY "r</think>\n<answer>a<|open|>response<|sep|>b<|content_thinking|>c<"

/* Spec 12 #22. */
static void a_whole_text_has_a_bound(void **state)
{
    struct buf text = many('a', REASONING_BYTES_MAX + 1);
    struct arena arena;
    struct err err = { 0 };
    struct str answer, thoughts;
    arena_init(&arena, NULL, 0);
    assert_int_equal(
        reasoning_parse(format("qwen3"), str_first(buf_str(&text), REASONING_BYTES_MAX), &arena, &answer, &thoughts, &err), 0);
    assert_int_equal(answer.n, 4194304);
    assert_int_equal(reasoning_parse(format("qwen3"), buf_str(&text), &arena, &answer, &thoughts, &err), ERR_LIMIT);
    assert_string_equal(err.message, "Buffer overflow: 4194305 bytes exceeds maximum");
    assert_int_equal(reasoning_parse(format("passthrough"), buf_str(&text), &arena, &answer, &thoughts, &err), 0);
    assert_int_equal(answer.n, 4194305);
    arena_fini(&arena);
    buf_fini(&text);
}

static void a_reset_begins_a_new_reply(void **state)
{
    static const char *const NAMES[] = { "qwen3", "deepseek_r1", "minimax_append_think", "inkling", "kimi_k3", "hunyuan_a13b" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct reasoning_config c = { .started = i % 2 };
        struct seen first = { 0 }, second = { 0 };
        struct reasoning_parser *p = a_parser(format(NAMES[i]), &c, &first);
        feed_copy(p, STR(REPLY));
        assert_int_equal(reasoning_finish(p), 0);
        struct seen once = first;
        first = (struct seen){ 0 };
        reasoning_reset(p);
        feed_copy(p, STR("x<thi")); /* and one that is left in the middle */
        reasoning_reset(p);
        seen_fini(&first);
        first = (struct seen){ 0 };
        feed_copy(p, STR(REPLY));
        assert_int_equal(reasoning_finish(p), 0);
        second = first;
        assert_same(format(NAMES[i]), &once, &second, "a reset", STR(REPLY));
        reasoning_parser_free(p);
        seen_fini(&once);
        seen_fini(&second);
    }
}

static bool in_thought_after(const char *name, bool started, const char *text)
{
    struct reasoning_config c = { .started = started };
    struct seen s = { 0 };
    struct reasoning_parser *p = a_parser(format(name), &c, &s);
    feed_copy(p, str_of(text));
    bool is = reasoning_in_thought(p);
    reasoning_parser_free(p);
    seen_fini(&s);
    return is;
}

static void tells_whether_a_thought_goes_on(void **state)
{
    assert_false(in_thought_after("qwen3", false, ""));
    assert_true(in_thought_after("qwen3", true, ""));
    assert_true(in_thought_after("deepseek_r1", false, ""));
    assert_false(in_thought_after("qwen3", false, "a<think"));
    assert_true(in_thought_after("qwen3", false, "a<think>"));
    assert_true(in_thought_after("qwen3", false, "<think>a</think"));
    assert_false(in_thought_after("qwen3", false, "<think>a</think>"));
    assert_false(in_thought_after("passthrough", true, "<think>"));
    assert_false(in_thought_after("minimax_append_think", true, "a"));
    assert_true(in_thought_after("kimi_k3", true, "a"));
    assert_false(in_thought_after("kimi_k3", true, "a<|open|>tools<|sep|>"));
    assert_false(in_thought_after("kimi_k3", true, "a<|close|>response<|sep|>"));
    assert_true(in_thought_after("inkling", false, "<|content_thinking|>"));
    assert_false(in_thought_after("inkling", false, "<|content_thinking|><|end_message|>"));
}

/* A whole thought that is told apart late: kept, and at the bound given out as what it seems to be, at the same byte however it came. */
static void kimi_k3_keeps_no_more_than_the_bound(void **state)
{
    struct reasoning_config c = { .started = true };
    for (size_t extra = 0; extra < 2; extra++) {
        struct buf text = many('a', REASONING_BYTES_MAX + extra);
        buf_puts(&text, "<|close|>response<|sep|>b");
        size_t cuts[] = { 1, 4096, REASONING_BYTES_MAX - 1, REASONING_BYTES_MAX, REASONING_BYTES_MAX + 12 };
        struct seen whole = { 0 }, cut = { 0 };
        see_cut(format("kimi_k3"), &c, buf_str(&text), NULL, 0, &whole);
        see_cut(format("kimi_k3"), &c, buf_str(&text), cuts, ARRAY_LEN(cuts), &cut);
        assert_int_equal(whole.text.n, extra ? 0 : REASONING_BYTES_MAX + 1);
        assert_int_equal(whole.thoughts.n, extra ? text.n : 0);
        assert_int_equal(cut.text.n, whole.text.n);
        assert_int_equal(cut.thoughts.n, whole.thoughts.n);
        seen_fini(&whole);
        seen_fini(&cut);
        buf_fini(&text);
    }
}

/* ---- characters ---- */

static void see_characters(void *owner, bool thought, struct str text)
{
    assert_true((text.p[0] & 0xC0) != 0x80);
    *(size_t *)owner += text.n;
}

static void no_character_is_cut_that_came_whole(void **state)
{
    struct buf text = { 0 };
    for (int i = 0; i < 200; i++)
        buf_put(&text, i % 7 ? STR("語é") : STR("◁th<"));
    static const char *const NAMES[] = { "kimi", "qwen3", "kimi_k3", "inkling", "hunyuan_a13b" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        for (size_t cut = 0; cut <= text.n; cut++) {
            size_t said = 0;
            struct reasoning_config c = { .sink = see_characters, .owner = &said };
            struct reasoning_parser *p;
            if (cut < text.n && (text.p[cut] & 0xC0) == 0x80)
                continue;
            assert_int_equal(reasoning_parser_new(format(NAMES[i]), &c, &p), 0);
            feed_copy(p, str_first(buf_str(&text), cut));
            feed_copy(p, str_skip(buf_str(&text), cut));
            assert_int_equal(reasoning_finish(p), 0);
            assert_int_equal(said, text.n);
            reasoning_parser_free(p);
        }
    }
    buf_fini(&text);
}

/* ---- memory ---- */

static void count(void *owner, bool thought, struct str text)
{
    *(size_t *)owner += text.n;
}

static void a_failed_allocation_is_told_and_nothing_leaks(void **state)
{
    size_t n;
    const struct reasoning_format *const *all = reasoning_formats(&n);
    for (size_t i = 0; i < n; i++) {
        FOR_EACH_FAILING_ALLOCATION(k)
        {
            struct arena arena;
            struct str text = STR("untouched"), thoughts = STR("untouched");
            struct err err = { 0 };
            arena_init(&arena, NULL, 0);
            int r = reasoning_parse(all[i], STR("<think>r</think>a<|open|>think<|sep|>b<"), &arena, &text, &thoughts, &err);
            assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
            if (r < 0)
                assert_true(str_eq(text, STR("untouched")) && str_eq(thoughts, STR("untouched")) && err.message[0]);
            arena_fini(&arena);
        }
    }
}

/* But for what kimi_k3 keeps. */
static void feeding_allocates_nothing(void **state)
{
    size_t n;
    const struct reasoning_format *const *all = reasoning_formats(&n);
    for (size_t i = 0; i < n; i++) {
        size_t said = 0;
        struct reasoning_config c = { .started = true, .tag_was_given = true, .sink = count, .owner = &said };
        struct reasoning_parser *p;
        unsigned runs = 0;
        assert_int_equal(reasoning_parser_new(all[i], &c, &p), 0);
        FOR_EACH_FAILING_ALLOCATION(k)
        {
            runs++;
            reasoning_reset(p);
            assert_int_equal(reasoning_feed(p, STR("a thought <")), 0);
            assert_int_equal(reasoning_feed(p, STR("/think> and more <|close|>")), 0);
            assert_int_equal(reasoning_finish(p), 0);
        }
        assert_int_equal(runs, 1);
        reasoning_parser_free(p);
    }
}

static void kimi_k3_tells_when_there_is_no_memory_to_keep_a_thought(void **state)
{
    unsigned failed = 0;
    FOR_EACH_FAILING_ALLOCATION(k)
    {
        size_t said = 0;
        struct reasoning_config c = { .started = true, .sink = count, .owner = &said };
        struct reasoning_parser *p = NULL;
        int r = reasoning_parser_new(format("kimi_k3"), &c, &p);
        if (r == 0)
            r = reasoning_feed(p, STR("a thought"));
        if (r == 0)
            r = reasoning_finish(p);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        failed += p && fail_alloc_failed();
        reasoning_parser_free(p);
    }
    assert_true(failed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_text_has_a_bound),
        cmocka_unit_test(a_reset_begins_a_new_reply),
        cmocka_unit_test(tells_whether_a_thought_goes_on),
        cmocka_unit_test(kimi_k3_keeps_no_more_than_the_bound),
        cmocka_unit_test(no_character_is_cut_that_came_whole),
        cmocka_unit_test(a_failed_allocation_is_told_and_nothing_leaks),
        cmocka_unit_test(feeding_allocates_nothing),
        cmocka_unit_test(kimi_k3_tells_when_there_is_no_memory_to_keep_a_thought),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
