/* text/toolcall/elements.c -- calls of elements in a section of their own: dots and Solar Open 2
 *
 *   <dots_function_call><invoke name="F"><parameter name="K">V</parameter></invoke></dots_function_call>      dots; also {"name": ..., "arguments": ...}
 *   <|tool_call:start|>F\n<|tool_arg:start|>K<|tool_arg:value|>V<|tool_arg:end|>\n<|tool_call:end|>           Solar Open 2
 *
 * Values take the type that the function declares, else they are text; dots trims them and reads null whatever the type. Of a key that stands twice the last value counts.
 * Known from SGLang (python/sglang/srt/function_call/dots_detector.py) and vLLM (vllm/tool_parsers/dots_tool_parser.py, solar_open2_tool_parser.py and their tests), 2026.
 */
#include "text/toolcall/blocks.h"
#include "text/toolcall/json_calls.h"
#include "text/toolcall/markup.h"

static void put_value(struct toolcall_parser *p, struct str function, struct str key, struct str text)
{
    buf_clear(&p->work);
    if (!arguments_coerce(toolcall_param_type(p->config.tools, function, key), text, &p->scratch, &p->work))
        arguments_string(text, &p->work);
}

static void tell(struct toolcall_parser *p, struct str name, const struct arguments_object *arguments)
{
    buf_clear(&p->work);
    arguments_object_write(arguments, &p->work);
    parser_call(p, name, buf_str(&p->work));
}

/* ---- dots ---- */

static const struct markup INVOKE = { STR_INIT("<invoke"), STR_INIT(">"), STR_INIT("</invoke>") };
static const struct markup PARAMETER = { STR_INIT("<parameter"), STR_INIT(">"), STR_INIT("</parameter>") };

/* name="F", or name=F. */
static bool name_of(struct str attributes, struct str *ret)
{
    struct str before;
    if (markup_attribute(attributes, STR("name"), ret))
        return ret->n > 0;
    if (!str_split(attributes, '=', &before, ret) || !str_eq(arguments_trim(before), STR("name")))
        return false;
    *ret = arguments_trim(*ret);
    return ret->n > 0;
}

static void dots_invoke(struct toolcall_parser *p, struct str name, struct str body)
{
    struct arguments_object arguments = { .arena = &p->scratch };
    struct markup_element e;
    struct str key;
    while (markup_next(&body, &PARAMETER, &e)) {
        struct str value = arguments_trim(e.body);
        if (!name_of(e.attributes, &key))
            continue;
        put_value(p, name, key, value);
        arguments_put(&arguments, key, str_eq(value, STR("null")) ? value : buf_str(&p->work));
    }
    tell(p, name, &arguments);
}

static bool dots_unit(struct toolcall_parser *p, struct str section, bool closed)
{
    struct str trimmed = arguments_trim(section), name;
    struct markup_element e;
    unsigned before = p->calls;
    if (trimmed.n && trimmed.p[0] == '{')
        return json_calls_tell(p, &JSON_CALL_KEYS, trimmed) > 0;
    while (markup_next(&section, &INVOKE, &e))
        if (name_of(e.attributes, &name))
            dots_invoke(p, name, e.body);
    return p->calls > before;
}

static const struct blocks DOTS = {
    .opener = STR_INIT("<dots_function_call>"),
    .closer = STR_INIT("</dots_function_call>"),
    .keep_after = true,
    .unit = dots_unit,
};

/* ---- Solar Open 2 ---- */

/* The name is the rest of the first line. */
static bool solar_unit(struct toolcall_parser *p, struct str call, bool closed)
{
    static const struct markup ARGUMENT = { STR_INIT("<|tool_arg:start|>"), STR_INIT("<|tool_arg:value|>"),
                                            STR_INIT("<|tool_arg:end|>") };
    struct arguments_object arguments = { .arena = &p->scratch };
    struct markup_element e;
    size_t line = str_find_char(call, '\n');
    struct str name = arguments_trim(str_first(call, line == STR_NPOS ? call.n : line));
    if (!closed || !name.n || str_find_char(name, '<') != STR_NPOS)
        return false;
    while (markup_next(&call, &ARGUMENT, &e)) {
        struct str key = arguments_trim(e.attributes);
        put_value(p, name, key, e.body);
        arguments_put(&arguments, key, buf_str(&p->work));
    }
    tell(p, name, &arguments);
    return true;
}

static const struct blocks SOLAR_OPEN2 = {
    .opener = STR_INIT("<|tool_call:start|>"),
    .closer = STR_INIT("<|tool_call:end|>"),
    .unit = solar_unit,
};

/* ---- */

static void start(struct toolcall_parser *p)
{
    blocks_start(p, p->format->row);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, p->format->row, text, ended);
}

static const char *const DOTS_ALIASES[] = { "dots1", NULL };
const struct toolcall_format TOOLCALL_DOTS = {
    .name = "dots",
    .summary = "<dots_function_call><invoke name=\"F\"><parameter name=\"K\">V</parameter></invoke></dots_function_call>",
    .aliases = DOTS_ALIASES,
    .row = &DOTS,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};

static const char *const SOLAR_ALIASES[] = { "solar", NULL };
const struct toolcall_format TOOLCALL_SOLAR_OPEN2 = {
    .name = "solar_open2",
    .summary = "<|tool_call:start|>F\\n<|tool_arg:start|>K<|tool_arg:value|>V<|tool_arg:end|>\\n<|tool_call:end|>",
    .aliases = SOLAR_ALIASES,
    .row = &SOLAR_OPEN2,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};
