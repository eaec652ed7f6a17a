/* connection.c -- one client's stream: which bytes are head, body or leftovers, which deadline runs, and how it ends
 *
 *   from      to        by               when
 *   (new)     HEAD      conn_open        accepted
 *   HEAD      HOLD      begin            a head is complete: the exchange begins, what follows waits
 *   HOLD      BODY      begin_body       the filters passed and the route wants the body       (pipeline.c)
 *   HOLD      DRAIN     begin_body       ... the route does not want it; settle_request: an early reply, a small rest
 *   BODY      HOLD      take_body        the body is complete: the handler's turn
 *   DRAIN     HOLD/HEAD take_drain       the unwanted body is over, the exchange runs still / is over
 *   HOLD      HEAD      conn_exchange_over   the reply is complete
 *   any       DISCARD   settle_request, refuse   a reply goes out before the request is complete and the rest is not worth reading
 *   any       LINGER    hang_up          the last reply was written; FIN sent; wait for the client's FIN, 2 s or 256 KiB
 *   HEAD, L.  ENDED     on_end           FIN came while the last reply is still going out
 *   any       DEAD      conn_close
 *
 * Reading stops past SERVER_AHEAD_BYTES of kept bytes; then a timer asks the kernel whether the peer is gone, for no FIN is seen without reading.
 * The next request of a pipeline waits until the reply before it went out, so that a client that does not read cannot make replies pile up.
 * Calls that end the connection leave its memory in place until the end of the turn (on_later).
 */
#include "http/server_internal.h"

#include <stdlib.h>

#include "http/error.h"

static void on_read(struct stream *stream, char *data, size_t n);
static void process(struct http_connection *c, struct str bytes);
static void process_kept(struct http_connection *c);
static bool step(struct http_connection *c);
static bool take_head(struct http_connection *c);
static void begin(struct http_connection *c, struct str head);
static bool take_body(struct http_connection *c);
static bool take_drain(struct http_connection *c);
static void settle(struct http_connection *c);
static void on_drain(struct stream *stream);
static void on_later(struct deferred *d);
static void on_deadline(struct timer *t);
static void on_probe(struct timer *t);
static void on_end(struct stream *stream, int status);
static void hang_up(struct http_connection *c);
static void fail_exchange(struct http_connection *c);

static const struct stream_ops STREAM_OPS = { .on_read = on_read, .on_drain = on_drain, .on_end = on_end };

/* ---- birth ---- */

static struct http_connection *connection_new(struct http_server *s)
{
    struct http_connection *c = list_first(&s->free_connections, struct http_connection, link);

    if (c)
        list_remove(&c->link);
    else if (!(c = malloc(sizeof(*c))))
        return NULL;
    *c = (struct http_connection){ .server = s, .read = READ_HEAD, .later.run = on_later };
    list_append(&s->connections, &c->link);
    s->stats.connections++;
    return c;
}

void conn_open(struct http_server *s, struct stream *stream)
{
    struct http_connection *c = connection_new(s);
    struct net_address peer;

    if (!c) {
        stream_close(stream);
        return;
    }
    c->stream = stream;
    stream_peer_address(stream, &peer);
    c->peer_n = net_address_text(&peer, c->peer);
    stream->ops = &STREAM_OPS;
    stream->owner = c;
    settle(c);
}

void conn_enter(struct http_connection *c, enum conn_read to)
{
    assert(c->read != READ_DEAD);
    c->read = to;
    c->armed = DEADLINE_NONE;
    c->scanned = 0;
    c->dropped = 0;
    c->drained = 0;
}

/* ---- bytes in ---- */

struct str conn_waiting(const struct http_connection *c)
{
    return c->processing ? c->rest : buf_str(&c->in);
}

/* Puts BYTES behind what is kept; at most one read more than SERVER_AHEAD_BYTES. */
static bool keep(struct http_connection *c, struct str bytes)
{
    if (bytes.n == 0)
        return true;
    if (!server_bytes_reserve(c->server, &c->in, c->in.n + bytes.n, SERVER_AHEAD_BYTES + 2 * LOOP_READ_BYTES))
        return false;
    memcpy(c->in.p + c->in.n, bytes.p, bytes.n);
    c->in.n += bytes.n;
    return true;
}

static void on_read(struct stream *stream, char *data, size_t n)
{
    struct http_connection *c = stream->owner;
    bool kept;

    if (c->in.n > 0) {
        kept = keep(c, (struct str){ data, n });
        if (kept)
            process_kept(c);
    } else {
        process(c, (struct str){ data, n });
        kept = keep(c, c->rest);
    }
    if (!kept) {
        conn_lost(c);
        return;
    }
    if (!c->ex && c->server->corked == c)
        cork_flush(c->server);
    settle(c);
}

static void process(struct http_connection *c, struct str bytes)
{
    c->rest = bytes;
    c->processing = true;
    while (c->rest.n > 0 && step(c))
        ;
    c->processing = false;
}

static void process_kept(struct http_connection *c)
{
    process(c, buf_str(&c->in));
    if (c->rest.n < c->in.n)
        buf_consume(&c->in, c->in.n - c->rest.n);
    c->rest = STR_NONE;
    if (c->in.n == 0)
        server_bytes_release(c->server, &c->in);
}

/* Takes some of c->rest; false when the rest must wait (or nothing is left). */
static bool step(struct http_connection *c)
{
    switch (c->read) {
    case READ_HEAD:
        return take_head(c);
    case READ_BODY:
        return take_body(c);
    case READ_DRAIN:
        return take_drain(c);
    case READ_HOLD:
        return false;
    case READ_DISCARD:
    case READ_LINGER:
    case READ_ENDED:
    case READ_DEAD:
        break;
    }
    c->dropped += c->rest.n;
    c->rest.n = 0;
    return false;
}

/* A request that cannot be understood, or came too slowly. It is answered, logged and counted like any other, then the connection ends. */
static void refuse(struct http_connection *c, struct exchange *ex, unsigned status, const char *message)
{
    if (!ex)
        ex = exchange_new(c);
    if (!ex) {
        conn_close(c, CLOSE_RESET);
        return;
    }
    c->server->stats.malformed++;
    conn_enter(c, READ_DISCARD);
    http_error_malformed(ex, status, str_of(message));
}

static bool take_head(struct http_connection *c)
{
    size_t n;

    if (stream_has_pending(c->stream))
        return false;
    if (c->scanned == 0)
        c->rest = str_skip(c->rest, h1_skip_empty_lines(c->rest.p, c->rest.n));
    n = h1_head_end(c->rest.p, c->rest.n, &c->scanned);
    if (n == 0 && c->rest.n <= H1_HEAD_MAX)
        return false;
    if (n == 0 || n > H1_HEAD_MAX) {
        struct h1_error error;

        h1_head_overflow(c->rest.p, H1_HEAD_MAX, &error);
        refuse(c, NULL, error.status, error.message);
        return true;
    }
    begin(c, str_first(c->rest, n));
    return true;
}

static void begin(struct http_connection *c, struct str head)
{
    struct http_server *s = c->server;
    struct exchange *ex = exchange_new(c);
    struct h1_error error;
    struct http_field *fields;

    c->rest = str_skip(c->rest, head.n);
    if (!ex) {
        conn_close(c, CLOSE_RESET);
        return;
    }
    ex->bytes_in = head.n;
    conn_enter(c, READ_HOLD);
    head = arena_str(&ex->arena, head);
    if (!head.p) {
        exchange_no_memory(ex);
        return;
    }
    if (h1_parse_request(head.p, head.n, s->fields, &ex->req, &error) < 0) {
        ex->req = (struct http_head){ .method = HTTP_OTHER, .minor = 1 };
        refuse(c, ex, error.status, error.message);
        return;
    }
    fields = arena_alloc(&ex->arena, ex->req.fields.n * sizeof(*fields));
    if (!fields) {
        exchange_no_memory(ex);
        return;
    }
    memcpy(fields, ex->req.fields.v, ex->req.fields.n * sizeof(*fields));
    ex->req.fields.v = fields;
    ex->req.fields.cap = ex->req.fields.n;
    exchange_begin(ex);
}

/* One part of the body that the handler wants. */
static bool take_body(struct http_connection *c)
{
    struct http_server *s = c->server;
    struct exchange *ex = c->ex;
    uint64_t most = c->body.kind == HTTP_BODY_LENGTH ? ex->req.length : s->conf.max_body_bytes;
    struct h1_error error;
    struct str part;
    size_t used;

    if (h1_body_feed(&c->body, c->rest.p, c->rest.n, &used, &part, &error) < 0) {
        refuse(c, ex, error.status, error.message);
        return true;
    }
    c->rest = str_skip(c->rest, used);
    c->progress = true;
    ex->bytes_in += used;
    if (part.n > s->conf.max_body_bytes - ex->body_bytes.n) {
        http_error_too_large(ex, s->conf.max_body_bytes);
        return true;
    }
    if (part.n > 0) {
        if (!server_bytes_reserve(s, &ex->body_bytes, ex->body_bytes.n + part.n, most)) {
            exchange_no_memory(ex);
            return true;
        }
        memcpy(ex->body_bytes.p + ex->body_bytes.n, part.p, part.n);
        ex->body_bytes.n += part.n;
    }
    if (c->body.done) {
        conn_enter(c, READ_HOLD);
        exchange_body_done(ex);
    }
    return true;
}

/* The rest of this request will not be read: the connection ends behind the reply, or now when that is out. */
static void give_up_request(struct http_connection *c)
{
    if (!c->ex) {
        hang_up(c);
        return;
    }
    c->ex->close_after = true;
    conn_enter(c, READ_DISCARD);
}

static bool take_drain(struct http_connection *c)
{
    struct str part;
    size_t used;

    if (h1_body_feed(&c->body, c->rest.p, c->rest.n, &used, &part, NULL) < 0) {
        give_up_request(c);
        return true;
    }
    c->rest = str_skip(c->rest, used);
    c->progress = true;
    c->drained += part.n;
    if (c->ex)
        c->ex->bytes_in += used;
    if (c->body.done)
        conn_enter(c, c->ex ? READ_HOLD : READ_HEAD);
    else if (c->drained > c->server->conf.max_body_bytes)
        give_up_request(c);
    return true;
}

/* ---- after each event: read on or not, which deadline ---- */

static bool reads_enough(const struct http_connection *c)
{
    if (c->read == READ_DISCARD)
        return c->dropped >= LINGER_BYTES;
    return c->in.n > SERVER_AHEAD_BYTES;
}

static bool is_idle(const struct http_connection *c)
{
    return c->read == READ_HEAD && !c->ex && c->in.n == 0 && c->server->corked != c && !stream_has_pending(c->stream);
}

static void settle(struct http_connection *c)
{
    if (c->read == READ_DEAD || c->lost)
        return;
    if (c->read == READ_LINGER && c->dropped > LINGER_BYTES) {
        conn_close(c, CLOSE_PLAIN);
        return;
    }
    if (c->server->state == SERVER_DRAINING && c->served && is_idle(c)) {
        conn_close(c, CLOSE_PLAIN);
        return;
    }
    if (c->read != READ_ENDED) {
        if (reads_enough(c)) {
            stream_read_stop(c->stream);
            if (!c->probe.running)
                timer_start(c->server->loop, &c->probe, PROBE_MS, on_probe);
        } else {
            stream_read_start(c->stream);
            timer_stop(&c->probe);
        }
    }
    conn_arm(c);
}

static enum conn_deadline deadline_due(const struct http_connection *c, uint32_t *ret_ms)
{
    const struct http_server_conf *conf = &c->server->conf;

    if (stream_has_pending(c->stream)) {
        *ret_ms = conf->send_ms;
        return DEADLINE_SEND;
    }
    switch (c->read) {
    case READ_BODY:
    case READ_DRAIN:
        *ret_ms = conf->body_ms;
        return DEADLINE_BODY;
    case READ_LINGER:
        *ret_ms = LINGER_MS;
        return DEADLINE_LINGER;
    case READ_HEAD:
        if (c->in.n > 0) {
            *ret_ms = conf->head_ms;
            return DEADLINE_HEAD;
        }
        *ret_ms = c->server->state == SERVER_DRAINING ? MIN(conf->idle_ms, DRAIN_FIRST_MS) : conf->idle_ms;
        return DEADLINE_IDLE;
    default:
        return DEADLINE_NONE;
    }
}

/* What the kernel has not taken yet. It only shrinks while a source is paused, so a smaller number is progress. */
static size_t left_to_send(const struct http_connection *c)
{
    return stream_pending_bytes(c->stream);
}

void conn_arm(struct http_connection *c)
{
    enum conn_deadline due;
    uint32_t ms = 0;

    if (c->read == READ_DEAD)
        return;
    due = deadline_due(c, &ms);
    if (due != DEADLINE_NONE && due == c->armed && !(due == DEADLINE_BODY && c->progress))
        return;
    c->armed = due;
    c->progress = false;
    if (due == DEADLINE_NONE) {
        timer_stop(&c->deadline);
        return;
    }
    if (due == DEADLINE_SEND)
        c->send_mark = left_to_send(c);
    timer_start(c->server->loop, &c->deadline, ms, on_deadline);
}

void conn_kick(struct http_connection *c)
{
    if (c->processing && !c->lost && !(c->ex && c->ex->broken))
        return; /* the loop in process() goes on, and on_read settles */
    loop_defer(c->server->loop, &c->later);
}

/* ---- other events ---- */

static void on_drain(struct stream *stream)
{
    struct http_connection *c = stream->owner;

    if (c->read == READ_ENDED) {
        conn_close(c, CLOSE_PLAIN);
        return;
    }
    c->armed = DEADLINE_NONE;
    if (c->ex)
        exchange_ready(c->ex);
    else if (c->in.n > 0)
        process_kept(c);
    settle(c);
}

static void release(struct http_connection *c)
{
    struct http_server *s = c->server;

    server_bytes_release(s, &c->in);
    list_prepend(&s->free_connections, &c->link);
    s->dying--;
    server_released(s);
}

/* At the end of a turn. */
static void on_later(struct deferred *d)
{
    struct http_connection *c = CONTAINER_OF(d, struct http_connection, later);

    if (c->read == READ_DEAD) {
        release(c);
    } else if (c->lost) {
        conn_lost(c);
    } else if (c->ex && c->ex->broken) {
        fail_exchange(c);
    } else {
        if (c->in.n > 0)
            process_kept(c);
        settle(c);
    }
}

static void body_too_slow(struct http_connection *c)
{
    if (c->read == READ_BODY)
        http_error(c->ex, 408, STR("request_timeout"), STR("The request body stopped coming"));
    else
        give_up_request(c);
    settle(c);
}

static void on_deadline(struct timer *t)
{
    struct http_connection *c = CONTAINER_OF(t, struct http_connection, deadline);
    enum conn_deadline which = c->armed;

    c->armed = DEADLINE_NONE;
    switch (which) {
    case DEADLINE_HEAD:
        refuse(c, NULL, 408, "The request head did not come in time");
        settle(c);
        return;
    case DEADLINE_BODY:
        body_too_slow(c);
        return;
    case DEADLINE_SEND:
        if (left_to_send(c) < c->send_mark) {
            conn_arm(c);
            return;
        }
        conn_lost(c);
        return;
    case DEADLINE_IDLE:
    case DEADLINE_LINGER:
        conn_close(c, CLOSE_PLAIN);
        return;
    case DEADLINE_NONE:
        return;
    }
}

static void on_probe(struct timer *t)
{
    struct http_connection *c = CONTAINER_OF(t, struct http_connection, probe);

    if (stream_peer_gone(c->stream))
        conn_lost(c);
    else
        timer_start(c->server->loop, &c->probe, PROBE_MS, on_probe);
}

static void on_end(struct stream *stream, int status)
{
    struct http_connection *c = stream->owner;

    if (status == 0 && !c->ex && !c->lost) {
        if (c->server->corked == c)
            cork_flush(c->server);
        if (!c->lost && stream_has_pending(c->stream)) {
            conn_enter(c, READ_ENDED);
            timer_stop(&c->probe);
            conn_kick(c); /* drops what is kept */
            return;
        }
    }
    conn_lost(c);
}

/* ---- the ways out ---- */

void conn_exchange_over(struct http_connection *c, enum conn_next next)
{
    c->ex = NULL;
    if (c->read == READ_DEAD)
        return;
    if (next == CONN_END) {
        hang_up(c);
        return;
    }
    if (c->read == READ_HOLD)
        conn_enter(c, READ_HEAD);
    conn_kick(c);
}

/* The last reply is written. A close with bytes unread would be a reset that could overtake it (RFC 9112 9.6), so FIN first. */
static void hang_up(struct http_connection *c)
{
    bool unread = c->read == READ_DISCARD || c->read == READ_DRAIN || conn_waiting(c).n > 0;

    if (c->server->corked == c)
        cork_flush(c->server);
    if (c->lost)
        return;
    if (!unread && !stream_has_pending(c->stream)) {
        conn_close(c, CLOSE_PLAIN);
        return;
    }
    conn_enter(c, READ_LINGER);
    stream_shutdown(c->stream);
    conn_kick(c);
}

/* The reply turned out to be impossible while its worker side was on the stack. */
static void fail_exchange(struct http_connection *c)
{
    struct exchange *ex = c->ex;

    cork_drop(c);
    c->ex = NULL;
    exchange_finish(ex, EX_FAILED, OWNER_ABORT);
    conn_close(c, CLOSE_RESET);
}

void conn_lost(struct http_connection *c)
{
    struct exchange *ex = c->ex;

    c->ex = NULL;
    if (ex && ex->state != EX_DONE)
        exchange_finish(ex, EX_ABORTED, OWNER_ABORT);
    conn_close(c, CLOSE_PLAIN);
}

void conn_close(struct http_connection *c, enum conn_close how)
{
    struct http_server *s = c->server;

    if (c->read == READ_DEAD)
        return;
    assert(!c->ex || c->ex->state == EX_DONE);
    cork_drop(c);
    timer_stop(&c->deadline);
    timer_stop(&c->probe);
    if (how == CLOSE_RESET)
        stream_reset(c->stream);
    else
        stream_close(c->stream);
    c->stream = NULL;
    conn_enter(c, READ_DEAD);
    list_remove(&c->link);
    s->stats.connections--;
    s->dying++;
    loop_defer(s->loop, &c->later);
    server_connection_gone(s);
}
