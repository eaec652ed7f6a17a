/* inference/reply_chain.c -- one choice's text: the reasoning parser first, what it calls text goes to the tool-call parser
 *
 * Where the request binds the model to call, text is held as long as it may be the JSON of an engine that bound it by a schema (json_mode.c), first as the whole reply, then as what is no thought:
 *
 *   IN_REPLY --no such JSON--> IN_TEXT --no such JSON--> NOWHERE      what was held goes on: to the reasoning parser, to the tool-call parser (give_up_json)
 *       +------the end, calls-----+-----the end, calls------^         end_json
 *
 * White space before the first text is kept back: where a thought or a call was told and nothing but white space is left, there is no content (spec parsers 4.3).
 */
#include "inference/parsed.h"

#include <assert.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/random.h"
#include "json/json_write.h"

#define BLANK_MAX (64u << 10) /* bytes of white space that are kept back; more is text */

static void fail(struct reply_chain *c, int status)
{
    if (c->status == 0)
        c->status = status;
}

static bool is_blank(struct str s)
{
    return str_trim(s).n == 0;
}

static void tell_text(struct reply_chain *c, struct str text)
{
    if (!c->text_told && is_blank(text) && c->blank.n + text.n <= BLANK_MAX) {
        buf_put(&c->blank, text);
        if (c->blank.failed)
            fail(c, ERR_NOMEM);
        return;
    }
    if (c->blank.n)
        c->piece(c->owner, PIECE_TEXT, 0, buf_str(&c->blank));
    buf_clear(&c->blank);
    c->text_told = true;
    c->piece(c->owner, PIECE_TEXT, 0, text);
}

static void on_call_event(void *owner, const struct toolcall_event *e)
{
    struct reply_chain *c = owner;

    switch (e->type) {
    case TOOLCALL_TEXT:
        tell_text(c, e->text);
        break;
    case TOOLCALL_BEGIN:
        c->calls_n++;
        c->piece(c->owner, PIECE_CALL, e->index, e->text);
        break;
    case TOOLCALL_ARGUMENTS:
        c->piece(c->owner, PIECE_ARGUMENTS, e->index, e->text);
        break;
    case TOOLCALL_END:
    default:
        break;
    }
}

static void tell_thought(struct reply_chain *c)
{
    if (c->thought.n)
        c->piece(c->owner, PIECE_THOUGHT, 0, buf_str(&c->thought));
    buf_clear(&c->thought);
}

/* ---- the tool-call parser ---- */

static void feed_calls(struct reply_chain *c, struct str text)
{
    if (c->status < 0 || !text.n)
        return;
    if (!c->calls) {
        tell_text(c, text);
        return;
    }
    fail(c, toolcall_feed(c->calls, text, &c->err));
    if (c->status < 0)
        return;
    if (!toolcall_in_call(c->calls)) {
        budget_give(c->charged);
        c->charged = 0;
    } else if (budget_take(text.n)) {
        c->charged += text.n;
    } else {
        fail(c, ERR_NOMEM);
    }
}

/* ---- bare JSON ---- */

static void take_text(struct reply_chain *c, struct str text);

static void enter(struct reply_chain *c, enum json_stage stage)
{
    assert(c->stage == JSON_IN_REPLY || (c->stage == JSON_IN_TEXT && stage == JSON_NOWHERE));
    c->stage = stage;
    json_hold_clear(&c->json);
    budget_give(c->charged);
    c->charged = 0;
}

/* To where text goes that is no such JSON as STAGE looks for. */
static void pass_on(struct reply_chain *c, enum json_stage stage, struct str text)
{
    if (c->status < 0 || !text.n)
        return;
    if (stage == JSON_IN_TEXT)
        feed_calls(c, text);
    else if (c->thoughts)
        fail(c, reasoning_feed(c->thoughts, text));
    else
        take_text(c, text);
}

/* What is held goes on, and TEXT behind it. */
static void give_up_json(struct reply_chain *c, struct str text)
{
    enum json_stage stage = c->stage;
    struct buf held = c->json.text;

    c->json.text = (struct buf){ 0 };
    enter(c, stage == JSON_IN_REPLY ? JSON_IN_TEXT : JSON_NOWHERE);
    pass_on(c, stage, buf_str(&held));
    pass_on(c, stage, text);
    buf_fini(&held);
}

static void hold(struct reply_chain *c, struct str text)
{
    if (!json_hold_feed(&c->json, c->order, text)) {
        give_up_json(c, text);
        return;
    }
    if (c->json.text.failed || !budget_take(text.n)) {
        fail(c, ERR_NOMEM);
        return;
    }
    c->charged += text.n;
    if (c->json.text.n > TOOLCALL_BYTES_DEFAULT)
        fail(c, err_set(&c->err, ERR_LIMIT, "Tool call too long: %zu bytes (max: %u)", c->json.text.n, TOOLCALL_BYTES_DEFAULT));
}

static void tell_calls(struct reply_chain *c, const struct toolcall_result *r)
{
    for (size_t i = 0; i < r->calls_n; i++) {
        c->piece(c->owner, PIECE_CALL, c->calls_n, r->calls[i].name);
        if (r->calls[i].arguments.n)
            c->piece(c->owner, PIECE_ARGUMENTS, c->calls_n, r->calls[i].arguments);
        c->calls_n++;
    }
}

/* No more comes: what is held is all of the reply, or all of its text. */
static void end_json(struct reply_chain *c)
{
    struct toolcall_result found = { 0 };
    struct arena arena;

    if (c->status < 0)
        return;
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    fail(c, json_mode_read(c->order, c->tools, buf_str(&c->json.text), &arena, &found));
    if (found.calls_n) {
        tell_calls(c, &found);
        enter(c, JSON_NOWHERE);
        reasoning_parser_free(STEAL(c->thoughts)); /* if there still is one, it saw nothing of this reply */
    } else {
        give_up_json(c, STR_NONE);
    }
    arena_fini(&arena);
}

/* ---- what the reasoning parser says ---- */

static void take_text(struct reply_chain *c, struct str text)
{
    if (c->status < 0 || !text.n)
        return;
    tell_thought(c);
    if (c->stage == JSON_IN_TEXT)
        hold(c, text);
    else
        feed_calls(c, text);
}

static void take_thought(struct reply_chain *c, struct str text)
{
    c->thought_told = true;
    if (!c->order->thoughts_at_once) {
        c->piece(c->owner, PIECE_THOUGHT, 0, text);
        return;
    }
    if (c->thought.n + text.n > REASONING_BYTES_MAX) {
        fail(c, err_set(&c->err, ERR_LIMIT, "Thought too long: more than %u bytes", REASONING_BYTES_MAX));
        return;
    }
    buf_put(&c->thought, text);
    if (c->thought.failed)
        fail(c, ERR_NOMEM);
}

static void on_thought(void *owner, bool thought, struct str text)
{
    struct reply_chain *c = owner;

    if (c->status < 0)
        return;
    if (thought)
        take_thought(c, text);
    else
        take_text(c, text);
}

int reply_chain_init(struct reply_chain *c, const struct parse_order *order, const struct toolcall_tools *tools, reply_piece *piece,
                     void *owner)
{
    int r = 0;

    *c = (struct reply_chain){ .order = order, .tools = tools, .piece = piece, .owner = owner };
    if (order->calls && order->must_call)
        c->stage = JSON_IN_REPLY;
    if (order->reasoning) {
        struct reasoning_config conf = {
            .started = order->started, .content_only = order->content_only, .sink = on_thought, .owner = c
        };

        r = reasoning_parser_new(order->reasoning, &conf, &c->thoughts);
    }
    if (r == 0 && order->calls) {
        struct toolcall_config conf = { .tools = tools, .sink = on_call_event, .owner = c };

        r = toolcall_parser_new(order->calls, &conf, &c->calls);
    }
    return r;
}

void reply_chain_fini(struct reply_chain *c)
{
    reasoning_parser_free(STEAL(c->thoughts));
    toolcall_parser_free(STEAL(c->calls));
    json_hold_clear(&c->json);
    buf_fini(&c->thought);
    buf_fini(&c->blank);
    budget_give(c->charged);
    c->charged = 0;
}

int reply_chain_feed(struct reply_chain *c, struct str text)
{
    if (c->stage == JSON_IN_REPLY)
        hold(c, text);
    else
        pass_on(c, JSON_IN_REPLY, text); /* the way from its beginning */
    return c->status;
}

int reply_chain_leave_thoughts(struct reply_chain *c)
{
    if (c->stage == JSON_IN_REPLY)
        give_up_json(c, STR_NONE);
    if (c->thoughts && c->status == 0)
        fail(c, reasoning_finish(c->thoughts));
    if (c->status == 0)
        tell_thought(c);
    reasoning_parser_free(STEAL(c->thoughts));
    return c->status;
}

int reply_chain_leave_calls(struct reply_chain *c)
{
    while (c->stage != JSON_NOWHERE)
        give_up_json(c, STR_NONE);
    if (c->calls && c->status == 0)
        fail(c, toolcall_finish(c->calls, &c->err));
    toolcall_parser_free(STEAL(c->calls));
    return c->status;
}

int reply_chain_finish(struct reply_chain *c)
{
    int r;

    if (c->stage == JSON_IN_REPLY)
        end_json(c);
    r = reply_chain_leave_thoughts(c);
    if (c->stage == JSON_IN_TEXT)
        end_json(c);
    if (r == 0)
        r = reply_chain_leave_calls(c);
    if (r == 0 && c->blank.n && !c->calls_n && !c->thought_told)
        c->piece(c->owner, PIECE_TEXT, 0, buf_str(&c->blank));
    buf_clear(&c->blank);
    return r;
}

void reply_put_call(struct buf *out, const struct parse_order *order, struct str name, unsigned index)
{
    _cleanup_(buf_fini) struct buf id = { 0 };
    uint8_t random[16];

    random_bytes(random, sizeof random);
    toolcall_id(order->model, order->calls, name, index, order->history, clock_wall_us() / 1000, random, &id);
    buf_puts(out, "\"id\":\"");
    json_escape(out, buf_str(&id));
    buf_puts(out, "\",\"type\":\"function\",\"function\":{\"name\":\"");
    json_escape(out, name);
    buf_puts(out, "\",\"arguments\":");
    out->failed |= id.failed;
}
