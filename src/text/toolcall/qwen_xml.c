/* text/toolcall/qwen_xml.c -- <tool_call><function=F><parameter=K>V</parameter></function></tool_call>: Qwen3-Coder, Qwen3.5 and others (spec 6.6)
 *
 *   TEXT --<tool_call>--> WRAPPED --</tool_call>--> TEXT      the functions in it are told
 *     +-----<function=--> BARE ----</function>---> TEXT      the wrapper was left out: the function itself is told
 *     ^                    |
 *     +---- no function ---+      the marker was text
 *
 * Seed-OSS writes <seed:tool_call> for <tool_call> (vLLM: vllm/tool_parsers/seed_oss_tool_parser.py and its tests, 2026) and is read alike.
 * A wrapper ends at the first </tool_call>, whatever stands in it. A bare function's end is looked for between its parameters, which follow each other at once: prose that mentions
 * <function= is not held back for long. Text between and behind calls is content.
 */
#include "text/toolcall/format.h"
#include "text/toolcall/markup.h"

enum { TEXT, WRAPPED, BARE };
enum { NAME, BETWEEN, KEY, VALUE }; /* in BARE: the opening tag, behind it or a parameter, a parameter's tag, its value */
enum { WRAPPER, BARE_FUNCTION, WRAPPER_END };

struct state {
    struct markers markers;
    uint8_t phase;
    uint8_t bare; /* the second enum; in BARE */
};

#define MARKERS_N 3
static const struct str QWEN[MARKERS_N] = { STR_INIT("<tool_call>"), STR_INIT("<function="), STR_INIT("</tool_call>") };
static const struct str SEED[MARKERS_N] = { STR_INIT("<seed:tool_call>"), STR_INIT("<function="), STR_INIT("</seed:tool_call>") };
static const struct str FUNCTION = STR_INIT("<function="), FUNCTION_END = STR_INIT("</function>"),
                        PARAMETER = STR_INIT("<parameter="), PARAMETER_END = STR_INIT("</parameter>");

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->markers, p->format->row, MARKERS_N);
}

/* ---- a function that is all there ---- */

static void put_value(struct toolcall_parser *p, struct str function, struct str key, struct str text)
{
    struct buf *out = &p->work;
    text = arguments_trim(text);
    buf_clear(out);
    if (!arguments_coerce(toolcall_param_type(p->config.tools, function, key), text, &p->scratch, out) &&
        !arguments_guess_json(text, &p->scratch, out) && !arguments_guess_python_word(text, out))
        arguments_string(text, out);
}

struct reader {
    struct str rest;
    bool no_ends; /* of parameters: looked for once, to the end of the block */
};

/* The next parameter; false: none, the rest is the function's end, or the beginning of the next. */
static bool parameter_next(struct reader *r, struct str *ret_key, struct str *ret_value)
{
    static const struct str ENDS[] = { STR_INIT("<parameter="), STR_INIT("</function>"), STR_INIT("<function=") };
    struct markers ends;
    size_t at, sep, end;
    markers_init(&ends, ENDS, ARRAY_LEN(ENDS));
    int marker = markers_find(&ends, r->rest, 0, true, &at);
    r->rest = str_skip(r->rest, at);
    if (marker != 0 || r->no_ends)
        return false;
    struct str key = str_skip(r->rest, PARAMETER.n);
    if ((sep = str_find_char(key, '>')) == STR_NPOS)
        return false;
    struct str value = str_skip(key, sep + 1);
    end = str_find(value, PARAMETER_END);
    r->no_ends = end == STR_NPOS;
    if (r->no_ends)
        return false;
    *ret_key = arguments_trim(str_first(key, sep));
    *ret_value = str_first(value, end);
    r->rest = str_skip(value, end + PARAMETER_END.n);
    return true;
}

/* The next function, told. MUST_END: only one with its end tag counts. False: no more. */
static bool function_next(struct toolcall_parser *p, struct reader *r, bool must_end)
{
    struct str name, key, value;
    size_t at = str_find(r->rest, FUNCTION);
    if (at == STR_NPOS || !str_split(str_skip(r->rest, at + FUNCTION.n), '>', &name, &r->rest))
        return false;
    name = arguments_trim(name);
    struct arguments_object arguments = { .arena = &p->scratch };
    while (parameter_next(r, &key, &value)) {
        put_value(p, name, key, value);
        arguments_put(&arguments, key, buf_str(&p->work));
    }
    if (must_end && !str_has_prefix(r->rest, FUNCTION_END))
        return false;
    if (!name.n)
        return true; /* passed over */
    buf_clear(&p->work);
    arguments_object_write(&arguments, &p->work);
    parser_call(p, name, buf_str(&p->work));
    return true;
}

/* ---- the phases ---- */

/* Behind BLOCK, in which functions that must have their end, or need not, are told. */
static size_t leave(struct toolcall_parser *p, struct str block, bool must_end)
{
    struct state *s = p->state;
    struct reader r = { .rest = block };
    unsigned before = p->calls;
    s->phase = TEXT;
    p->in_call = false;
    while (function_next(p, &r, must_end)) {
    }
    if (p->calls == before)
        parser_drop(p, block);
    return block.n;
}

static size_t wrapped(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct state *s = p->state;
    struct str rest = str_skip(text, p->seen), end = s->markers.strings[WRAPPER_END];
    size_t at = str_find(rest, end), tail = end.n - 1;
    if (at != STR_NPOS)
        return leave(p, str_first(text, p->seen + at + end.n), false);
    if (ended)
        return leave(p, text, true);
    if (rest.n > tail)
        p->seen = text.n - tail;
    return 0;
}

/* The marker that TEXT begins with is none: what was read behind it is text with it, so that nothing is read twice. */
static size_t no_function(struct toolcall_parser *p, struct str text)
{
    struct state *s = p->state;
    s->phase = TEXT;
    p->in_call = false;
    parser_text(p, text);
    return text.n;
}

enum found { NO, CUT, YES };

static enum found stands(struct str text, size_t at, struct str tag)
{
    struct str rest = str_skip(text, at);
    if (str_has_prefix(rest, tag))
        return YES;
    return rest.n < tag.n && memcmp(rest.p, tag.p, rest.n) == 0 ? CUT : NO;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Moves p->seen over KEY> of the opening tag that it is in: no line breaks, no '<'. */
static enum found tag_end(struct toolcall_parser *p, struct str text)
{
    for (; p->seen < text.n; p->seen++) {
        char c = text.p[p->seen];
        if (c == '>') {
            p->seen++;
            return YES;
        }
        if (c == '<' || c == '\n' || c == '\r')
            return NO;
    }
    return CUT;
}

/* A step through a bare function; CUT: more is needed. NO: it is none. YES: p->seen moved, maybe to the function's end (*RET_END). */
static enum found bare_next(struct toolcall_parser *p, struct str text, bool *ret_end)
{
    struct state *s = p->state;
    enum found function_end, parameter, r;
    size_t at, tail = PARAMETER_END.n - 1;
    *ret_end = false;
    switch (s->bare) {
    case NAME:
    case KEY:
        r = tag_end(p, text);
        if (r == YES)
            s->bare = s->bare == NAME ? BETWEEN : VALUE;
        return r;
    case VALUE:
        at = str_find(str_skip(text, p->seen), PARAMETER_END);
        if (at == STR_NPOS) {
            p->seen = text.n - p->seen > tail ? text.n - tail : p->seen;
            return CUT;
        }
        p->seen += at + PARAMETER_END.n;
        s->bare = BETWEEN;
        return YES;
    default:
        while (p->seen < text.n && is_blank(text.p[p->seen]))
            p->seen++;
        function_end = stands(text, p->seen, FUNCTION_END);
        parameter = stands(text, p->seen, PARAMETER);
        *ret_end = function_end == YES;
        if (function_end == YES)
            p->seen += FUNCTION_END.n;
        else if (parameter == YES) {
            p->seen += PARAMETER.n;
            s->bare = KEY;
        } else
            return function_end == CUT || parameter == CUT ? CUT : NO;
        return YES;
    }
}

static size_t bare(struct toolcall_parser *p, struct str text, bool ended)
{
    enum found r;
    bool end;
    do
        r = bare_next(p, text, &end);
    while (r == YES && !end);
    if (r == YES)
        return leave(p, str_first(text, p->seen), true);
    if (r == NO)
        return no_function(p, str_first(text, p->seen));
    if (ended)
        return no_function(p, text);
    return 0;
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    int marker;
    if (s->phase == WRAPPED)
        return wrapped(p, text, ended);
    if (s->phase == BARE)
        return bare(p, text, ended);
    size_t used = parser_text_until(p, &s->markers, text, ended, &marker);
    if (used || marker < 0)
        return used;
    struct str found = s->markers.strings[marker];
    if (marker == WRAPPER_END) { /* its beginning was forgotten */
        parser_drop(p, found);
        return found.n;
    }
    s->phase = marker == WRAPPER ? WRAPPED : BARE;
    s->bare = NAME;
    p->seen = found.n;
    p->in_call = true;
    return marker == WRAPPER ? wrapped(p, text, ended) : bare(p, text, ended);
}

static const char *const ALIASES[] = { "qwen3_coder", "qwen3_xml",  "qwen35",   "mimo", "step3p5",
                                       "nemotron_v3", "nemotron_3", "nanbeige", NULL };
const struct toolcall_format TOOLCALL_QWEN_XML = {
    .name = "qwen_xml",
    .summary = "<tool_call><function=F><parameter=K>V</parameter></function></tool_call>",
    .aliases = ALIASES,
    .row = QWEN,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
const struct toolcall_format TOOLCALL_QWEN_CODER = {
    .name = "qwen_coder",
    .summary = "the same as qwen_xml",
    .row = QWEN,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};

static const char *const SEED_ALIASES[] = { "seed", NULL };
const struct toolcall_format TOOLCALL_SEED_OSS = {
    .name = "seed_oss",
    .summary = "<seed:tool_call><function=F><parameter=K>V</parameter></function></seed:tool_call>",
    .aliases = SEED_ALIASES,
    .row = SEED,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
