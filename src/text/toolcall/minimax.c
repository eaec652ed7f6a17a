/* text/toolcall/minimax.c -- <minimax:tool_call> with <invoke name="F"><parameter name="K">V</parameter></invoke>, several in one: MiniMax M2 (spec 6.17)
 *
 * Values keep their white space and have their entities read. Without a declared type a value that looks like a list or an object stays a string, as SMG reads it.
 * A call counts when its invoke is whole, even if the wrapper never ends. A wrapper without any is text.
 */
#include "text/toolcall/blocks.h"
#include "text/toolcall/markup.h"

static const struct markup PARAMETER = { STR_INIT("<parameter"), STR_INIT(">"), STR_INIT("</parameter>"), .named = true };
static const struct markup_entity ENTITIES[] = {
    { STR_INIT("&lt;"), STR_INIT("<") },    { STR_INIT("&gt;"), STR_INIT(">") },   { STR_INIT("&amp;"), STR_INIT("&") },
    { STR_INIT("&quot;"), STR_INIT("\"") }, { STR_INIT("&apos;"), STR_INIT("'") },
};

static void put_value(struct toolcall_parser *p, struct str function, struct str key, struct str text)
{
    struct buf *out = &p->work;
    text = markup_unescape(text, ENTITIES, ARRAY_LEN(ENTITIES), &p->scratch);
    buf_clear(out);
    if (!arguments_coerce(toolcall_param_type(p->config.tools, function, key), text, &p->scratch, out) &&
        !arguments_guess_python_word(text, out) && !arguments_guess_number(text, out))
        arguments_string(text, out);
}

static bool unit(struct toolcall_parser *p, struct str invoke, bool closed)
{
    struct str head, body, name, key;
    struct markup_element e;
    struct arguments_object arguments = { .arena = &p->scratch };
    if (!closed || !markup_tag(invoke, &head, &body) || !markup_attribute(head, STR("name"), &name))
        return false;
    name = arguments_trim(name);
    if (!name.n)
        return false;
    while (markup_next(&body, &PARAMETER, &e) && markup_attribute(e.attributes, STR("name"), &key)) {
        put_value(p, name, key, e.body);
        arguments_put(&arguments, key, buf_str(&p->work));
    }
    buf_clear(&p->work);
    arguments_object_write(&arguments, &p->work);
    parser_call(p, name, buf_str(&p->work));
    return true;
}

static const struct blocks MINIMAX = {
    .opener = STR_INIT("<minimax:tool_call>"),
    .closer = STR_INIT("</minimax:tool_call>"),
    .unit_opener = STR_INIT("<invoke"),
    .unit_closer = STR_INIT("</invoke>"),
    .value_opener = STR_INIT("<parameter"),
    .value_closer = STR_INIT("</parameter>"),
    .empty = BLOCKS_TEXT,
    .unit = unit,
};

static void start(struct toolcall_parser *p)
{
    blocks_start(p, &MINIMAX);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &MINIMAX, text, ended);
}

static const char *const ALIASES[] = { "minimax", NULL };
const struct toolcall_format TOOLCALL_MINIMAX_M2 = {
    .name = "minimax_m2",
    .summary = "<minimax:tool_call><invoke name=\"F\"><parameter name=\"K\">V</parameter></invoke></minimax:tool_call>",
    .aliases = ALIASES,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};
