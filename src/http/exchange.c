/* exchange.c -- the reply: what the worker side of an exchange calls
 *
 *   exchange_reply_head -> exchange_send ... -> exchange_end          exchange_break at any time
 *   exchange_reply = all three;  exchange_generate = the same in turns
 *
 * A reply that is held (struct exchange_hold) is gathered in held_body by the same calls; held_step hands it over at the end of the turn.
 * Nothing here calls the worker side back: a reply that breaks inside exchange_send is ended from the connection's deferred step, and on_ready comes from the
 * stream's drain. After exchange_end and exchange_break the exchange is DONE; its memory stands until the end of the turn.
 */
#include "http/server_internal.h"

#include <stdlib.h>

#include "base/log.h"

#define TARGET "smg::http"

static void put_head(struct exchange *ex);
static enum exchange_send gather(struct exchange *ex, struct str part);
static void end_gathering(struct exchange *ex);
static void cut_held(struct exchange *ex, int status);
static void end_reply(struct exchange *ex);

/* ---- before the head ---- */

void exchange_own(struct exchange *ex, const struct exchange_owner *owner, void *arg)
{
    assert(loop_is_current(ex->loop) && ex->state != EX_DONE);
    ex->owner = owner;
    ex->owner_arg = arg;
}

/* A generator counts as a reply that has begun: its first part is made within this turn or the next. */
bool exchange_take_back(struct exchange *ex)
{
    const struct exchange_owner *owner = ex->owner;

    assert(loop_is_current(ex->loop));
    if (ex->state >= EX_REPLYING || ex->generator)
        return false;
    ex->owner = NULL;
    ex->waiting = false;
    loop_defer_cancel(ex->loop, &ex->go_on);
    if (owner && owner->on_abort)
        owner->on_abort(ex, ex->owner_arg);
    return true;
}

void exchange_add(struct exchange *ex, enum http_field_id id, struct str value)
{
    http_add(&ex->reply, &ex->arena, id, value);
}

void exchange_add_name(struct exchange *ex, struct str lowercase_name, struct str value)
{
    http_add_name(&ex->reply, &ex->arena, lowercase_name, value);
}

/* ---- the head ---- */

/* The body of this request that is still to come can be read and dropped, so that the connection may be kept. */
static bool rest_is_cheap(const struct exchange *ex)
{
    if (ex->req.body != HTTP_BODY_LENGTH || ex->req.length > SERVER_AHEAD_BYTES || ex->req.length > ex->server->conf.max_body_bytes)
        return false;
    return !ex->req.expect_continue || conn_waiting(ex->connection).n > 0;
}

/* Somebody answers: what becomes of the part of the request that was not read? */
static void settle_request(struct exchange *ex)
{
    struct http_connection *c = ex->connection;

    switch (c->read) {
    case READ_HOLD:
        if (ex->state != EX_HEAD || ex->req.body == HTTP_BODY_NONE)
            return; /* it is complete */
        if (rest_is_cheap(ex)) {
            h1_body_init(&c->body, &ex->req);
            conn_enter(c, c->body.done ? READ_HOLD : READ_DRAIN);
            conn_kick(c);
            return;
        }
        break;
    case READ_DRAIN:
        /* Who was never told to continue may send the body or not: nobody could say where the next request begins (RFC 9110 10.1.1). */
        if (!ex->req.expect_continue || c->drained > 0)
            return;
        break;
    default:
        break;
    }
    ex->close_after = true;
    conn_enter(c, READ_DISCARD);
    conn_kick(c);
}

/* How the body is delimited (RFC 9112 6.3), and whether the connection goes on (9.3). */
static void choose_framing(struct exchange *ex)
{
    bool unknown = ex->reply_length == HTTP_LENGTH_UNKNOWN;

    ex->swallow = ex->req.method == HTTP_HEAD || ex->status == 204 || ex->status == 304;
    ex->reply_left = ex->reply_length;
    ex->chunked = unknown && ex->req.minor > 0 && ex->status != 204 && ex->status != 304;
    if (unknown && !ex->chunked && !ex->swallow)
        ex->close_after = true;
    if (!ex->req.keep_alive || ex->server->state != SERVER_OPEN)
        ex->close_after = true;
}

static void begin_reply(struct exchange *ex)
{
    exchange_run_on_reply(ex);
    choose_framing(ex);
    ex->head_us = loop_now_exact_us(ex->loop);
    put_head(ex);
}

void exchange_reply_head(struct exchange *ex, unsigned status, uint64_t length)
{
    assert(loop_is_current(ex->loop));
    assert(status >= 200 && status <= 999);
    assert(ex->state < EX_REPLYING);
    if (ex->state >= EX_REPLYING)
        return;
    ex->waiting = false;
    loop_defer_cancel(ex->loop, &ex->go_on);
    ex->status = status;
    ex->reply_length = length;
    settle_request(ex);
    exchange_set_state(ex, EX_REPLYING);
    if (_unlikely_(ex->hold) && ex->hold->wants(ex, ex->hold_arg)) {
        ex->held = HOLD_GATHERS;
        return;
    }
    begin_reply(ex);
}

/* Fields about the connection and the framing are the server's, whatever a handler or a worker's reply says. */
static bool is_ours(enum http_field_id id)
{
    switch (id) {
    case HF_CONNECTION:
    case HF_CONTENT_LENGTH:
    case HF_KEEP_ALIVE:
    case HF_PROXY_CONNECTION:
    case HF_TRAILER:
    case HF_TRANSFER_ENCODING:
    case HF_UPGRADE:
        return true;
    default:
        return false;
    }
}

static void write_head(struct exchange *ex, struct buf *out)
{
    bool dated = false;

    h1_put_status_line(out, ex->status);
    for (unsigned i = 0; i < ex->reply.n; i++) {
        const struct http_field *f = &ex->reply.v[i];

        if (is_ours(f->id))
            continue;
        dated |= f->id == HF_DATE;
        if (!h1_put_field(out, f->name, f->value))
            log_debug(TARGET, "a reply field was left out: its value would break the framing", LF_STR("field", f->name),
                      LF_STR("request_id", ex->request_id));
    }
    if (ex->chunked)
        buf_puts(out, "transfer-encoding: chunked\r\n");
    else if (ex->reply_length != HTTP_LENGTH_UNKNOWN && ex->status != 204)
        h1_put_length(out, ex->reply_length);
    if (!dated)
        buf_put(out, server_date(ex->server));
    if (ex->close_after)
        buf_puts(out, "connection: close\r\n");
    else if (ex->req.minor == 0)
        buf_puts(out, "connection: keep-alive\r\n");
    h1_put_end(out);
}

static size_t head_bound(const struct exchange *ex)
{
    size_t n = 512; /* the status line and our own fields */

    for (unsigned i = 0; i < ex->reply.n; i++)
        n += ex->reply.v[i].name.n + ex->reply.v[i].value.n + 4;
    return n;
}

static void put_head(struct exchange *ex)
{
    struct http_connection *c = ex->connection;
    size_t bound = head_bound(ex);

    if (_likely_(bound <= CORK_BYTES)) {
        struct buf *cork = cork_open(c, bound);
        size_t before = cork->n;

        write_head(ex, cork);
        ex->bytes_out += cork->n - before;
        return;
    }
    _cleanup_(buf_fini) struct buf large = { 0 };

    write_head(ex, &large);
    if (large.failed) {
        ex->broken = true;
        conn_kick(c);
        return;
    }
    ex->bytes_out += large.n;
    cork_write_direct(c, buf_str(&large), STR_NONE);
}

/* ---- the body ---- */

static enum exchange_send fullness(struct exchange *ex)
{
    const struct http_connection *c = ex->connection;

    if (!c->lost && !stream_has_pending(c->stream))
        return SEND_OK;
    ex->full = true;
    return SEND_FULL;
}

static enum exchange_send break_soon(struct exchange *ex)
{
    ex->broken = true;
    conn_kick(ex->connection);
    return SEND_FULL;
}

/* The part in its frame, into the cork when it is small. */
static void put_part(struct exchange *ex, struct str part)
{
    struct http_connection *c = ex->connection;
    struct str tail = ex->chunked ? STR("\r\n") : STR_NONE;
    bool direct = part.n >= PART_DIRECT;
    struct buf *cork = cork_open(c, H1_CHUNK_PREFIX_MAX + 2 + (direct ? 0 : part.n));
    size_t before = cork->n;

    if (ex->chunked)
        cork->n += h1_chunk_prefix(cork->p + cork->n, part.n);
    if (direct) {
        ex->bytes_out += cork->n - before + part.n + tail.n;
        cork_write_direct(c, part, tail);
        return;
    }
    buf_put(cork, part);
    buf_put(cork, tail);
    ex->bytes_out += cork->n - before;
}

enum exchange_send exchange_send(struct exchange *ex, struct str part)
{
    assert(loop_is_current(ex->loop));
    assert(ex->state >= EX_REPLYING);
    if (ex->state != EX_REPLYING || ex->broken)
        return SEND_FULL;
    if (_unlikely_(ex->held != HOLD_NONE))
        return gather(ex, part);
    if (part.n == 0 || ex->swallow)
        return fullness(ex);
    if (ex->reply_length != HTTP_LENGTH_UNKNOWN) {
        if (part.n > ex->reply_left)
            return break_soon(ex);
        ex->reply_left -= part.n;
    }
    put_part(ex, part);
    if (ex->tap)
        ex->tap(ex, part, ex->tap_arg);
    if (ex->facts.first_byte_us == 0)
        ex->facts.first_byte_us = loop_now_exact_us(ex->loop);
    return fullness(ex);
}

enum exchange_send exchange_flush(struct exchange *ex)
{
    if (ex->state == EX_DONE)
        return SEND_FULL;
    if (_unlikely_(ex->held != HOLD_NONE))
        return ex->held == HOLD_GATHERS ? SEND_OK : SEND_FULL;
    if (ex->server->corked == ex->connection)
        cork_flush(ex->server);
    return fullness(ex);
}

/* ---- the ends ---- */

static void end_reply(struct exchange *ex)
{
    struct http_connection *c = ex->connection;

    if (ex->chunked && !ex->swallow) {
        buf_puts(cork_open(c, 8), "0\r\n\r\n");
        ex->bytes_out += 5;
    }
    /* The client has its reply before log and metrics have theirs; with its next request at hand, several replies go in one write. */
    if (ex->server->corked == c && conn_waiting(c).n == 0)
        cork_flush(ex->server);
    exchange_finish(ex, EX_FINISHED, OWNER_KNOWS);
    conn_exchange_over(c, ex->close_after ? CONN_END : CONN_KEEP);
}

void exchange_end(struct exchange *ex)
{
    assert(loop_is_current(ex->loop));
    if (ex->state == EX_DONE)
        return;
    assert(ex->state == EX_REPLYING);
    if (_unlikely_(ex->held != HOLD_NONE)) {
        end_gathering(ex);
        return;
    }
    if (ex->broken || (!ex->swallow && ex->reply_length != HTTP_LENGTH_UNKNOWN && ex->reply_left > 0)) {
        exchange_break(ex);
        return;
    }
    end_reply(ex);
}

void exchange_break(struct exchange *ex)
{
    struct http_connection *c = ex->connection;

    assert(loop_is_current(ex->loop));
    if (ex->state == EX_DONE)
        return;
    if (_unlikely_(ex->held != HOLD_NONE)) {
        ex->owner = NULL;
        cut_held(ex, ERR_RESET);
        return;
    }
    if (ex->server->corked == c)
        cork_flush(ex->server);
    exchange_finish(ex, EX_FAILED, OWNER_KNOWS);
    c->ex = NULL;
    /* A chunked body without its last chunk is visibly cut (RFC 9112 8); the other framings need the reset. */
    conn_close(c, ex->chunked ? CLOSE_PLAIN : CLOSE_RESET);
}

static bool proceed_copy(struct exchange *ex, struct buf *out, void *arg)
{
    struct str *left = arg;
    struct str part = str_first(*left, GENERATE_BYTES);

    buf_put(out, part);
    *left = str_skip(*left, part.n);
    return left->n == 0;
}

/* More than the kernel takes at once and more than net/ may hold: fed like a generator with a known length. BODY stands until the end of the exchange. */
static void reply_in_turns(struct exchange *ex, struct str body)
{
    static const struct exchange_generator copy = { .proceed = proceed_copy };
    struct str *left = arena_new(&ex->arena, struct str);

    if (!left || !body.p) {
        exchange_break(ex);
        return;
    }
    *left = body;
    ex->owner = NULL;
    ex->generator = &copy;
    ex->generator_arg = left;
    server_generate_later(ex->server, ex);
}

static void reply_at_once(struct exchange *ex, struct str body)
{
    if (body.n > 0 && !ex->swallow)
        ex->facts.first_byte_us = ex->head_us; /* they leave together */
    (void)exchange_send(ex, body);             /* the exchange ends: nobody waits for on_ready */
    exchange_end(ex);
}

static bool is_for_turns(const struct exchange *ex, struct str body)
{
    return body.n > REPLY_COPY_MAX && !ex->swallow && ex->held == HOLD_NONE;
}

void exchange_reply(struct exchange *ex, unsigned status, struct str content_type, struct str body)
{
    if (content_type.n > 0)
        exchange_add(ex, HF_CONTENT_TYPE, content_type);
    exchange_reply_head(ex, status, body.n);
    if (is_for_turns(ex, body))
        reply_in_turns(ex, arena_str(&ex->arena, body));
    else
        reply_at_once(ex, body);
}

void exchange_reply_kept(struct exchange *ex, unsigned status, struct str body)
{
    exchange_reply_head(ex, status, body.n);
    if (is_for_turns(ex, body))
        reply_in_turns(ex, body);
    else
        reply_at_once(ex, body);
}

/* ---- held replies ---- */

void exchange_hold_reply(struct exchange *ex, const struct exchange_hold *hold, void *arg)
{
    assert(ex->state < EX_REPLYING && ex->held == HOLD_NONE);
    ex->hold = hold;
    ex->hold_arg = arg;
}

/* Nothing has gone out, so there is a step back: the one place where a state is not written by exchange_set_state. The body stays until the end. */
void exchange_unhold(struct exchange *ex)
{
    ex->hold = NULL;
    ex->owner = NULL;
    if (ex->held == HOLD_NONE)
        return;
    assert(ex->state == EX_REPLYING && ex->held != HOLD_GATHERS);
    ex->held = HOLD_NONE;
    ex->tap = NULL; /* it saw the parts */
    ex->state = EX_HANDLING;
}

struct buf exchange_take_body(struct exchange *ex)
{
    struct buf taken = ex->body_bytes;

    if (ex->body_in_arena)
        return (struct buf){ 0 };
    ex->body_bytes = (struct buf){ 0 };
    return taken;
}

struct buf exchange_take_held(struct exchange *ex)
{
    struct buf taken = ex->held_body;

    ex->held_body = (struct buf){ 0 };
    return taken;
}

static void cut_held(struct exchange *ex, int status)
{
    if (ex->held != HOLD_GATHERS)
        return;
    ex->held = HOLD_CUT;
    ex->cut_status = status;
    loop_defer(ex->loop, &ex->go_on);
}

static enum exchange_send gather(struct exchange *ex, struct str part)
{
    size_t n = ex->held_body.n + part.n;

    if (ex->held != HOLD_GATHERS)
        return SEND_FULL;
    if (part.n == 0)
        return SEND_OK;
    if (n > ex->hold->max_bytes || n > ex->reply_length)
        cut_held(ex, n > ex->hold->max_bytes ? ERR_LIMIT : ERR_RESET);
    else if (!server_bytes_reserve(ex->server, &ex->held_body, n, ex->hold->max_bytes))
        cut_held(ex, ERR_NOMEM);
    if (ex->held != HOLD_GATHERS)
        return SEND_FULL;
    buf_put(&ex->held_body, part);
    if (ex->tap)
        ex->tap(ex, part, ex->tap_arg);
    return SEND_OK;
}

static void end_gathering(struct exchange *ex)
{
    bool bodyless = ex->status == 204 || ex->status == 304;

    ex->owner = NULL; /* its part is done, however this goes on */
    if (ex->held != HOLD_GATHERS)
        return;
    if (!bodyless && ex->reply_length != HTTP_LENGTH_UNKNOWN && ex->held_body.n < ex->reply_length) {
        cut_held(ex, ERR_RESET);
        return;
    }
    ex->held = HOLD_WHOLE;
    loop_defer(ex->loop, &ex->go_on);
}

/* Whoever still makes the reply, for nobody, ends here. */
static void let_source_go(struct exchange *ex)
{
    const struct exchange_owner *owner = ex->owner;
    const struct exchange_generator *generator = ex->generator;

    ex->owner = NULL;
    ex->generator = NULL;
    list_remove(&ex->link);
    if (owner && owner->on_abort)
        owner->on_abort(ex, ex->owner_arg);
    if (generator && generator->stop)
        generator->stop(ex, ex->generator_arg);
}

void exchange_held_step(struct exchange *ex)
{
    if (ex->held == HOLD_WHOLE) {
        ex->hold->whole(ex, buf_str(&ex->held_body), ex->hold_arg);
        return;
    }
    let_source_go(ex);
    ex->hold->cut(ex, ex->cut_status, ex->hold_arg);
}

/* ---- generators ---- */

void exchange_generate(struct exchange *ex, unsigned status, struct str content_type, const struct exchange_generator *g, void *arg)
{
    assert(loop_is_current(ex->loop));
    assert(ex->state < EX_REPLYING && !ex->generator);
    ex->waiting = false;
    ex->generator = g;
    ex->generator_arg = arg;
    ex->generator_type = content_type;
    ex->status = status;
    loop_defer(ex->loop, &ex->go_on);
}

/* The last proceed was made. */
static void generator_stop(struct exchange *ex)
{
    const struct exchange_generator *g = ex->generator;

    ex->generator = NULL;
    if (g->stop)
        g->stop(ex, ex->generator_arg);
}

void exchange_generate_step(struct exchange *ex)
{
    struct buf *out = &ex->server->generated;
    enum exchange_send room;
    bool last;

    buf_clear(out);
    last = ex->generator->proceed(ex, out, ex->generator_arg);
    if (last)
        generator_stop(ex);
    if (out->failed) {
        exchange_break(ex);
        return;
    }
    if (ex->state != EX_REPLYING) {
        if (last) {
            exchange_reply(ex, ex->status, ex->generator_type, buf_str(out));
            return;
        }
        if (ex->generator_type.n > 0)
            exchange_add(ex, HF_CONTENT_TYPE, ex->generator_type);
        exchange_reply_head(ex, ex->status, HTTP_LENGTH_UNKNOWN);
    }
    room = exchange_send(ex, buf_str(out));
    if (last)
        exchange_end(ex);
    else if (room == SEND_OK)
        server_generate_later(ex->server, ex);
}

void exchange_ready(struct exchange *ex)
{
    if (!ex->full || ex->broken)
        return;
    ex->full = false;
    if (ex->generator)
        server_generate_later(ex->server, ex);
    else if (ex->owner && ex->owner->on_ready)
        ex->owner->on_ready(ex, ex->owner_arg);
}

/* ---- references ---- */

struct exchange_ref exchange_refer(struct exchange *ex)
{
    return (struct exchange_ref){ ex->server, ex->slot, ex->generation };
}

struct exchange *exchange_from_ref(struct exchange_ref ref)
{
    struct exchange *ex;

    assert(loop_is_current(ref.server->loop));
    if (ref.slot >= ref.server->slots_n)
        return NULL;
    ex = ref.server->slots[ref.slot];
    return ex->generation == ref.generation && ex->state != EX_DONE ? ex : NULL;
}

struct loop *exchange_ref_loop(struct exchange_ref ref)
{
    return ref.server->loop;
}
