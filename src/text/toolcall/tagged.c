/* text/toolcall/tagged.c */
#include "text/toolcall/tagged.h"

#include <string.h>

enum { TEXT, VALUE, CLOSER, SKIP };

void tagged_start(struct toolcall_parser *p, const struct tagged *t)
{
    struct tagged_state *s = p->state;
    markers_init(&s->markers, t->openers, t->openers_n);
    s->phase = TEXT;
    p->drop_after = t->drop_after;
}

/* The block is over: LENGTH bytes of TEXT. */
static size_t leave(struct toolcall_parser *p, struct str block, bool calls)
{
    struct tagged_state *s = p->state;
    s->phase = TEXT;
    p->in_call = false;
    if (!calls)
        parser_drop(p, block);
    return block.n;
}

/* Everything up to the closer, or to the end of the reply. */
static size_t skip(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    const char *found = t->closer.n ? memmem(text.p + p->seen, text.n - p->seen, t->closer.p, t->closer.n) : NULL;
    if (found)
        return leave(p, str_first(text, (size_t)(found - text.p) + t->closer.n), false);
    if (ended)
        return leave(p, text, false);
    if (!t->closer.n) /* no end in sight and none to come: the opener was no opener */
        return leave(p, str_first(text, t->openers[s->opener].n), false);
    size_t tail = t->closer.n - 1;
    if (text.n > tail && text.n - tail > p->seen)
        p->seen = text.n - tail;
    return 0;
}

static size_t spoil(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    s->phase = SKIP;
    return skip(p, t, text, ended);
}

static size_t tell(struct toolcall_parser *p, const struct tagged *t, struct str text, size_t length)
{
    struct tagged_state *s = p->state;
    size_t from = t->openers[s->opener].n;
    bool calls = json_calls_tell(p, &t->keys, (struct str){ text.p + from, s->json_end - from }) > 0;
    return leave(p, str_first(text, length), calls);
}

static bool begins(struct str rest, struct str tag, bool *cut)
{
    if (rest.n < tag.n && memcmp(rest.p, tag.p, rest.n) == 0)
        *cut = true;
    return str_has_prefix(rest, tag);
}

static size_t closer(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    size_t at = s->json_end;
    bool cut = false, next = false;
    if (!t->closer.n)
        return tell(p, t, text, at);
    while (at < text.n && strchr(" \t\r\n", text.p[at]) && text.p[at])
        at++;
    struct str rest = str_skip(text, at);
    if (begins(rest, t->closer, &cut))
        return tell(p, t, text, at + t->closer.n);
    for (unsigned i = 0; i < t->openers_n; i++)
        next = begins(rest, t->openers[i], &cut) || next;
    if (next || (ended && !rest.n))
        return tell(p, t, text, s->json_end);
    if (cut && !ended)
        return 0;
    p->seen = s->json_end;
    return spoil(p, t, text, ended);
}

static size_t value(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    size_t used;
    enum json_scan_result r = json_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (r == JSON_SCAN_BAD)
        return spoil(p, t, text, ended);
    if (r == JSON_SCAN_MORE)
        return ended ? leave(p, text, false) : 0;
    s->json_end = p->seen;
    s->phase = CLOSER;
    return closer(p, t, text, ended);
}

size_t tagged_step(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    int marker;
    switch (s->phase) {
    case TEXT: {
        size_t used = parser_text_until(p, &s->markers, text, ended, &marker);
        if (used || marker < 0)
            return used;
        s->opener = (uint8_t)marker;
        s->phase = VALUE;
        p->seen = t->openers[marker].n;
        p->in_call = true;
        json_scan_init(&s->scan);
        return value(p, t, text, ended);
    }
    case VALUE:
        return value(p, t, text, ended);
    case CLOSER:
        return closer(p, t, text, ended);
    default:
        return skip(p, t, text, ended);
    }
}
