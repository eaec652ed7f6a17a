/* What binds a model to calls: spec parsers 7. SMG's tags to the byte; and what any tag allows, the format's parser reads. */
#include "cuts.h"

#include "fail_alloc.h"

#include "text/toolcall/constraint.h"

static struct arena arena;

static int up(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int down(void **state)
{
    arena_fini(&arena);
    return 0;
}

/* NULL = absent. */
static struct json json_of(const char *text)
{
    if (!text)
        return JSON_NONE;
    struct json_doc *doc = arena_new(&arena, struct json_doc);
    assert_int_equal(json_parse(arena_str(&arena, str_of(text)), &arena, doc, NULL), 0);
    return json_root(doc);
}

static struct constraint make(const struct toolcall_format *f, const char *tools, const char *choice)
{
    struct constraint c;
    struct err err;
    assert_int_equal(constraint_make(f, json_of(tools), json_of(choice), &arena, &c, &err), 0);
    return c;
}

static void gives(const struct toolcall_format *f, const char *tools, const char *choice, enum constraint_type type,
                  const char *value)
{
    struct constraint c = make(f, tools, choice);
    assert_int_equal(c.type, type);
    assert_string_equal(c.value.n ? c.value.p : "", value);
}

#define TOOL(name, schema) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"parameters\":" schema "}}"
#define STRICT(name, schema) \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"strict\":true,\"parameters\":" schema "}}"
#define A_SCHEMA  "{\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"integer\"}}, \"required\": [\"x\"]}"
#define A_COMPACT "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"integer\"}},\"required\":[\"x\"]}"
#define TOOLS     "[" TOOL("a", A_SCHEMA) ",{\"type\":\"function\",\"function\":{\"name\":\"b\"}}]"
#define CHOOSE_B  "{\"type\":\"function\",\"function\":{\"name\":\"b\"}}"
#define CHOOSE_A  "{\"type\":\"function\",\"function\":{\"name\":\"a\"}}"

static void nothing_is_bound_where_nothing_is_asked_for(void **state)
{
    static const char *const CHOICES[] = {
        NULL,
        "null",
        "\"auto\"",
        "\"none\"",
        "7",
        "{\"type\":\"custom\"}",
        "{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":\"function\",\"name\":\"a\"}]}"
    };
    for (size_t i = 0; i < ARRAY_LEN(CHOICES); i++) {
        gives(&TOOLCALL_MISTRAL, TOOLS, CHOICES[i], CONSTRAINT_NONE, "");
        gives(NULL, TOOLS, CHOICES[i], CONSTRAINT_NONE, "");
    }
    gives(&TOOLCALL_MISTRAL, "[]", "\"required\"", CONSTRAINT_NONE, "");
    gives(&TOOLCALL_MISTRAL, NULL, "\"required\"", CONSTRAINT_NONE, "");
    gives(&TOOLCALL_KIMI_K3, TOOLS, "{\"type\":\"function\",\"function\":{\"name\":\"other\"}}", CONSTRAINT_NONE, "");
    gives(&TOOLCALL_MISTRAL, "[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]", "\"required\"", CONSTRAINT_NONE, "");
}

static void a_format_without_a_tag_has_schemas(void **state)
{
    gives(NULL, TOOLS, CHOOSE_A, CONSTRAINT_JSON_SCHEMA, A_COMPACT);
    gives(&TOOLCALL_JSON, TOOLS, CHOOSE_B, CONSTRAINT_JSON_SCHEMA, "{}");
    gives(&TOOLCALL_PYTHONIC, TOOLS, "\"required\"", CONSTRAINT_JSON_SCHEMA,
          "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\",\"anyOf\":["
          "{\"properties\":{\"name\":{\"type\":\"string\",\"enum\":[\"a\"]},\"parameters\":" A_COMPACT
          "},\"required\":[\"name\",\"parameters\"]},"
          "{\"properties\":{\"name\":{\"type\":\"string\",\"enum\":[\"b\"]},\"parameters\":{}},\"required\":[\"name\","
          "\"parameters\"]}]}}");
}

static void only_allowed_tools_are_bound(void **state)
{
    static const char *const CHOICES[] = {
        "{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"function\",\"name\":\"b\"}]}",
        "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":[{\"type\":\"function\",\"function\":{"
        "\"name\":\"b\"}}]}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(CHOICES); i++)
        gives(NULL, TOOLS, CHOICES[i], CONSTRAINT_JSON_SCHEMA,
              "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\",\"anyOf\":["
              "{\"properties\":{\"name\":{\"type\":\"string\",\"enum\":[\"b\"]},\"parameters\":{}},\"required\":[\"name\","
              "\"parameters\"]}]}}");
}

#define DEFS(name, d) TOOL(name, "{\"$defs\":{\"D\":" d "}}")

static void definitions_are_merged(void **state)
{
    struct constraint c = make(NULL,
                               "[" DEFS("a", "{\"type\":\"string\",\"n\":[1,{\"k\":\"\\u0061\"}]}") "," TOOL(
                                   "b", "{\"$defs\":{\"D\":{\"n\":[1.0,{\"k\":\"a\"}],\"type\":\"string\"},\"E\":{}}}") "]",
                               "\"required\"");
    assert_true(str_has_suffix(c.value, STR("]},\"$defs\":{\"D\":{\"type\":\"string\",\"n\":[1,{\"k\":\"a\"}]},\"E\":{}}}")));
}

static void definitions_that_differ_are_refused(void **state)
{
    static const char *const OTHERS[] = { "{\"type\":\"integer\"}",        "{}",         "[]",
                                          "{\"type\":\"string\",\"x\":1}", "\"string\"", "{\"typ\":\"string\"}" };
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) { /* 12, 19 */
        struct constraint c = { CONSTRAINT_NONE };
        struct err err;
        struct str tools =
            arena_printf(&arena, "[%s,{\"type\":\"function\",\"function\":{\"name\":\"b\",\"parameters\":{\"$defs\":{\"D\":%s}}}}]",
                         DEFS("a", "{\"type\":\"string\"}"), OTHERS[i]);
        assert_int_equal(constraint_make(NULL, json_of(tools.p), json_of("\"required\""), &arena, &c, &err), ERR_INVALID);
        assert_string_equal(err.message, "Tool definition 'D' has multiple conflicting schemas");
    }
}

/* ---- SMG's tags ---- */

static void mistral_has_smgs_tag(void **state)
{
    gives(&TOOLCALL_MISTRAL, TOOLS, "\"required\"", CONSTRAINT_STRUCTURAL_TAG,
          "{\"format\":{\"type\":\"triggered_tags\",\"triggers\":[\"[TOOL_CALLS]\"],\"tags\":[{\"begin\":\"[TOOL_CALLS] "
          "[\",\"content\":{"
          "\"type\":\"tags_with_separator\",\"tags\":["
          "{\"begin\":\"{\\\"name\\\": \\\"a\\\", \\\"arguments\\\": "
          "\",\"content\":{\"type\":\"json_schema\",\"json_schema\":" A_COMPACT "},\"end\":\"}\"},"
          "{\"begin\":\"{\\\"name\\\": \\\"b\\\", \\\"arguments\\\": "
          "\",\"content\":{\"type\":\"json_schema\",\"json_schema\":{}},\"end\":\"}\"}"
          "],\"separator\":\", \"},\"end\":\"]\"}],\"at_least_one\":true}}");
}

#define KIMI_TAG(begin, name, i, schema)                                                                            \
    "{\"begin\":\"" begin "<|tool_call_begin|>functions." name ":" i "<|tool_call_argument_begin|>\",\"content\":{" \
    "\"type\":\"json_schema\",\"json_schema\":" schema "},\"end\":\"<|tool_call_end|>\"}"

static void kimik2_has_smgs_tag(void **state)
{
    gives(
        &TOOLCALL_KIMIK2, TOOLS, "\"required\"", CONSTRAINT_STRUCTURAL_TAG,
        "{\"format\":{\"type\":\"triggered_tags\",\"triggers\":[\"<|tool_calls_section_begin|>\",\"<|tool_call_begin|>\"],\"tags\":"
        "[" KIMI_TAG("<|tool_calls_section_begin|>", "a", "0", A_COMPACT) "," KIMI_TAG("", "a", "0", A_COMPACT) "," KIMI_TAG(
            "<|tool_calls_section_begin|>", "b", "1", "{}") "," KIMI_TAG("", "b", "1", "{}") "],\"at_least_one\":true}}");
    struct constraint c = make(&TOOLCALL_KIMIK2, TOOLS, CHOOSE_B); /* the position is that in the tools that are left */
    assert_true(str_find(c.value, STR("functions.b:0")) != STR_NPOS && str_find(c.value, STR("functions.a")) == STR_NPOS);
}

static void inkling_has_smgs_tag(void **state)
{
    gives(&TOOLCALL_INKLING, TOOLS, CHOOSE_A, CONSTRAINT_STRUCTURAL_TAG,
          "{\"format\":{\"type\":\"triggered_tags\",\"triggers\":[\"<|content_invoke_tool_json|>\"],\"tags\":[{"
          "\"begin\":\"<|content_invoke_tool_json|>{\\\"name\\\":\\\"a\\\",\\\"args\\\":\",\"content\":{\"type\":\"json_schema\","
          "\"json_schema\":" A_COMPACT "},\"end\":\"}<|end_message|>\"}],\"at_least_one\":true}}");
}

#define CONST(s)     "{\"type\":\"const_string\",\"value\":\"" s "\"}"
#define SEQUENCE(s)  "{\"type\":\"sequence\",\"elements\":[" s "]}"
#define OPTIONAL(s)  "{\"type\":\"optional\",\"content\":" s "}"
#define SCHEMA(s)    "{\"type\":\"json_schema\",\"json_schema\":" s "}"
#define ANY_VALUE    "{\"type\":\"any_text\",\"excludes\":[\"<|close|>\",\"<|open|>\",\"<|sep|>\"]}"
#define ANY_NAME     "{\"type\":\"any_text\",\"excludes\":[\"\\\"\",\"<|\"]}"
#define END_ARGUMENT CONST("<|close|>argument<|sep|>")
#define ARG(k, t, v) SEQUENCE(CONST("<|open|>argument key=\\\"" k "\\\" type=\\\"" t "\\\"<|sep|>") "," v "," END_ARGUMENT)
#define ANY_ARG                                                                                                  \
    SEQUENCE(CONST("<|open|>argument key=\\\"") "," ANY_NAME "," CONST("\\\" type=\\\"") "," ANY_NAME "," CONST( \
        "\\\"<|sep|>") "," ANY_VALUE "," END_ARGUMENT)
#define INDEX      "{\"type\":\"regex\",\"pattern\":\"[1-9][0-9]*\"}," CONST("\\\"<|sep|>") ","
#define CALL(n, a) SEQUENCE(CONST("<|open|>call tool=\\\"" n "\\\" index=\\\"") "," INDEX a "," CONST("<|close|>call<|sep|>"))
#define K3(calls)                                                                                                           \
    "{\"format\":{\"type\":\"triggered_tags\",\"triggers\":[\"<|open|>tools<|sep|>\",\"<|close|>think<|sep|>\",\"<|close|>" \
    "response<|sep|>\"],"                                                                                                   \
    "\"tags\":[" K3_TAG("", calls) "," K3_TAG("<|close|>think<|sep|>", calls) "," K3_TAG("<|close|>response<|sep|>",        \
                                                                                         calls) "],\"at_least_one\":true}}"
#define K3_TAG(p, calls)                                                                                                        \
    "{\"begin\":\"" p "<|open|>tools<|sep|>\",\"content\":{\"type\":\"plus\",\"content\":{\"type\":\"or\",\"elements\":[" calls \
    "]}},"                                                                                                                      \
    "\"end\":\"<|close|>tools<|sep|>\"}"
#define STAR(s) "{\"type\":\"star\",\"content\":" s "}"

static void kimi_k3_has_smgs_tag(void **state)
{
    gives(
        &TOOLCALL_KIMI_K3,
        "[" TOOL("calc",
                 "{\"properties\":{\"x\":{\"type\":\"integer\",\"minimum\": 1},\"s\":{\"type\":\"string\"},"
                 "\"unit\":{\"enum\":[\"c\",\"f\"]},\"f\":{\"type\":\"number\"},\"b\":{\"type\":\"boolean\",\"default\":true},"
                 "\"o\":{\"type\":\"object\"},\"a\":{\"type\":\"array\"},\"z\":{\"type\":\"null\"},"
                 "\"q&\\\"\":{\"type\":[\"string\",\"null\"]}},\"required\":[\"x\",\"z\"]}") "," TOOL("a&b",
                                                                                                      "{\"type\":\"object\","
                                                                                                      "\"properties\":{}}") "]",
        "\"required\"", CONSTRAINT_STRUCTURAL_TAG,
        K3(CALL(
            "calc",
            SEQUENCE(
                ARG("x", "number", SCHEMA("{\"type\":\"integer\",\"minimum\":1}")) "," OPTIONAL(ARG("s", "string", ANY_VALUE)) "," OPTIONAL(
                    ARG("unit", "string",
                        "{\"type\":\"or\",\"elements\":[" CONST("c") "," CONST(
                            "f") "]}")) "," OPTIONAL(ARG("f", "number",
                                                         SCHEMA("{\"type\":\"number\"}"))) "," OPTIONAL(ARG("b", "boolean",
                                                                                                            SCHEMA("{\"type\":"
                                                                                                                   "\"boolean\""
                                                                                                                   "}"))) "," OPTIONAL(ARG("o",
                                                                                                                                           "object",
                                                                                                                                           SCHEMA(
                                                                                                                                               "{\"type\":\"object\"}"))) "," OPTIONAL(ARG("a", "array", SCHEMA("{\"type\":\"array\"}"))) "," ARG("z", "null", CONST("null")) "," OPTIONAL(SEQUENCE(CONST("<|open|>argument key=\\\"q&amp;&quot;\\\" type=\\\"") "," ANY_NAME
                                                                                                                                                                                                                                                                                                                                                                 "," CONST("\\\"<|sep|>") "," ANY_VALUE "," END_ARGUMENT)))) "," CALL("a&amp;b",
                                                                                                                                                                                                                                                                                                                                                                                                                                      STAR(
                                                                                                                                                                                                                                                                                                                                                                                                                                          ANY_ARG))));
    gives(&TOOLCALL_KIMI_K3, "[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]", "\"required\"", CONSTRAINT_STRUCTURAL_TAG,
          K3(SEQUENCE(CONST("<|open|>call tool=\\\"") "," ANY_NAME "," CONST("\\\" index=\\\"") "," INDEX STAR(ANY_ARG) "," CONST(
              "<|close|>call<|sep|>"))));
}

/* ---- ours ---- */

static void strict_functions_are_bound_without_being_asked_for(void **state)
{
    static const char *const CHOICES[] = { NULL, "\"auto\"" };
    for (size_t i = 0; i < ARRAY_LEN(CHOICES); i++) {
        gives(&TOOLCALL_QWEN, "[" STRICT("a", A_SCHEMA) "," TOOL("b", A_SCHEMA) "]", CHOICES[i], CONSTRAINT_STRUCTURAL_TAG,
              "{\"format\":{\"type\":\"triggered_tags\",\"triggers\":[\"<tool_call>\"],\"tags\":["
              "{\"begin\":\"<tool_call>\\n{\\\"name\\\": \\\"a\\\", \\\"arguments\\\": \",\"content\":" SCHEMA(
                  A_COMPACT) ",\"end\":\"}\\n</tool_call>\"},"
                             "{\"begin\":\"<tool_call>\\n{\\\"name\\\": \\\"b\\\", \\\"arguments\\\": \",\"content\":" SCHEMA(
                                 "{\"type\":\"object\"}") ",\"end\":\"}\\n</tool_call>\"}"
                                                          "],\"at_least_one\":false}}");
        gives(&TOOLCALL_JSON, "[" STRICT("a", A_SCHEMA) "]", CHOICES[i], CONSTRAINT_NONE, "");
    }
    gives(&TOOLCALL_QWEN, "[" STRICT("a", A_SCHEMA) "]", "\"none\"", CONSTRAINT_NONE, "");
}

static void what_a_property_refers_to_goes_with_it(void **state)
{
    struct constraint c = make(
        &TOOLCALL_GLM47_MOE,
        "[" TOOL("a", "{\"properties\":{\"x\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/D\"}},\"y\":{\"type\":\"object\"}},"
                      "\"$defs\":{\"D\":{\"type\":\"string\"}}}") "]",
        "\"required\"");
    assert_true(
        str_find(c.value,
                 STR(SCHEMA("{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/D\"},\"$defs\":{\"D\":{\"type\":\"string\"}}}"))) !=
        STR_NPOS);
    assert_true(str_find(c.value, STR(SCHEMA("{\"type\":\"object\"}"))) != STR_NPOS);
}

/* ---- what a tag allows, the parser reads ---- */

/* Writes a text that V, a part of a tag, allows: of several the first, and what is optional. */
static void write_sample(struct json v, struct buf *out);

static void write_all(struct json list, struct str separator, struct buf *out)
{
    struct json_iter it = json_iter(list);
    for (bool first = true; json_next(&it); first = false) {
        if (!first)
            buf_put(out, separator);
        write_sample(it.value, out);
    }
}

static void write_by_schema(struct json schema, struct buf *out)
{
    struct json type = json_get(schema, STR("type"));
    if (json_str_eq(type, STR("integer")))
        buf_puts(out, "7");
    else if (json_str_eq(type, STR("boolean")))
        buf_puts(out, "true");
    else if (json_str_eq(type, STR("array")))
        buf_puts(out, "[1, 2]");
    else
        buf_puts(out, "{\"k\": \"v\"}");
}

static void write_sample(struct json v, struct buf *out)
{
    struct json type = json_get(v, STR("type")), content = json_get(v, STR("content"));
    if (!json_exists(type)) { /* a tag */
        buf_put(out, json_str(json_get(v, STR("begin")), &arena));
        write_sample(content, out);
        buf_put(out, json_str(json_get(v, STR("end")), &arena));
    } else if (json_str_eq(type, STR("const_string")))
        buf_put(out, json_str(json_get(v, STR("value")), &arena));
    else if (json_str_eq(type, STR("any_text")))
        buf_puts(out, "some text");
    else if (json_str_eq(type, STR("regex")))
        buf_puts(out, "1");
    else if (json_str_eq(type, STR("json_schema")))
        write_by_schema(json_get(v, STR("json_schema")), out);
    else if (json_str_eq(type, STR("sequence")))
        write_all(json_get(v, STR("elements")), STR_NONE, out);
    else if (json_str_eq(type, STR("or")))
        write_sample(json_at(json_get(v, STR("elements")), 0), out);
    else if (json_str_eq(type, STR("tags_with_separator")))
        write_all(json_get(v, STR("tags")), json_str(json_get(v, STR("separator")), &arena), out);
    else
        write_sample(content, out); /* optional, star, plus */
}

static void what_a_tag_allows_is_what_its_parser_reads(void **state)
{
    static const char SAMPLE_TOOLS[] =
        "[" TOOL("f", "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},"
                      "\"on\":{\"type\":\"boolean\"},\"list\":{\"type\":\"array\"},\"unit\":{\"enum\":[\"c\",\"f\"]},"
                      "\"z\":{\"type\":\"null\"}}}") "]";
    size_t n, tags = 0;
    const struct toolcall_format *const *formats = toolcall_formats(&n);
    struct toolcall_tools tools;
    assert_int_equal(toolcall_tools_read(json_of(SAMPLE_TOOLS), &arena, &tools), 0);
    for (size_t i = 0; i < n; i++) {
        if (!constraint_has_tag(formats[i]))
            continue;
        tags++;
        struct constraint c = make(formats[i], SAMPLE_TOOLS, "\"required\"");
        struct buf text = { 0 };
        struct seen s = { 0 };
        struct json format = json_get(json_of(c.value.p), STR("format")), tag = json_at(json_get(format, STR("tags")), 0);
        write_sample(tag, &text);
        bool triggered = false;
        struct json_iter it = json_iter(json_get(format, STR("triggers")));
        while (json_next(&it))
            triggered = triggered || str_has_prefix(buf_str(&text), json_str(it.value, &arena));
        assert_true(triggered);
        see_cut(formats[i], &tools, buf_str(&text), NULL, 0, &s);
        assert_str(buf_str(&s.text), "");
        if (str_find(c.value, STR("any_text")) == STR_NPOS)
            assert_true(str_eq(buf_str(&s.calls), STR("f\t{\"k\":\"v\"}\n")) ||
                        str_eq(buf_str(&s.calls), STR("f\t{\"k\": \"v\"}\n")));
        else
            assert_str(buf_str(&s.calls),
                       "f\t{\"city\":\"some text\",\"days\":7,\"on\":true,\"list\":[1,2],\"unit\":\"c\",\"z\":null}\n");
        assert_cuts_agree(formats[i], &tools, buf_str(&text));
        buf_fini(&text);
        seen_fini(&s);
    }
    assert_true(tags >= 15);
}

static void without_memory_there_is_no_constraint(void **state)
{
    struct json tools = json_of("[" DEFS("a", "{\"type\":\"string\"}") "," DEFS("b", "{\"type\":\"string\"}") "]");
    struct json choice =
        json_of("{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"}]}");
    const struct toolcall_format *const F[] = { NULL, &TOOLCALL_KIMI_K3 };
    for (size_t i = 0; i < ARRAY_LEN(F); i++)
        FOR_EACH_FAILING_ALLOCATION(n)
        {
            struct arena own;
            struct constraint c = { CONSTRAINT_NONE };
            struct err err;
            arena_init(&own, NULL, 0);
            int r = constraint_make(F[i], tools, choice, &own, &c, &err);
            assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
            assert_true((r == 0) == (c.value.n > 0));
            arena_fini(&own);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_bound_where_nothing_is_asked_for),
        cmocka_unit_test(a_format_without_a_tag_has_schemas),
        cmocka_unit_test(only_allowed_tools_are_bound),
        cmocka_unit_test(definitions_are_merged),
        cmocka_unit_test(definitions_that_differ_are_refused),
        cmocka_unit_test(mistral_has_smgs_tag),
        cmocka_unit_test(kimik2_has_smgs_tag),
        cmocka_unit_test(inkling_has_smgs_tag),
        cmocka_unit_test(kimi_k3_has_smgs_tag),
        cmocka_unit_test(strict_functions_are_bound_without_being_asked_for),
        cmocka_unit_test(what_a_property_refers_to_goes_with_it),
        cmocka_unit_test(what_a_tag_allows_is_what_its_parser_reads),
        cmocka_unit_test(without_memory_there_is_no_constraint),
    };
    return cmocka_run_group_tests(tests, up, down);
}
