/* text/reasoning/kimi_k3.c -- channels between <|open|>NAME<|sep|> and <|close|>NAME<|sep|>: Kimi K3 (spec parsers 8.5)
 *
 *   BEFORE --open think--> THOUGHT --close think, open response, open tools--> AFTER <--close tools-- TOOLS
 *     |                      |                                                   +------open tools----->
 *     |                      +--close response or message, while unsure--> AFTER: what was taken for a thought is text
 *     +--open tools--> TOOLS
 *
 * Text: BEFORE, AFTER and TOOLS. Of BEFORE and AFTER the tags of the channels response and message are taken out, and a think's end that ended nothing; the tools channel is text with its tags
 * and all, for the parser of tool calls. Other tags are like words.
 * Unsure: the prompt is said to have ended inside a thought, but whether its tag stood there nobody said, and none was seen. Then the model may have answered right away, which the end of the
 * response or of the message tells. So until one of these tags comes what it writes is kept (a whole text is read as SMG reads it; SMG's streaming gives such an answer out twice). Who knows
 * that the tag was in the prompt says so (`tag_was_given`): then the thought goes out as it comes. Kept are at most REASONING_BYTES_MAX; what is longer is a thought.
 */
#include "text/reasoning/format.h"
#include "text/scan/xtml.h"

enum { BEFORE, THOUGHT, TOOLS, AFTER };

static void enter(struct reasoning_parser *p, uint8_t phase)
{
    p->phase = phase;
    p->in_thought = phase == THOUGHT;
}

static void start(struct reasoning_parser *p)
{
    markers_init(&p->markers, XTML_MARKERS, ARRAY_LEN(XTML_MARKERS));
    p->unsure = p->config.started && !p->config.tag_was_given;
    enter(p, p->config.started ? THOUGHT : BEFORE);
}

/* It is known what the kept bytes are. */
static void settle(struct reasoning_parser *p, bool thought)
{
    p->unsure = false;
    reasoning_say(p, thought, buf_str(&p->kept));
    p->kept.n = 0; /* a failure stays to be seen */
}

static void say(struct reasoning_parser *p, struct str text)
{
    if (p->unsure) {
        struct str first = str_first(text, REASONING_BYTES_MAX - p->kept.n);
        buf_put(&p->kept, first);
        text = str_skip(text, first.n);
        if (!text.n)
            return;
        settle(p, true);
    }
    reasoning_say(p, p->in_thought, text);
}

static bool is_wrapper(const struct xtml_tag *t)
{
    return str_eq(t->name, STR("response")) || str_eq(t->name, STR("message"));
}

static void on_tag_in_thought(struct reasoning_parser *p, const struct xtml_tag *t, struct str raw)
{
    bool opens = t->kind == XTML_OPEN;
    if (xtml_is(t, XTML_OPEN, "think"))
        settle(p, true); /* taken out */
    else if (xtml_is(t, XTML_CLOSE, "think") || xtml_is(t, XTML_OPEN, "response")) {
        settle(p, true);
        enter(p, AFTER);
    } else if (opens && str_eq(t->name, STR("tools"))) {
        settle(p, true);
        enter(p, TOOLS);
        say(p, raw);
    } else if (!opens && p->unsure && is_wrapper(t)) {
        settle(p, false);
        enter(p, AFTER);
    } else
        say(p, raw);
}

static void on_tag(struct reasoning_parser *p, const struct xtml_tag *t, struct str raw)
{
    switch (p->phase) {
    case THOUGHT:
        on_tag_in_thought(p, t, raw);
        break;
    case TOOLS:
        say(p, raw);
        if (xtml_is(t, XTML_CLOSE, "tools"))
            enter(p, AFTER);
        break;
    default:
        if (p->phase == BEFORE && xtml_is(t, XTML_OPEN, "think"))
            enter(p, THOUGHT);
        else if (xtml_is(t, XTML_OPEN, "tools")) {
            enter(p, TOOLS);
            say(p, raw);
        } else if (!is_wrapper(t) && !xtml_is(t, XTML_CLOSE, "think"))
            say(p, raw);
        break;
    }
}

static size_t step(struct reasoning_parser *p, struct str text, bool ended)
{
    size_t used = 0, at;
    while (used < text.n) {
        struct xtml_tag t;
        int kind = markers_find(&p->markers, text, used, ended, &at);
        say(p, (struct str){ text.p + used, at - used });
        if (kind < 0)
            return at;
        enum xtml_found r = xtml_read(text, at, kind, false, &t);
        if (r == XTML_CUT && !ended)
            return at;
        used = r == XTML_YES ? t.end : at + XTML_MARKERS[kind].n;
        struct str raw = { text.p + at, used - at };
        if (r == XTML_YES)
            on_tag(p, &t, raw);
        else
            say(p, raw);
    }
    return used;
}

static void end(struct reasoning_parser *p)
{
    if (p->unsure)
        settle(p, true);
}

static const struct str ALIASES[] = { STR_INIT("kimik3") };
const struct reasoning_format REASONING_KIMI_K3 = {
    .name = STR_INIT("kimi_k3"),
    .summary = STR_INIT("<|open|>think<|sep|>THOUGHT<|close|>think<|sep|><|open|>response<|sep|>TEXT<|close|>response<|sep|>"),
    .aliases = ALIASES,
    .aliases_n = ARRAY_LEN(ALIASES),
    .needs_specials = true,
    .start = start,
    .step = step,
    .end = end,
};
