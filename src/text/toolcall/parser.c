/* text/toolcall/parser.c -- the engine around a format: pending text, the events, what is held while no call is known */
#include "text/toolcall/format.h"

#include <stdlib.h>
#include <string.h>

#include "text/toolcall/partial_json.h"

/* A piece of `held`, from the end of the part before it. */
struct held_part {
    size_t end;
    bool is_text;
};

int toolcall_parser_new(const struct toolcall_format *f, const struct toolcall_config *c, struct toolcall_parser **ret)
{
    struct toolcall_parser *p = calloc(1, sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    p->state = f->state_bytes ? malloc(f->state_bytes) : NULL;
    if (f->state_bytes && !p->state) {
        free(p);
        return ERR_NOMEM;
    }
    p->format = f;
    p->config = *c;
    if (!p->config.max_bytes)
        p->config.max_bytes = TOOLCALL_BYTES_DEFAULT;
    arena_init(&p->scratch, NULL, 0);
    toolcall_reset(p);
    *ret = p;
    return 0;
}

void toolcall_parser_free(struct toolcall_parser *p)
{
    if (!p)
        return;
    arena_fini(&p->scratch);
    buf_fini(&p->pending);
    buf_fini(&p->held);
    buf_fini(&p->work);
    buf_fini(&p->kept);
    free(p->parts);
    free(p->state);
    free(p);
}

void toolcall_reset(struct toolcall_parser *p)
{
    buf_clear(&p->pending);
    buf_clear(&p->held);
    buf_clear(&p->work);
    buf_clear(&p->kept);
    arena_fini(&p->scratch);
    p->parts_n = 0;
    p->seen = 0;
    p->calls = 0;
    p->in_call = false;
    p->after_call = false;
    p->drop_after = false;
    p->began = false;
    p->failed = false;
    if (p->format->state_bytes)
        memset(p->state, 0, p->format->state_bytes);
    if (p->format->start)
        p->format->start(p);
}

bool toolcall_in_call(const struct toolcall_parser *p)
{
    return p->in_call;
}

/* Where the value begins: its first brace, or the bracket of the list that it stands in. */
static struct str value_in(struct str block)
{
    size_t brace = str_find_char(block, '{'), at = brace;
    if (brace == STR_NPOS)
        return STR_NONE;
    while (at > 0 && strchr(" \t\r\n", block.p[at - 1]))
        at--;
    return str_skip(block, at > 0 && block.p[at - 1] == '[' ? at - 1 : brace);
}

void toolcall_so_far(const struct toolcall_parser *p, struct buf *out)
{
    struct str value = p->in_call && p->format->json_block ? value_in(buf_str(&p->pending)) : STR_NONE;
    if (value.n && partial_json(value, true, out, NULL) == ERR_NOMEM)
        out->failed = true;
}

static void tell(struct toolcall_parser *p, enum toolcall_event_type type, struct str text)
{
    if (!text.n && (type == TOOLCALL_TEXT || type == TOOLCALL_ARGUMENTS))
        return;
    struct toolcall_event e = { .type = type, .index = type == TOOLCALL_TEXT ? 0 : p->calls - 1, .text = text };
    p->config.sink(p->config.owner, &e);
}

static void hold(struct toolcall_parser *p, struct str piece, bool is_text)
{
    if (!piece.n)
        return;
    buf_put(&p->held, piece);
    if (p->parts_n && p->parts[p->parts_n - 1].is_text == is_text) {
        p->parts[p->parts_n - 1].end = p->held.n;
        return;
    }
    if (p->parts_n == p->parts_cap) {
        size_t cap = p->parts_cap ? 2 * p->parts_cap : 8;
        struct held_part *parts = reallocarray(p->parts, cap, sizeof(*parts));
        if (!parts) {
            p->failed = true;
            return;
        }
        p->parts = parts;
        p->parts_cap = cap;
    }
    p->parts[p->parts_n++] = (struct held_part){ .end = p->held.n, .is_text = is_text };
}

/* Lets go of what is held: the text, and what was dropped only if ALL. */
static void release(struct toolcall_parser *p, bool all)
{
    size_t at = 0;
    for (size_t i = 0; i < p->parts_n; at = p->parts[i++].end) {
        if (all || p->parts[i].is_text)
            tell(p, TOOLCALL_TEXT, (struct str){ p->held.p + at, p->parts[i].end - at });
    }
    p->parts_n = 0;
    buf_clear(&p->held);
}

void parser_text(struct toolcall_parser *p, struct str text)
{
    if (p->calls && p->drop_after)
        return;
    p->after_call = p->after_call && !text.n;
    if (p->parts_n)
        hold(p, text, true);
    else
        tell(p, TOOLCALL_TEXT, text);
}

void parser_drop(struct toolcall_parser *p, struct str raw)
{
    if (!p->calls)
        hold(p, raw, false);
}

void parser_call(struct toolcall_parser *p, struct str name, struct str arguments)
{
    if (!p->calls)
        release(p, false);
    p->calls++;
    tell(p, TOOLCALL_BEGIN, name);
    tell(p, TOOLCALL_ARGUMENTS, arguments);
    tell(p, TOOLCALL_END, (struct str){ 0 });
    p->after_call = true;
}

void parser_text_trimmed(struct toolcall_parser *p, struct str text)
{
    struct str core = arguments_trim(text);
    if (!core.n) {
        if (p->began)
            buf_put(&p->kept, text);
        return;
    }
    if (p->began) {
        parser_text(p, buf_str(&p->kept));
        core = str_range(text.p, core.p + core.n);
    }
    parser_text(p, core);
    p->began = true;
    buf_clear(&p->kept);
    buf_put(&p->kept, str_range(core.p + core.n, text.p + text.n));
}

size_t parser_text_until(struct toolcall_parser *p, const struct markers *m, struct str text, bool ended, int *ret_marker)
{
    size_t at, blanks = p->seen; /* after a call: blanks that were looked at before */
    *ret_marker = markers_find(m, text, blanks, ended, &at);
    while (p->after_call && blanks < at && strchr(" \t\r\n", text.p[blanks]))
        blanks++;
    bool only_blanks = blanks == at;
    if (p->after_call && only_blanks && *ret_marker < 0 && !ended) {
        p->seen = at;
        return 0;
    }
    if (p->after_call && only_blanks)
        parser_drop(p, (struct str){ text.p, at });
    else
        parser_text(p, (struct str){ text.p, at });
    return at;
}

/* Steps through TEXT while the format uses some of it; returns how much it used. */
static size_t steps(struct toolcall_parser *p, struct str text, bool ended)
{
    size_t used = 0;
    while (used < text.n && !p->failed) {
        size_t n = p->format->step(p, (struct str){ text.p + used, text.n - used }, ended);
        if (p->scratch.failed || p->work.failed || p->kept.failed || p->held.failed)
            p->failed = true;
        if (p->scratch.used)
            arena_fini(&p->scratch);
        if (!n)
            break;
        used += n;
        p->seen = 0;
    }
    return used;
}

static int outcome(struct toolcall_parser *p, struct err *err)
{
    if (p->failed || p->pending.failed) {
        p->failed = true;
        return err_set(err, ERR_NOMEM, "out of memory while a tool call was read");
    }
    size_t kept = p->pending.n + p->held.n;
    if (kept > p->config.max_bytes) {
        p->failed = true;
        return err_set(err, ERR_LIMIT, "Tool call too long: %zu bytes (max: %zu)", kept, p->config.max_bytes);
    }
    return 0;
}

int toolcall_feed(struct toolcall_parser *p, struct str text, struct err *err)
{
    if (!text.n)
        return outcome(p, err);
    if (!p->pending.n) {
        size_t used = steps(p, text, false);
        buf_put(&p->pending, (struct str){ text.p + used, text.n - used });
    } else {
        buf_put(&p->pending, text);
        if (!p->pending.failed)
            buf_consume(&p->pending, steps(p, buf_str(&p->pending), false));
    }
    return outcome(p, err);
}

int toolcall_finish(struct toolcall_parser *p, struct err *err)
{
    size_t used = steps(p, buf_str(&p->pending), true);
    buf_consume(&p->pending, used);
    int r = outcome(p, err);
    if (r < 0)
        return r;
    release(p, !p->calls);
    p->in_call = false; /* a section may be left open */
    return 0;
}

/* ---- a whole text at once ---- */

struct collector {
    struct toolcall_result *result;
    struct arena *arena;
    struct buf text, arguments;
    size_t calls_cap;
    bool failed;
};

static void begin_call(struct collector *c, struct str name)
{
    struct toolcall_result *r = c->result;
    if (r->calls_n == c->calls_cap) {
        size_t cap = c->calls_cap ? 2 * c->calls_cap : 4;
        struct toolcall_call *calls = arena_array(c->arena, cap, sizeof(*calls));
        if (!calls) {
            c->failed = true;
            return;
        }
        if (r->calls_n)
            memcpy(calls, r->calls, r->calls_n * sizeof(*calls));
        r->calls = calls;
        c->calls_cap = cap;
    }
    r->calls[r->calls_n++] = (struct toolcall_call){ .name = arena_str(c->arena, name) };
    buf_clear(&c->arguments);
}

static void collect(void *owner, const struct toolcall_event *e)
{
    struct collector *c = owner;
    if (c->failed)
        return;
    switch (e->type) {
    case TOOLCALL_TEXT:
        buf_put(&c->text, e->text);
        break;
    case TOOLCALL_BEGIN:
        begin_call(c, e->text);
        break;
    case TOOLCALL_ARGUMENTS:
        buf_put(&c->arguments, e->text);
        break;
    case TOOLCALL_END:
        c->result->calls[c->result->calls_n - 1].arguments = arena_str(c->arena, buf_str(&c->arguments));
        break;
    }
}

int toolcall_parse(const struct toolcall_format *f, const struct toolcall_tools *tools, struct str text, struct arena *arena,
                   struct toolcall_result *ret, struct err *err)
{
    struct toolcall_result result = { 0 };
    struct collector c = { .result = &result, .arena = arena };
    struct toolcall_config config = { .tools = tools, .max_bytes = SIZE_MAX, .sink = collect, .owner = &c };
    struct toolcall_parser *p;
    int r = toolcall_parser_new(f, &config, &p);
    if (r < 0)
        return err_set(err, r, "out of memory while tool calls were read");
    r = toolcall_feed(p, text, err);
    if (r == 0)
        r = toolcall_finish(p, err);
    result.text = arena_str(arena, buf_str(&c.text));
    if (r == 0 && (c.failed || arena->failed || c.text.failed || c.arguments.failed))
        r = err_set(err, ERR_NOMEM, "out of memory while tool calls were read");
    toolcall_parser_free(p);
    buf_fini(&c.text);
    buf_fini(&c.arguments);
    if (r == 0)
        *ret = result;
    return r;
}

/* ---- the simplest format ---- */

static size_t passthrough_step(struct toolcall_parser *p, struct str text, bool ended)
{
    parser_text(p, text);
    return text.n;
}

static const char *const PASSTHROUGH_ALIASES[] = { "none", "off", NULL };
const struct toolcall_format TOOLCALL_PASSTHROUGH = {
    .name = "passthrough",
    .summary = "no tool calls: all text is content",
    .aliases = PASSTHROUGH_ALIASES,
    .step = passthrough_step,
};
