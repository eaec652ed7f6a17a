/* text/toolcall/step3.c -- a section of <｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="F">...</steptml:invoke><｜tool_call_end｜>: Step 3 (spec 6.12)
 *
 * A call has at least one parameter, and no parameter is empty: SMG reads the others as text, and so do we.
 */
#include "text/toolcall/blocks.h"
#include "text/toolcall/markup.h"

static const struct markup INVOKE = { STR_INIT("<steptml:invoke"), STR_INIT(">"), STR_INIT("</steptml:invoke>"), .named = true };
static const struct markup PARAMETER = { STR_INIT("<steptml:parameter"), STR_INIT(">"), STR_INIT("</steptml:parameter>"),
                                         .named = true };
static const struct str SEP = STR_INIT("<｜tool_sep｜>");

static void put_value(struct toolcall_parser *p, struct str text)
{
    struct buf *out = &p->work;
    text = arguments_trim(text);
    buf_clear(out);
    if (!arguments_guess_json(text, &p->scratch, out) && !arguments_guess_python_word(text, out) &&
        !arguments_guess_number(text, out))
        arguments_string(text, out);
}

/* Whether its end marker is there does not matter: the invoke has an end of its own. */
static bool unit(struct toolcall_parser *p, struct str call, bool closed)
{
    struct markup_element invoke, e;
    struct str name, key;
    struct arguments_object arguments = { .arena = &p->scratch };
    size_t sep = str_find(call, SEP);
    if (sep == STR_NPOS || str_find(str_first(call, sep), STR("function")) == STR_NPOS)
        return false;
    call = str_skip(call, sep + SEP.n);
    if (str_find(call, SEP) != STR_NPOS || !markup_next(&call, &INVOKE, &invoke) || !invoke.body.n ||
        !markup_attribute(invoke.attributes, STR("name"), &name))
        return false;
    while (markup_next(&invoke.body, &PARAMETER, &e) && markup_attribute(e.attributes, STR("name"), &key)) {
        if (!e.body.n)
            continue;
        put_value(p, e.body);
        arguments_put(&arguments, key, buf_str(&p->work));
    }
    buf_clear(&p->work);
    arguments_object_write(&arguments, &p->work);
    parser_call(p, name, buf_str(&p->work));
    return true;
}

static const struct blocks STEP3 = {
    .opener = STR_INIT("<｜tool_calls_begin｜>"),
    .closer = STR_INIT("<｜tool_calls_end｜>"),
    .unit_opener = STR_INIT("<｜tool_call_begin｜>"),
    .unit_closer = STR_INIT("<｜tool_call_end｜>"),
    .reopens = true,
    .value_opener = STR_INIT("<steptml:parameter"),
    .value_closer = STR_INIT("</steptml:parameter>"),
    .unit = unit,
};

static void start(struct toolcall_parser *p)
{
    blocks_start(p, &STEP3);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &STEP3, text, ended);
}

static const char *const ALIASES[] = { "step_3", NULL };
const struct toolcall_format TOOLCALL_STEP3 = {
    .name = "step3",
    .summary = "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"F\"><steptml:parameter "
               "name=\"K\">V"
               "</steptml:parameter></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>",
    .aliases = ALIASES,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};
