/* text/reasoning/parser.c -- the engine around a format: what is held between pieces, and a whole text at once */
#include <assert.h>
#include <stdlib.h>

#include "text/reasoning/format.h"

int reasoning_parser_new(const struct reasoning_format *f, const struct reasoning_config *c, struct reasoning_parser **ret)
{
    assert(c->interrupts_n <= REASONING_INTERRUPTS_MAX);
    struct reasoning_parser *p = calloc(1, sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    p->format = f;
    p->config = *c;
    reasoning_reset(p);
    *ret = p;
    return 0;
}

void reasoning_parser_free(struct reasoning_parser *p)
{
    if (!p)
        return;
    buf_fini(&p->kept);
    free(p);
}

void reasoning_reset(struct reasoning_parser *p)
{
    buf_clear(&p->kept);
    p->held_n = 0;
    p->began = p->unsure = false;
    p->format->start(p);
}

bool reasoning_in_thought(const struct reasoning_parser *p)
{
    return p->in_thought;
}

/* Keeps TEXT, the beginning of a marker. */
static void hold(struct reasoning_parser *p, struct str text)
{
    assert(text.n < sizeof(p->held));
    if (text.n)
        memmove(p->held, text.p, text.n);
    p->held_n = text.n;
}

/* What is held with the beginning of TEXT behind it, which is room for any marker. Returns what is left of TEXT. */
static struct str step_over_held(struct reasoning_parser *p, struct str text)
{
    char joined[2 * MARKER_MAX];
    size_t held = p->held_n, take = sizeof(joined) - held < text.n ? sizeof(joined) - held : text.n;
    while (take < text.n && (text.p[take] & 0xC0) == 0x80) /* not between the bytes of a character */
        take--;
    memcpy(joined, p->held, held);
    memcpy(joined + held, text.p, take);
    struct str both = { joined, held + take };
    size_t used = p->format->step(p, both, false);
    if (used >= held) {
        p->held_n = 0;
        return str_skip(text, used - held);
    }
    if (take == text.n) {
        hold(p, str_skip(both, used));
        return STR_NONE;
    }
    assert(used > 0);
    hold(p, (struct str){ joined + used, held - used });
    return text;
}

int reasoning_feed(struct reasoning_parser *p, struct str text)
{
    while (p->held_n && text.n)
        text = step_over_held(p, text);
    if (text.n)
        hold(p, str_skip(text, p->format->step(p, text, false)));
    return p->kept.failed ? ERR_NOMEM : 0;
}

int reasoning_finish(struct reasoning_parser *p)
{
    if (p->held_n)
        (void)p->format->step(p, (struct str){ p->held, p->held_n }, true); /* uses all */
    p->held_n = 0;
    if (p->format->end)
        p->format->end(p);
    return p->kept.failed ? ERR_NOMEM : 0;
}

/* ---- a whole text at once ---- */

struct collector {
    struct buf text, thoughts;
};

static void collect(void *owner, bool thought, struct str text)
{
    struct collector *c = owner;
    buf_put(thought ? &c->thoughts : &c->text, text);
}

static int parse(const struct reasoning_format *f, struct str text, struct collector *c)
{
    struct reasoning_config config = { .sink = collect, .owner = c };
    struct reasoning_parser *p;
    int r = reasoning_parser_new(f, &config, &p);
    if (r < 0)
        return r;
    r = reasoning_feed(p, text);
    if (r == 0)
        r = reasoning_finish(p);
    reasoning_parser_free(p);
    return c->text.failed || c->thoughts.failed ? ERR_NOMEM : r;
}

int reasoning_parse(const struct reasoning_format *f, struct str text, struct arena *arena, struct str *ret_text,
                    struct str *ret_thoughts, struct err *err)
{
    if (text.n > REASONING_BYTES_MAX && !f->unbounded)
        return err_set(err, ERR_LIMIT, "Buffer overflow: %zu bytes exceeds maximum", text.n);
    struct collector c = { 0 };
    int r = parse(f, text, &c);
    struct str answer = STR_NONE, thoughts = STR_NONE;
    if (r == 0) {
        answer = arena_str(arena, buf_str(&c.text));
        thoughts = arena_str(arena, buf_str(&c.thoughts));
    }
    buf_fini(&c.text);
    buf_fini(&c.thoughts);
    if (r < 0 || arena->failed)
        return err_set(err, ERR_NOMEM, "out of memory while thoughts were told from text");
    *ret_text = answer;
    *ret_thoughts = thoughts;
    return 0;
}
