/* Formats beyond SMG's that hold JSON or Python between tags (tagged_rows.c, sequence.c): replies as the engines' guides and tests show them, each cut in every way. Where another engine reads
 * something else the line says so; docs/tool-formats.md has the table. */
#include "cuts.h"

#define CALLS_2 "f\t{\"city\":\"Tokyo\"}\ng\t{}\n"
#define F       "{\"name\": \"f\", \"arguments\": {\"city\": \"Tokyo\"}}"
#define G       "{\"name\": \"g\", \"arguments\": {}}"

/* What all formats of objects between two tags have in common. */
static void expect_block(const struct toolcall_format *f, const char *open, const char *close, bool lists, bool keeps_after)
{
    static const struct {
        const char *body;  /* one call, or several in a list */
        const char *calls; /* NULL: no call, the reply stays as it is */
        bool list;
    } ROWS[] = {
        { F, "f\t{\"city\":\"Tokyo\"}\n", false },
        { "\n " F " \n", "f\t{\"city\":\"Tokyo\"}\n", false },
        { "[" F ", " G "]", CALLS_2, true },
        { "[\n  " F ",\n  " G "\n]", CALLS_2, true },
        { "{\"name\": \"g\", \"arguments\": {}}", "g\t{}\n", false },
        { "{\"name\": \"f\", \"arguments\": {\"s\": \"a\\\"b\", \"i\": 42, \"x\": 3.14, \"b\": true, \"n\": null, \"a\": [\"x\", "
          "[]], \"o\": "
          "{\"k\": {}}}}",
          "f\t{\"s\":\"a\\\"b\",\"i\":42,\"x\":3.14,\"b\":true,\"n\":null,\"a\":[\"x\",[]],\"o\":{\"k\":{}}}\n", false },
        { "{\"name\": \"f\", \"arguments\": {\"u\": \"\\u5317\\u4eac \\ud83c\\udf89 \xf0\x9f\x8e\x89\", \"p\": \"C:\\\\x\\n\"}}",
          "f\t{\"u\":\"北京 🎉 🎉\",\"p\":\"C:\\\\x\\n\"}\n", false },
        { "[" F ", {\"k\": 1}, 7, {\"name\": 3}]", "f\t{\"city\":\"Tokyo\"}\n", true },
        { "{\"name\": \"f\", \"arguments\": {", NULL, false },
        { "what", NULL, false },
        { "", NULL, false },
        { "{\"arguments\": {}}", NULL, false },
    };
    char text[1024], want[1024];
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (ROWS[i].list && !lists)
            continue;
        snprintf(text, sizeof(text), "Hi. %s%s%s", open, ROWS[i].body, close);
        assert_parses(f, NULL, text, ROWS[i].calls ? "Hi. " : text, ROWS[i].calls ? ROWS[i].calls : "");
        if (!ROWS[i].calls)
            continue;
        snprintf(text, sizeof(text), "%s%s%s\n and more", open, ROWS[i].body, close);
        assert_parses(f, NULL, text, keeps_after ? "\n and more" : "", ROWS[i].calls);
    }
    /* Tags as data; several blocks; text between them; the last end missing; an end that never comes. */
    snprintf(text, sizeof(text), "%s{\"name\": \"f\", \"arguments\": {\"t\": \"%s%s\"}}%s", open, open, close, close);
    if (!strchr(open, '\n')) {
        snprintf(want, sizeof(want), "f\t{\"t\":\"%s%s\"}\n", open, close);
        assert_parses(f, NULL, text, "", want);
    }
    snprintf(text, sizeof(text), "a%s" F "%s\n%s" G "%s b", open, close, open, close);
    assert_parses(f, NULL, text, keeps_after ? "a b" : "a", CALLS_2);
    snprintf(text, sizeof(text), "%s" F "%smid%s" G, open, close, open);
    assert_parses(f, NULL, text, keeps_after ? "mid" : "", CALLS_2);
    snprintf(text, sizeof(text), "%.*s and text", (int)(strlen(open) - 1), open);
    assert_parses(f, NULL, text, text, "");
}

static void objects_between_two_tags(void **state)
{
    expect_block(&TOOLCALL_ERNIE45, "<tool_call>", "</tool_call>", true, true);
    expect_block(&TOOLCALL_GRANITE4, "<tool_call>", "</tool_call>", true, true);
    expect_block(&TOOLCALL_HUNYUAN_A13B, "<tool_calls>", "</tool_calls>", true, false);
    expect_block(&TOOLCALL_INTERNLM, "<|action_start|><|plugin|>", "<|action_end|>", true, true);
    expect_block(&TOOLCALL_INTERNLM, "<|action_start|> <|plugin|>\n", "<|action_end|>", true, true);
    expect_block(&TOOLCALL_JAMBA, "<tool_calls>", "</tool_calls>", true, true);
    expect_block(&TOOLCALL_LONGCAT, "<longcat_tool_call>", "</longcat_tool_call>", true, true);
    expect_block(&TOOLCALL_NEMOTRON_JSON, "<TOOLCALL>", "</TOOLCALL>", true, true);
    expect_block(&TOOLCALL_QWEN, "<tool_call>", "</tool_call>", true, true);
    expect_block(&TOOLCALL_TRINITY, "<tool_call>", "</tool_call>", true, true);
}

static void parses(const struct toolcall_format *f, const char *text, const char *content, const char *calls)
{
    assert_parses(f, NULL, text, content, calls);
}

static void names_that_are_keys(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_APERTUS;
    parses(f, "Let me check. <|tools_prefix|>[{\"f\": {\"city\": \"Tokyo\"}}, {\"g\": {}}]<|tools_suffix|>", "Let me check. ",
           CALLS_2);
    parses(f, "<|tools_prefix|>[{\"f\": {\"nested\": {\"inner\": \"v\"}, \"list\": [\"a\", \"b\"]}}]<|tools_suffix|> ", "",
           "f\t{\"nested\":{\"inner\":\"v\"},\"list\":[\"a\",\"b\"]}\n");
    parses(f, "<|tools_prefix|>[{\"f\": {\"city\": \"Tokyo\"}}]", "", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "<|tools_prefix|>[{\"g\": null}, {}, 3]<|tools_suffix|>x", "x", "g\t{}\n");
    parses(f, "<|tools_prefix|>[{\"f\": {\"t\": \"<|tools_suffix|>\"}}]<|tools_suffix|>", "", "f\t{\"t\":\"<|tools_suffix|>\"}\n");
    parses(f, "<|tools_prefix|>[{\"f\": {\"city\": \"Tokyo\"}", "<|tools_prefix|>[{\"f\": {\"city\": \"Tokyo\"}",
           ""); /* vLLM completes it */
    parses(f, "<|tools_prefix|>[]<|tools_suffix|>", "<|tools_prefix|>[]<|tools_suffix|>", "");
    parses(f, "<|tools_prefix|>[{\"\\u0066\": {\"k\": \"\\u00e9\"}}]<|tools_suffix|>", "", "f\t{\"k\":\"é\"}\n");
}

static void granite_in_its_versions(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_GRANITE;
    parses(f, "<|tool_call|> [" F ", " G "]", "", CALLS_2);
    parses(f, "<tool_call> [" F "]", "", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "<|tool_call|>[{\"arguments\": {\"city\": \"Tokyo\"}, \"name\": \"f\"}, {\"arguments\": {}, \"name\": \"g\"}]", "",
           CALLS_2);
    parses(f, " [" F "]", "", "f\t{\"city\":\"Tokyo\"}\n"); /* without a tag */
    parses(f, "Let me see.\n<|tool_call|> [" F "]\nDone.", "Let me see.\n\nDone.",
           "f\t{\"city\":\"Tokyo\"}\n");                            /* vLLM: all text */
    parses(f, "<|tool_call|> " F, "", "f\t{\"city\":\"Tokyo\"}\n"); /* vLLM: all text */
    parses(f, "<|tool_call|> [{\"name\": \"f\", \"arguments\": {", "<|tool_call|> [{\"name\": \"f\", \"arguments\": {", "");
    parses(f, "Some text [{\"name\": \"f\"}]", "Some text [{\"name\": \"f\"}]", "");
    parses(f, "[{\"name\": \"f\"}] is data", "[{\"name\": \"f\"}] is data", "");
    parses(f, "[see <tool_call>[" F "]", "[see ", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, " [1", " [1", "");
    parses(f, "  ", "  ", "");
    parses(f, "[", "[", "");

    parses(&TOOLCALL_GRANITE4,
           "Here goes: \n<tool_call> {\"name\": \"f\", \"arguments\": \"{\\\"city\\\": \\\"Tokyo\\\"}\"} </tool_call> Now: \n "
           "<tool_call> " G " </tool_call> See?",
           "Here goes: \n Now: \n  See?", CALLS_2);

    f = &TOOLCALL_GRANITE_20B_FC;
    parses(f, "<function_call> " F "\n<function_call> " G, "", CALLS_2);
    parses(f, "Text.\n<function_call> " F, "Text.\n", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "<function_call> [" F "]", "", "f\t{\"city\":\"Tokyo\"}\n"); /* vLLM: text */
    parses(f, "<function_call> {\"name\": 123}", "<function_call> {\"name\": 123}", "");
    parses(f, "<function_call> {\"name\": \"f\", \"arguments\": {\"t\": \"<function_call>\"}} tail", " tail",
           "f\t{\"t\":\"<function_call>\"}\n");
    parses(f, "say <function_call> to call", "say <function_call> to call", "");
    parses(f, F, F, "");
}

static void parameters_or_arguments(void **state)
{
    parses(&TOOLCALL_INTERNLM,
           "Hm.<|action_start|> <|plugin|>\n{\"name\": \"f\", \"parameters\": {\"city\": \"Tokyo\"}}<|action_end|>\n", "Hm.",
           "f\t{\"city\":\"Tokyo\"}\n");
    parses(&TOOLCALL_INTERNLM, "<|action_start|>{\"name\": \"f\"}", "<|action_start|>{\"name\": \"f\"}", "");
    parses(&TOOLCALL_INTERNLM, "<|action_start|><|plugin|>no<|action_end|>", "<|action_start|><|plugin|>no<|action_end|>", "");
}

static void what_stands_around_is_left_out(void **state)
{
    parses(&TOOLCALL_ERNIE45, "<response>\nHi\n</response>\n<tool_call>\n" F "\n</tool_call>\n", "\nHi\n\n",
           "f\t{\"city\":\"Tokyo\"}\n");
    parses(&TOOLCALL_ERNIE45, "two calls.\n</think>\n\n<tool_call>\n" F "\n</tool_call>\n<tool_call>\n" G "\n</tool_call>\n",
           "two calls.\n</think>\n\n", CALLS_2); /* thoughts are another parser's */
    parses(&TOOLCALL_TRINITY, "<think>I will.<tool_call>" F "</tool_call></think>ok", "I will.ok", "f\t{\"city\":\"Tokyo\"}\n");
    parses(&TOOLCALL_TRINITY, "<thi", "<thi", "");
    parses(&TOOLCALL_HUNYUAN_A13B, "<tool_calls>[" F "]</tool_calls>\n</answer>", "", "f\t{\"city\":\"Tokyo\"}\n");
    parses(&TOOLCALL_JAMBA, " <tool_calls>[\n    " F ",\n    " G "\n]</tool_calls>", " ", CALLS_2);
}

static void gigachat_in_its_versions(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_GIGACHAT3;
    parses(f, "I'll check.<|message_sep|>\n\nfunction call<|role_sep|>\n" F "</s>", "I'll check.", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "I'll check.<|function_call|>" F "</s>", "I'll check.", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "function call<|role_sep|>\n" G, "", "g\t{}\n");
    parses(f, "<|function_call|>{\"name\": \"f\", \"arguments\": {\"t\": \"</s><|message_sep|>\"}}", "",
           "f\t{\"t\":\"</s><|message_sep|>\"}\n");
    parses(f, "function call", "function call", "");
    parses(f, "Hello.<|message_sep|></s>", "Hello.", "");
    parses(f, "<|function_call|>{\"name\"", "<|function_call|>{\"name\"", "");
}

static void functools_is_also_a_word(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_PHI4_MINI_JSON;
    parses(f, "functools[" F ", " G "]", "", CALLS_2);
    parses(f, "Let me.\nfunctools[\n  " F "\n]\nMore?", "Let me.\n\nMore?", "f\t{\"city\":\"Tokyo\"}\n"); /* vLLM: no text */
    parses(f, "functools[{\"name\": \"f\", \"parameters\": {\"s\": \"functools[\"}}]", "", "f\t{\"s\":\"functools[\"}\n");
    parses(f, "functools{\"name\": \"f\"}", "functools{\"name\": \"f\"}", "");
    parses(f, "functools[{\"name\": \"f\"}]", "functools[{\"name\": \"f\"}]", "");
    parses(f, "functools[] This is just text", "functools[] This is just text", "");
    parses(f, "functools[ This is just text ]", "functools[ This is just text ]", "");
    parses(f, "import functools; functools[0] functools[" F "]", "import functools; functools[0] ", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "functools[{\"name\": \"f\", \"arguments\": {", "functools[{\"name\": \"f\", \"arguments\": {", "");
}

static void xlam_in_its_wrappings(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_XLAM;
    parses(f, "[" F ", " G "]", "", CALLS_2);
    parses(f, "\n [" F "]\n", "", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "<think>I'll help.</think>[" F "]", "<think>I'll help.</think>", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "<think>x</think>\n\n[1, 2] is data", "<think>x</think>\n\n[1, 2] is data", "");
    parses(f, "I'll help.\n```json\n[" F "]\n```", "I'll help.\n", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "```\n[" F "]\n``` ok", " ok", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "Sure.[TOOL_CALLS][" F "]", "Sure.", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "Sure.<tool_call>[" F "]</tool_call>", "Sure.", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "<tool_call>" F "</tool_call>\n<tool_call>" G "</tool_call>", "", CALLS_2); /* vLLM: lists only */
    parses(f, "```json\n{\"name\": \"Ann\"}\n```\n```python\nprint([0])\n```",
           "```json\n{\"name\": \"Ann\"}\n```\n```python\nprint([0])\n```", "");
    parses(f, "[{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}]", "", "f\t{\"a\":1}\n");
    parses(f, "[{\"name\": \"f\", \"arguments\": {\"c\": \"```json [TOOL_CALLS]</think>\"}}]", "",
           "f\t{\"c\":\"```json [TOOL_CALLS]</think>\"}\n");
    parses(f, "[{\"name\": \"f\"", "[{\"name\": \"f\"", "");
    parses(f, "[not] ``` [TOOL_CALLS]", "[not] ``` [TOOL_CALLS]", "");
}

/* ---- several calls in one section (sequence.c) ---- */

#define LB "<|tool_call_start|>"
#define LE "<|tool_call_end|>"
#define OB "<function_calls>"
#define OE "</function_calls>"

static void python_calls(void **state)
{
    static const struct {
        const char *call, *told;
    } ROWS[] = {
        { "f(city='San Francisco', metric='celsius')", "f\t{\"city\":\"San Francisco\",\"metric\":\"celsius\"}\n" },
        { "r(name='John', age=37, a={'c': 'SF'}, role=None, ok=True, l=['x', 'y'])",
          "r\t{\"name\":\"John\",\"age\":37,\"a\":{\"c\":\"SF\"},\"role\":null,\"ok\":true,\"l\":[\"x\",\"y\"]}\n" },
        { "r(role=null, ok=true, no=[false])", "r\t{\"role\":null,\"ok\":true,\"no\":[false]}\n" },
        { "g()", "g\t{}\n" },
        { "f(d={}, l=[])", "f\t{\"d\":{},\"l\":[]}\n" },
        { "f(city='Martha\\'s Vineyard', m='\\\"cool\\\"')", "f\t{\"city\":\"Martha's Vineyard\",\"m\":\"\\\"cool\\\"\"}\n" },
        { "a.b.c(x=[{'n': 'L', 'k': 2}])", "a.b.c\t{\"x\":[{\"n\":\"L\",\"k\":2}]}\n" },
        { "x(c='grep -F \"]\" log.txt')", "x\t{\"c\":\"grep -F \\\"]\\\" log.txt\"}\n" },
        { "x(c='cat > f <<E\nprint(1)\nE')", "x\t{\"c\":\"cat > f <<E\\nprint(1)\\nE\"}\n" },
        { "d(month=07, day=05)", "d\t{\"month\":7,\"day\":5}\n" },
        { "f(t='" LE OE "')", "f\t{\"t\":\"" LE OE "\"}\n" },
        { "f(u='\\u5317\\u4eac', v=\"\xf0\x9f\x8e\x89\")", "f\t{\"u\":\"北京\",\"v\":\"🎉\"}\n" },
    };
    char text[1024], want[512];
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        snprintf(want, sizeof(want), "%sg\t{}\n", ROWS[i].told);
        snprintf(text, sizeof(text), "Ok " LB "[%s, g()]" LE "\nDone.", ROWS[i].call);
        parses(&TOOLCALL_LFM2, text, "Ok \nDone.", want);
        snprintf(text, sizeof(text), "Ok " OB "%s\ng()" OE "\n", ROWS[i].call);
        parses(&TOOLCALL_OLMO3, text, "Ok ", want);
    }
    parses(&TOOLCALL_LFM2, LB " [g()]" LE, "", "g\t{}\n");
    parses(&TOOLCALL_LFM2, LB "[" F ", " G "]" LE, "", CALLS_2);
    parses(&TOOLCALL_LFM2, LB "[f(1), f(*a), g()]" LE, "", "g\t{}\n"); /* a call that cannot be told does not hurt the others */
    parses(&TOOLCALL_LFM2, LB "[]" LE "x", LB "[]" LE "x", "");
    parses(&TOOLCALL_LFM2, LB "[f(a=1)", "", "f\t{\"a\":1}\n");
    parses(&TOOLCALL_LFM2, LB "[f(a='1", LB "[f(a='1", "");
    parses(&TOOLCALL_LFM2, LB "no call" LE "x " LB "[g()]" LE, "x ", "g\t{}\n");
    parses(&TOOLCALL_LFM2, "a" LB "[g()]" LE "b" LB "[g()]" LE, "ab", "g\t{}\ng\t{}\n");
    parses(&TOOLCALL_OLMO3, OB "f(x=1]\ng()" OE, "", "g\t{}\n"); /* vLLM: none */
    parses(&TOOLCALL_OLMO3, OB "calc(x=1e999)\ng()" OE, "", "g\t{}\n");
    parses(&TOOLCALL_OLMO3, OB "some words\ng()\nmore g()" OE, "", "g\t{}\n");
    parses(&TOOLCALL_OLMO3, OB, OB, "");
}

static void json_lines(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_MINIMAX_M1;
    parses(f, "I'll check. <tool_calls>\n" F "\n" G "\n</tool_calls>", "I'll check. ", CALLS_2);
    parses(f, "<tool_calls>\n" F "\n{invalid json here}\n" G "\n</tool_calls>tail", "tail", CALLS_2);
    parses(f, "<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"city\": \n" F "\n{\"arguments\": {}}\n" G "\n</tool_calls>", "",
           CALLS_2);
    parses(f, "<tool_calls>\n" F, "", "f\t{\"city\":\"Tokyo\"}\n");
    parses(f, "<tool_calls>\n{\n  \"name\": \"g\",\n  \"arguments\": {}\n}\n</tool_calls>", "",
           "g\t{}\n"); /* vLLM: one line only */
    parses(f, "<tool_calls>[" F ", " G "]</tool_calls>", "", CALLS_2);
    parses(f, "<tool_calls>\n{\"name\": \"f\", \"arguments\": {\"t\": \"</tool_calls>\"}}\n</tool_calls>", "",
           "f\t{\"t\":\"</tool_calls>\"}\n");
    parses(f, "x <tool_calls>\nnothing\n</tool_calls> y", "x <tool_calls>\nnothing\n</tool_calls> y", "");
    parses(f, "<tool_calls>\n{\"name\": \"f\"", "<tool_calls>\n{\"name\": \"f\"", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_between_two_tags),
        cmocka_unit_test(names_that_are_keys),
        cmocka_unit_test(granite_in_its_versions),
        cmocka_unit_test(parameters_or_arguments),
        cmocka_unit_test(what_stands_around_is_left_out),
        cmocka_unit_test(gigachat_in_its_versions),
        cmocka_unit_test(functools_is_also_a_word),
        cmocka_unit_test(xlam_in_its_wrappings),
        cmocka_unit_test(python_calls),
        cmocka_unit_test(json_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
