/* text/reasoning/tags.c -- formats that put a thought between a start and an end: all but kimi_k3 and inkling (spec parsers 8.4)
 *
 *   BEFORE --start--> THOUGHT --end, or an interrupt--> AFTER          text: BEFORE and AFTER
 *
 * A reply starts in THOUGHT when the caller says so, or the format always does. What is looked for: starts in BEFORE; ends, starts (taken out) and interrupts in THOUGHT; starts (taken out)
 * and the close of the answer's own tag in AFTER. Of nothing that is text a second look is taken: memchr for the one byte that all tags of a format begin with.
 */
#include <assert.h>

#include "text/reasoning/format.h"

enum { BEFORE, THOUGHT, AFTER };

_Static_assert(REASONING_ENDS_MAX + REASONING_STARTS_MAX + REASONING_INTERRUPTS_MAX <= MARKERS_MAX, "all have room in one set");

static unsigned count(const struct str *strings, unsigned max)
{
    unsigned n = 0;
    while (n < max && strings[n].n)
        n++;
    return n;
}

static unsigned starts_n(const struct reasoning_parser *p)
{
    return p->config.tag_was_given ? 0 : count(p->format->tags->starts, REASONING_STARTS_MAX);
}

static unsigned ends_n(const struct reasoning_parser *p)
{
    return count(p->format->tags->ends, REASONING_ENDS_MAX);
}

struct wanted {
    struct str strings[MARKERS_MAX];
    size_t n;
};

static void want(struct wanted *w, const struct str *strings, size_t n)
{
    for (size_t i = 0; i < n; i++)
        w->strings[w->n++] = strings[i];
}

/* ANSWER: its own tag was opened, too. */
static void enter(struct reasoning_parser *p, uint8_t phase, bool answer)
{
    const struct reasoning_tags *t = p->format->tags;
    struct wanted w = { .n = 0 };
    p->phase = phase;
    p->in_thought = phase == THOUGHT;
    switch (phase) {
    case BEFORE:
        want(&w, t->starts, starts_n(p));
        break;
    case THOUGHT:
        want(&w, t->ends, ends_n(p));
        want(&w, t->starts, t->starts_once ? 0 : starts_n(p));
        want(&w, p->config.interrupts, p->config.interrupts_n);
        break;
    default:
        want(&w, t->starts, t->starts_once ? 0 : starts_n(p));
        want(&w, t->closes, answer ? count(t->closes, REASONING_CLOSES_MAX) : 0);
        break;
    }
    markers_init(&p->markers, w.strings, w.n);
}

void reasoning_tags_start(struct reasoning_parser *p)
{
    const struct reasoning_tags *t = p->format->tags;
    bool thinks = p->config.started || (t->starts_in_thought && !p->config.content_only);
    enter(p, t->starts[0].n && thinks ? THOUGHT : BEFORE, false);
}

/* Marker number FOUND stands where the text was said up to: how many of its bytes are used. */
static size_t on_marker(struct reasoning_parser *p, unsigned found)
{
    const struct reasoning_tags *t = p->format->tags;
    size_t used = p->markers.strings[found].n;
    unsigned starts = t->starts_once ? 0 : starts_n(p);
    switch (p->phase) {
    case BEFORE:
        enter(p, THOUGHT, false);
        return used;
    case THOUGHT:
        if (found < ends_n(p))
            enter(p, AFTER, found < t->answer_ends);
        else if (found >= ends_n(p) + starts) {
            enter(p, AFTER, false);
            return 0; /* an interrupt is text */
        }
        return used;
    default:
        if (found >= starts)
            enter(p, AFTER, false);
        return used;
    }
}

static bool is_blank(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!strchr(" \t\r\n", text.p[i]) || !text.p[i])
            return false;
    return true;
}

size_t reasoning_tags_step(struct reasoning_parser *p, struct str text, bool ended)
{
    if (!p->began) {
        p->began = true;
        reasoning_say(p, false, p->format->tags->prefix);
    }
    size_t used = 0, at;
    while (used < text.n) {
        if (!p->markers.n) {
            reasoning_say(p, p->in_thought, str_skip(text, used));
            return text.n;
        }
        int found = markers_find(&p->markers, text, used, ended, &at);
        struct str plain = { text.p + used, at - used };
        if (p->phase == BEFORE && p->format->tags->starts_once && !is_blank(plain)) {
            enter(p, AFTER, false);
            continue; /* the phrase is not there: all is text */
        }
        reasoning_say(p, p->in_thought, plain);
        if (found < 0)
            return at;
        used = at + on_marker(p, (unsigned)found);
    }
    return used;
}
