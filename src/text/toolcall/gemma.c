/* text/toolcall/gemma.c -- call:F{key:value,...} between two tags: Gemma 4 and FunctionGemma
 *
 *   <|tool_call>call:F{city:<|"|>Paris<|"|>,days:3,on:true,list:[1,2],more:{k:<|"|>v<|"|>}}<tool_call|>      Gemma 4
 *   <start_function_call>call:F{city:<escape>Paris<escape>}<end_function_call>                              FunctionGemma
 *
 * Keys are bare or quoted; a value is a quoted text, an object, a list, or bare: true, false, null, a number, else text. Commas are not needed. A call whose bracket is closed counts
 * without its end tag. A bare value takes the type that the function declares. FunctionGemma also quotes what is no text: such a value is JSON when it is JSON and declared no string.
 * Known from vLLM (vllm/tool_parsers/gemma4_tool_parser.py and functiongemma_tool_parser.py, their tests, docs/features/tool_calling.md) and SGLang
 * (python/sglang/srt/function_call/gemma4_detector.py), 2026.
 */
#include "text/toolcall/quoted.h"

#define DEPTH_MAX 127

struct reader {
    struct toolcall_parser *p;
    struct str rest;
    struct str quote;
    struct str function;
    bool quoted_json; /* FunctionGemma */
    unsigned depth;
};

static void skip(struct reader *r, const char *set)
{
    while (r->rest.n && r->rest.p[0] && strchr(set, r->rest.p[0]))
        r->rest = str_skip(r->rest, 1);
}

/* A quoted text at the cursor; false: none, or without its end. */
static bool quoted_text(struct reader *r, struct str *ret)
{
    if (!str_has_prefix(r->rest, r->quote))
        return false;
    struct str text = str_skip(r->rest, r->quote.n);
    size_t end = str_find(text, r->quote);
    if (end == STR_NPOS)
        return false;
    *ret = str_first(text, end);
    r->rest = str_skip(text, end + r->quote.n);
    return true;
}

static void put_quoted(struct reader *r, struct str text, enum param_type type, struct buf *out)
{
    if (!r->quoted_json || r->depth > 1 ||
        (!arguments_coerce(type, text, &r->p->scratch, out) && !arguments_guess_json(text, &r->p->scratch, out)))
        arguments_string(text, out);
}

static void put_bare(struct reader *r, enum param_type type, struct buf *out)
{
    size_t n = 0;
    while (n < r->rest.n && (!r->rest.p[n] || !strchr(",]}", r->rest.p[n])))
        n++;
    struct str text = arguments_trim(str_first(r->rest, n));
    r->rest = str_skip(r->rest, n);
    if (!arguments_coerce(type, text, &r->p->scratch, out) && !arguments_guess_python_word(text, out) &&
        !arguments_guess_number(text, out))
        arguments_string(text, out);
}

static bool value(struct reader *r, enum param_type type, struct buf *out);

static bool list(struct reader *r, struct buf *out)
{
    bool first = true;
    buf_put_char(out, '[');
    for (;; first = false) {
        skip(r, " \t\r\n,");
        if (!r->rest.n || r->rest.p[0] == '}')
            return false;
        if (r->rest.p[0] == ']')
            break;
        if (!first)
            buf_put_char(out, ',');
        if (!value(r, PARAM_UNKNOWN, out))
            return false;
    }
    r->rest = str_skip(r->rest, 1);
    buf_put_char(out, ']');
    return true;
}

static bool key(struct reader *r, struct str *ret)
{
    if (quoted_text(r, ret)) {
        skip(r, " \t\r\n");
        if (!r->rest.n || r->rest.p[0] != ':')
            return false;
    } else {
        size_t n = 0;
        while (n < r->rest.n && (!r->rest.p[n] || !strchr(":}]", r->rest.p[n])))
            n++;
        if (n == r->rest.n || r->rest.p[n] != ':')
            return false;
        *ret = arguments_trim(str_first(r->rest, n));
        r->rest = str_skip(r->rest, n);
    }
    r->rest = str_skip(r->rest, 1);
    return true;
}

/* Behind the opening bracket. */
static bool object(struct reader *r, struct buf *out)
{
    struct str name;
    bool first = true;
    buf_put_char(out, '{');
    for (;; first = false) {
        skip(r, " \t\r\n,");
        if (!r->rest.n)
            return false;
        if (r->rest.p[0] == '}')
            break;
        if (!key(r, &name))
            return false;
        if (!first)
            buf_put_char(out, ',');
        arguments_string(name, out);
        buf_put_char(out, ':');
        if (!value(r, r->depth == 1 ? toolcall_param_type(r->p->config.tools, r->function, name) : PARAM_UNKNOWN, out))
            return false;
    }
    r->rest = str_skip(r->rest, 1);
    buf_put_char(out, '}');
    return true;
}

static bool value(struct reader *r, enum param_type type, struct buf *out)
{
    struct str text;
    skip(r, " \t\r\n");
    if (quoted_text(r, &text)) {
        put_quoted(r, text, type, out);
        return true;
    }
    bool is_object = r->rest.n && r->rest.p[0] == '{';
    if (!is_object && (!r->rest.n || r->rest.p[0] != '[')) {
        put_bare(r, type, out);
        return true;
    }
    if (r->depth == DEPTH_MAX)
        return false;
    r->rest = str_skip(r->rest, 1);
    r->depth++;
    bool ok = is_object ? object(r, out) : list(r, out);
    r->depth--;
    return ok;
}

/* call:F{...} at the cursor, told. */
static bool call_next(struct reader *r)
{
    static const struct str CALL = STR_INIT("call:");
    struct toolcall_parser *p = r->p;
    size_t brace;
    skip(r, " \t\r\n,");
    if (!str_has_prefix(r->rest, CALL) || (brace = str_find_char(r->rest, '{')) == STR_NPOS)
        return false;
    r->function = arguments_trim(str_skip(str_first(r->rest, brace), CALL.n));
    if (!r->function.n || str_find_char(r->function, ' ') != STR_NPOS || str_find_char(r->function, '<') != STR_NPOS)
        return false;
    r->rest = str_skip(r->rest, brace + 1);
    r->depth = 1;
    buf_clear(&p->kept);
    buf_clear(&p->work);
    if (!object(r, &p->kept) || !arguments_compact_text(buf_str(&p->kept), &p->scratch, &p->work))
        return false;
    parser_call(p, r->function, buf_str(&p->work));
    return true;
}

static bool unit(struct toolcall_parser *p, struct str block, bool closed)
{
    const struct quoted *row = p->format->row;
    struct reader r = { .p = p, .rest = block, .quote = row->quote, .quoted_json = p->format == &TOOLCALL_FUNCTIONGEMMA };
    bool any = false;
    while (call_next(&r))
        any = true;
    return any;
}

static const struct quoted GEMMA4 = {
    .opener = STR_INIT("<|tool_call>"),
    .closer = STR_INIT("<tool_call|>"),
    .quote = STR_INIT("<|\"|>"),
    .quote_end = STR_INIT("<|\"|>"),
    .unit = unit,
};
static const struct quoted FUNCTIONGEMMA = {
    .opener = STR_INIT("<start_function_call>"),
    .closer = STR_INIT("<end_function_call>"),
    .quote = STR_INIT("<escape>"),
    .quote_end = STR_INIT("<escape>"),
    .unit = unit,
};

const struct toolcall_format TOOLCALL_GEMMA4 = {
    .name = "gemma4",
    .summary = "<|tool_call>call:F{key:<|\"|>text<|\"|>,key:3,...}<tool_call|>",
    .row = &GEMMA4,
    .state_bytes = sizeof(struct quoted_state),
    .start = quoted_start,
    .step = quoted_step,
};

static const char *const FUNCTIONGEMMA_ALIASES[] = { "function_gemma", NULL };
const struct toolcall_format TOOLCALL_FUNCTIONGEMMA = {
    .name = "functiongemma",
    .summary = "<start_function_call>call:F{key:<escape>text<escape>,...}<end_function_call>",
    .aliases = FUNCTIONGEMMA_ALIASES,
    .row = &FUNCTIONGEMMA,
    .state_bytes = sizeof(struct quoted_state),
    .start = quoted_start,
    .step = quoted_step,
};
