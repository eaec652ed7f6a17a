/* output.c -- the cork: replies of one turn leave in one writev
 *
 * One buffer per server, used by the connection that writes right now. It is emptied when it is full, when another connection wants it, when a part is too
 * large to copy, at exchange_flush, and at the latest at the end of the turn. So an open stream costs no output buffer of its own: what the kernel does not
 * take is copied by net/, and SEND_FULL stops the source.
 * A connection whose write failed is marked and ended from its deferred step, for its exchange's worker side may be on the stack.
 */
#include "http/server_internal.h"

static void wrote(struct http_connection *c, enum stream_write result)
{
    if (result == STREAM_FAILED) {
        c->lost = true;
        conn_kick(c);
    } else if (result == STREAM_PENDING) {
        conn_arm(c);
    }
}

void cork_flush(struct http_server *s)
{
    struct http_connection *c = s->corked;

    if (!c)
        return;
    s->corked = NULL;
    if (c->stream && !c->lost && s->cork.n > 0) {
        const struct str part = buf_str(&s->cork);

        wrote(c, stream_write(c->stream, &part, 1, STREAM_COPY));
    }
    buf_clear(&s->cork);
}

void cork_drop(struct http_connection *c)
{
    struct http_server *s = c->server;

    if (s->corked != c)
        return;
    s->corked = NULL;
    buf_clear(&s->cork);
}

struct buf *cork_open(struct http_connection *c, size_t n)
{
    struct http_server *s = c->server;

    assert(n <= CORK_BYTES);
    if (s->corked != c || s->cork.n + n > CORK_BYTES)
        cork_flush(s);
    if (!s->corked) {
        s->corked = c;
        loop_defer(s->loop, &s->flush_later);
    }
    return &s->cork;
}

void cork_write_direct(struct http_connection *c, struct str part, struct str tail)
{
    struct http_server *s = c->server;
    struct str parts[3];
    unsigned n = 0;

    if (s->corked != c)
        cork_flush(s);
    else if (s->cork.n > 0)
        parts[n++] = buf_str(&s->cork);
    parts[n++] = part;
    if (tail.n > 0)
        parts[n++] = tail;
    s->corked = NULL;
    if (c->stream && !c->lost)
        wrote(c, stream_write(c->stream, parts, n, STREAM_COPY));
    buf_clear(&s->cork);
}
