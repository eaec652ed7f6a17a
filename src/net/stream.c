/* net/stream.c -- streams over libuv's TCP handles
 *
 *   from        to           by                       when
 *   (new)       IDLE         stream_new
 *   (new)       OPEN         stream_adopt             a listener accepted it
 *   IDLE        CONNECTING   stream_connect
 *   IDLE        DEAD         stream_connect           failed at once (returned)
 *   CONNECTING  OPEN         on_connected
 *   CONNECTING  OPEN         tls.c: shaken            with TLS: when the handshake is over
 *   CONNECTING  DEAD         on_connected, on_deadline, stream_report_end
 *   OPEN        DEAD         stream_report_end        any end but a FIN: after one writing may go on
 *   any         CLOSING      close_handle             stream_close, stream_reset: nothing is called any more
 *   CLOSING     (spare)      on_closed
 *
 * Writing. The kernel first (send, which costs a few percent less per event than the write that uv_try_write makes). What is left goes to libuv as one write of at most four buffers (more would
 * cost it a malloc), either of the caller's memory or of `sending`; libuv keeps pointers, so bytes that come meanwhile are gathered in `pending`, and
 * the two change places when a write is done.
 * A failed write of ours is reported by on_end: by the reading side when there is one, for the peer may have sent a last answer before it hung
 * up (413 in the middle of an upload); else from the end of the turn. Behind a FIN, which on_end told already, the failure of what was pending is an on_drain.
 * Reading. One callback per stream and turn, so that a fast sender cannot keep the others waiting: a second read in one turn gets no
 * buffer, and the poll, which is level-triggered, comes back to it. libuv takes a reset behind the last bytes for a FIN when it can (it saves a read):
 * SO_ERROR tells them apart.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/budget.h"
#include "net/stream_internal.h"

#define KEEP_BYTES 4096 /* of copies' memory that a stream keeps when all of it is sent */

static void on_connected(uv_connect_t *req, int status);
static void on_deadline(struct timer *t);
static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret);
static void on_bytes(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf);
static void on_written(uv_write_t *req, int status);
static void on_report(struct deferred *d);
static void on_closed(uv_handle_t *handle);

static uv_stream_t *uv_stream(struct stream *s)
{
    return (uv_stream_t *)&s->tcp;
}

static int fd_of(struct stream *s)
{
    uv_os_fd_t fd;

    return uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0 ? fd : -1;
}

static int code_of(int uv_status)
{
    return uv_status == UV_EPIPE ? ERR_RESET : err_from_errno(uv_status);
}

/* ---- birth ---- */

struct stream *stream_new(struct loop *l, const struct stream_ops *ops, void *owner)
{
    struct stream *s = loop_spare_get(&l->streams, sizeof *s);

    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    if (uv_tcp_init(&l->uv, &s->tcp) < 0) { /* without a family it makes no socket: cannot fail today */
        loop_spare_put(&l->streams, s);
        return NULL;
    }
    s->loop = l;
    s->ops = ops;
    s->owner = owner;
    s->report.run = on_report;
    return s;
}

int stream_adopt(struct loop *l, int fd, const struct net_address *peer, struct stream **ret)
{
    struct stream *s = stream_new(l, NULL, NULL);
    int r;

    if (!s)
        return ERR_NOMEM;
    r = uv_tcp_open(&s->tcp, fd);
    if (r < 0) {
        stream_close(s);
        return err_from_errno(r);
    }
    s->peer = *peer;
    s->state = STREAM_OPEN;
    *ret = s;
    return 0;
}

int stream_connect(struct stream *s, const struct net_address *to, uint64_t timeout_ms)
{
    int r;

    assert(s->state == STREAM_IDLE && s->ops->on_connect && timeout_ms > 0);
    s->peer = *to;
    (void)uv_tcp_nodelay(&s->tcp, 1); /* noted for the socket that connect makes: cannot fail yet */
    r = uv_tcp_connect(&s->connect, &s->tcp, (const struct sockaddr *)&to->ss, on_connected);
    if (r < 0) {
        s->state = STREAM_DEAD;
        return code_of(r);
    }
    (void)uv_tcp_keepalive(&s->tcp, 1, STREAM_KEEPALIVE_S); /* a connection without it works, too */
    s->state = STREAM_CONNECTING;
    timer_start(s->loop, &s->deadline, timeout_ms, on_deadline);
    return 0;
}

static void on_connected(uv_connect_t *req, int status)
{
    struct stream *s = CONTAINER_OF(req, struct stream, connect);

    loop_enter(s->loop);
    if (s->state != STREAM_CONNECTING)
        return;                                                   /* closed, or its time was up */
    if (status == 0 && s->tls) {                                  /* its time goes on; reading is the layer's until it is done */
        (void)uv_read_start(uv_stream(s), give_buffer, on_bytes); /* cannot fail on a socket that just connected */
        tls_connected(s);
        return;
    }
    timer_stop(&s->deadline);
    s->state = status < 0 ? STREAM_DEAD : STREAM_OPEN;
    s->ops->on_connect(s, status < 0 ? code_of(status) : 0);
}

static void on_deadline(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, deadline);

    stream_report_end(s, ERR_TIMEOUT);
}

/* ---- the end, as seen by the owner ---- */

void stream_report_end(struct stream *s, int status)
{
    bool connecting = s->state == STREAM_CONNECTING;

    if (s->end_reported)
        return;
    s->end_reported = true;
    s->reading = false;
    loop_defer_cancel(s->loop, &s->report);
    if (s->tls) {
        stream_raw_stop(s);
        if (status < 0)
            tls_over(s); /* behind a close_notify writing goes on */
    }
    if (status < 0)
        s->state = STREAM_DEAD;
    if (connecting)
        s->ops->on_connect(s, status);
    else if (s->ops->on_end)
        s->ops->on_end(s, status);
}

static void report_later(struct stream *s, int status)
{
    s->report_status = status;
    if (!s->end_reported)
        loop_defer(s->loop, &s->report);
}

static void on_report(struct deferred *d)
{
    struct stream *s = CONTAINER_OF(d, struct stream, report);

    stream_raw_stop(s);
    stream_report_end(s, s->report_status);
}

void stream_give_budget(struct stream *s, size_t bytes)
{
    if (bytes)
        budget_give(bytes);
    s->budgeted -= bytes;
}

enum stream_write stream_write_failed(struct stream *s, int code)
{
    if (s->write_error == 0)
        s->write_error = code;
    if (!s->reading || code != ERR_RESET)
        report_later(s, s->write_error);
    return STREAM_FAILED;
}

/* ---- reading ---- */

void stream_read_start(struct stream *s)
{
    int r;

    if (s->reading || s->end_reported || s->state != STREAM_OPEN)
        return;
    s->reading = true;
    r = uv_read_start(uv_stream(s), give_buffer, on_bytes);
    if (r < 0)
        report_later(s, code_of(r));
    if (s->tls)
        tls_read_started(s);
}

void stream_raw_stop(struct stream *s)
{
    (void)uv_read_stop(uv_stream(s)); /* always 0 */
}

void stream_read_stop(struct stream *s)
{
    if (!s->reading)
        return;
    s->reading = false;
    stream_raw_stop(s);
    if (s->write_error)
        report_later(s, s->write_error); /* the reading side will not come to it */
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct stream *s = (struct stream *)handle;
    struct loop *l = s->loop;

    (void)suggested;
    loop_enter(l);
    if (s->read_turn == l->turn_number) {
        *ret = uv_buf_init(NULL, 0);
        return;
    }
    s->read_turn = l->turn_number;
    *ret = uv_buf_init(l->read_buffer, LOOP_READ_BYTES);
    if (_unlikely_(s->tls != NULL))
        *ret = uv_buf_init(l->read_buffer + TLS_PLAIN_BYTES, LOOP_READ_BYTES - TLS_PLAIN_BYTES);
}

static int end_of_socket(struct stream *s, int status)
{
    return s->tls ? tls_end_of_socket(s, status) : status;
}

static int pending_socket_error(struct stream *s)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (getsockopt(fd_of(s), SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error == 0)
        return 0;
    return code_of(-error);
}

static void on_bytes(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = (struct stream *)handle;

    if (_likely_(n > 0)) {
        s->bytes_in += (uint64_t)n;
        if (_unlikely_(s->tls != NULL))
            tls_received(s, buf->base, (size_t)n);
        else
            s->ops->on_read(s, buf->base, (size_t)n);
        return;
    }
    if (n == 0 || n == UV_ENOBUFS)
        return; /* nothing there after all, or this turn's share was taken */
    if (s->write_error)
        stream_report_end(s, s->write_error);
    else if (n == UV_EOF)
        stream_report_end(s, end_of_socket(s, pending_socket_error(s)));
    else
        stream_report_end(s, end_of_socket(s, code_of((int)n)));
}

/* ---- writing ---- */

bool stream_has_pending(const struct stream *s)
{
    return s->tls ? tls_has_pending(s) : s->write_pending;
}

size_t stream_pending_bytes(const struct stream *s)
{
    size_t records = s->write_pending ? uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp) + s->pending.n : 0;

    return records + (s->tls ? tls_pending_bytes(s) : 0);
}

size_t stream_skip(uv_buf_t *v, unsigned *n, size_t done)
{
    unsigned from = 0;
    size_t left = 0;

    while (from < *n && done >= v[from].len)
        done -= v[from++].len;
    if (from < *n) {
        v[from].base += done;
        v[from].len -= done;
    }
    for (unsigned i = from; i < *n; i++) {
        v[i - from] = v[i];
        left += v[i].len;
    }
    *n -= from;
    return left;
}

static enum stream_write hand_to_libuv(struct stream *s, const uv_buf_t *v, unsigned n, size_t bytes)
{
    int r = uv_write(&s->write, uv_stream(s), v, n, on_written);

    if (r < 0)
        return stream_write_failed(s, code_of(r));
    s->write_pending = true;
    s->in_flight = bytes;
    return STREAM_PENDING;
}

static enum stream_write send_copies(struct stream *s)
{
    uv_buf_t v = uv_buf_init(s->sending.p, 0);

    v.len = s->sending.n;
    return hand_to_libuv(s, &v, 1, s->sending.n);
}

int stream_copy(struct stream *s, struct buf *to, const uv_buf_t *v, unsigned n, size_t bytes)
{
    if (bytes > STREAM_PENDING_MAX || s->sending.n + s->pending.n > STREAM_PENDING_MAX - bytes || !budget_take(bytes))
        return ERR_LIMIT;
    s->budgeted += bytes;
    for (unsigned i = 0; i < n; i++)
        buf_put(to, (struct str){ v[i].base, v[i].len });
    return to->failed ? ERR_NOMEM : 0;
}

static enum stream_write keep_leftover(struct stream *s, const uv_buf_t *v, unsigned n, size_t bytes, enum stream_leftover leftover)
{
    int r;

    if (s->write_pending) {
        r = stream_copy(s, &s->pending, v, n, bytes);
        return r < 0 ? stream_write_failed(s, r) : STREAM_PENDING;
    }
    if (leftover == STREAM_BORROW)
        return hand_to_libuv(s, v, n, bytes);
    r = stream_copy(s, &s->sending, v, n, bytes);
    return r < 0 ? stream_write_failed(s, r) : send_copies(s);
}

/* Bytes that the kernel took, or -errno. Nothing of ours is queued in libuv (write_pending says so), so nothing is overtaken. */
static long send_now(struct stream *s, uv_buf_t *v, unsigned n)
{
    struct msghdr m = { .msg_iov = (struct iovec *)v, .msg_iovlen = n }; /* uv_buf_t is an iovec (uv/unix.h) */
    ssize_t r;

    do
        r = n == 1 ? send(fd_of(s), v->base, v->len, MSG_NOSIGNAL) : sendmsg(fd_of(s), &m, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

enum stream_write stream_raw_write(struct stream *s, const struct str *parts, unsigned n, enum stream_leftover leftover)
{
    uv_buf_t v[STREAM_VEC_MAX];
    size_t bytes = 0;
    long r = 0;

    if (s->write_error)
        return STREAM_FAILED;
    for (unsigned i = 0; i < n; i++) {
        v[i].base = (char *)parts[i].p; /* libuv's type serves reading, too; it does not write there */
        v[i].len = parts[i].n;
        bytes += parts[i].n;
    }
    if (bytes == 0)
        return s->write_pending ? STREAM_PENDING : STREAM_SENT;
    if (!s->write_pending) {
        r = send_now(s, v, n);
        if (r > 0)
            s->bytes_out += (uint64_t)r;
        if (_likely_(r > 0 && (size_t)r == bytes))
            return STREAM_SENT;
        if (r < 0 && r != UV_EAGAIN)
            return stream_write_failed(s, code_of((int)r));
    }
    bytes = stream_skip(v, &n, r > 0 ? (size_t)r : 0);
    return keep_leftover(s, v, n, bytes, leftover);
}

enum stream_write stream_write(struct stream *s, const struct str *parts, unsigned n, enum stream_leftover leftover)
{
    assert(n >= 1 && n <= STREAM_VEC_MAX);
    if (_unlikely_(s->tls != NULL))
        return tls_write(s, parts, n, leftover);
    if (s->state != STREAM_OPEN || s->shut)
        return STREAM_FAILED;
    return stream_raw_write(s, parts, n, leftover);
}

static void send_fin(struct stream *s)
{
    (void)shutdown(fd_of(s), SHUT_WR); /* fails when the peer reset: reading or TCP_INFO tells */
}

/* Nothing is pending any more. A stream that met a slow peer once must not keep the memory, which nobody counts from here on. */
static void drained(struct stream *s)
{
    if (s->sending.cap + s->pending.cap > KEEP_BYTES) {
        buf_fini(&s->sending);
        buf_fini(&s->pending);
    }
    if (s->tls && !tls_drained(s)) {
        if (s->shut && !s->write_pending)
            send_fin(s);
        return;
    }
    if (s->shut)
        send_fin(s);
    if (s->ops->on_drain)
        s->ops->on_drain(s);
}

/* After a FIN on_end was called already: on_drain tells that the write is over. */
static void pending_write_failed(struct stream *s)
{
    if (s->end_reported && s->ops->on_drain)
        s->ops->on_drain(s);
}

static void on_written(uv_write_t *req, int status)
{
    struct stream *s = CONTAINER_OF(req, struct stream, write);
    struct buf done;

    loop_enter(s->loop);
    if (s->state == STREAM_CLOSING)
        return;
    s->write_pending = false;
    if (s->state == STREAM_DEAD)
        return; /* on_end has told the owner */
    if (status < 0) {
        (void)stream_write_failed(s, code_of(status)); /* always STREAM_FAILED */
        pending_write_failed(s);
        return;
    }
    s->bytes_out += s->in_flight;
    stream_give_budget(s, s->sending.n); /* 0 when the write was of borrowed memory */
    buf_clear(&s->sending);
    if (s->pending.n) {
        done = s->sending;
        s->sending = s->pending;
        s->pending = done;
        if (send_copies(s) == STREAM_FAILED)
            pending_write_failed(s);
        return;
    }
    drained(s);
}

void stream_shutdown(struct stream *s)
{
    if (s->state != STREAM_OPEN || s->shut)
        return;
    s->shut = true;
    if (s->tls && !tls_shutdown(s))
        return;
    if (!s->write_pending)
        send_fin(s);
}

/* ---- death ---- */

static void close_handle(struct stream *s)
{
    assert(loop_is_mine(s->loop));
    timer_stop(&s->deadline);
    loop_defer_cancel(s->loop, &s->report);
    s->state = STREAM_CLOSING;
    s->reading = s->write_pending = false;
    if (s->tls)
        tls_over(s);
    uv_close((uv_handle_t *)&s->tcp, on_closed);
}

void stream_close(struct stream *s)
{
    if (!s || s->state == STREAM_CLOSING)
        return;
    if (s->tls && s->state == STREAM_OPEN)
        tls_goodbye(s);
    close_handle(s);
}

void stream_reset(struct stream *s)
{
    static const struct linger NOW = { .l_onoff = 1, .l_linger = 0 };

    if (!s || s->state == STREAM_CLOSING)
        return;
    (void)setsockopt(fd_of(s), SOL_SOCKET, SO_LINGER, &NOW, sizeof NOW); /* without a socket there is nobody to tell */
    close_handle(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = (struct stream *)handle;

    stream_give_budget(s, s->budgeted);
    buf_fini(&s->sending);
    buf_fini(&s->pending);
    if (s->tls)
        tls_free(s);
    loop_spare_put(&s->loop->streams, s);
}

/* ---- questions ---- */

bool stream_peer_gone(struct stream *s)
{
    struct tcp_info info;
    socklen_t n = sizeof info;

    if (s->state != STREAM_OPEN || getsockopt(fd_of(s), IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
        return true;
    switch (info.tcpi_state) {
    case TCP_ESTABLISHED:
    case TCP_FIN_WAIT1: /* we have ended our side, the peer has not */
    case TCP_FIN_WAIT2:
        return false;
    default:
        return true;
    }
}

void stream_peer_address(struct stream *s, struct net_address *ret)
{
    *ret = s->peer;
}
