/* text/toolcall/keyed.c -- calls of keys and values in a section, in more spellings than GLM's (glm.c): Hunyuan 3 and K2 Horizon
 *
 *   <tool_calls><tool_call>F<tool_sep><arg_key>K</arg_key><arg_value>V</arg_value></tool_call></tool_calls>      Hunyuan 3
 *   the same with ":opensource" in each tag, as the shipping tokenizer has it                                      Hunyuan 3
 *   <ifm|tool_calls><ifm|tool_call>F<ifm|arg_key>K</ifm|arg_key><ifm|arg_value>V</ifm|arg_value></ifm|tool_call></ifm|tool_calls>
 *                                                                                                                  K2 Horizon
 * K2 Horizon may leave the section out, say each value's type (<ifm|arg_type> between key and value), or put JSON into a call: {"name": ..., "arguments": ...}.
 * A value keeps its white space when it is text. It takes the type that the function declares, else the one that stands beside it, else it is JSON when it is JSON.
 * Known from SGLang (python/sglang/srt/function_call/hunyuan_detector.py and k2_v3_detector.py) and vLLM (vllm/tool_parsers/hy_v3_tool_parser.py and its tests), 2026. SGLang takes an
 * undeclared value of Hunyuan as text; here it is read as GLM's are.
 */
#include "text/toolcall/blocks.h"
#include "text/toolcall/json_calls.h"
#include "text/toolcall/markup.h"

struct spelling {
    struct markup key, type, value; /* type: empty = there is none */
    struct str sep;                 /* behind the name; may be missing, may be empty */
};

#define HY_ELEMENT(name, suffix)                                                 \
    {                                                                            \
        STR_INIT("<" name suffix), STR_INIT(">"), STR_INIT("</" name suffix ">") \
    }
static const struct spelling HY = { HY_ELEMENT("arg_key", ""), .value = HY_ELEMENT("arg_value", ""),
                                    .sep = STR_INIT("<tool_sep>") };
static const struct spelling HY_OPENSOURCE = { HY_ELEMENT("arg_key", ":opensource"),
                                               .value = HY_ELEMENT("arg_value", ":opensource"),
                                               .sep = STR_INIT("<tool_sep:opensource>") };
static const struct spelling K2 = { HY_ELEMENT("ifm|arg_key", ""), HY_ELEMENT("ifm|arg_type", ""),
                                    HY_ELEMENT("ifm|arg_value", "") };

static void put_value(struct toolcall_parser *p, struct str function, struct str key, struct str hint, struct str text)
{
    struct buf *out = &p->work;
    enum param_type type = toolcall_param_type(p->config.tools, function, key);
    if (type == PARAM_UNKNOWN && str_eq(hint, STR("string")))
        type = PARAM_STRING;
    buf_clear(out);
    if (!arguments_coerce(type, text, &p->scratch, out) && !arguments_guess_json(text, &p->scratch, out) &&
        !arguments_guess_python_word(arguments_trim(text), out))
        arguments_string(text, out);
}

/* The element M when it is what *REST begins with, behind white space. */
static bool element_here(struct str *rest, const struct markup *m, struct str *ret_body)
{
    struct str trimmed = arguments_trim(*rest);
    struct markup_element e;
    if (!m->open.n || !str_has_prefix(trimmed, m->open) || !markup_next(&trimmed, m, &e))
        return false;
    *ret_body = e.body;
    *rest = trimmed;
    return true;
}

/* The next key and value of *REST; a key without a value is passed over. */
static bool argument_next(struct str *rest, const struct spelling *s, struct str *ret_key, struct str *ret_type,
                          struct str *ret_value)
{
    struct markup_element key;
    while (markup_next(rest, &s->key, &key)) {
        *ret_type = STR_NONE;
        (void)element_here(rest, &s->type, ret_type);
        *ret_type = arguments_trim(*ret_type);
        *ret_key = arguments_trim(key.body);
        if (element_here(rest, &s->value, ret_value))
            return true;
    }
    return false;
}

/* The name: all in front of the separator or the first key; else all there is. */
static bool read_name(struct str *rest, const struct spelling *s, struct str *ret_name)
{
    size_t at = s->sep.n ? str_find(*rest, s->sep) : STR_NPOS, skipped = s->sep.n;
    if (at == STR_NPOS) {
        at = str_find(*rest, s->key.open);
        skipped = 0;
    }
    if (at == STR_NPOS)
        at = rest->n;
    *ret_name = arguments_trim(str_first(*rest, at));
    *rest = str_skip(*rest, at + skipped);
    for (size_t i = 0; i < ret_name->n; i++)
        if ((uint8_t)ret_name->p[i] <= ' ' || strchr("<{\"", ret_name->p[i]))
            return false;
    return ret_name->n > 0;
}

static bool tell(struct toolcall_parser *p, const struct spelling *s, struct str call)
{
    struct str name, key, type, value;
    struct arguments_object arguments = { .arena = &p->scratch };
    if (!read_name(&call, s, &name))
        return false;
    while (argument_next(&call, s, &key, &type, &value)) {
        put_value(p, name, key, type, value);
        arguments_put(&arguments, key, buf_str(&p->work));
    }
    buf_clear(&p->work);
    arguments_object_write(&arguments, &p->work);
    parser_call(p, name, buf_str(&p->work));
    return true;
}

static bool hy_unit(struct toolcall_parser *p, struct str call, bool closed)
{
    return closed && tell(p, &HY, call);
}

static bool hy_opensource_unit(struct toolcall_parser *p, struct str call, bool closed)
{
    return closed && tell(p, &HY_OPENSOURCE, call);
}

static bool k2_unit(struct toolcall_parser *p, struct str call, bool closed)
{
    static const struct json_call_keys KEYS = { .name = { "name" },
                                                .arguments = { "arguments", "parameters" },
                                                .unwrap_strings = true };
    struct str trimmed = arguments_trim(call);
    if (closed && trimmed.n && (trimmed.p[0] == '{' || trimmed.p[0] == '['))
        return json_calls_tell(p, &KEYS, trimmed) > 0;
    return closed && tell(p, &K2, call);
}

static const struct blocks HY_V3_OPENSOURCE = {
    .opener = STR_INIT("<tool_calls:opensource>"),
    .closer = STR_INIT("</tool_calls:opensource>"),
    .unit_opener = STR_INIT("<tool_call:opensource>"),
    .unit_closer = STR_INIT("</tool_call:opensource>"),
    .unit = hy_opensource_unit,
};
static const struct blocks HY_V3 = {
    .other = &HY_V3_OPENSOURCE,
    .opener = STR_INIT("<tool_calls>"),
    .closer = STR_INIT("</tool_calls>"),
    .unit_opener = STR_INIT("<tool_call>"),
    .unit_closer = STR_INIT("</tool_call>"),
    .unit = hy_unit,
};

static const struct blocks K2_CALL = {
    .opener = STR_INIT("<ifm|tool_call>"),
    .closer = STR_INIT("</ifm|tool_call>"),
    .unit = k2_unit,
};
static const struct blocks K2_HORIZON = {
    .other = &K2_CALL,
    .opener = STR_INIT("<ifm|tool_calls>"),
    .closer = STR_INIT("</ifm|tool_calls>"),
    .unit_opener = STR_INIT("<ifm|tool_call>"),
    .unit_closer = STR_INIT("</ifm|tool_call>"),
    .keep_after = true,
    .unit = k2_unit,
};

static void start(struct toolcall_parser *p)
{
    blocks_start(p, p->format->row);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, p->format->row, text, ended);
}

static const char *const HY_ALIASES[] = { "hunyuan", "hy3", NULL };
const struct toolcall_format TOOLCALL_HY_V3 = {
    .name = "hy_v3",
    .summary = "<tool_calls><tool_call>F<tool_sep><arg_key>K</arg_key><arg_value>V</arg_value></tool_call></tool_calls>",
    .aliases = HY_ALIASES,
    .row = &HY_V3,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};

static const char *const K2_ALIASES[] = { "k2_v3", NULL };
const struct toolcall_format TOOLCALL_K2_HORIZON = {
    .name = "k2_horizon",
    .summary = "<ifm|tool_calls><ifm|tool_call>F<ifm|arg_key>K</ifm|arg_key><ifm|arg_value>V</ifm|arg_value></ifm|tool_call>"
               "</ifm|tool_calls>",
    .aliases = K2_ALIASES,
    .row = &K2_HORIZON,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};
