/* text/toolcall/dsml.c -- DSML, invokes of typed parameters in one section: DeepSeek V3.2 (function_calls) and V4 (tool_calls) (spec 6.10); GCML is the same under
 * another name: GigaChat 3.5 (SGLang: python/sglang/srt/function_call/gigachat35_detector.py, 2026)
 *
 * White space in front of the section is not content, nor is anything behind its opener. An invoke counts when it is whole, whatever is in it; its body may also be the arguments
 * themselves, which then go out as they stand.
 */
#include "text/toolcall/blocks.h"
#include "text/toolcall/markup.h"

static const struct markup DSML_PARAMETER = { STR_INIT("<｜DSML｜parameter"), STR_INIT(">"), STR_INIT("</｜DSML｜parameter>"),
                                              .named = true };
static const struct markup GCML_PARAMETER = { STR_INIT("<｜GCML｜parameter"), STR_INIT(">"), STR_INIT("</｜GCML｜parameter>"),
                                              .named = true };
static const struct markup_entity EOS[] = { { STR_INIT("<｜end▁of▁sentence｜>"), STR_INIT("") } }; /* may stand in a value */

static void put_value(struct toolcall_parser *p, bool string, struct str text)
{
    buf_clear(&p->work);
    if (string || !arguments_guess_json(text, &p->scratch, &p->work))
        arguments_string(text, &p->work);
}

static void put_parameters(struct toolcall_parser *p, const struct markup *parameter, struct str body)
{
    struct markup_element e;
    struct str key, string;
    struct arguments_object arguments = { .arena = &p->scratch };
    while (markup_next(&body, parameter, &e) && markup_attribute(e.attributes, STR("name"), &key)) {
        bool is_string = markup_attribute(e.attributes, STR("string"), &string) && str_eq(string, STR("true"));
        put_value(p, is_string, markup_unescape(e.body, EOS, ARRAY_LEN(EOS), &p->scratch));
        arguments_put(&arguments, key, buf_str(&p->work));
    }
    buf_clear(&p->work);
    arguments_object_write(&arguments, &p->work);
}

static bool unit(struct toolcall_parser *p, struct str invoke, bool closed)
{
    struct str head, body, name;
    if (!closed || !markup_tag(invoke, &head, &body) || !markup_attribute(head, STR("name"), &name))
        return false;
    name = arguments_trim(name);
    if (!name.n)
        return false;
    struct str json = arguments_trim(body);
    if (json.n >= 2 && json.p[0] == '{' && json.p[json.n - 1] == '}') {
        parser_call(p, name, json);
        return true;
    }
    put_parameters(p, p->format == &TOOLCALL_GIGACHAT35 ? &GCML_PARAMETER : &DSML_PARAMETER, body);
    parser_call(p, name, buf_str(&p->work));
    return true;
}

static const struct blocks DEEPSEEK32 = {
    .opener = STR_INIT("<｜DSML｜function_calls>"),
    .closer = STR_INIT("</｜DSML｜function_calls>"),
    .unit_opener = STR_INIT("<｜DSML｜invoke"),
    .unit_closer = STR_INIT("</｜DSML｜invoke>"),
    .value_opener = STR_INIT("<｜DSML｜parameter"),
    .value_closer = STR_INIT("</｜DSML｜parameter>"),
    .json_body = true,
    .empty = BLOCKS_GONE,
    .trim_before = true,
    .unit = unit,
};
static const struct blocks DEEPSEEK_V4 = {
    .opener = STR_INIT("<｜DSML｜tool_calls>"),
    .closer = STR_INIT("</｜DSML｜tool_calls>"),
    .unit_opener = STR_INIT("<｜DSML｜invoke"),
    .unit_closer = STR_INIT("</｜DSML｜invoke>"),
    .value_opener = STR_INIT("<｜DSML｜parameter"),
    .value_closer = STR_INIT("</｜DSML｜parameter>"),
    .json_body = true,
    .empty = BLOCKS_GONE,
    .trim_before = true,
    .unit = unit,
};
static const struct blocks GIGACHAT35 = {
    .opener = STR_INIT("<｜GCML｜tool_calls>"),
    .closer = STR_INIT("</｜GCML｜tool_calls>"),
    .unit_opener = STR_INIT("<｜GCML｜invoke"),
    .unit_closer = STR_INIT("</｜GCML｜invoke>"),
    .value_opener = STR_INIT("<｜GCML｜parameter"),
    .value_closer = STR_INIT("</｜GCML｜parameter>"),
    .json_body = true,
    .trim_before = true,
    .unit = unit,
};

static void start32(struct toolcall_parser *p)
{
    blocks_start(p, &DEEPSEEK32);
}

static size_t step32(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &DEEPSEEK32, text, ended);
}

static void start_v4(struct toolcall_parser *p)
{
    blocks_start(p, &DEEPSEEK_V4);
}

static size_t step_v4(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &DEEPSEEK_V4, text, ended);
}

static const char *const ALIASES_32[] = { "deepseek_v32", "deepseekv32", "deepseek_v3_2", NULL };
const struct toolcall_format TOOLCALL_DEEPSEEK32 = {
    .name = "deepseek32",
    .summary = "<｜DSML｜function_calls><｜DSML｜invoke name=\"F\"><｜DSML｜parameter name=\"K\" "
               "string=\"true|false\">V</｜DSML｜parameter>"
               "</｜DSML｜invoke></｜DSML｜function_calls>",
    .aliases = ALIASES_32,
    .state_bytes = sizeof(struct blocks_state),
    .start = start32,
    .step = step32,
};

static const char *const ALIASES_V4[] = { "deepseekv4", "deepseek4", NULL };
const struct toolcall_format TOOLCALL_DEEPSEEK_V4 = {
    .name = "deepseek_v4",
    .summary =
        "<｜DSML｜tool_calls><｜DSML｜invoke name=\"F\"><｜DSML｜parameter name=\"K\" string=\"true|false\">V</｜DSML｜parameter>"
        "</｜DSML｜invoke></｜DSML｜tool_calls>",
    .aliases = ALIASES_V4,
    .state_bytes = sizeof(struct blocks_state),
    .start = start_v4,
    .step = step_v4,
};

static void start_gigachat35(struct toolcall_parser *p)
{
    blocks_start(p, &GIGACHAT35);
}

static size_t step_gigachat35(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &GIGACHAT35, text, ended);
}

const struct toolcall_format TOOLCALL_GIGACHAT35 = {
    .name = "gigachat35",
    .summary =
        "<｜GCML｜tool_calls><｜GCML｜invoke name=\"F\"><｜GCML｜parameter name=\"K\" string=\"true|false\">V</｜GCML｜parameter>"
        "</｜GCML｜invoke></｜GCML｜tool_calls>",
    .state_bytes = sizeof(struct blocks_state),
    .start = start_gigachat35,
    .step = step_gigachat35,
};
