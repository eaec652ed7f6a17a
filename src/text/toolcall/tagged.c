/* text/toolcall/tagged.c */
#include "text/toolcall/tagged.h"

#include <string.h>

enum { START, TEXT, VALUE, CLOSER, SKIP };

void tagged_start(struct toolcall_parser *p, const struct tagged *t)
{
    struct tagged_state *s = p->state;
    struct str strings[TAGGED_OPENERS + ARRAY_LEN(t->ignored)];
    memcpy(strings, t->openers, t->openers_n * sizeof(*strings));
    memcpy(strings + t->openers_n, t->ignored, t->ignored_n * sizeof(*strings));
    markers_init(&s->markers, strings, t->openers_n + t->ignored_n);
    s->phase = t->bare ? START : TEXT;
    p->drop_after = t->drop_after;
}

static struct str opener_of(const struct toolcall_parser *p, const struct tagged *t)
{
    const struct tagged_state *s = p->state;
    return t->openers[s->opener];
}

static struct str closer_of(const struct toolcall_parser *p, const struct tagged *t)
{
    const struct tagged_state *s = p->state;
    return t->closers[s->opener].n ? t->closers[s->opener] : t->closer;
}

/* What is no call is text: also where no tag promised one. */
static bool is_plain(const struct toolcall_parser *p, const struct tagged *t)
{
    return t->plain || !opener_of(p, t).n;
}

/* The block is over: these bytes. */
static size_t leave(struct toolcall_parser *p, const struct tagged *t, struct str block, bool calls)
{
    struct tagged_state *s = p->state;
    s->phase = TEXT;
    p->in_call = false;
    if (calls)
        return block.n;
    if (is_plain(p, t))
        parser_text(p, block);
    else
        parser_drop(p, block);
    return block.n;
}

/* Everything up to the closer, or to the end of the reply. */
static size_t skip(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct str closer = closer_of(p, t);
    const char *found = closer.n ? memmem(text.p + p->seen, text.n - p->seen, closer.p, closer.n) : NULL;
    if (found)
        return leave(p, t, str_first(text, (size_t)(found - text.p) + closer.n), false);
    if (ended)
        return leave(p, t, text, false);
    if (!closer.n) /* no end in sight and none to come: the opener was no opener */
        return leave(p, t, str_first(text, opener_of(p, t).n), false);
    size_t tail = closer.n - 1;
    if (text.n > tail && text.n - tail > p->seen)
        p->seen = text.n - tail;
    return 0;
}

static size_t look(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended);

static size_t spoil(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    if (t->plain && opener_of(p, t).n)
        return leave(p, t, str_first(text, opener_of(p, t).n), false);
    if (!opener_of(p, t).n) { /* a reply that only began like a list */
        s->phase = TEXT;
        p->in_call = false;
        p->seen = 0;
        return look(p, t, text, ended);
    }
    s->phase = SKIP;
    return skip(p, t, text, ended);
}

static size_t tell(struct toolcall_parser *p, const struct tagged *t, struct str text, size_t length)
{
    struct tagged_state *s = p->state;
    struct str opener = opener_of(p, t);
    size_t from = opener.n - (opener.n ? t->shared : 0), kept = t->kept & 1u << s->opener ? opener.n : 0;
    parser_text(p, str_first(text, kept));
    bool calls = json_calls_tell(p, &t->keys, (struct str){ text.p + from, s->json_end - from }) > 0;
    (void)leave(p, t, str_skip(str_first(text, length), kept), calls);
    return length;
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
    struct str closer = closer_of(p, t);
    size_t at = s->json_end > p->seen ? s->json_end : p->seen;
    bool cut = false, next = false;
    if (!closer.n)
        return tell(p, t, text, s->json_end);
    while (at < text.n && strchr(" \t\r\n", text.p[at]) && text.p[at])
        at++;
    p->seen = at;
    struct str rest = str_skip(text, at);
    if (begins(rest, closer, &cut))
        return tell(p, t, text, at + closer.n);
    for (unsigned i = 0; i < t->openers_n; i++)
        next = begins(rest, t->openers[i], &cut) || next;
    if (cut && !ended)
        return 0;
    if (next || is_plain(p, t) || !rest.n)
        return tell(p, t, text, s->json_end);
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
        return ended ? leave(p, t, text, false) : 0;
    s->json_end = p->seen;
    s->phase = CLOSER;
    return closer(p, t, text, ended);
}

static size_t open(struct toolcall_parser *p, const struct tagged *t, unsigned opener, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    s->opener = (uint8_t)opener;
    s->phase = VALUE;
    p->seen = t->openers[opener].n - (t->openers[opener].n ? t->shared : 0);
    p->in_call = true;
    json_scan_init(&s->scan);
    return value(p, t, text, ended);
}

static size_t look(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    int marker;
    size_t used = parser_text_until(p, &s->markers, text, ended, &marker);
    if (used || marker < 0)
        return used;
    if ((unsigned)marker >= t->openers_n)
        return s->markers.strings[marker].n;
    return open(p, t, (unsigned)marker, text, ended);
}

/* The beginning of a reply: is it a list? */
static size_t first(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    while (p->seen < text.n && text.p[p->seen] && strchr(" \t\r\n", text.p[p->seen]))
        p->seen++;
    if (p->seen == text.n && !ended)
        return 0;
    if (p->seen < text.n && text.p[p->seen] == '[')
        return open(p, t, t->openers_n, text, ended);
    s->phase = TEXT;
    p->seen = 0;
    return look(p, t, text, ended);
}

size_t tagged_step(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended)
{
    struct tagged_state *s = p->state;
    switch (s->phase) {
    case START:
        return first(p, t, text, ended);
    case TEXT:
        return look(p, t, text, ended);
    case VALUE:
        return value(p, t, text, ended);
    case CLOSER:
        return closer(p, t, text, ended);
    default:
        return skip(p, t, text, ended);
    }
}
