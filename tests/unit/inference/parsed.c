/* parsed.c -- chat replies through the parsers: what becomes of the bytes of a whole reply and of a stream (parse_order.c, reply_chain.c, patches.c, parse_whole.c, parse_stream.c) */
#include "test.h"

#include <stdlib.h>

#include "fail_alloc.h"
#include "gathered.h"
#include "json/json_write.h"

#define CALL "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"x\\n\"]}}\n</tool_call>"

/* ---- what a request wants ---- */

static struct arena arena;

static int open_arena(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int close_arena(void **state)
{
    arena_fini(&arena);
    return 0;
}

static bool order_of(const char *request, struct parse_order *ret)
{
    struct json_doc *doc = arena_new(&arena, struct json_doc);

    assert_int_equal(json_parse(str_of(request), &arena, doc, NULL), 0);
    return parse_order_read(json_root(doc), ret);
}

static void tools_and_thoughts_are_wanted_as_the_request_says(void **state)
{
    struct parse_order o;

    assert_true(order_of("{}", &o));
    assert_true(o.wants_thoughts && !o.wants_calls);
    assert_true(order_of("{\"tools\":[{}]}", &o));
    assert_true(o.wants_thoughts && o.wants_calls);
    assert_str(o.tools, "[{}]");
    assert_true(order_of("{\"tools\":[{}],\"separate_reasoning\":false}", &o));
    assert_true(!o.wants_thoughts && o.wants_calls);
    assert_true(order_of("{\"tools\":[{}],\"tool_choice\":\"none\"}", &o) && !o.wants_calls);
    assert_true(order_of("{\"tools\":[]}", &o) && !o.wants_calls);
    assert_true(order_of("{\"tools\":{}}", &o) && !o.wants_calls);
    assert_false(order_of("{\"tools\":[],\"separate_reasoning\":false}", &o));
    assert_true(order_of("{\"stream_reasoning\":false}", &o) && o.thoughts_at_once);
}

static void thinking_is_off_on_or_as_the_model_likes(void **state)
{
    struct parse_order o;

    assert_true(order_of("{}", &o) && !o.started && !o.content_only);
    assert_true(order_of("{\"chat_template_kwargs\":{\"enable_thinking\":false}}", &o) && !o.started && o.content_only);
    assert_true(order_of("{\"chat_template_kwargs\":{\"thinking\":true}}", &o) && o.started && !o.content_only);
    assert_true(order_of("{\"chat_template_kwargs\":{\"enable_thinking\":true},\"reasoning_effort\":\"none\"}", &o) && o.started);
    assert_true(order_of("{\"reasoning_effort\":\"minimal\"}", &o) && o.content_only);
    assert_true(order_of("{\"reasoning_effort\":\"high\",\"chat_template_kwargs\":{\"thinking\":\"x\"}}", &o) && !o.started &&
                !o.content_only);
}

static void earlier_calls_of_the_assistant_are_counted(void **state)
{
    struct parse_order o;

    assert_true(order_of(
        "{\"tools\":[{}],\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{},{}]},{\"role\":\"user\",\"tool_calls\":[{}]},"
        "{\"role\":\"assistant\"},{\"role\":\"assistant\",\"tool_calls\":[{}]}]}",
        &o));
    assert_int_equal(o.history, 3);
}

static void formats_come_from_the_flags_or_else_from_the_models_name(void **state)
{
    struct parse_order o = { .wants_calls = true, .wants_thoughts = true };
    struct reply_parsing parsing = { .on = true };

    assert_true(parse_order_choose(&o, &parsing, STR("Qwen/Qwen3-8B")));
    assert_str(toolcall_name(o.calls), "qwen");
    assert_str(reasoning_name(o.reasoning), "qwen3");
    assert_false(parse_order_choose(&o, &parsing, STR("unknown-model")));
    parsing.calls = toolcall_find(STR("none"));
    assert_true(parse_order_choose(&o, &parsing, STR("Qwen/Qwen3-8B")));
    assert_null(o.calls);
    parsing.reasoning = reasoning_find(STR("off"));
    assert_false(parse_order_choose(&o, &parsing, STR("Qwen/Qwen3-8B")));
    parsing.calls = toolcall_find(STR("hermes"));
    assert_true(parse_order_choose(&o, &parsing, STR("unknown-model")));
    assert_str(toolcall_name(o.calls), "qwen");
    o.started = false;
    parsing.reasoning = NULL;
    assert_true(parse_order_choose(&o, &parsing, STR("moonshotai/Kimi-K3")) && o.started);
}

static const struct parse_order *kimi(void)
{
    static struct parse_order o;

    o = (struct parse_order){ .calls = toolcall_find(STR("qwen")),
                              .reasoning = reasoning_find(STR("qwen3")),
                              .model = STR("kimi-k2"), /* ids without chance */
                              .tools = STR("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"),
                              .history = 2 };
    return &o;
}

/* ---- patches ---- */

static void places_of_a_text_become_others_in_any_order(void **state)
{
    struct str text = STR("abcdefgh");
    struct patches p = { 0 };
    struct buf out = { 0 };

    buf_puts(&p.texts, "XX");
    patches_add(&p, (struct str){ text.p + 6, 2 }, 0);
    buf_puts(&p.texts, "Y");
    patches_add(&p, (struct str){ text.p + 1, 1 }, 2);
    patches_add(&p, (struct str){ text.p + 3, 1 }, 3);
    patches_apply(&p, text, &out);
    assert_str(buf_str(&out), "aYcefXX");
    patches_clear(&p);
    patches_apply(&p, text, &out);
    assert_str(buf_str(&out), "aYcefXXabcdefgh");
    buf_fini(&out);
    patches_fini(&p);
}

/* ---- whole replies ---- */

static void put_content(struct buf *out, struct str text)
{
    buf_puts(out, "\"");
    json_escape(out, text);
    buf_puts(out, "\"");
}

static void whole(const char *body, const char *expected)
{
    struct parse_outcome outcome;
    struct buf out = { 0 };
    struct err err = { 0 };

    assert_int_equal(parse_whole(kimi(), str_of(body), &out, &outcome, &err), 0);
    if (expected) {
        assert_true(outcome.changed);
        assert_str(buf_str(&out), expected);
    } else {
        assert_false(outcome.changed);
        assert_int_equal(out.n, 0);
    }
    buf_fini(&out);
}

static void the_content_is_split_and_all_else_keeps_its_bytes(void **state)
{
    whole("{ \"id\":1.50, \"choices\" : [ {\"index\":0, \"message\": {\"content\": \"<think>r\\u00e9</think>a\" "
          ",\"role\":\"assistant\"}, \"logprobs\":{\"x\": 1e2}, "
          "\"finish_reason\" : \"stop\"} ],\n \"usage\": {} }",
          "{ \"id\":1.50, \"choices\" : [ {\"index\":0, \"message\": {\"content\": \"a\",\"reasoning_content\":\"r\xc3\xa9\" "
          ",\"role\":\"assistant\"}, \"logprobs\":{\"x\": 1e2}, "
          "\"finish_reason\" : \"stop\"} ],\n \"usage\": {} }");
    whole("{\"choices\":[{\"finish_reason\":\"length\",\"message\":{\"reasoning_content\":null,\"tool_calls\":[],\"content\":\"<"
          "think>r</think>\\n\\n<tool_call>\\n{\\\"name\\\": \\\"f\\\"}\\n</tool_call>\"}}]}",
          "{\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":{\"reasoning_content\":\"r\",\"tool_calls\":[{\"id\":"
          "\"functions.f:2\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}],\"content\":null}}]}");
    whole(
        "{\"choices\":[{\"message\":{\"content\":\"<tool_call>\\n{\\\"name\\\": "
        "\\\"f\\\"}\\n</tool_call>\"}},{\"message\":{\"content\":\"x\"}}]}",
        "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"functions.f:2\",\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"},{\"message\":{\"content\":\"x\"}}]}");
}

static void what_holds_nothing_or_is_no_completion_is_left_alone(void **state)
{
    static const char *const BODIES[] = {
        "",
        "{",
        "[]",
        "{\"choices\":{\"message\":{\"content\":\"<think>x\"}}}",
        "{\"choices\":[1,null,{},{\"message\":{}},{\"message\":{\"content\":null}},{\"message\":{\"content\":[{\"text\":\"<think>"
        "\"}]}}]}",
        "{\"choices\":[{\"message\":{\"content\":\"\"}},{\"message\":{\"content\":\"\\n \"}},{\"message\":{\"content\":\"plain "
        "\\u00e9 </think>\"}}]}",
        "{\"choices\":[{\"text\":\"<think>x</think>\"}]}",
        "{\"choices\":[{\"message\":{\"content\":\"<think>x</think>\",\"reasoning_content\":\"y\"}}]}",
        "{\"choices\":[{\"message\":{\"content\":\"<think>x</think>\",\"reasoning\":\"y\"}}]}"
    };

    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++)
        whole(BODIES[i], NULL);
}

static void a_half_that_the_engine_tells_is_left_to_it_and_the_other_is_told(void **state)
{
    whole("{\"choices\":[{\"message\":{\"content\":\"<think>x</think>"
          "<tool_call>\",\"tool_calls\":[{}]}}]}",
          "{\"choices\":[{\"message\":{\"content\":\"<tool_call>\",\"reasoning_content\":\"x\",\"tool_calls\":[{}]}}]}");
}

static void a_reply_that_would_grow_too_long_stays_as_it_was(void **state)
{
    struct buf text = { 0 }, body = { 0 }, out = { 0 };
    struct parse_outcome outcome;
    struct err err = { 0 };

    for (int i = 0; i < 40000; i++)
        buf_puts(&text, "<tool_call>\n{\"name\":\"f\"}\n</tool_call>");
    buf_puts(&body, "{\"choices\":[{\"message\":{\"content\":");
    put_content(&body, buf_str(&text));
    buf_puts(&body, "}}]}");
    assert_true(body.n < PARSE_WHOLE_MAX);
    assert_int_equal(parse_whole(kimi(), buf_str(&body), &out, &outcome, &err), ERR_LIMIT);
    assert_int_equal(out.n, 0);
    buf_fini(&text);
    buf_fini(&body);
    buf_fini(&out);
}

/* ---- streams ---- */

static struct str stream_in_pieces(const struct parse_order *order, struct str bytes, size_t step, struct buf *out)
{
    struct parse_stream *s;
    struct err err = { 0 };

    assert_int_equal(parse_stream_new(order, NULL, &s), 0);
    for (size_t n; bytes.n; bytes = str_skip(bytes, n)) {
        n = MIN(step, bytes.n);
        assert_int_equal(parse_stream_feed(s, str_first(bytes, n), out, &err), 0);
    }
    assert_int_equal(parse_stream_end(s, out, &err), 0);
    parse_stream_free(s);
    return buf_str(out);
}

/* However the bytes arrive. */
static void streamed(const struct parse_order *order, const char *bytes, const char *expected)
{
    for (size_t step = 1; step <= strlen(bytes); step += 1 + step / 2) {
        struct buf out = { 0 };

        assert_str(stream_in_pieces(order, str_of(bytes), step, &out), expected);
        buf_fini(&out);
    }
}

#define EVENT(delta, rest) "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta rest "}]}\n\n"

static void events_that_say_nothing_to_the_parsers_keep_every_byte(void **state)
{
    static const char SAME[] =
        ": ping\n\nevent: x\r\ndata: "
        "{\"choices\":[]}\r\n\r\n\n" EVENT("{\"role\":\"assistant\",\"content\":\"\"}", "") EVENT(
            "{\"content\":\"a \\u00e9\"}",
            ",\"logprobs\":{\"content\":[1]}") "data: {\"error\":{}}\n\ndata: {oops\n\ndata:\n\n" EVENT("{}",
                                                                                                        ",\"finish_reason\":"
                                                                                                        "\"stop\"") "data: "
                                                                                                                    "{\"choices\":["
                                                                                                                    "],\"usage\":{"
                                                                                                                    "\"total_"
                                                                                                                    "tokens\":3}}"
                                                                                                                    "\n\ndata: "
                                                                                                                    "[DONE]\n\n";

    streamed(kimi(), SAME, SAME);
}

static void pieces_take_the_contents_place_and_all_but_the_last_get_events_of_their_own(void **state)
{
    streamed(kimi(),
             EVENT("{\"role\":\"assistant\",\"content\":\"<think>r</think>a\"}", ",\"logprobs\":7")
                 EVENT("{}", ",\"finish_reason\":\"stop\""),
             EVENT("{\"reasoning_content\":\"r\"}", ",\"finish_reason\":null")
                 EVENT("{\"role\":\"assistant\",\"content\":\"a\"}", ",\"logprobs\":7") EVENT("{}", ",\"finish_reason\":\"stop\""));
    streamed(kimi(),
             EVENT("{\"content\":\"<tool_call>\\n{\\\"name\\\": \\\"f\\\"}\\n</tool_call>\"}", ",\"finish_reason\":\"stop\""),
             EVENT("{\"tool_calls\":[{\"index\":0,\"id\":\"functions.f:2\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                   "\"arguments\":\"\"}}]}",
                   ",\"finish_reason\":null") EVENT("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}",
                                                    ",\"finish_reason\":\"tool_calls\""));
    /* Members that were null become what is said; so does the content. */
    streamed(kimi(), EVENT("{\"content\":\"<think>r\",\"reasoning_content\":null}", ""),
             EVENT("{\"content\":null,\"reasoning_content\":\"r\"}", ""));
}

static void text_that_is_held_back_sends_no_event_unless_there_is_more_to_say(void **state)
{
    streamed(kimi(), EVENT("{\"content\":\"a<thi\"}", "") EVENT("{\"content\":\"nk>\"}", "") EVENT("{\"content\":\"r\"}", ""),
             EVENT("{\"content\":\"a\"}", "") EVENT("{\"reasoning_content\":\"r\"}", ""));
    streamed(kimi(), EVENT("{\"content\":\"<thi\"}", ",\"logprobs\":{}") EVENT("{\"content\":\"nk\"}", ""),
             EVENT("{\"content\":\"\"}", ",\"logprobs\":{}") EVENT("{\"content\":\"<think\"}", ",\"finish_reason\":null"));
    streamed(kimi(), "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"<\"}}],\"usage\":{\"n\":1}}\n\n",
             "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}}],\"usage\":{\"n\":1}}\n\ndata: "
             "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"<\"},\"finish_reason\":null}]}\n\n");
}

static void what_is_held_goes_out_before_done_and_before_the_finish(void **state)
{
    streamed(kimi(), EVENT("{\"content\":\"<thi\"}", "") "data: [DONE]\n\n",
             EVENT("{\"content\":\"<thi\"}", ",\"finish_reason\":null") "data: [DONE]\n\n");
    streamed(kimi(), EVENT("{\"content\":\"<thi\"}", "") EVENT("{}", ",\"finish_reason\":\"length\""),
             EVENT("{\"content\":\"<thi\"}", ",\"finish_reason\":null") EVENT("{}", ",\"finish_reason\":\"length\""));
    streamed(kimi(), EVENT("{\"content\":\"<thi\"}", ",\"finish_reason\":\"stop\""),
             EVENT("{\"content\":\"<thi\"}", ",\"finish_reason\":\"stop\""));
}

static void data_of_several_lines_is_one_text(void **state)
{
    streamed(kimi(), "id: 7\ndata: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"<think>r\"}}]}\n\n",
             "id: 7\ndata: {\"choices\":[{\"index\":0, \"delta\":{\"reasoning_content\":\"r\"}}]}\n\n");
}

static void an_engine_that_tells_its_thoughts_or_calls_is_believed(void **state)
{
    static const char THOUGHTS[] = EVENT("{\"reasoning_content\":\"r\"}", "") EVENT("{\"content\":\"<think>\"}", "");
    static const char CALLS[] = EVENT("{\"tool_calls\":[{\"index\":0}]}", "") EVENT("{\"content\":\"<tool_call>\"}", "")
        EVENT("{}", ",\"finish_reason\":\"tool_calls\"");

    streamed(kimi(), THOUGHTS, THOUGHTS);
    streamed(kimi(), CALLS, CALLS);
}

static void an_event_without_end_and_too_long_a_call_are_refused(void **state)
{
    struct buf bytes = { 0 }, out = { 0 };
    struct parse_stream *s;
    struct err err = { 0 };
    int r = 0;

    buf_puts(&bytes, "data: ");
    while (bytes.n <= PARSE_EVENT_MAX)
        buf_puts(&bytes, "0123456789abcdef");
    assert_int_equal(parse_stream_new(kimi(), NULL, &s), 0);
    assert_int_equal(parse_stream_feed(s, buf_str(&bytes), &out, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "Event too long"));
    parse_stream_free(s);

    buf_clear(&bytes);
    buf_puts(&bytes, EVENT("{\"content\":\"<tool_call>\"}", "") "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
    while (bytes.n < PARSE_EVENT_MAX / 2)
        buf_puts(&bytes, "0123456789abcdef");
    buf_puts(&bytes, "\"}}]}\n\n");
    assert_int_equal(parse_stream_new(kimi(), NULL, &s), 0);
    err = (struct err){ 0 };
    for (int i = 0; i < 20 && r == 0; i++)
        r = parse_stream_feed(s, buf_str(&bytes), &out, &err);
    assert_int_equal(r, ERR_LIMIT);
    assert_non_null(strstr(err.message, "Tool call too long"));
    parse_stream_free(s);
    buf_fini(&bytes);
    buf_fini(&out);
}

/* ---- the law ---- */

static const struct {
    const char *calls, *reasoning, *text;
} SAMPLES[] = {
    { "qwen", "qwen3", "\n<think>I\n\xc3\xa9</think>\n\nA " CALL "\n" CALL " b</think>" },
    { "qwen", "deepseek_r1", "r</think>" CALL },
    { "qwen", "qwen3", " \n" },
    { "qwen", NULL, "<tool_call>\nnot one" },
    { "qwen_xml", "step3", "r</think><tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>" },
    { "llama", NULL, "text <|python_tag|>{\"name\": \"f\", \"parameters\": {\"a\": \"b\"}}" },
    { "json", "qwen3", "<think>x</think>say {\"name\":\"f\",\"arguments\":{}} more" },
    { "mistral", "mistral", "[THINK]r[/THINK]t [TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": \"]\"}}]" },
    { "glm45_moe", "glm45", "<think>r</think><tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>" },
    { "cohere", "cohere_cmd",
      "<|START_THINKING|>r<|END_THINKING|><|START_ACTION|>[{\"tool_name\": \"f\", \"parameters\": {\"a\": 1}}]<|END_ACTION|>" },
    { "kimi_k3", "kimi_k3",
      "<|open|>think<|sep|>r<|close|>think<|sep|><|open|>response<|sep|>a<|close|>response<|sep|><|close|>message<|sep|>" },
    { NULL, "minimax_append_think", "r</think>a" },
};

/* A reply of two choices, which say the sample and its beginning; cut after AT bytes, at whole characters, in the stream. */
static void sample_events(struct str text, size_t at, struct buf *out)
{
    struct str parts[] = { str_first(text, at), str_skip(text, at) };

    for (int part = 0; part < 2; part++) {
        buf_puts(out, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":");
        put_content(out, parts[part]);
        buf_puts(out, "},\"finish_reason\":null},{\"index\":1,\"delta\":{\"content\":");
        put_content(out, part ? STR("") : parts[0]);
        buf_puts(out, "},\"finish_reason\":null}]}\n\n");
    }
    buf_puts(out, "data: "
                  "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"},{\"index\":1,\"delta\":{},\"finish_reason\":"
                  "\"stop\"}]}\n\ndata: [DONE]\n\n");
}

static void sample_whole(struct str text, size_t at, struct buf *out)
{
    buf_puts(out, "{\"choices\":[{\"index\":0,\"message\":{\"content\":");
    put_content(out, text);
    buf_puts(out, "},\"finish_reason\":\"stop\"},{\"index\":1,\"message\":{\"content\":");
    put_content(out, str_first(text, at));
    buf_puts(out, "},\"finish_reason\":\"stop\"}]}");
}

static void a_stream_says_what_the_whole_reply_says_wherever_it_is_cut(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(SAMPLES); i++) {
        struct parse_order order = *kimi();
        struct str text = str_of(SAMPLES[i].text);

        order.calls = SAMPLES[i].calls ? toolcall_find(str_of(SAMPLES[i].calls)) : NULL;
        order.reasoning = SAMPLES[i].reasoning ? reasoning_find(str_of(SAMPLES[i].reasoning)) : NULL;
        assert_true((order.calls != NULL) == (SAMPLES[i].calls != NULL));
        order.thoughts_at_once = i % 2;
        for (size_t at = 0; at <= text.n; at++) {
            struct buf body = { 0 }, out = { 0 }, streamed_out = { 0 }, expected = { 0 }, got = { 0 };
            struct parse_outcome outcome;
            struct gathered g;

            if (at < text.n && ((unsigned char)text.p[at] & 0xC0) == 0x80)
                continue;
            sample_whole(text, at, &body);
            assert_int_equal(parse_whole(&order, buf_str(&body), &out, &outcome, NULL), 0);
            gathered_init(&g);
            assert_true(gather(&g, outcome.changed ? buf_str(&out) : buf_str(&body)));
            gathered_put(&g, &expected);
            gathered_fini(&g);

            buf_clear(&body);
            sample_events(text, at, &body);
            gathered_init(&g);
            assert_true(gather_events(&g, stream_in_pieces(&order, buf_str(&body), 1 + at, &streamed_out)));
            gathered_put(&g, &got);
            gathered_fini(&g);
            buf_put_char(&got, '\0');
            buf_put_char(&expected, '\0');
            assert_string_equal(got.p, expected.p);
            buf_fini(&body);
            buf_fini(&out);
            buf_fini(&streamed_out);
            buf_fini(&expected);
            buf_fini(&got);
        }
    }
}

/* ---- no memory ---- */

static void without_memory_a_reply_fails_cleanly(void **state)
{
    static const char BODY[] = "{\"choices\":[{\"message\":{\"content\":\"<think>r\\n</think>a<tool_call>\\n{\\\"name\\\": "
                               "\\\"f\\\"}\\n</tool_call>\"}}]}";
    static const char EVENTS[] = EVENT("{\"content\":\"<think>r\\n</thi\"}", "")
        EVENT("{\"content\":\"nk><tool_call>\\n{\\\"name\\\": \\\"f\\\"}\\n</tool_call>\"}", "") "data: [DONE]\n\n";

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct parse_outcome outcome = { 0 };
        struct parse_stream *s = NULL;
        struct buf out = { 0 };
        struct err err = { 0 };
        int r = parse_whole(kimi(), str_of(BODY), &out, &outcome, &err);

        assert_true(r == 0 || (r == ERR_NOMEM && out.n == 0));
        buf_fini(&out);
        r = parse_stream_new(kimi(), NULL, &s);
        if (r == 0)
            r = parse_stream_feed(s, str_of(EVENTS), &out, &err);
        if (r == 0)
            r = parse_stream_end(s, &out, &err);
        assert_true(r == 0 || r == ERR_NOMEM);
        parse_stream_free(s);
        buf_fini(&out);
    }
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(tools_and_thoughts_are_wanted_as_the_request_says),
        RULE(thinking_is_off_on_or_as_the_model_likes),
        RULE(earlier_calls_of_the_assistant_are_counted),
        RULE(formats_come_from_the_flags_or_else_from_the_models_name),
        cmocka_unit_test(places_of_a_text_become_others_in_any_order),
        cmocka_unit_test(the_content_is_split_and_all_else_keeps_its_bytes),
        cmocka_unit_test(what_holds_nothing_or_is_no_completion_is_left_alone),
        cmocka_unit_test(a_half_that_the_engine_tells_is_left_to_it_and_the_other_is_told),
        cmocka_unit_test(a_reply_that_would_grow_too_long_stays_as_it_was),
        cmocka_unit_test(events_that_say_nothing_to_the_parsers_keep_every_byte),
        cmocka_unit_test(pieces_take_the_contents_place_and_all_but_the_last_get_events_of_their_own),
        cmocka_unit_test(text_that_is_held_back_sends_no_event_unless_there_is_more_to_say),
        cmocka_unit_test(what_is_held_goes_out_before_done_and_before_the_finish),
        cmocka_unit_test(data_of_several_lines_is_one_text),
        cmocka_unit_test(an_engine_that_tells_its_thoughts_or_calls_is_believed),
        cmocka_unit_test(an_event_without_end_and_too_long_a_call_are_refused),
        cmocka_unit_test(a_stream_says_what_the_whole_reply_says_wherever_it_is_cut),
        cmocka_unit_test(without_memory_a_reply_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
