/* http/client.c -- one call: connect, send, read the reply, and every way in which that ends
 *
 *            +----------------------(kept connection)--------------+
 *            |                                                     v
 *          IDLE --> CONNECTING ----------------------------------> SENDING --> WAIT_HEAD --> BODY --> DONE
 *                       ^                                          |  |  |         |          ^
 *                       +----------(kept connection was dead)------+--|--+---------+          |
 *                                                                     +----(early reply)------+
 *
 *   from         to           by               when
 *   IDLE         SENDING      http_call_start  the pool had a connection
 *   IDLE         CONNECTING   connect_fresh    it had none
 *   CONNECTING   SENDING      on_connect       the connection stands
 *   SENDING      WAIT_HEAD    sent             the kernel took the last byte of the request
 *   S, W         BODY         take_head        the final head came (from SENDING: before the request was out; the connection is not kept)
 *   S, W         CONNECTING   connect_fresh    a kept connection ended or broke before it gave one byte; once per call
 *   BODY         DONE         finish           the reply is complete
 *   any          DONE         http_call_cancel (from IDLE and DONE: nothing to do)
 *
 * A failure leaves the step as it was, for the caller to read, and ends in fail() or, where no callback may come yet, through fail_later().
 * Invariants: (1) c->client != NULL exactly while the call runs: one on_end is due. (2) c->conn->call == c while c->conn != NULL. (3) every callback out of
 * on_read is followed by `conn->call != c`: it may have cancelled, and then neither c nor the rest of the read is ours; conn itself is readable until the end of the turn.
 */
#include "http/client_internal.h"

#include <assert.h>

#define CONNECT_MS_DEFAULT 10000
#define INTERIM_MAX        16 /* 1xx replies to one request */

/* The steps, in the order in which they happen ... */
static void connect_fresh(struct http_call *c);
static void on_resolved(struct resolve_request *r, int status, const struct net_address *address);
static void connect_to(struct http_call *c, const struct net_address *address);
static void on_connect(struct stream *s, int status);
static bool send_request(struct http_call *c);
static void on_drain(struct stream *s);
static void on_read(struct stream *s, char *data, size_t n);
static bool take_head(struct http_conn *conn, const char *data, size_t n, size_t *at);
static void take_body(struct http_conn *conn, const char *data, size_t n, size_t at);
static void on_end(struct stream *s, int status);
static void on_deadline(struct timer *t);
/* ... and the ways out. */
static void finish(struct http_call *c);
static void fail(struct http_call *c, int status);
static void fail_later(struct http_call *c, int status);

const struct stream_ops http_call_stream_ops = {
    .on_connect = on_connect, .on_read = on_read, .on_drain = on_drain, .on_end = on_end
};

/* ---- the one place that changes c->step ---- */

static bool may_follow(enum http_call_step from, enum http_call_step to)
{
    static const unsigned FOLLOWERS[] = {
        [CALL_IDLE] = 1u << CALL_CONNECTING | 1u << CALL_SENDING,
        [CALL_CONNECTING] = 1u << CALL_SENDING | 1u << CALL_DONE,
        [CALL_SENDING] = 1u << CALL_WAIT_HEAD | 1u << CALL_BODY | 1u << CALL_CONNECTING | 1u << CALL_DONE,
        [CALL_WAIT_HEAD] = 1u << CALL_BODY | 1u << CALL_CONNECTING | 1u << CALL_DONE,
        [CALL_BODY] = 1u << CALL_DONE,
        [CALL_DONE] = 0,
    };

    return FOLLOWERS[from] >> to & 1;
}

/* The step's deadline: sending has that of the head as well, or a server that stops reading would hold the call for ever. */
static uint32_t deadline_ms(const struct http_call *c, enum http_call_step step)
{
    switch (step) {
    case CALL_CONNECTING:
        return c->connect_ms ? c->connect_ms : CONNECT_MS_DEFAULT;
    case CALL_SENDING:
    case CALL_WAIT_HEAD:
        return c->head_ms;
    case CALL_BODY:
        return c->paused ? 0 : c->idle_ms;
    case CALL_IDLE:
    case CALL_DONE:
        break;
    }
    return 0;
}

static void set_deadline(struct http_call *c)
{
    uint32_t ms = deadline_ms(c, c->step);

    if (ms)
        timer_start(c->client->loop, &c->timer, ms, on_deadline);
    else
        timer_stop(&c->timer);
}

static void enter(struct http_call *c, enum http_call_step step)
{
    assert(may_follow(c->step, step));
    c->step = step;
    set_deadline(c);
}

/* ---- starting ---- */

static void attach(struct http_call *c, struct http_conn *conn)
{
    conn->call = c;
    conn->keep = false;
    conn->interim_n = 0;
    conn->scanned = 0;
    buf_clear(&conn->head);
    c->conn = conn;
}

int http_call_start(struct http_client *client, struct http_call *c)
{
    struct http_conn *conn;

    assert(loop_is_current(client->loop));
    assert(c->client == NULL && c->ops != NULL && c->head.n > 0);
    c->client = client;
    c->step = CALL_IDLE;
    c->reused = c->fresh_retry = c->paused = false;
    c->bytes_in = c->sent_us = 0;
    conn = client_pool_take(client, c);
    if (!conn) {
        connect_fresh(c);
        return 0;
    }
    c->reused = true;
    attach(c, conn);
    enter(c, CALL_SENDING);
    if (!send_request(c))
        connect_fresh(c);
    return 0;
}

/* Opens a connection of its own for a call that has none, or whose kept one is dead. */
static void connect_fresh(struct http_call *c)
{
    struct http_client *client = c->client;
    struct net_address address;

    if (c->conn) {
        client_pool_close(STEAL(c->conn));
        client->stats.closed_dead++;
        c->fresh_retry = true;
        c->reused = false;
    }
    enter(c, CALL_CONNECTING);
    if (c->host.n == 0 || c->host.n > CLIENT_HOST_MAX) {
        fail_later(c, ERR_RESOLVE);
        return;
    }
    if (resolver_lookup(client->resolver, c->host, c->port, &address)) {
        connect_to(c, &address);
        return;
    }
    c->resolve.done = on_resolved;
    if (resolver_start(client->resolver, c->host, c->port, &c->resolve) < 0)
        fail_later(c, ERR_NOMEM);
}

static void on_resolved(struct resolve_request *r, int status, const struct net_address *address)
{
    struct http_call *c = CONTAINER_OF(r, struct http_call, resolve);

    assert(c->step == CALL_CONNECTING);
    if (status < 0)
        fail(c, status);
    else
        connect_to(c, address);
}

static void connect_to(struct http_call *c, const struct net_address *address)
{
    struct http_conn *conn;
    int r = client_pool_open(c->client, c, &conn);

    if (r < 0) {
        fail_later(c, r);
        return;
    }
    attach(c, conn);
    r = stream_connect(conn->stream, address, deadline_ms(c, CALL_CONNECTING));
    if (r < 0)
        fail_later(c, r);
}

static void on_connect(struct stream *s, int status)
{
    struct http_conn *conn = s->owner;
    struct http_call *c = conn->call;

    assert(c && c->step == CALL_CONNECTING);
    if (status < 0) {
        fail(c, status);
        return;
    }
    stream_read_start(s);
    enter(c, CALL_SENDING);
    if (!send_request(c))
        fail(c, ERR_RESET);
}

/* ---- sending ---- */

static void sent(struct http_call *c)
{
    c->sent_us = loop_now_us(c->client->loop);
    enter(c, CALL_WAIT_HEAD);
}

/* False: the connection is dead. */
static bool send_request(struct http_call *c)
{
    struct str parts[2] = { c->head, c->body };

    switch (stream_write(c->conn->stream, parts, c->body.n ? 2 : 1, STREAM_BORROW)) {
    case STREAM_SENT:
        sent(c);
        return true;
    case STREAM_PENDING:
        return true;
    case STREAM_FAILED:
        break;
    }
    return false;
}

static void on_drain(struct stream *s)
{
    struct http_conn *conn = s->owner;
    struct http_call *c = conn->call;

    if (c && c->step == CALL_SENDING)
        sent(c);
}

/* ---- reading ---- */

static void on_read(struct stream *s, char *data, size_t n)
{
    struct http_conn *conn = s->owner;
    struct http_call *c = conn->call;
    size_t at = 0;

    if (!c) { /* nobody asked: whatever it says, it would be taken for the next call's reply */
        conn->client->stats.closed_dead++;
        client_pool_close(conn);
        return;
    }
    assert(c->step == CALL_SENDING || c->step == CALL_WAIT_HEAD || c->step == CALL_BODY);
    c->bytes_in += n;
    if (c->step == CALL_BODY)
        set_deadline(c);
    else if (!take_head(conn, data, n, &at))
        return;
    take_body(conn, data, n, at);
}

/* The head that begins at DATA + *AT, or with what conn->head holds already. *RET_HEAD lies in one of the two; *AT moves behind it. False: not whole yet. */
static int frame_head(struct http_conn *conn, const char *data, size_t n, size_t *at, struct str *ret_head)
{
    size_t before = conn->head.n, end;

    if (before == 0) {
        end = h1_head_end(data + *at, n - *at, &conn->scanned);
        if (end) {
            *ret_head = (struct str){ data + *at, end };
            *at += end;
            return 1;
        }
    }
    if (n - *at > H1_HEAD_MAX - before && before == 0)
        return ERR_PROTOCOL;
    buf_put(&conn->head, str_first((struct str){ data + *at, n - *at }, H1_HEAD_MAX - before));
    if (conn->head.failed)
        return ERR_NOMEM;
    end = before ? h1_head_end(conn->head.p, conn->head.n, &conn->scanned) : 0;
    if (end == 0)
        return conn->head.n < H1_HEAD_MAX ? 0 : ERR_PROTOCOL;
    *ret_head = (struct str){ conn->head.p, end };
    *at += end - before;
    return 1;
}

/* True: the final head was delivered and the call goes on. False: more bytes are needed, or the call ended. */
static bool take_head(struct http_conn *conn, const char *data, size_t n, size_t *at)
{
    struct http_call *c = conn->call;
    struct http_head head;
    struct h1_error error;
    struct str bytes;
    int r;

    for (;;) {
        if (*at == n)
            return false;
        r = frame_head(conn, data, n, at, &bytes);
        if (r > 0 && h1_parse_reply(bytes.p, bytes.n, c->method, conn->client->fields, &head, &error) < 0)
            r = ERR_PROTOCOL;
        if (r > 0 && head.status < 200 && (head.status == 101 || ++conn->interim_n > INTERIM_MAX))
            r = ERR_PROTOCOL; /* nobody asked to switch protocols */
        if (r <= 0) {
            if (r < 0)
                fail(c, r);
            return false;
        }
        conn->scanned = 0;
        if (head.status >= 200)
            break;
        buf_clear(&conn->head);
    }
    h1_body_init(&conn->body, &head);
    conn->keep = head.keep_alive && c->step == CALL_WAIT_HEAD;
    enter(c, CALL_BODY);
    if (c->paused)
        stream_read_stop(conn->stream);
    if (c->ops->on_head)
        c->ops->on_head(c, &head);
    return conn->call == c;
}

static void take_body(struct http_conn *conn, const char *data, size_t n, size_t at)
{
    struct http_call *c = conn->call;

    while (at < n && !conn->body.done) {
        struct str part;
        size_t used;

        if (h1_body_feed(&conn->body, data + at, n - at, &used, &part, NULL) < 0) {
            fail(c, ERR_PROTOCOL);
            return;
        }
        at += used;
        if (part.n && c->ops->on_body) {
            c->ops->on_body(c, part);
            if (conn->call != c)
                return;
        }
    }
    if (conn->body.done) {
        conn->keep = conn->keep && at == n;
        finish(c);
    } else if (c->ops->on_batch) {
        c->ops->on_batch(c);
    }
}

static bool is_stale(const struct http_call *c)
{
    return c->reused && !c->fresh_retry && c->step < CALL_BODY && c->bytes_in == 0;
}

static void on_end(struct stream *s, int status)
{
    struct http_conn *conn = s->owner;
    struct http_call *c = conn->call;

    if (!c) {
        conn->client->stats.closed_dead++;
        client_pool_close(conn);
    } else if (is_stale(c)) {
        connect_fresh(c);
    } else if (c->step == CALL_BODY && status == 0 && h1_body_eof(&conn->body) == 0) {
        conn->keep = false;
        finish(c);
    } else {
        fail(c, status < 0 ? status : ERR_CLOSED);
    }
}

/* ---- the caller's brakes ---- */

void http_call_pause(struct http_call *c)
{
    if (c->paused)
        return;
    c->paused = true;
    if (c->client && c->step == CALL_BODY) {
        stream_read_stop(c->conn->stream);
        set_deadline(c);
    }
}

void http_call_resume(struct http_call *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    if (c->client && c->step == CALL_BODY) {
        stream_read_start(c->conn->stream);
        set_deadline(c);
    }
}

static void on_deadline(struct timer *t)
{
    fail(CONTAINER_OF(t, struct http_call, timer), ERR_TIMEOUT);
}

/* ---- the ways out ---- */

/* The call lets go of everything that could call back. The connection is kept when KEEP says so. */
static void detach(struct http_call *c, bool keep)
{
    struct http_client *client = c->client;
    struct http_conn *conn = STEAL(c->conn);

    timer_stop(&c->timer);
    loop_defer_cancel(client->loop, &c->failed);
    if (c->resolve.active)
        resolver_cancel(client->resolver, &c->resolve);
    c->client = NULL;
    if (!conn)
        return;
    conn->call = NULL;
    if (keep)
        client_pool_keep(conn, c);
    else
        client_pool_close(conn);
}

static void finish(struct http_call *c)
{
    enter(c, CALL_DONE);
    detach(c, c->conn->keep);
    c->ops->on_end(c, 0);
}

static void fail(struct http_call *c, int status)
{
    detach(c, /* keep= */ false);
    c->ops->on_end(c, status);
}

static void on_failed(struct deferred *d)
{
    struct http_call *c = CONTAINER_OF(d, struct http_call, failed);

    fail(c, c->failed_status);
}

/* For failures found inside http_call_start: on_end must not come from there. */
static void fail_later(struct http_call *c, int status)
{
    c->failed_status = status;
    c->failed.run = on_failed;
    loop_defer(c->client->loop, &c->failed);
}

void http_call_cancel(struct http_call *c)
{
    if (!c->client)
        return;
    enter(c, CALL_DONE);
    detach(c, /* keep= */ false);
}
