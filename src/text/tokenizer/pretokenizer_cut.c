/* text/tokenizer/pretokenizer_cut.c -- the five split behaviours (spec 3.4), one range at a time
 *
 * Ranges that match and ranges that do not come alternating (matches may also touch) and cover the piece. Whatever joins ranges joins neighbours, so a piece is always one stretch of text:
 *
 *   Removed             matches vanish                        Isolated   every range is a piece
 *   MergedWithPrevious  a match joins the range before it, unless that is a match too; so a range is held until the next one is seen
 *   MergedWithNext      a match joins the range behind it, unless that is a match too; so a match is held
 *   Contiguous          neighbours of a kind are one piece; so a range is held
 */
#include <stdlib.h>

#include "text/tokenizer/pretokenizer_internal.h"

#define PIECES_FIRST 64

void pieces_fini(struct pieces *p)
{
    buf_fini(&p->text);
    free(p->ends);
    *p = (struct pieces){ 0 };
}

bool pieces_end(struct pieces *p)
{
    if (p->text.failed || p->text.n > UINT32_MAX)
        return false;
    if (p->text.n == (p->n ? p->ends[p->n - 1] : 0))
        return true;
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : PIECES_FIRST;
        uint32_t *ends = reallocarray(p->ends, cap, sizeof(*ends));
        if (!ends) {
            p->text.failed = true;
            return false;
        }
        p->ends = ends;
        p->cap = cap;
    }
    p->ends[p->n++] = (uint32_t)p->text.n;
    return true;
}

void cut_piece(struct cutter *c, size_t from, size_t to)
{
    if (from == to)
        return;
    if (c->out->n == 0)
        *c->at_start = c->in_at_start && from == 0;
    buf_put(&c->out->text, str_range(c->text + from, c->text + to));
    (void)pieces_end(c->out); /* failure is sticky in the text */
}

static void hold(struct cutter *c, size_t from, size_t to, bool match)
{
    cut_end(c);
    c->held = true;
    c->held_match = match;
    c->from = from;
    c->to = to;
}

void cut_range(struct cutter *c, size_t from, size_t to, bool match)
{
    match ^= c->invert;
    switch (c->behavior) {
    case REMOVED:
        if (!match)
            cut_piece(c, from, to);
        break;
    case ISOLATED:
        cut_piece(c, from, to);
        break;
    case MERGED_WITH_PREVIOUS:
        if (c->held && match && !c->held_match) {
            c->to = to;
            c->held_match = true;
        } else
            hold(c, from, to, match);
        break;
    case MERGED_WITH_NEXT:
        if (c->held && !match) {
            c->held = false;
            cut_piece(c, c->from, to);
        } else if (match)
            hold(c, from, to, true);
        else
            cut_piece(c, from, to);
        break;
    case CONTIGUOUS:
        if (c->held && match == c->held_match)
            c->to = to;
        else
            hold(c, from, to, match);
        break;
    }
}

void cut_end(struct cutter *c)
{
    if (c->held)
        cut_piece(c, c->from, c->to);
    c->held = false;
}
