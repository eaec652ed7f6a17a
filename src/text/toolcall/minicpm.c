/* text/toolcall/minicpm.c -- <function name="F"><param name="K">V</param></function>, V perhaps <![CDATA[...]]>: MiniCPM 5
 *
 * Outside CDATA the entities of XML are read. White space around a value goes. A value takes the type that the function declares; without one it is JSON or a Python literal when it is one.
 * A parameter without a name is passed over.
 * Known from SGLang (python/sglang/srt/function_call/minicpm5_detector.py) and vLLM (vllm/tool_parsers/minicpm5xml_tool_parser.py and its tests), 2026. Both refuse calls whose parameters
 * the tools do not declare; here they are told (decisions 19).
 */
#include "text/toolcall/markup.h"
#include "text/toolcall/python_literal.h"
#include "text/toolcall/quoted.h"

static const struct str CDATA = STR_INIT("<![CDATA["), CDATA_END = STR_INIT("]]>"), PARAM = STR_INIT("<param"),
                        PARAM_END = STR_INIT("</param>");
static const struct markup_entity ENTITIES[] = {
    { STR_INIT("&lt;"), STR_INIT("<") },   { STR_INIT("&gt;"), STR_INIT(">") },  { STR_INIT("&quot;"), STR_INIT("\"") },
    { STR_INIT("&apos;"), STR_INIT("'") }, { STR_INIT("&amp;"), STR_INIT("&") },
};

static bool python_value(struct str text, struct buf *out)
{
    size_t mark = out->n;
    if (text.n && python_literal(text, out) == text.n)
        return true;
    if (!out->failed)
        out->n = mark;
    return false;
}

static void put_value(struct toolcall_parser *p, struct str function, struct str key, struct str text)
{
    struct buf *out = &p->work;
    buf_clear(out);
    if (!arguments_coerce(toolcall_param_type(p->config.tools, function, key), text, &p->scratch, out) &&
        !arguments_guess_json(text, &p->scratch, out) && !python_value(text, out))
        arguments_string(text, out);
}

/* The next parameter of *REST. */
static bool param_next(struct toolcall_parser *p, struct str *rest, struct str *ret_attributes, struct str *ret_value)
{
    size_t at = str_find(*rest, PARAM), end;
    if (at == STR_NPOS || !str_split(str_skip(*rest, at + PARAM.n), '>', ret_attributes, rest))
        return false;
    struct str value = arguments_trim(*rest);
    bool raw = str_has_prefix(value, CDATA);
    if (raw) {
        value = str_skip(value, CDATA.n);
        if ((end = str_find(value, CDATA_END)) == STR_NPOS)
            return false;
        *rest = str_skip(value, end + CDATA_END.n);
        value = str_first(value, end);
        end = str_find(*rest, PARAM_END);
    } else if ((end = str_find(*rest, PARAM_END)) != STR_NPOS)
        value = markup_unescape(str_first(*rest, end), ENTITIES, ARRAY_LEN(ENTITIES), &p->scratch);
    if (end == STR_NPOS)
        return false;
    *ret_value = arguments_trim(value);
    *rest = str_skip(*rest, end + PARAM_END.n);
    return true;
}

static bool unit(struct toolcall_parser *p, struct str block, bool closed)
{
    struct str name, key, attributes, value;
    struct arguments_object arguments = { .arena = &p->scratch };
    size_t end;
    if (!closed || !block.n || (block.p[0] != '"' && block.p[0] != '\'') ||
        (end = str_find_char(str_skip(block, 1), block.p[0])) == STR_NPOS)
        return false;
    name = arguments_trim(str_first(str_skip(block, 1), end));
    if (!name.n || !str_split(str_skip(block, 2 + end), '>', &attributes, &block))
        return false;
    while (param_next(p, &block, &attributes, &value)) {
        if (!markup_attribute(attributes, STR("name"), &key))
            continue;
        put_value(p, name, key, value);
        arguments_put(&arguments, key, buf_str(&p->work));
    }
    buf_clear(&p->work);
    arguments_object_write(&arguments, &p->work);
    parser_call(p, name, buf_str(&p->work));
    return true;
}

static const struct quoted MINICPM5 = {
    .opener = STR_INIT("<function name="),
    .closer = STR_INIT("</function>"),
    .quote = STR_INIT("<![CDATA["),
    .quote_end = STR_INIT("]]>"),
    .unit = unit,
};

static const char *const ALIASES[] = { "minicpm", NULL };
const struct toolcall_format TOOLCALL_MINICPM5 = {
    .name = "minicpm5",
    .summary = "<function name=\"F\"><param name=\"K\">V</param></function>",
    .aliases = ALIASES,
    .row = &MINICPM5,
    .state_bytes = sizeof(struct quoted_state),
    .start = quoted_start,
    .step = quoted_step,
};
