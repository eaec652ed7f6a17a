/* text/toolcall/llama.c -- <|python_tag|>{"name": F, "parameters": {...}}, or a reply that is such an object (spec 6.3)
 *
 * Objects may follow each other, with or without ';' and a tag of their own. Built-in tools are called as <|python_tag|>F.call(k="v").
 * Behind the tag an object that is broken, or is no call, does not hide those behind it: SKIP drops what stands in front of the next tag, or of the next ';' with an object behind it. They are
 * looked for from the object's second byte on, as a lost quote makes strings of what stands between strings. That is linear all the same: a ';' outside a string ends any object, so that one
 * which began at a ';' in another one's string ends at the latest at the next such ';'.
 */
#include <string.h>

#include "text/toolcall/json_calls.h"
#include "text/toolcall/python_literal.h"

enum { START, TEXT, KIND, VALUE, PYTHON, NEXT, SKIP };
enum { TAG_AGAIN, SEPARATOR }; /* of `resume` */

#define BLANKS_MAX 200 /* between two calls: more than these are dropped as they come */

struct state {
    struct markers markers;
    struct markers resume; /* in SKIP */
    struct json_scan scan;
    struct python_scan python;
    uint8_t phase;
    bool tagged;  /* a tag was seen */
    uint8_t skip; /* bytes of the tag, or of ';' and blanks, in front of the call; they are part of the block */
    size_t value_at;
};

static const struct str TAG[] = { STR_INIT("<|python_tag|>") };
static const struct str RESUME[] = { [TAG_AGAIN] = STR_INIT("<|python_tag|>"), [SEPARATOR] = STR_INIT(";") };
static const struct json_call_keys KEYS = { .name = { "name" }, .arguments = { "parameters", "arguments" } };

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->markers, TAG, 1);
    markers_init(&s->resume, RESUME, ARRAY_LEN(RESUME));
}

static size_t blanks(struct str text, size_t at)
{
    while (at < text.n && text.p[at] && strchr(" \t\r\n", text.p[at]))
        at++;
    return at;
}

static size_t leave(struct toolcall_parser *p, size_t used, uint8_t phase)
{
    struct state *s = p->state;
    s->phase = phase;
    p->in_call = false;
    return used;
}

/* What opened the block is dropped; behind it everything is text. */
static size_t no_call(struct toolcall_parser *p, struct str text)
{
    struct state *s = p->state;
    if (s->skip) {
        parser_drop(p, str_first(text, s->skip));
        return leave(p, s->skip, TEXT);
    }
    parser_text(p, str_first(text, 1));
    return leave(p, 1, TEXT);
}

enum separator { NONE, CUT, FOUND };

/* Is the ';' at AT one with an object behind it? Blanks that never end are not waited for. */
static enum separator separates(struct str text, size_t at, bool ended)
{
    size_t behind = blanks(text, at + 1);
    if (behind - at > BLANKS_MAX)
        return NONE;
    if (behind == text.n)
        return ended ? NONE : CUT;
    return text.p[behind] == '{' ? FOUND : NONE;
}

/* Drops what stands in front of the next call that may begin at or behind p->seen. */
static size_t skip(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at, from = p->seen;
    int marker;
    enum separator r = NONE;
    do {
        marker = markers_find(&s->resume, text, from, ended, &at);
        r = marker == SEPARATOR ? separates(text, at, ended) : NONE;
        from = at + 1;
    } while (marker == SEPARATOR && r == NONE);
    parser_drop(p, str_first(text, at));
    p->seen = 0;
    if (marker == TAG_AGAIN)
        s->phase = TEXT;
    else if (r == FOUND)
        s->phase = NEXT;
    return at;
}

/* The object is none, or no call, and reading goes on behind the first DONE bytes of it. */
static size_t skip_from(struct toolcall_parser *p, struct str text, size_t done, bool ended)
{
    leave(p, 0, SKIP);
    p->seen = done;
    return skip(p, text, ended);
}

static size_t value(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used;
    enum json_scan_result r = json_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (r == JSON_SCAN_MORE && !ended)
        return 0;
    if (r != JSON_SCAN_DONE && s->tagged)
        return skip_from(p, text, s->value_at + 1, ended);
    if (r == JSON_SCAN_MORE && p->calls) { /* another call, cut off */
        parser_drop(p, text);
        return leave(p, text.n, TEXT);
    }
    if (r != JSON_SCAN_DONE)
        return no_call(p, text);
    if (!json_calls_tell(p, &KEYS, (struct str){ text.p + s->value_at, p->seen - s->value_at })) {
        if (s->tagged)
            return skip_from(p, text, p->seen, ended);
        parser_drop(p, str_first(text, p->seen));
        return leave(p, p->seen, TEXT);
    }
    return leave(p, p->seen, NEXT);
}

/* F.call(k="v"): the brackets are closed. */
static size_t tell_python(struct toolcall_parser *p, struct str text, size_t end)
{
    struct state *s = p->state;
    static const struct str CALL = STR_INIT(".call");
    struct str call = { text.p + s->value_at, end - s->value_at }, name;
    const char *dot = memmem(call.p, call.n, CALL.p, CALL.n);
    struct str function = { call.p, dot ? (size_t)(dot - call.p) : 0 };
    buf_clear(&p->work);
    if (!function.n || memchr(function.p, '(', function.n) || !python_call(str_skip(call, function.n + 1), &name, &p->work) ||
        !str_eq(name, STR("call")))
        return no_call(p, text);
    parser_call(p, function, buf_str(&p->work));
    return leave(p, end, NEXT);
}

static size_t python(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used;
    if (!s->python.depth) { /* the bracket has not come yet: only a dotted name may stand in front of it */
        while (p->seen < text.n && text.p[p->seen] != '(') {
            char c = text.p[p->seen];
            if (!(c == '_' || c == '.' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')))
                return no_call(p, text);
            p->seen++;
        }
    }
    bool closed = python_scan_feed(&s->python, str_skip(text, p->seen), &used);
    p->seen += used;
    if (closed)
        return tell_python(p, text, p->seen);
    return ended ? no_call(p, text) : 0;
}

/* Behind the tag, a separator, or at the start of the reply: SKIP bytes of markup, blanks, and then? */
static size_t kind(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at = blanks(text, p->seen > s->skip ? p->seen : s->skip);
    p->seen = at;
    if (at == text.n)
        return ended ? no_call(p, text) : 0;
    s->value_at = at;
    if (text.p[at] == '{') {
        s->phase = VALUE;
        json_scan_init(&s->scan);
        return value(p, text, ended);
    }
    s->phase = PYTHON;
    python_scan_init(&s->python);
    return python(p, text, ended);
}

static size_t open(struct toolcall_parser *p, struct str text, size_t skip, bool ended)
{
    struct state *s = p->state;
    s->phase = KIND;
    s->skip = (uint8_t)skip;
    p->seen = 0;
    p->in_call = true;
    return kind(p, text, ended);
}

/* Behind a call: a ';' and another object, another object at once, a tag, or text. */
static size_t next(struct toolcall_parser *p, struct str text, bool ended)
{
    size_t at = blanks(text, 0);
    bool semicolon = at < text.n && text.p[at] == ';';
    if (semicolon)
        at = blanks(text, at + 1);
    if (at > BLANKS_MAX) {
        parser_drop(p, str_first(text, BLANKS_MAX));
        return BLANKS_MAX;
    }
    if (at == text.n && !ended)
        return 0;
    if (at == text.n) {
        parser_drop(p, text);
        return at ? at : leave(p, 0, TEXT);
    }
    if (text.p[at] == '{')
        return open(p, text, at, ended);
    struct state *s = p->state;
    if (s->tagged && text.p[at] == '}') { /* one too many */
        parser_drop(p, str_first(text, at + 1));
        return at + 1;
    }
    if (semicolon && text.p[at] == '<') { /* "; <|python_tag|>": the separator goes, the tag opens */
        parser_drop(p, str_first(text, at));
        return leave(p, at, TEXT);
    }
    s->phase = TEXT;
    return 0;
}

/* The beginning of a reply: is it an object? */
static size_t first(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at = blanks(text, p->seen);
    p->seen = at;
    if (at == text.n && !ended)
        return 0;
    if (at == text.n || text.p[at] != '{') {
        s->phase = TEXT;
        return 0;
    }
    s->skip = 0;
    s->value_at = at;
    s->phase = VALUE;
    p->in_call = true;
    json_scan_init(&s->scan);
    return value(p, text, ended);
}

static size_t look(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    int marker;
    size_t used = parser_text_until(p, &s->markers, text, ended, &marker);
    if (used || marker < 0)
        return used;
    s->tagged = true;
    return open(p, text, TAG[0].n, ended);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    uint8_t was = s->phase;
    size_t used = 0;
    if (s->phase == START)
        used = first(p, text, ended);
    else if (s->phase == NEXT)
        used = next(p, text, ended);
    else if (s->phase == KIND)
        used = kind(p, text, ended);
    else if (s->phase == VALUE)
        used = value(p, text, ended);
    else if (s->phase == PYTHON)
        used = python(p, text, ended);
    else if (s->phase == SKIP)
        used = skip(p, text, ended);
    /* Skip() may go over to NEXT without using anything, the others to TEXT. */
    if (!used && was == SKIP && s->phase == NEXT)
        used = next(p, text, ended);
    return used || s->phase != TEXT ? used : look(p, text, ended);
}

static const char *const ALIASES[] = { "llama3", "llama3_json", "llama3_1", "llama3_2", "llama4_json", NULL };
const struct toolcall_format TOOLCALL_LLAMA = {
    .name = "llama",
    .summary = "<|python_tag|>{\"name\": F, \"parameters\": {...}}; ... or a reply that is one such object",
    .aliases = ALIASES,
    .json_block = true,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
