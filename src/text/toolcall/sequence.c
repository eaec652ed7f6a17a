/* text/toolcall/sequence.c -- calls that follow each other between two tags, each of them whole by itself: LFM2 and Olmo 3 (Python), MiniMax M1 (JSON)
 *
 *   <|tool_call_start|>[f(a=1), g(b="x")]<|tool_call_end|>, or a list of JSON objects      LFM2
 *   <function_calls>f(a=1)\ng(b="x")</function_calls>                                      Olmo 3
 *   <tool_calls>\n{"name": "f", "arguments": {...}}\n{...}\n</tool_calls>                  MiniMax M1
 *
 *   TEXT --opener--> BETWEEN --closer--> TEXT
 *                     |  |  +--name--> NAME --'('--> CALL --')'--> BETWEEN      told
 *                     |  +--bracket--> JSON --its end-----------> BETWEEN      told
 *                     +--what is none of these--> JUNK --the line's end, the closer--> BETWEEN
 *
 * look() leaves TEXT, between() BETWEEN, and so on. What is no call is left out without hurting its neighbours. Python is read as models write it (python_call_loose).
 * Known from vLLM (docs/features/tool_calling.md; vllm/tool_parsers/lfm2, olmo3 and minimax_tool_parser.py and their tests) and SGLang
 * (python/sglang/srt/function_call/lfm2_detector.py), 2026.
 */
#include "text/toolcall/json_calls.h"
#include "text/toolcall/python_literal.h"

enum { TEXT, BETWEEN, JSON, NAME, CALL, JUNK };
enum { LINE_END, CLOSER }; /* of `junk` */

struct row {
    struct str opener, closer;
    bool json, python; /* python: brackets around the calls are passed over */
};
struct state {
    struct markers opener, junk;
    struct json_scan json;
    struct python_scan python;
    uint8_t phase;
};

static void start(struct toolcall_parser *p)
{
    const struct row *row = p->format->row;
    struct state *s = p->state;
    struct str junk[] = { [LINE_END] = STR("\n"), [CLOSER] = row->closer };
    markers_init(&s->opener, &row->opener, 1);
    markers_init(&s->junk, junk, ARRAY_LEN(junk));
}

static void enter(struct toolcall_parser *p, uint8_t phase)
{
    struct state *s = p->state;
    s->phase = phase;
    p->in_call = phase != TEXT;
    p->seen = 0;
    if (phase == JSON)
        json_scan_init(&s->json);
    else if (phase == CALL)
        python_scan_init(&s->python);
}

/* The first N bytes are no call; then PHASE. */
static size_t drop(struct toolcall_parser *p, struct str text, size_t n, uint8_t phase)
{
    parser_drop(p, str_first(text, n));
    enter(p, phase);
    return n;
}

static bool is_name(char c)
{
    return c == '_' || c == '.' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (uint8_t)c >= 0x80;
}

static size_t junk(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at;
    int marker = markers_find(&s->junk, text, 0, ended, &at);
    if (marker == LINE_END)
        return drop(p, text, at + 1, BETWEEN);
    return drop(p, text, at, marker == CLOSER ? BETWEEN : JUNK);
}

static size_t call(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    struct str name;
    size_t used;
    bool closed = python_scan_feed(&s->python, str_skip(text, p->seen), &used);
    p->seen += used;
    if (!closed)
        return ended ? drop(p, text, text.n, BETWEEN) : 0;
    size_t end = p->seen;
    buf_clear(&p->work);
    if (python_call_loose(str_first(text, end), &name, &p->work) != end)
        return drop(p, text, end, BETWEEN);
    parser_call(p, name, buf_str(&p->work));
    enter(p, BETWEEN);
    return end;
}

static size_t name(struct toolcall_parser *p, struct str text, bool ended)
{
    while (p->seen < text.n && is_name(text.p[p->seen]))
        p->seen++;
    if (p->seen == text.n && !ended)
        return 0;
    if (p->seen == text.n || text.p[p->seen] != '(')
        return drop(p, text, p->seen, JUNK);
    size_t bracket = p->seen;
    enter(p, CALL);
    p->seen = bracket;
    return call(p, text, ended);
}

static size_t json(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used;
    enum json_scan_result r = json_scan_feed(&s->json, str_skip(text, p->seen), &used);
    size_t end = p->seen += used;
    if (r == JSON_SCAN_MORE)
        return ended ? drop(p, text, text.n, BETWEEN) : 0;
    if (r == JSON_SCAN_BAD) { /* its first line is junk, what follows may be a call */
        size_t line = str_find_char(str_first(text, end), '\n');
        return line == STR_NPOS ? drop(p, text, end, JUNK) : drop(p, text, line + 1, BETWEEN);
    }
    if (!json_calls_tell(p, &JSON_CALL_KEYS, str_first(text, end)))
        return drop(p, text, end, BETWEEN);
    enter(p, BETWEEN);
    return end;
}

static size_t between(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct row *row = p->format->row;
    size_t at = 0;
    while (at < text.n && text.p[at] && strchr(row->python ? " \t\r\n,;[]" : " \t\r\n,;", text.p[at]))
        at++;
    if (at)
        return drop(p, text, at, BETWEEN);
    if (str_has_prefix(text, row->closer))
        return drop(p, text, row->closer.n, TEXT);
    if (text.n < row->closer.n && memcmp(text.p, row->closer.p, text.n) == 0 && !ended)
        return 0;
    char c = text.p[0];
    if (row->json && (c == '{' || c == '[')) {
        enter(p, JSON);
        return json(p, text, ended);
    }
    if (row->python && is_name(c)) {
        enter(p, NAME);
        return name(p, text, ended);
    }
    return drop(p, text, 1, JUNK);
}

static size_t look(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct row *row = p->format->row;
    struct state *s = p->state;
    int marker;
    size_t used = parser_text_until(p, &s->opener, text, ended, &marker);
    return used || marker < 0 ? used : drop(p, text, row->opener.n, BETWEEN);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct state *s = p->state;
    switch (s->phase) {
    case TEXT:
        return look(p, text, ended);
    case BETWEEN:
        return between(p, text, ended);
    case JSON:
        return json(p, text, ended);
    case NAME:
        return name(p, text, ended);
    case CALL:
        return call(p, text, ended);
    default: {
        size_t used = junk(p, text, ended);
        return used || s->phase == JUNK ? used : between(p, text, ended); /* the closer stands here */
    }
    }
}

#define SEQUENCE(name_, summary_, row_, aliases_)                                                                           \
    {                                                                                                                       \
        .name = (name_), .summary = (summary_), .aliases = (aliases_), .row = &(row_), .state_bytes = sizeof(struct state), \
        .start = start, .step = step                                                                                        \
    }

static const struct row LFM2 = { STR_INIT("<|tool_call_start|>"), STR_INIT("<|tool_call_end|>"), .json = true, .python = true };
static const char *const LFM2_ALIASES[] = { "lfm2_5", NULL };
const struct toolcall_format TOOLCALL_LFM2 =
    SEQUENCE("lfm2", "<|tool_call_start|>[f(a=1), g(b=\"x\")]<|tool_call_end|>", LFM2, LFM2_ALIASES);

static const struct row OLMO3 = { STR_INIT("<function_calls>"), STR_INIT("</function_calls>"), .python = true };
const struct toolcall_format TOOLCALL_OLMO3 =
    SEQUENCE("olmo3", "<function_calls>f(a=1)\\ng(b=\"x\")</function_calls>", OLMO3, NULL);

static const struct row MINIMAX_M1 = { STR_INIT("<tool_calls>"), STR_INIT("</tool_calls>"), .json = true };

const struct toolcall_format TOOLCALL_MINIMAX_M1 =
    SEQUENCE("minimax_m1", "<tool_calls>\\n{\"name\": F, \"arguments\": {...}}\\n...</tool_calls>", MINIMAX_M1, NULL);
