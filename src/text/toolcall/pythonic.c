/* text/toolcall/pythonic.c -- [f(a=1), g(b="x")] in Python's syntax: Llama 4 (spec 6.7); the same calls a line each in <function_calls>...</function_calls>: Olmo 3
 *
 *   TEXT --[--> HEAD --name ( keyword =, or name ( )--> LIST --its bracket closes--> TEXT      all elements are calls: told; else the brackets are text
 *     |          +--anything else: text--> TEXT           +--the reply's end: text--> TEXT
 *     +--<function_calls>--> LINES --</function_calls>, or the reply's end--> TEXT
 *
 * <|python_start|> and <|python_end|> around a list are markup. A list holds calls with keyword arguments and nothing else, else it is text; every list of a reply counts.
 * What was read as a list and is none is not searched for another one inside, so that a byte is looked at once.
 * outside() leaves TEXT, head() HEAD, list() LIST, lines() LINES; enter() sets the phase.
 */
#include <string.h>

#include "text/toolcall/format.h"
#include "text/toolcall/python_literal.h"

enum { TEXT, HEAD, LIST, LINES };
enum { OPEN_BRACKET, FUNCTION_CALLS, PYTHON_START, PYTHON_END };
enum { NAME_BEGIN, NAME, NAME_END, KEYWORD_BEGIN, KEYWORD, KEYWORD_END };

struct state {
    struct markers markers, closer;
    struct python_scan scan;
    uint8_t phase;
    uint8_t head;     /* in HEAD: what is read, enum above */
    size_t opener_at; /* in HEAD and LIST: the bracket, behind white space that follows a call */
};

static const struct str MARKERS[] = { STR_INIT("["), STR_INIT("<function_calls>"), STR_INIT("<|python_start|>"),
                                      STR_INIT("<|python_end|>") };
static const struct str CLOSER[] = { STR_INIT("</function_calls>") };

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->markers, MARKERS, ARRAY_LEN(MARKERS));
    markers_init(&s->closer, CLOSER, 1);
}

static void enter(struct toolcall_parser *p, uint8_t phase)
{
    struct state *s = p->state;
    s->phase = phase;
    p->in_call = phase != TEXT;
}

static bool is_blank(char c) /* also what the engine takes for formatting between calls */
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t blanks(struct str text, size_t at)
{
    while (at < text.n && is_blank(text.p[at]))
        at++;
    return at;
}

/* ---- calls that are all there ---- */

/* The calls in CALLS, which holds nothing else. Between each two stands a comma, or, if LINES, a line end. */
static bool each_call(struct toolcall_parser *p, struct str calls, bool lines, bool tell)
{
    struct str name;
    for (size_t at = 0;;) {
        at = blanks(calls, at);
        buf_clear(&p->work);
        size_t n = python_call(str_skip(calls, at), &name, &p->work);
        if (!n)
            return false;
        if (tell)
            parser_call(p, name, buf_str(&p->work));
        at += n;
        size_t next = blanks(calls, at);
        if (next == calls.n)
            return true;
        if (calls.p[next] == ',')
            next++;
        else if (!lines || !memchr(calls.p + at, '\n', next - at))
            return false;
        at = next;
    }
}

static bool calls_told(struct toolcall_parser *p, struct str calls, bool lines)
{
    return each_call(p, calls, lines, false) && each_call(p, calls, lines, true);
}

/* The block is over: N bytes of TEXT. */
static size_t leave(struct toolcall_parser *p, struct str text, size_t n, bool calls)
{
    enter(p, TEXT);
    if (!calls)
        parser_text(p, str_first(text, n));
    return n;
}

static size_t lines(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at, from = MARKERS[FUNCTION_CALLS].n;
    bool closed = markers_find(&s->closer, text, p->seen, ended, &at) >= 0;
    p->seen = at;
    if (!closed && !ended)
        return 0;
    return leave(p, text, at + (closed ? CLOSER[0].n : 0), calls_told(p, (struct str){ text.p + from, at - from }, true));
}

static size_t list(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used, from = s->opener_at + 1;
    bool closed = python_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (!closed && !ended)
        return 0;
    size_t end = p->seen;
    bool calls = closed && text.p[end - 1] == ']' && calls_told(p, (struct str){ text.p + from, end - 1 - from }, false);
    return leave(p, text, end, calls);
}

/* ---- may it be a list of calls? ---- */

static bool is_name(char c, bool first)
{
    return c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (uint8_t)c >= 0x80 || (!first && c >= '0' && c <= '9');
}

enum verdict { GOES_ON, A_LIST, NO_LIST };

/* One byte of NAME ( KEYWORD = or NAME ( ), with white space anywhere between. */
static enum verdict head_byte(struct state *s, char c)
{
    bool blank = is_blank(c), begins = s->head == NAME_BEGIN || s->head == KEYWORD_BEGIN;
    if (begins && is_name(c, true)) {
        s->head++;
        return GOES_ON;
    }
    if (s->head == KEYWORD_BEGIN && c == ')')
        return A_LIST;
    if (begins)
        return blank ? GOES_ON : NO_LIST;
    if ((s->head == NAME || s->head == KEYWORD) && (blank || is_name(c, false))) {
        s->head = (uint8_t)(s->head + blank);
        return GOES_ON;
    }
    if (s->head >= KEYWORD_BEGIN && c == '=')
        return A_LIST;
    if (s->head < KEYWORD_BEGIN && c == '(') {
        s->head = KEYWORD_BEGIN;
        return GOES_ON;
    }
    return blank ? GOES_ON : NO_LIST;
}

static size_t head(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    enum verdict v = GOES_ON;
    while (p->seen < text.n && (v = head_byte(s, text.p[p->seen])) == GOES_ON)
        p->seen++;
    if (v == NO_LIST || (v == GOES_ON && ended))
        return leave(p, text, p->seen, false);
    if (v == GOES_ON)
        return 0;
    enter(p, LIST);
    p->seen = s->opener_at;
    python_scan_init(&s->scan);
    return list(p, text, ended);
}

static size_t open_bracket(struct toolcall_parser *p, struct str text, size_t at, bool ended)
{
    struct state *s = p->state;
    enter(p, HEAD);
    s->head = NAME_BEGIN;
    s->opener_at = at;
    p->seen = at + 1;
    return head(p, text, ended);
}

static size_t outside(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at, used;
    int marker;
    /* White space behind a call is content after all where the bracket that follows begins no list. */
    if (p->after_call && markers_find(&s->markers, text, p->seen, ended, &at) == OPEN_BRACKET && blanks(text, 0) == at)
        return open_bracket(p, text, at, ended);
    used = parser_text_until(p, &s->markers, text, ended, &marker);
    if (used || marker < 0)
        return used;
    if (marker == OPEN_BRACKET)
        return open_bracket(p, text, 0, ended);
    if (marker == FUNCTION_CALLS) {
        enter(p, LINES);
        p->seen = MARKERS[FUNCTION_CALLS].n;
        return lines(p, text, ended);
    }
    parser_drop(p, MARKERS[marker]);
    return MARKERS[marker].n;
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    switch (s->phase) {
    case TEXT:
        return outside(p, text, ended);
    case HEAD:
        return head(p, text, ended);
    case LIST:
        return list(p, text, ended);
    default:
        return lines(p, text, ended);
    }
}

static const char *const ALIASES[] = { "llama4_pythonic", "llama4", NULL };
const struct toolcall_format TOOLCALL_PYTHONIC = {
    .name = "pythonic",
    .summary = "[f(a=1), g(b=\"x\")], or the same calls a line each in <function_calls>...</function_calls>",
    .aliases = ALIASES,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
