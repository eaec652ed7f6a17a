/* text/toolcall/deepseek.c -- a section of <｜tool▁call▁begin｜>...<｜tool▁call▁end｜>: DeepSeek V3, R1 (spec 6.8) and V3.1 (spec 6.9)
 *
 *   V3     function<｜tool▁sep｜>NAME, and behind it a fence of three backticks with JSON in it
 *   V3.1   NAME<｜tool▁sep｜>JSON
 *
 * Markers in the strings of arguments are data. Arguments that are no object become {"value": X}. A call that is not read to its end marker, or whose arguments are no JSON, is skipped. No JSON holds the fence's end (a string has no line
 * ends), so that a missing one costs nothing: the end marker ends the arguments too.
 */
#include "text/toolcall/blocks.h"

static const struct str SEP = STR_INIT("<｜tool▁sep｜>");
static const struct str FENCE = STR_INIT("\n```json\n"), FENCE_END = STR_INIT("\n```");

static bool tell(struct toolcall_parser *p, struct str name, struct str text)
{
    struct json_doc doc;
    name = arguments_trim(name);
    if (!name.n || json_parse(arguments_trim(text), &p->scratch, &doc, NULL) < 0)
        return false;
    bool object = json_is(json_root(&doc), JSON_OBJECT);
    buf_clear(&p->work);
    if (!object)
        buf_puts(&p->work, "{\"value\":");
    arguments_compact(json_root(&doc), &p->scratch, &p->work);
    if (!object)
        buf_put_char(&p->work, '}');
    parser_call(p, name, buf_str(&p->work));
    return true;
}

/* What stands behind the separator: *RET_BEFORE and all that follows. */
static bool split(struct str call, struct str *ret_before, struct str *ret_behind)
{
    size_t sep = str_find(call, SEP);
    if (sep == STR_NPOS)
        return false;
    *ret_before = str_first(call, sep);
    *ret_behind = str_skip(call, sep + SEP.n);
    return true;
}

static bool unit_v3(struct toolcall_parser *p, struct str call, bool closed)
{
    struct str type, rest;
    if (!closed || !split(call, &type, &rest) || !str_eq(type, STR("function")))
        return false;
    size_t fence = str_find(rest, FENCE);
    if (fence == STR_NPOS)
        return false;
    struct str arguments = str_skip(rest, fence + FENCE.n);
    return tell(p, str_first(rest, fence), str_first(arguments, str_find(arguments, FENCE_END)));
}

static bool unit_v31(struct toolcall_parser *p, struct str call, bool closed)
{
    struct str name, arguments;
    return closed && split(call, &name, &arguments) && tell(p, name, arguments);
}

static const struct blocks DEEPSEEK = {
    .opener = STR_INIT("<｜tool▁calls▁begin｜>"),
    .closer = STR_INIT("<｜tool▁calls▁end｜>"),
    .unit_opener = STR_INIT("<｜tool▁call▁begin｜>"),
    .unit_closer = STR_INIT("<｜tool▁call▁end｜>"),
    .json_behind = STR_INIT("\n```json\n"),
    .unit = unit_v3,
};
static const struct blocks DEEPSEEK31 = {
    .opener = STR_INIT("<｜tool▁calls▁begin｜>"),
    .closer = STR_INIT("<｜tool▁calls▁end｜>"),
    .unit_opener = STR_INIT("<｜tool▁call▁begin｜>"),
    .unit_closer = STR_INIT("<｜tool▁call▁end｜>"),
    .json_behind = STR_INIT("<｜tool▁sep｜>"),
    .unit = unit_v31,
};

static void start(struct toolcall_parser *p)
{
    blocks_start(p, &DEEPSEEK);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &DEEPSEEK, text, ended);
}

static void start31(struct toolcall_parser *p)
{
    blocks_start(p, &DEEPSEEK31);
}

static size_t step31(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &DEEPSEEK31, text, ended);
}

static const char *const ALIASES[] = { "deepseek_v3", "deepseekv3", "deepseek_r1_0528", NULL };
const struct toolcall_format TOOLCALL_DEEPSEEK = {
    .name = "deepseek",
    .summary = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>F, {...} in a fence of JSON, "
               "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    .aliases = ALIASES,
    .json_block = true,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};

static const char *const ALIASES31[] = { "deepseek_v31", "deepseekv31", "deepseek_v3_1", "deepseek_v32_exp", NULL };
const struct toolcall_format TOOLCALL_DEEPSEEK31 = {
    .name = "deepseek31",
    .summary = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>F<｜tool▁sep｜>{...}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    .aliases = ALIASES31,
    .json_block = true,
    .state_bytes = sizeof(struct blocks_state),
    .start = start31,
    .step = step31,
};
