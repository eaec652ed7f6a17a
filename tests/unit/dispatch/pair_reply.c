/* pair_reply.c -- the end of a stream, merged log-probabilities, what errors say (spec data-plane 13.3 to 13.5) */
#include "test.h"

#include <stdlib.h>

#include "dispatch/pair_reply.h"
#include "fail_alloc.h"

/* ---- the end of a stream ---- */

struct done_row {
    const char *chunk;
    bool at_line;
    bool ends;
};

static const struct done_row DONE_ROWS[] = {
    { "data: [DONE]\n\n", true, true },
    { "data: {\"x\":1}\n\ndata: [DONE]\n\n", true, true },
    { "data: [DONE]\r\n\r\n", true, true },
    { "data: {\"x\":1}\r\n\r\ndata: [DONE]\r\n\r\n", true, true },
    { "data: [DONE]\r\r", true, true },
    { "\ndata: [DONE]\n\n", false, true },
    { "data: {\"x\":\"\\ndata: [DONE]\\n\\n\"}\n\n", true, false },
    { "data: {\"x\":\"data: [DONE]\"}\n\n", true, false },
    { "data: [DONE]{\"x\":1}\n\n", true, false },
    { "data: [DONE]\n\n", false, false },
    { "data: [DONE]", true, false },
    { "data: [DONE]\n", true, false },
    { "data: [DONE]\r\n", true, false },
    { "data: [DONE]\ndata: x\n\n", true, false },
    { "data: [DONE] \n\n", true, false },
    { "data: [DON\n\n", true, false },
    { "\n\n\n", true, false },
    { "", true, false },
};

static struct done_scan scan_at(bool line)
{
    return (struct done_scan){ .at = line ? DONE_AT_LINE : DONE_IN_LINE };
}

static void dp_46_the_end_of_a_stream_is_one_whole_event(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(DONE_ROWS); i++) {
        struct done_scan s = scan_at(DONE_ROWS[i].at_line);
        struct str chunk = str_of(DONE_ROWS[i].chunk);

        assert_int_equal(done_scan(&s, chunk), chunk.n);
        if (s.found != DONE_ROWS[i].ends)
            fail_msg("row %zu: %s", i, DONE_ROWS[i].chunk);
    }
}

static void dp_46_cuts_do_not_matter(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(DONE_ROWS); i++) {
        struct str chunk = str_of(DONE_ROWS[i].chunk);

        for (size_t cut = 0; cut <= chunk.n; cut++) {
            struct done_scan s = scan_at(DONE_ROWS[i].at_line);

            (void)done_scan(&s, str_first(chunk, cut));
            if (!s.found)
                (void)done_scan(&s, str_skip(chunk, cut));
            assert_int_equal(s.found, DONE_ROWS[i].ends);
        }
    }
}

static void what_follows_the_end_does_not_belong_to_the_stream(void **state)
{
    struct done_scan s = { 0 };

    assert_int_equal(done_scan(&s, STR("data: [DONE]\n\ndata: more\n\n")), 14);
    assert_true(s.found);
    s = (struct done_scan){ 0 };
    assert_int_equal(done_scan(&s, STR("data: [DONE]\r\n\r\nx")), 16);
}

/* ---- log-probabilities ---- */

static void check_merge(const char *prefill, const char *decode, const char *want)
{
    struct prompt_logprobs from;
    struct arena arena;
    struct buf out = { 0 };

    arena_init(&arena, NULL, 0);
    prompt_logprobs_read(str_of(prefill), &arena, &from);
    assert_true(prompt_logprobs_merge(&from, str_of(decode), &arena, &out) || strcmp(decode, want) == 0);
    assert_str(buf_str(&out), want);
    buf_fini(&out);
    arena_fini(&arena);
}

#define META(array) "{\"meta_info\":{\"input_token_logprobs\":" array "}}"

static void dp_47_prefill_s_part_comes_first(void **state)
{
    check_merge(META("[[-1,5], 2]"), "{ \"meta_info\" : {\"input_token_logprobs\" : [3.50 ],\"id\":1} }",
                "{ \"meta_info\" : {\"input_token_logprobs\" : [[-1,5], 2,3.50 ],\"id\":1} }");
    check_merge(META("[]"), META("[1]"), META("[1]"));
    check_merge(META("[1]"), META("[]"), META("[1]"));
}

static void dp_47_only_when_both_have_one(void **state)
{
    check_merge("{\"meta_info\":{}}", META("[1]"), META("[1]"));
    check_merge(META("null"), META("[1]"), META("[1]"));
    check_merge(META("[1]"), "{\"meta_info\":{\"id\":1}}", "{\"meta_info\":{\"id\":1}}");
    check_merge("no json", META("[1]"), META("[1]"));
    check_merge(META("[1]"), "no json", "no json");
    check_merge(META("[1]"), "7", "7");
}

static void dp_47_answers_of_a_batch_are_merged_one_by_one(void **state)
{
    check_merge("[" META("[1]") "," META("[2]") "]", "[" META("[3]") ", " META("[4]") "]",
                "[" META("[1,3]") ", " META("[2,4]") "]");
    check_merge("[" META("[1]") "]", "[" META("[3]") "," META("[4]") "]", "[" META("[1,3]") "," META("[4]") "]");
    check_merge("data: {\"index\":1,\"meta_info\":{\"input_token_logprobs\":[9]}}\n\ndata: [DONE]\n\n",
                "{\"index\":1,\"meta_info\":{\"input_token_logprobs\":[4]}}",
                "{\"index\":1,\"meta_info\":{\"input_token_logprobs\":[9,4]}}");
    check_merge("{\"index\":99999,\"meta_info\":{\"input_token_logprobs\":[9]}}", META("[4]"), META("[4]"));
}

static void dp_47_streams_are_merged_whatever_the_cuts(void **state)
{
    static const char STREAM[] = ": hello\n\ndata: " META("[2]") "\n\nevent: x\ndata: " META("[3]") "\n\ndata: " META(
        "[4]") "\r\n\r\ndata: {\"meta\n\ndata: [DONE]\n\nrest";
    static const char WANT[] = ": hello\n\ndata: " META("[1,2]") "\n\nevent: x\ndata: " META("[3]") "\n\ndata: " META(
        "[1,4]") "\r\n\r\ndata: {\"meta\n\ndata: [DONE]\n\nrest";
    struct prompt_logprobs from;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    prompt_logprobs_read(STR(META("[1]")), &arena, &from);
    for (size_t cut = 0; cut < sizeof STREAM; cut++) {
        struct logprob_stream s = { .from = &from };
        struct buf out = { 0 };

        logprob_stream_feed(&s, str_first(str_of(STREAM), cut), &out);
        logprob_stream_feed(&s, str_skip(str_of(STREAM), cut), &out);
        logprob_stream_end(&s, &out);
        assert_str(buf_str(&out), WANT);
        logprob_stream_fini(&s);
        buf_fini(&out);
    }
    arena_fini(&arena);
}

static void an_event_over_the_bound_goes_through(void **state)
{
    struct prompt_logprobs from = { .of = { STR("[1]") }, .n = 1 };
    struct logprob_stream s = { .from = &from };
    struct buf out = { 0 };
    char *big = malloc(LOGPROB_EVENT_MAX + 1);

    assert_non_null(big);
    memset(big, 'x', LOGPROB_EVENT_MAX + 1);
    logprob_stream_feed(&s, (struct str){ big, LOGPROB_EVENT_MAX + 1 }, &out);
    assert_int_equal(out.n, LOGPROB_EVENT_MAX + 1);
    assert_int_equal(s.pending.n, 0);
    free(big);
    logprob_stream_fini(&s);
    buf_fini(&out);
}

/* ---- errors ---- */

static void errors_say_what_the_engine_said(void **state)
{
    static const struct {
        const char *body, *message, *event;
    } ROWS[] = {
        { "{\"error\":{\"message\":\"a\\nb\"}}", "a\nb",
          "data: {\"error\":{\"message\":{\"error\":{\"message\":\"a\\nb\"}},\"status\":500}}\n\n" },
        { "{\"message\":\"flat\",\n\"x\":1}\n", "flat",
          "data: {\"error\":{\"message\":{\"message\":\"flat\", \"x\":1},\"status\":500}}\n\n" },
        { "{\"error\":\"text\"}", "{\"error\":\"text\"}",
          "data: {\"error\":{\"message\":{\"error\":\"text\"},\"status\":500}}\n\n" },
        { "out of \"memory\"\n", "out of \"memory\"\n",
          "data: {\"error\":{\"message\":\"out of \\\"memory\\\"\\n\",\"status\":500}}\n\n" },
        { "", "", "data: {\"error\":{\"message\":\"\",\"status\":500}}\n\n" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct arena arena;
        struct buf out = { 0 };

        arena_init(&arena, NULL, 0);
        assert_str(pair_error_message(str_of(ROWS[i].body), &arena), ROWS[i].message);
        pair_error_event(str_of(ROWS[i].body), 500, &arena, &out);
        assert_str(buf_str(&out), ROWS[i].event);
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void a_long_error_is_cut_between_characters(void **state)
{
    struct arena arena;
    char text[4001];

    arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < 4000; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[4000] = 0;
    assert_int_equal(pair_error_message((struct str){ text, 4000 }, &arena).n, 2048);
    assert_int_equal(pair_error_message((struct str){ text + 1, 3999 }, &arena).n % 2, 1);
    arena_fini(&arena);
}

static void memory_that_runs_out_loses_nothing_but_the_merge(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct prompt_logprobs from;
        struct logprob_stream s = { .from = &from };
        struct arena arena;
        struct buf out = { 0 };

        arena_init(&arena, NULL, 0);
        prompt_logprobs_read(STR(META("[1]")), &arena, &from);
        logprob_stream_feed(&s, STR("data: " META("[2]") "\n\n"), &out);
        assert_true(out.failed || out.n >= sizeof("data: " META("[2]") "\n\n") - 1);
        logprob_stream_fini(&s);
        buf_fini(&out);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_46_the_end_of_a_stream_is_one_whole_event),
        cmocka_unit_test(dp_46_cuts_do_not_matter),
        cmocka_unit_test(what_follows_the_end_does_not_belong_to_the_stream),
        cmocka_unit_test(dp_47_prefill_s_part_comes_first),
        cmocka_unit_test(dp_47_only_when_both_have_one),
        cmocka_unit_test(dp_47_answers_of_a_batch_are_merged_one_by_one),
        cmocka_unit_test(dp_47_streams_are_merged_whatever_the_cuts),
        cmocka_unit_test(an_event_over_the_bound_goes_through),
        cmocka_unit_test(errors_say_what_the_engine_said),
        cmocka_unit_test(a_long_error_is_cut_between_characters),
        cmocka_unit_test(memory_that_runs_out_loses_nothing_but_the_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
