/* inference/parse_whole.c -- a chat completion with thoughts and tool calls told from its text (spec parsers 4.3)
 *
 *   "message":{"role":"assistant","content":"<think>r</think>a<tool_call>..."},"finish_reason":"stop"
 *   "message":{"role":"assistant","content":"a","reasoning_content":"r","tool_calls":[...]},"finish_reason":"tool_calls"
 *
 * All other bytes stay as they are, log-probabilities too: they are those of the raw text. A choice that has tool_calls already is not looked at for calls, one with reasoning_content (or vLLM's
 * `reasoning`) not for thoughts.
 */
#include "inference/parsed.h"

#include "json/json_write.h"

/* One choice being parsed. */
struct found {
    const struct parse_order *order; /* of this choice */
    struct buf thought, text, calls; /* owned; calls: the inside of the JSON array */
    unsigned calls_n;
};

static void on_piece(void *owner, enum piece_kind kind, unsigned index, struct str text)
{
    struct found *f = owner;

    switch (kind) {
    case PIECE_THOUGHT:
        buf_put(&f->thought, text);
        break;
    case PIECE_TEXT:
        buf_put(&f->text, text);
        break;
    case PIECE_CALL:
        if (f->calls_n++)
            buf_puts(&f->calls, "\"}},");
        buf_puts(&f->calls, "{");
        reply_put_call(&f->calls, f->order, text, index);
        buf_puts(&f->calls, "\"");
        break;
    case PIECE_ARGUMENTS:
    default:
        json_escape(&f->calls, text);
    }
}

static bool has_text(struct json v)
{
    return json_is(v, JSON_STRING) && json_raw_str(v).n > 0;
}

/* What this choice is still to be searched for. */
static struct parse_order order_of(const struct parse_order *order, struct json message)
{
    struct parse_order o = *order;
    struct json calls = json_get(message, STR("tool_calls"));

    if (json_is(calls, JSON_ARRAY) && json_count(calls))
        o.calls = NULL;
    if (has_text(json_get(message, STR("reasoning_content"))) || has_text(json_get(message, STR("reasoning"))))
        o.reasoning = NULL;
    return o;
}

static void put_string(struct buf *out, struct str s)
{
    buf_put_char(out, '"');
    json_escape(out, s);
    buf_put_char(out, '"');
}

static void put_thought(struct buf *out, const struct found *f)
{
    put_string(out, buf_str(&f->thought));
}

static void put_calls(struct buf *out, const struct found *f)
{
    buf_puts(out, "[");
    buf_put(out, buf_str(&f->calls));
    buf_puts(out, "\"}}]");
}

static void put_content(struct buf *out, const struct found *f)
{
    if (f->text.n || (!f->thought.n && !f->calls_n))
        put_string(out, buf_str(&f->text));
    else
        buf_puts(out, "null");
}

static void patch_finish(struct patches *p, struct json choice, struct json message)
{
    struct json reason = json_get(choice, STR("finish_reason"));
    struct str behind = json_raw(message);
    size_t at = p->texts.n;

    if (json_exists(reason)) {
        buf_puts(&p->texts, "\"tool_calls\"");
        patches_add(p, json_raw(reason), at);
    } else {
        buf_puts(&p->texts, ",\"finish_reason\":\"tool_calls\"");
        patches_add(p, (struct str){ behind.p + behind.n, 0 }, at);
    }
}

typedef void put_value(struct buf *out, const struct found *f);

/* The member NAME of MESSAGE: where it stands (as null, say) it is replaced. True: it stands nowhere. */
static bool replace_member(struct patches *p, struct json message, struct str name, put_value *put, const struct found *f)
{
    struct json old = json_get(message, name);
    size_t at = p->texts.n;

    if (!json_exists(old))
        return true;
    put(&p->texts, f);
    patches_add(p, json_raw(old), at);
    return false;
}

/* What stands nowhere yet follows the content. */
static void patch_choice(struct patches *p, struct json choice, struct json message, struct json content, const struct found *f)
{
    bool add_thought = f->thought.n && replace_member(p, message, STR("reasoning_content"), put_thought, f);
    bool add_calls = f->calls_n && replace_member(p, message, STR("tool_calls"), put_calls, f);
    size_t at = p->texts.n;

    put_content(&p->texts, f);
    if (add_thought) {
        buf_puts(&p->texts, ",\"reasoning_content\":");
        put_thought(&p->texts, f);
    }
    if (add_calls) {
        buf_puts(&p->texts, ",\"tool_calls\":");
        put_calls(&p->texts, f);
    }
    patches_add(p, json_raw(content), at);
    if (f->calls_n)
        patch_finish(p, choice, message);
}

static int parse_text(struct found *f, const struct toolcall_tools *tools, struct str text, struct err *err)
{
    struct reply_chain chain;
    int r = reply_chain_init(&chain, f->order, tools, on_piece, f);

    if (r == 0)
        r = reply_chain_feed(&chain, text);
    if (r == 0)
        r = reply_chain_finish(&chain);
    if (r < 0)
        (void)err_set(err, r, "%s", chain.err.message[0] ? chain.err.message : err_text(r));
    reply_chain_fini(&chain);
    if (r == 0 && (f->thought.failed || f->text.failed || f->calls.failed))
        r = ERR_NOMEM;
    return r;
}

static int parse_choice(const struct parse_order *order, const struct toolcall_tools *tools, struct json choice,
                        struct arena *arena, struct patches *p, struct parse_outcome *outcome, struct err *err)
{
    struct json message = json_get(choice, STR("message")), content = json_get(message, STR("content"));
    struct parse_order mine = order_of(order, message);
    struct found f = { .order = &mine };
    struct str text;
    int r;

    if (!has_text(content) || (!mine.calls && !mine.reasoning))
        return 0;
    text = json_str(content, arena);
    r = text.p ? parse_text(&f, tools, text, err) : ERR_NOMEM;
    if (r == 0 && (f.thought.n || f.calls_n || !str_eq(buf_str(&f.text), text))) {
        patch_choice(p, choice, message, content, &f);
        outcome->changed = true;
        outcome->calls += f.calls_n;
        outcome->thoughts += f.thought.n > 0;
    }
    buf_fini(&f.thought);
    buf_fini(&f.text);
    buf_fini(&f.calls);
    return r;
}

static int read_tools(const struct parse_order *order, struct arena *arena, struct json_doc *doc, struct toolcall_tools *ret)
{
    int r = 0;

    *ret = (struct toolcall_tools){ .arena = arena };
    if (order->calls && order->tools.n) {
        r = json_parse(order->tools, arena, doc, NULL);
        if (r == 0)
            r = toolcall_tools_read(json_root(doc), arena, ret);
    }
    return r;
}

int parse_whole(const struct parse_order *order, struct str body, struct buf *out, struct parse_outcome *ret, struct err *err)
{
    struct parse_outcome outcome = { 0 };
    struct patches patches = { 0 };
    struct json_doc doc, tools_doc;
    struct toolcall_tools tools;
    struct json_iter it;
    struct arena arena;
    size_t before = out->n;
    int r;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    r = json_parse(body, &arena, &doc, NULL);
    if (r == 0) {
        r = read_tools(order, &arena, &tools_doc, &tools);
        it = json_iter(json_get(json_root(&doc), STR("choices")));
        while (r == 0 && json_is(json_get(json_root(&doc), STR("choices")), JSON_ARRAY) && json_next(&it))
            r = parse_choice(order, &tools, it.value, &arena, &patches, &outcome, err);
    } else if (r != ERR_NOMEM) {
        r = 0; /* no JSON: nobody's to change */
    }
    if (r == 0 && outcome.changed) {
        patches_apply(&patches, body, out);
        r = out->failed                         ? ERR_NOMEM
            : out->n - before > PARSE_REPLY_MAX ? err_set(err, ERR_LIMIT, "Parsed reply too long: %zu bytes", out->n - before)
                                                : 0;
    }
    if (r < 0)
        out->n = before;
    else
        *ret = outcome;
    patches_fini(&patches);
    arena_fini(&arena);
    return r;
}
