/* json_mode.c -- replies of engines that bind the model to call by a JSON schema, whole and cut in two at every place, alone or behind a thought (json_mode.c, reply_chain.c)
 *
 * vector_N: spec parsers 12. Everything is told by gathered.h: "[choice] finish|thought|content|#name:arguments...".
 */
#include "test.h"

#include <stdlib.h>

#include "base/budget.h"
#include "fail_alloc.h"
#include "gathered.h"
#include "json/json_write.h"

#define TOOLS                                                                                              \
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}},{\"type\":\"function\",\"function\"" \
    ":{\"name\":\"search\"}}]"
#define FUNCTION(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"
#define REQUIRED       "\"required\""
#define WEATHER        FUNCTION("get_weather")

static struct arena arena;

static int open_arena(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int close_arena(void **state)
{
    arena_fini(&arena);
    assert_int_equal(budget_used(), 0);
    return 0;
}

/* What a request with these tools and CHOICE, a JSON value, wants of qwen's parsers. */
static struct parse_order wanting(const char *choice)
{
    struct str request = arena_printf(&arena, "{\"tools\":" TOOLS ",\"tool_choice\":%s}", choice);
    struct json_doc *doc = arena_new(&arena, struct json_doc);
    struct parse_order o;

    assert_int_equal(json_parse(request, &arena, doc, NULL), 0);
    assert_true(parse_order_read(json_root(doc), &o));
    o.model = STR("kimi-k2"); /* ids without chance */
    o.calls = toolcall_find(STR("qwen"));
    o.reasoning = reasoning_find(STR("qwen3"));
    return o;
}

static struct parse_order with(struct parse_order o, const char *calls, const char *reasoning)
{
    o.calls = toolcall_find(str_of(calls));
    o.reasoning = reasoning ? reasoning_find(str_of(reasoning)) : NULL;
    assert_true(o.calls && (o.reasoning || !reasoning));
    return o;
}

/* ---- a text as a reply, and what a client makes of it ---- */

static void put_text(struct buf *out, struct str text)
{
    buf_puts(out, "\"");
    json_escape(out, text);
    buf_puts(out, "\"");
}

static void whole_body(struct str text, struct buf *out)
{
    buf_puts(out, "{\"choices\":[{\"index\":0,\"message\":{\"content\":");
    put_text(out, text);
    buf_puts(out, "},\"finish_reason\":\"stop\"}]}");
}

static void put_event(struct buf *out, struct str text, const char *finish)
{
    buf_puts(out, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":");
    put_text(out, text);
    buf_printf(out, "},\"finish_reason\":%s}]}\n\n", finish);
}

static int stream_through(const struct parse_order *o, struct str events, struct buf *out, struct err *err)
{
    struct parse_stream *s = NULL;
    int r = parse_stream_new(o, NULL, &s);

    if (r == 0)
        r = parse_stream_feed(s, events, out, err);
    if (r == 0)
        r = parse_stream_end(s, out, err);
    parse_stream_free(s);
    return r;
}

static void assert_gathered(struct gathered *g, const char *expected)
{
    struct buf got = { 0 };

    gathered_put(g, &got);
    assert_str(buf_str(&got), expected);
    buf_fini(&got);
    gathered_fini(g);
}

static void whole_says(const struct parse_order *o, const char *text, const char *expected)
{
    struct buf body = { 0 }, out = { 0 };
    struct parse_outcome outcome;
    struct gathered g;

    whole_body(str_of(text), &body);
    assert_int_equal(parse_whole(o, buf_str(&body), &out, &outcome, NULL), 0);
    gathered_init(&g);
    assert_true(gather(&g, outcome.changed ? buf_str(&out) : buf_str(&body)));
    assert_gathered(&g, expected);
    buf_fini(&body);
    buf_fini(&out);
}

/* Cut in front of AT; the finish is with the last piece. */
static void stream_says(const struct parse_order *o, const char *text, size_t at, const char *expected)
{
    struct buf events = { 0 }, out = { 0 };
    struct gathered g;

    put_event(&events, str_first(str_of(text), at), "null");
    put_event(&events, str_skip(str_of(text), at), "\"stop\"");
    assert_int_equal(stream_through(o, buf_str(&events), &out, NULL), 0);
    gathered_init(&g);
    assert_true(gather_events(&g, buf_str(&out)));
    assert_gathered(&g, expected);
    buf_fini(&events);
    buf_fini(&out);
}

/* However it comes: whole, or in two pieces of whole characters. */
static void says(struct parse_order o, const char *text, const char *expected)
{
    whole_says(&o, text, expected);
    for (size_t at = 0; at <= strlen(text); at++)
        if (((unsigned char)text[at] & 0xC0) != 0x80)
            stream_says(&o, text, at, expected);
}

/* ---- the request ---- */

static void a_choice_that_binds_to_a_call_has_the_json_looked_for(void **state)
{
    static const struct {
        const char *choice, *function;
        bool must;
    } CHOICES[] = {
        { REQUIRED, "", true },
        { WEATHER, "\"get_weather\"", true },
        { "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":[]}}", "", true },
        { "{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[]}", "", true },
        { "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[]}}", "", false },
        { "\"auto\"", "", false },
        { "\"none\"", "", false },
        { "null", "", false },
        { "{\"type\":\"function\"}", "", false },
        { "7", "", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(CHOICES); i++) {
        struct parse_order o = wanting(CHOICES[i].choice);

        assert_int_equal(o.must_call, CHOICES[i].must);
        assert_str(o.function, CHOICES[i].function);
    }
}

static void without_such_a_choice_or_a_parser_json_is_text(void **state)
{
    static const char LIST[] = "[{\"name\":\"search\",\"parameters\":{}}]";
    struct parse_order o = wanting(REQUIRED);

    says(wanting("\"auto\""), LIST, "[0] stop||[{\"name\":\"search\",\"parameters\":{}}]|");
    o.calls = NULL; /* --tool-call-parser none */
    says(o, LIST, "[0] stop||[{\"name\":\"search\",\"parameters\":{}}]|");
}

/* ---- lists of calls ---- */

static void vector_16_a_bare_list_where_a_call_is_required_is_one_call(void **state)
{
    struct parse_order o = with(wanting(REQUIRED), "qwen", NULL);
    struct buf body = { 0 }, out = { 0 };
    struct parse_outcome outcome;

    says(o, "[{\"name\":\"get_weather\",\"parameters\":{\"city\":\"SF\"}}]", "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
    whole_body(STR("[{\"name\":\"get_weather\",\"parameters\":{\"city\":\"SF\"}}]"), &body);
    assert_int_equal(parse_whole(&o, buf_str(&body), &out, &outcome, NULL), 0);
    assert_str(buf_str(&out), "{\"choices\":[{\"index\":0,\"message\":{\"content\":null,\"tool_calls\":[{\"id\":"
                              "\"functions.get_weather:0\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\","
                              "\"arguments\":\"{\\\"city\\\":\\\"SF\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}");
    assert_int_equal(outcome.calls, 1);
    buf_fini(&body);
    buf_fini(&out);
}

static void vector_18_an_empty_list_is_text_and_ends_as_the_engine_ended_it(void **state)
{
    says(wanting(REQUIRED), "[]", "[0] stop||[]|");
    says(wanting(REQUIRED), " [ ] ", "[0] stop|| [ ] |");
    says(wanting(REQUIRED), "[1,{\"name\":\"search\"},{\"parameters\":{}},{\"name\":2,\"parameters\":{}}]",
         "[0] stop||[1,{\"name\":\"search\"},{\"parameters\":{}},{\"name\":2,\"parameters\":{}}]|");
}

static void calls_of_a_list_are_told_in_order_and_what_is_no_call_is_left_out(void **state)
{
    says(wanting(REQUIRED),
         "\n[{\"name\":\"search\",\"parameters\":{ \"q\" : [1e3, \"\\u00e9\\/\"], \"q\":1.50}},\n 7, {\"name\":\"search\"},"
         "{\"parameters\":null,\"name\":\"not \\\"offered\\\"\"}]\n",
         "[0] tool_calls|||#search:{\"q\":1.5}#not \"offered\":null");
    says(wanting("{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":[]}}"),
         "[{\"name\":\"search\",\"parameters\":{\"q\":\"\xc3\xa9 \xf0\x9f\xa6\x9c\"}}]",
         "[0] tool_calls|||#search:{\"q\":\"\xc3\xa9 \xf0\x9f\xa6\x9c\"}");
}

static void what_is_not_all_of_it_such_a_list_is_text(void **state)
{
    static const char *const TEXTS[] = {
        "[{\"name\":\"search\",\"parameters\":{}}",
        "[{\"name\":\"search\",\"parameters\":{}}] and more",
        "So: [{\"name\":\"search\",\"parameters\":{}}]",
        "{\"name\":\"search\",\"parameters\":{}}",
        "[{\"name\":\"search\",\"parameters\":{},}]",
        "[1, \xc3\xa9]",
        "[",
        "nothing of the kind",
        "\n \n",
    };

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        struct str expected = arena_printf(&arena, "[0] stop||%s|", TEXTS[i]);

        says(wanting(REQUIRED), TEXTS[i], expected.p);
    }
}

/* ---- a function's arguments ---- */

static void vector_17_a_named_functions_bare_arguments_are_its_call(void **state)
{
    says(wanting(WEATHER), "{\"city\":\"SF\"}", "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
    says(with(wanting(WEATHER), "qwen", NULL), "\n{ \"city\" : \"SF\" }\n", "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
}

static void any_json_value_is_arguments(void **state)
{
    says(wanting(WEATHER), "{}", "[0] tool_calls|||#get_weather:{}");
    says(wanting(WEATHER), "[]", "[0] tool_calls|||#get_weather:[]");
    says(wanting(WEATHER), "[1, 2]", "[0] tool_calls|||#get_weather:[1,2]");
    says(wanting(WEATHER), "\"S\\u0046\"", "[0] tool_calls|||#get_weather:\"SF\"");
    says(wanting(WEATHER), "-12.50", "[0] tool_calls|||#get_weather:-12.5");
    says(wanting(WEATHER), "true\n", "[0] tool_calls|||#get_weather:true");
    says(wanting(WEATHER), "null", "[0] tool_calls|||#get_weather:null");
    says(wanting(FUNCTION("a\\\"\\u0062")), "{}", "[0] tool_calls|||#a\"b:{}");
}

static void broken_arguments_and_prose_are_text(void **state)
{
    static const char *const TEXTS[] = {
        "{\"city\":\"S", "{\"city\":\"SF\"}}", "{\"city\":\"SF\"} there", "{city:1}", "-", "truth", "1. First", "It is sunny.", "\""
    };

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        struct str expected = arena_printf(&arena, "[0] stop||%s|", TEXTS[i]);

        says(wanting(WEATHER), TEXTS[i], expected.p);
    }
}

static void a_named_function_may_come_in_a_list_or_an_object_that_names_it(void **state)
{
    says(wanting(WEATHER), "[{\"name\": \"get_weather\", \"parameters\": {\"city\": \"SF\"}}]",
         "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
    says(wanting(WEATHER), "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"SF\"}}",
         "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
    /* These name something: it is arguments. */
    says(wanting(WEATHER), "[{\"name\":\"Bob\",\"parameters\":{}}]",
         "[0] tool_calls|||#get_weather:[{\"name\":\"Bob\",\"parameters\":{}}]");
    says(wanting(WEATHER), "{\"name\":\"get_weather\"}", "[0] tool_calls|||#get_weather:{\"name\":\"get_weather\"}");
}

/* ---- the model's own format ---- */

static void markup_of_the_models_own_is_read_as_ever(void **state)
{
    says(wanting(REQUIRED), "Look: <tool_call>\n{\"name\":\"search\",\"arguments\":{\"q\":1}}\n</tool_call>",
         "[0] tool_calls||Look: |#search:{\"q\":1}");
    says(wanting(WEATHER), "<think>r</think>\n<tool_call>\n{\"name\":\"search\",\"arguments\":{\"q\":1}}\n</tool_call>",
         "[0] tool_calls|r||#search:{\"q\":1}");
    says(with(wanting(WEATHER), "mistral", NULL), "[TOOL_CALLS] [{\"name\":\"search\",\"arguments\":{}}]",
         "[0] tool_calls|||#search:{}");
    says(with(wanting(WEATHER), "pythonic", NULL), "[search(q=1)]", "[0] tool_calls|||#search:{\"q\":1}");
}

static void a_format_that_is_bare_json_itself_comes_first(void **state)
{
    struct parse_order json = with(wanting(WEATHER), "json", NULL), llama = with(wanting(WEATHER), "llama", NULL);

    says(json, "{\"name\":\"search\",\"arguments\":{\"q\":1}}", "[0] tool_calls|||#search:{\"q\":1}");
    says(llama, "{\"name\":\"get_weather\",\"parameters\":{\"city\":\"SF\"}}", "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
    says(with(wanting(REQUIRED), "json", NULL),
         "[{\"name\":\"search\",\"parameters\":{}},{\"name\":\"search\",\"arguments\":{\"q\":1}}]",
         "[0] tool_calls|||#search:{}#search:{\"q\":1}");
    says(with(wanting(REQUIRED), "json", NULL), "So: {\"name\":\"search\",\"arguments\":{}}", "[0] tool_calls||So: |#search:{}");
}

static void a_parameter_called_name_makes_no_call(void **state)
{
    says(with(wanting(WEATHER), "json", NULL), "{\"name\":\"Bob\"}", "[0] tool_calls|||#get_weather:{\"name\":\"Bob\"}");
    says(with(wanting(WEATHER), "json", NULL), "{\"city\":{\"name\":\"search\"}}",
         "[0] tool_calls|||#get_weather:{\"city\":{\"name\":\"search\"}}");
}

static void markup_inside_the_json_is_data(void **state)
{
    says(with(wanting(WEATHER), "qwen_xml", NULL), "{\"city\":\"<tool_call><function=search></function></tool_call>\"}",
         "[0] tool_calls|||#get_weather:{\"city\":\"<tool_call><function=search></function></tool_call>\"}");
    says(wanting(WEATHER), "{\"city\":\"<think>SF</think>\"}", "[0] tool_calls|||#get_weather:{\"city\":\"<think>SF</think>\"}");
}

/* ---- thoughts ---- */

static void the_json_may_stand_behind_a_thought(void **state)
{
    says(wanting(REQUIRED), "<think>r</think>\n\n[{\"name\":\"search\",\"parameters\":{}}]", "[0] tool_calls|r||#search:{}");
    says(with(wanting(WEATHER), "deepseek31", "deepseek_r1"), "r [1]</think>{\"city\":\"SF\"}",
         "[0] tool_calls|r [1]||#get_weather:{\"city\":\"SF\"}");
    says(with(wanting(WEATHER), "qwen", "deepseek_r1"), "[1] r</think>{\"city\":\"SF\"} behind",
         "[0] stop|[1] r|{\"city\":\"SF\"} behind|");
}

static void json_alone_is_no_thought_though_the_parser_begins_in_one(void **state)
{
    struct parse_order started = wanting(WEATHER);

    started.started = true;
    says(started, "{\"city\":\"SF\"}", "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
    says(with(wanting(WEATHER), "qwen", "deepseek_r1"), "{\"city\":\"SF\"}", "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
    says(with(wanting(WEATHER), "qwen", "minimax_append_think"), "{\"city\":\"SF\"}",
         "[0] tool_calls|||#get_weather:{\"city\":\"SF\"}");
    says(with(wanting(WEATHER), "qwen", "deepseek_r1"), "{\"city\":\"S", "[0] stop|{\"city\":\"S||");
}

/* ---- an engine that tells by itself, and stop strings ---- */

#define EVENT(delta, finish) "data: {\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"

static void streamed(struct parse_order o, const char *events, const char *expected)
{
    struct buf out = { 0 };

    assert_int_equal(stream_through(&o, str_of(events), &out, NULL), 0);
    assert_str(buf_str(&out), expected);
    buf_fini(&out);
}

static void what_an_engine_tells_by_itself_is_believed(void **state)
{
    static const char CALL[] = EVENT("{\"content\":\"x\"}", "null") EVENT("{\"tool_calls\":[{\"index\":0}]}", "null")
        EVENT("{\"content\":\"[]\"}", "null") EVENT("{}", "\"tool_calls\"");

    streamed(wanting(REQUIRED), CALL, CALL);
    /* What is held by then is text. */
    streamed(wanting(WEATHER), EVENT("{\"content\":\"{}\"}", "null") EVENT("{\"tool_calls\":[{\"index\":0}]}", "null"),
             EVENT("{\"content\":\"{}\"}", "null") EVENT("{\"tool_calls\":[{\"index\":0}]}", "null"));
    streamed(wanting(WEATHER),
             EVENT("{\"reasoning_content\":\"r\"}", "null") EVENT("{\"content\":\"{\"}", "null")
                 EVENT("{\"content\":\"}\"}", "\"stop\""),
             EVENT("{\"reasoning_content\":\"r\"}", "null") EVENT(
                 "{\"tool_calls\":[{\"index\":0,\"id\":\"functions.get_weather:0\",\"type\":\"function\",\"function\":{\"name\":"
                 "\"get_weather\",\"arguments\":\"\"}}]}",
                 "null") EVENT("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}", "\"tool_calls\""));
}

static void prose_goes_out_as_it_comes(void **state)
{
    static const char PROSE[] = EVENT("{\"content\":\" I \"}", "null") EVENT("{\"content\":\"see\"}", "null")
        EVENT("{\"content\":\" {\"}", "null") EVENT("{}", "\"stop\"");

    streamed(wanting(REQUIRED), PROSE, PROSE);
    streamed(wanting(WEATHER), PROSE, PROSE);
}

/* An engine holds back what may become a stop string, and sends it with the finish; where one matched, the text ends in front of it. Its text comes through the parsers to the last byte: nothing of
 * a call is content, neither what the engine held nor what the parser did. */
static void vector_28_what_was_held_when_a_stop_string_ends_a_reply_inside_a_call_is_no_content(void **state)
{
    static const char CALL[] = "<tool_call>\n{\"name\":\"search\",\"arguments\":{\"q\":\"a;\"}}\n</tool_call>";
    struct parse_order o = with(wanting("\"auto\""), "qwen", NULL);
    struct str and_more = arena_printf(&arena, "%s\n<tool_call>\n{\"name\":\"search\",\"arg", CALL);

    /* The stop string was ";", say: it came, and then no match. The rest of the call is the last piece, wherever that begins. */
    says(o, CALL, "[0] tool_calls|||#search:{\"q\":\"a;\"}");
    /* It was "</tool_call>". */
    says(o, "<tool_call>\n{\"name\":\"search\",\"arguments\":{}}\n", "[0] tool_calls|||#search:{}");
    /* It ended the second call in its middle. */
    says(o, and_more.p, "[0] tool_calls|||#search:{\"q\":\"a;\"}");
    /* The only call: all of the reply is text then, whole and streamed alike, as SMG's complete result has it (decision 19). */
    says(o, "Hm. <tool_call>\n{\"name\":\"search\",\"arg", "[0] stop||Hm. <tool_call>\n{\"name\":\"search\",\"arg|");
    /* Bare JSON is held from its first byte. */
    says(wanting(REQUIRED), "[{\"name\":\"search\",\"parameters\":{\"q\":\"a;\"}}]", "[0] tool_calls|||#search:{\"q\":\"a;\"}");
}

/* ---- bounds ---- */

/* A list of N bytes and more, in events of half a megabyte. */
static void put_long_list(struct buf *out, size_t n)
{
    struct buf piece = { 0 };

    put_event(out, STR("[{\"name\":\"search\",\"parameters\":{\"q\":\""), "null");
    while (piece.n < PARSE_EVENT_MAX / 2)
        buf_puts(&piece, "0123456789abcdef");
    for (size_t held = 0; held < n; held += piece.n)
        put_event(out, buf_str(&piece), "null");
    buf_fini(&piece);
}

static void json_that_is_too_long_or_over_the_memory_limit_is_refused(void **state)
{
    struct parse_order o = wanting(REQUIRED);
    struct buf events = { 0 }, out = { 0 };
    struct err err = { 0 };

    put_long_list(&events, TOOLCALL_BYTES_DEFAULT);
    assert_int_equal(stream_through(&o, buf_str(&events), &out, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "Tool call too long"));
    assert_int_equal(budget_used(), 0);
    budget_set_limit(PARSE_EVENT_MAX);
    err = (struct err){ 0 };
    assert_int_equal(stream_through(&o, buf_str(&events), &out, &err), ERR_NOMEM);
    budget_set_limit(0);
    assert_int_equal(budget_used(), 0);
    buf_fini(&events);
    buf_fini(&out);
}

static void what_is_held_is_on_the_memory_budget_until_it_goes_on(void **state)
{
    struct parse_order o = wanting(REQUIRED);
    struct buf events = { 0 }, out = { 0 };
    struct parse_stream *s;

    put_long_list(&events, PARSE_EVENT_MAX);
    assert_int_equal(parse_stream_new(&o, NULL, &s), 0);
    assert_int_equal(parse_stream_feed(s, buf_str(&events), &out, NULL), 0);
    assert_true(budget_used() >= PARSE_EVENT_MAX);
    assert_int_equal(out.n, 0);
    buf_clear(&events);
    put_event(&events, STR("\"}}] no list"), "null");
    assert_int_equal(parse_stream_feed(s, buf_str(&events), &out, NULL), 0);
    assert_int_equal(budget_used(), 0);
    assert_true(out.n > PARSE_EVENT_MAX);
    parse_stream_free(s);
    buf_fini(&events);
    buf_fini(&out);
}

static void without_memory_a_reply_fails_cleanly(void **state)
{
    static const struct {
        const char *choice, *text;
    } REPLIES[] = { { REQUIRED, "<think>r</think>[{\"name\":\"search\",\"parameters\":{\"q\":\"\\n\"}}]" },
                    { FUNCTION("a\\u0062"), "{\"q\":[1,2]}" },
                    { WEATHER, "{\"q\":[1,2]} and more" } };

    for (size_t i = 0; i < ARRAY_LEN(REPLIES); i++) {
        struct parse_order o = wanting(REPLIES[i].choice);
        struct buf body = { 0 }, events = { 0 };

        whole_body(str_of(REPLIES[i].text), &body);
        put_event(&events, str_first(str_of(REPLIES[i].text), 9), "null");
        put_event(&events, str_skip(str_of(REPLIES[i].text), 9), "\"stop\"");
        FOR_EACH_FAILING_ALLOCATION(n)
        {
            struct parse_outcome outcome = { 0 };
            struct buf out = { 0 };
            int r = parse_whole(&o, buf_str(&body), &out, &outcome, NULL);

            assert_true(r == 0 || (r == ERR_NOMEM && out.n == 0));
            buf_fini(&out);
            r = stream_through(&o, buf_str(&events), &out, NULL);
            assert_true(r == 0 || r == ERR_NOMEM);
            buf_fini(&out);
            assert_int_equal(budget_used(), 0);
        }
        buf_fini(&body);
        buf_fini(&events);
    }
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_choice_that_binds_to_a_call_has_the_json_looked_for),
        RULE(without_such_a_choice_or_a_parser_json_is_text),
        RULE(vector_16_a_bare_list_where_a_call_is_required_is_one_call),
        RULE(vector_18_an_empty_list_is_text_and_ends_as_the_engine_ended_it),
        RULE(calls_of_a_list_are_told_in_order_and_what_is_no_call_is_left_out),
        RULE(what_is_not_all_of_it_such_a_list_is_text),
        RULE(vector_17_a_named_functions_bare_arguments_are_its_call),
        RULE(any_json_value_is_arguments),
        RULE(broken_arguments_and_prose_are_text),
        RULE(a_named_function_may_come_in_a_list_or_an_object_that_names_it),
        RULE(markup_of_the_models_own_is_read_as_ever),
        RULE(a_format_that_is_bare_json_itself_comes_first),
        RULE(a_parameter_called_name_makes_no_call),
        RULE(markup_inside_the_json_is_data),
        RULE(the_json_may_stand_behind_a_thought),
        RULE(json_alone_is_no_thought_though_the_parser_begins_in_one),
        RULE(what_an_engine_tells_by_itself_is_believed),
        RULE(prose_goes_out_as_it_comes),
        RULE(vector_28_what_was_held_when_a_stop_string_ends_a_reply_inside_a_call_is_no_content),
        RULE(json_that_is_too_long_or_over_the_memory_limit_is_refused),
        RULE(what_is_held_is_on_the_memory_budget_until_it_goes_on),
        RULE(without_memory_a_reply_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
