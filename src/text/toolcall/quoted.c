/* text/toolcall/quoted.c */
#include "text/toolcall/quoted.h"

enum { TEXT, BLOCK, QUOTED };
enum { CLOSER, QUOTE, OPENER }; /* of `tags` */

void quoted_start(struct toolcall_parser *p)
{
    const struct quoted *q = p->format->row;
    struct quoted_state *s = p->state;
    struct str tags[] = { [CLOSER] = q->closer, [QUOTE] = q->quote, [OPENER] = q->opener };
    markers_init(&s->opener, &q->opener, 1);
    markers_init(&s->tags, tags, ARRAY_LEN(tags));
    markers_init(&s->quote, &q->quote_end, 1);
}

/* The block ends at END, of which its last TAG bytes are the closer. */
static size_t leave(struct toolcall_parser *p, struct str text, size_t end, size_t tag)
{
    const struct quoted *q = p->format->row;
    struct quoted_state *s = p->state;
    s->phase = TEXT;
    p->in_call = false;
    if (!q->unit(p, (struct str){ text.p + q->opener.n, end - tag - q->opener.n }, tag > 0))
        parser_drop(p, str_first(text, end));
    return end;
}

static size_t block(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct quoted *q = p->format->row;
    struct quoted_state *s = p->state;
    size_t at;
    for (;;) {
        bool quoted = s->phase == QUOTED;
        int tag = markers_find(quoted ? &s->quote : &s->tags, text, p->seen, ended, &at);
        if (tag < 0) {
            p->seen = at;
            return ended ? leave(p, text, text.n, 0) : 0;
        }
        if (!quoted && tag == CLOSER)
            return leave(p, text, at + q->closer.n, q->closer.n);
        if (!quoted && tag == OPENER)
            return leave(p, text, at, 0);
        s->phase = quoted ? BLOCK : QUOTED;
        p->seen = at + (quoted ? q->quote_end.n : q->quote.n);
    }
}

static size_t look(struct toolcall_parser *p, struct str text, bool ended)
{
    const struct quoted *q = p->format->row;
    struct quoted_state *s = p->state;
    int marker;
    size_t used = parser_text_until(p, &s->opener, text, ended, &marker);
    if (used || marker < 0)
        return used;
    s->phase = BLOCK;
    p->seen = q->opener.n;
    p->in_call = true;
    return block(p, text, ended);
}

size_t quoted_step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct quoted_state *s = p->state;
    return s->phase == TEXT ? look(p, text, ended) : block(p, text, ended);
}
