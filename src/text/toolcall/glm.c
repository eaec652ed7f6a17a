/* text/toolcall/glm.c -- <tool_call>NAME, then <arg_key>K</arg_key><arg_value>V</arg_value>: GLM 4.5 to 5 (spec 6.11)
 *
 * 4.5 writes a line feed behind the name and each element, 4.7 does not: both names read both, so that a wrong choice works.
 * Poolside's Laguna, Ling 3 and Spark 2.5 write the same (SGLang: python/sglang/srt/function_call/poolside_v1_detector.py, ling3_detector.py, spark25_detector.py, 2026).
 */
#include "text/toolcall/blocks.h"
#include "text/toolcall/markup.h"

static const struct str ARG_KEY = STR_INIT("<arg_key>"), ARG_VALUE = STR_INIT("<arg_value>"),
                        ARG_VALUE_END = STR_INIT("</arg_value>");

static void put_value(struct toolcall_parser *p, struct str function, struct str key, struct str text)
{
    struct buf *out = &p->work;
    enum param_type type = toolcall_param_type(p->config.tools, function, key);
    buf_clear(out);
    if (type != PARAM_STRING) /* white space is a part of a string only */
        text = arguments_trim(text);
    if (!arguments_coerce(type, text, &p->scratch, out) && !arguments_guess_json(text, &p->scratch, out) &&
        !arguments_guess_python_word(text, out) && !arguments_guess_number(text, out))
        arguments_string(text, out);
}

/* The next key and value of *REST; a key without a value is passed over. */
static bool argument_next(struct str *rest, struct str *ret_key, struct str *ret_value)
{
    static const struct markup KEY = { STR_INIT("<arg_key"), STR_INIT(">"), STR_INIT("</arg_key>") };
    struct markup_element key;
    size_t at;
    while (markup_next(rest, &KEY, &key)) {
        struct str value = *rest;
        while (value.n && (value.p[0] == ' ' || (value.p[0] >= '\t' && value.p[0] <= '\r')))
            value = str_skip(value, 1);
        if (!str_has_prefix(value, ARG_VALUE))
            continue;
        value = str_skip(value, ARG_VALUE.n);
        size_t end = str_find(value, ARG_VALUE_END);
        if (end == STR_NPOS)
            return false;
        while ((at = str_find(key.body, ARG_KEY)) != STR_NPOS) /* another one was damaged in front of it */
            key.body = str_skip(key.body, at + ARG_KEY.n);
        *ret_key = arguments_trim(key.body);
        *ret_value = str_first(value, end);
        *rest = str_skip(value, end + ARG_VALUE_END.n);
        return true;
    }
    return false;
}

/* The name: up to white space or the first element. What follows it is markup, damaged or not, or nothing, else this is prose. */
static bool read_name(struct str *rest, struct str *ret_name)
{
    size_t n = 0;
    *rest = arguments_trim(*rest);
    while (n < rest->n && (uint8_t)rest->p[n] > ' ' && rest->p[n] != '<')
        n++;
    *ret_name = str_first(*rest, n);
    *rest = arguments_trim(str_skip(*rest, n));
    return n && ret_name->p[0] != '{' && (!rest->n || rest->p[0] == '<' || str_find(*rest, ARG_VALUE) != STR_NPOS);
}

static bool unit(struct toolcall_parser *p, struct str call, bool closed)
{
    struct str name, key, value;
    struct arguments_object arguments = { .arena = &p->scratch };
    if (!closed || !read_name(&call, &name))
        return false;
    while (argument_next(&call, &key, &value)) {
        put_value(p, name, key, value);
        arguments_put(&arguments, key, buf_str(&p->work));
    }
    buf_clear(&p->work);
    arguments_object_write(&arguments, &p->work);
    parser_call(p, name, buf_str(&p->work));
    return true;
}

static const struct blocks GLM = {
    .opener = STR_INIT("<tool_call>"),
    .closer = STR_INIT("</tool_call>"),
    .value_opener = STR_INIT("<arg_value>"),
    .value_closer = STR_INIT("</arg_value>"),
    .unit = unit,
};

static void start(struct toolcall_parser *p)
{
    blocks_start(p, &GLM);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &GLM, text, ended);
}

static const char *const ALIASES_45[] = { "glm45", "glm", "glm46", "glm4_5", "glm4_moe", "ling3", "poolside_v1", "spark25", NULL };
const struct toolcall_format TOOLCALL_GLM45_MOE = {
    .name = "glm45_moe",
    .summary = "<tool_call>F\\n<arg_key>K</arg_key>\\n<arg_value>V</arg_value>\\n</tool_call>",
    .aliases = ALIASES_45,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};

static const char *const ALIASES_47[] = { "glm47", "glm4_7", "glm5", NULL };
const struct toolcall_format TOOLCALL_GLM47_MOE = {
    .name = "glm47_moe",
    .summary = "<tool_call>F<arg_key>K</arg_key><arg_value>V</arg_value></tool_call>",
    .aliases = ALIASES_47,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};
