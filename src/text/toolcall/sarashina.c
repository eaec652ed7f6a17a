/* text/toolcall/sarashina.c -- <|tool_calls|>[{'name': F, 'arguments': {...}}, ...] in Python's or JSON's syntax: Sarashina (spec 6.13)
 *
 *   START --blanks, then [{ or {--> LIST --its bracket closes--> TEXT      the calls in the list are told; a list without any is text
 *     +--> TEXT --marker--> SEARCH --[ or {--> LIST
 *
 * The marker may be missing where the list begins the reply. It is never content, nor is white space around all of the content.
 * first() leaves START, outside() TEXT, search() SEARCH, list() LIST; enter() sets the phase.
 */
#include <string.h>

#include "text/toolcall/json_calls.h"
#include "text/toolcall/python_literal.h"

enum { START, TEXT, SEARCH, LIST };

struct state {
    struct markers markers;
    struct python_scan scan;
    uint8_t phase;
};

static const struct str MARKER[] = { STR_INIT("<|tool_calls|>") };
static const struct json_call_keys KEYS = { .name = { "name" }, .arguments = { "arguments" } };

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->markers, MARKER, 1);
}

static void enter(struct toolcall_parser *p, uint8_t phase)
{
    struct state *s = p->state;
    s->phase = phase;
    p->in_call = phase == SEARCH || phase == LIST;
    p->seen = 0;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* JSON first: in Python true, false and null are names like any other. */
static bool tell(struct toolcall_parser *p, struct str list)
{
    struct json_doc doc;
    struct buf json = { 0 };
    if (json_parse(list, &p->scratch, &doc, NULL) == 0)
        return json_calls_tell(p, &KEYS, list) > 0;
    size_t n = python_literal(list, &json);
    bool calls = n == list.n && json_calls_tell(p, &KEYS, buf_str(&json)) > 0;
    if (json.failed)
        p->failed = true;
    buf_fini(&json);
    return calls;
}

static size_t list(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used;
    bool closed = python_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (!closed && !ended)
        return 0;
    size_t n = p->seen;
    enter(p, TEXT);
    if (!closed || !tell(p, str_first(text, n)))
        parser_text_trimmed(p, str_first(text, n));
    return n;
}

static size_t enter_list(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    enter(p, LIST);
    python_scan_init(&s->scan);
    return list(p, text, ended);
}

/* Behind the marker: the first bracket begins the list. */
static size_t search(struct toolcall_parser *p, struct str text, bool ended)
{
    size_t at = 0;
    while (at < text.n && text.p[at] != '[' && text.p[at] != '{')
        at++;
    if (!at)
        return enter_list(p, text, ended);
    size_t whole = at < text.n || ended ? at : arguments_whole_characters(str_first(text, at));
    parser_text_trimmed(p, str_first(text, whole));
    return whole;
}

static size_t outside(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at;
    int marker = markers_find(&s->markers, text, 0, ended, &at);
    if (marker < 0 && !ended)
        at = arguments_whole_characters(str_first(text, at));
    if (at) {
        parser_text_trimmed(p, str_first(text, at));
        return at;
    }
    if (marker < 0)
        return 0;
    enter(p, SEARCH);
    return MARKER[0].n;
}

/* The beginning of a reply: is it a dictionary, or a list of them? White space in front is never content. */
static size_t first(struct toolcall_parser *p, struct str text, bool ended)
{
    struct str whole = str_first(text, ended ? text.n : arguments_whole_characters(text));
    size_t spaces = whole.n - arguments_trim_front(whole).n;
    if (spaces || !whole.n)
        return spaces;
    if (text.p[0] == '{')
        return enter_list(p, text, ended);
    if (text.p[0] == '[') {
        p->seen = p->seen ? p->seen : 1;
        while (p->seen < text.n && is_blank(text.p[p->seen]))
            p->seen++;
        if (p->seen == text.n && !ended)
            return 0;
        if (p->seen < text.n && text.p[p->seen] == '{')
            return enter_list(p, text, ended);
    }
    enter(p, TEXT);
    return outside(p, text, ended);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    switch (s->phase) {
    case START:
        return first(p, text, ended);
    case TEXT:
        return outside(p, text, ended);
    case SEARCH:
        return search(p, text, ended);
    default:
        return list(p, text, ended);
    }
}

const struct toolcall_format TOOLCALL_SARASHINA = {
    .name = "sarashina",
    .summary = "<|tool_calls|>[{'name': F, 'arguments': {...}}, ...] in Python's or JSON's syntax",
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
