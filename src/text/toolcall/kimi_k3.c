/* text/toolcall/kimi_k3.c -- XTML, channels between <|open|>NAME<|sep|> and <|close|>NAME<|sep|>: Kimi K3 (spec 6.15)
 *
 *   BEFORE --open response--> RESPONSE --close response or message--> AFTER      content: BEFORE and RESPONSE; AFTER is left out
 *     |  |                      |                                      |
 *     |  +------open tools------+--------------------------------------+--> TOOLS --open call--> CALL --close call--> TOOLS     the call is told
 *     |                                                                       +--close tools--> AFTER <--close tools--+
 *     +--open think--> THINK --close think, then open response--> RESPONSE     the thinking is left out
 *                        +---close think, then anything else----> BEFORE       it is content
 *
 * A reply may begin inside the response channel, so what stands in front of any channel is content. Markup is never content, even when there is no call; a call counts when it is whole.
 */
#include "text/scan/xtml.h"
#include "text/toolcall/format.h"
#include "text/toolcall/markup.h"

enum { BEFORE, RESPONSE, AFTER, TOOLS, CALL, THINK };

struct state {
    struct markers markers;
    uint8_t phase;
    bool responded;      /* a response channel was there */
    size_t behind_think; /* in THINK: behind its closing tag; 0 = not found yet */
};

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->markers, XTML_MARKERS, ARRAY_LEN(XTML_MARKERS));
}

static size_t enter(struct toolcall_parser *p, uint8_t phase, size_t used)
{
    struct state *s = p->state;
    s->phase = phase;
    s->responded = s->responded || phase == RESPONSE;
    p->in_call = phase == TOOLS || phase == CALL;
    return used;
}

/* ---- tags ---- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The first closing tag called A or B at or behind *AT, which moves to where the search must go on. */
static enum xtml_found find_close(const struct state *s, struct str text, size_t *at, const char *a, const char *b, bool ended,
                                  size_t *ret_at, struct xtml_tag *ret)
{
    for (;;) {
        int marker = markers_find(&s->markers, text, *at, ended, at);
        if (marker < 0)
            return XTML_CUT;
        enum xtml_found r = xtml_read(text, *at, marker, false, ret);
        if (marker == XTML_CLOSE && r == XTML_CUT && !ended)
            return XTML_CUT;
        if (r == XTML_YES && (xtml_is(ret, XTML_CLOSE, a) || xtml_is(ret, XTML_CLOSE, b))) {
            *ret_at = *at;
            return XTML_YES;
        }
        *at += XTML_MARKERS[marker].n;
    }
}

/* ---- calls ---- */

static struct str attribute(struct toolcall_parser *p, struct str attributes, const char *name)
{
    static const struct markup_entity ENTITIES[] = { { STR_INIT("&quot;"), STR_INIT("\"") }, { STR_INIT("&amp;"), STR_INIT("&") } };
    struct str value;
    if (!markup_attribute(attributes, str_of(name), &value))
        return STR_NONE;
    return markup_unescape(value, ENTITIES, ARRAY_LEN(ENTITIES), &p->scratch);
}

/* The next argument of the call at or behind *AT. */
static bool argument_next(struct toolcall_parser *p, struct str call, size_t *at, struct arguments_object *arguments)
{
    const struct state *s = p->state;
    struct xtml_tag t;
    size_t close;
    for (;;) {
        int marker = markers_find(&s->markers, call, *at, true, at);
        if (marker < 0)
            return false;
        if (marker == XTML_OPEN && xtml_read(call, *at, marker, true, &t) == XTML_YES && xtml_is(&t, XTML_OPEN, "argument"))
            break;
        *at += XTML_MARKERS[marker].n;
    }
    struct str rest = str_skip(call, t.end);
    size_t sep = str_find(rest, XTML_SEP);
    if (sep == STR_NPOS)
        return false;
    *at = t.end + sep + XTML_SEP.n;
    size_t from = *at;
    if (find_close(s, call, at, "argument", "argument", true, &close, &t) != XTML_YES)
        return false;
    *at = t.end;
    struct str attributes = str_first(rest, sep), value = { call.p + from, close - from };
    struct str key = attribute(p, attributes, "key"), type = attribute(p, attributes, "type");
    buf_clear(&p->work);
    bool string = !type.n || str_eq(type, STR("string"));
    if (string || !arguments_guess_json(value, &p->scratch, &p->work))
        arguments_string(value, &p->work);
    arguments_put(arguments, key, buf_str(&p->work));
    return true;
}

/* CALL: from its opening tag up to its closing one. */
static void tell(struct toolcall_parser *p, struct str call)
{
    struct xtml_tag t;
    struct arguments_object arguments = { .arena = &p->scratch };
    if (xtml_read(call, 0, XTML_OPEN, true, &t) != XTML_YES)
        return;
    struct str rest = str_skip(call, t.end);
    size_t sep = str_find(rest, XTML_SEP);
    struct str name = sep == STR_NPOS ? STR_NONE : attribute(p, str_first(rest, sep), "tool");
    if (!name.n)
        return;
    size_t at = t.end + sep + XTML_SEP.n;
    while (argument_next(p, call, &at, &arguments)) {
    }
    buf_clear(&p->work);
    arguments_object_write(&arguments, &p->work);
    parser_call(p, name, buf_str(&p->work));
}

static size_t call(struct toolcall_parser *p, struct str text, bool ended)
{
    struct xtml_tag t;
    size_t close;
    if (find_close(p->state, text, &p->seen, "call", "tools", ended, &close, &t) != XTML_YES)
        return ended ? enter(p, AFTER, text.n) : 0;
    if (!xtml_is(&t, XTML_CLOSE, "call"))
        return enter(p, AFTER, t.end);
    tell(p, str_first(text, close));
    return enter(p, TOOLS, t.end);
}

static size_t tools(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct state *s = p->state;
    struct xtml_tag t;
    size_t at;
    int marker = markers_find(&s->markers, text, 0, ended, &at);
    if (at || marker < 0)
        return at; /* left out */
    enum xtml_found r = xtml_read(text, 0, marker, marker == XTML_OPEN, &t);
    if (r == XTML_CUT && !ended)
        return 0;
    if (r == XTML_YES && xtml_is(&t, XTML_CLOSE, "tools"))
        return enter(p, AFTER, t.end);
    if (r != XTML_YES || !xtml_is(&t, XTML_OPEN, "call"))
        return XTML_MARKERS[marker].n;
    p->seen = t.end;
    (void)enter(p, CALL, 0);
    return call(p, text, ended);
}

/* ---- content ---- */

/* Thinking that nobody took out before: left out when a response follows. Both wait for that. */
static size_t think(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    struct xtml_tag t;
    size_t close;
    if (!s->behind_think) {
        if (find_close(s, text, &p->seen, "think", "think", ended, &close, &t) == XTML_YES)
            s->behind_think = p->seen = t.end;
        else if (!ended)
            return 0;
        else
            s->behind_think = p->seen = text.n;
    }
    while (p->seen < text.n && is_blank(text.p[p->seen]))
        p->seen++;
    struct str rest = str_skip(text, p->seen);
    bool cut = rest.n < XTML_MARKERS[XTML_OPEN].n && memcmp(rest.p, XTML_MARKERS[XTML_OPEN].p, rest.n) == 0;
    enum xtml_found r = cut                                             ? XTML_CUT
                        : str_has_prefix(rest, XTML_MARKERS[XTML_OPEN]) ? xtml_read(text, p->seen, XTML_OPEN, false, &t)
                                                                        : XTML_NO;
    if (r == XTML_CUT && !ended)
        return 0;
    if (r == XTML_YES && xtml_is(&t, XTML_OPEN, "response"))
        return enter(p, RESPONSE, t.end);
    parser_text(p, str_first(text, s->behind_think));
    return enter(p, BEFORE, s->behind_think);
}

/* The tag that TEXT begins with, outside of tools: bytes used. */
static size_t channel(struct toolcall_parser *p, struct str text, const struct xtml_tag *t, bool ended)
{
    struct state *s = p->state;
    if (xtml_is(t, XTML_OPEN, "tools"))
        return enter(p, TOOLS, t->end);
    if (xtml_is(t, XTML_OPEN, "response") && !s->responded)
        return enter(p, RESPONSE, t->end);
    if (xtml_is(t, XTML_CLOSE, "response") || xtml_is(t, XTML_CLOSE, "message"))
        return enter(p, AFTER, t->end);
    if (xtml_is(t, XTML_OPEN, "response") || xtml_is(t, XTML_OPEN, "message"))
        return t->end;
    if (xtml_is(t, XTML_OPEN, "think") && s->phase == BEFORE) {
        s->behind_think = 0;
        p->seen = t->end;
        (void)enter(p, THINK, 0);
        return think(p, text, ended);
    }
    if (s->phase != AFTER)
        parser_text(p, str_first(text, t->end));
    return t->end;
}

static size_t content(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct state *s = p->state;
    struct xtml_tag t;
    size_t at;
    int marker = markers_find(&s->markers, text, 0, ended, &at);
    if (!at && marker >= 0) {
        enum xtml_found r = xtml_read(text, 0, marker, false, &t);
        if (r == XTML_YES)
            return channel(p, text, &t, ended);
        if (r == XTML_CUT && !ended)
            return 0;
        at = XTML_MARKERS[marker].n;
    }
    if (s->phase != AFTER)
        parser_text(p, str_first(text, at));
    return at;
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct state *s = p->state;
    switch (s->phase) {
    case TOOLS:
        return tools(p, text, ended);
    case CALL:
        return call(p, text, ended);
    case THINK:
        return think(p, text, ended);
    default:
        return content(p, text, ended);
    }
}

static const char *const ALIASES[] = { "kimik3", NULL };
const struct toolcall_format TOOLCALL_KIMI_K3 = {
    .name = "kimi_k3",
    .summary = "<|open|>tools<|sep|><|open|>call tool=\"F\" index=\"1\"<|sep|><|open|>argument key=\"K\" "
               "type=\"T\"<|sep|>V<|close|>argument"
               "<|sep|><|close|>call<|sep|><|close|>tools<|sep|>",
    .aliases = ALIASES,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
