/* net/tls.c -- the layer inside a stream: records in, plain text out, and the other way round
 *
 *   from        to          by                      when
 *   (new)       HANDSHAKE   stream_tls_*
 *   HANDSHAKE   OPEN        shake                   both sides are content; a client's on_connect
 *   any         OVER        stream_report_end       the peer's close_notify, a failure, a timeout; or stream_close
 *
 * In: the socket is read into the upper part of the loop's read buffer, OpenSSL takes the records from there (our BIO) and puts the plain text into the lower
 * part, which is always large enough: one read is one on_read, as without TLS. What comes before the owner reads (it is a client's first bytes) is held.
 * Out: records are made in a block that the loop lends for the length of one call, and go out in one write; what the kernel does not take is copied, as
 * STREAM_COPY says. A borrowed body is encrypted CHUNK_BYTES at a time, the next chunk when the kernel has taken the last one.
 * Renegotiation being off, reading never waits for writing, nor the other way round: OpenSSL wants bytes or is done.
 */
#include "net/tls_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"

#define RECORD_BYTES 16384                      /* of plain text in one record (RFC 8446 5.1) */
#define CHUNK_BYTES  (4 * RECORD_BYTES)         /* of plain text between two looks at the kernel */
#define OUT_BYTES    (CHUNK_BYTES + 4 * 512)    /* as records */
#define BLOCK_BYTES  (RECORD_BYTES + OUT_BYTES) /* small parts are joined in front: a record costs more than a copy */
#define JOIN_BELOW   4096                       /* longer parts are encrypted where they stand */

#define TLS_NAME_MAX 253 /* bytes of a host: RFC 1035 2.3.4 */

enum tls_step { TLS_HANDSHAKE, TLS_OPEN, TLS_OVER };

struct stream_tls {
    struct stream *stream;       /* borrowed: ends with it */
    struct tls_context *context; /* borrowed */
    SSL *ssl;                    /* owned */
    enum tls_step step;
    struct str plain_reply; /* static; a server's answer to plain HTTP */

    const char *in; /* records that OpenSSL has not taken yet: inside one call */
    size_t in_n;
    struct buf held;        /* owned; records that came before the owner reads: at most one read */
    bool end_held;          /* the peer's end came with the last bytes, and the owner stopped reading in between */
    int end_status;         /* of that end */
    struct deferred resume; /* the owner reads again: what is held comes at the end of the turn */

    char *block;                  /* of loop.tls, inside one call */
    size_t out_n;                 /* bytes of records in it */
    enum stream_write out_result; /* the worst of what stream_raw_write said inside this call */

    uv_buf_t plain[STREAM_VEC_MAX]; /* the owner's plain text that is not encrypted yet: borrowed, or `copy` */
    unsigned plain_n;
    struct buf copy, waiting; /* owned; copies in `plain`, and behind it */
    bool owner_waits;         /* the owner was told STREAM_PENDING: on_drain is due */
    bool notified;            /* close_notify was written */
};

static void on_resume(struct deferred *d);
static void on_shake_deadline(struct timer *t);
static void shake(struct stream_tls *t);
static void read_plain(struct stream_tls *t);

/* ---- the BIO: where OpenSSL finds and leaves its records ---- */

static int bio_read(BIO *bio, char *out, int n)
{
    struct stream_tls *t = BIO_get_data(bio);
    size_t take = MIN((size_t)MAX(n, 0), t->in_n);

    BIO_clear_retry_flags(bio);
    if (take == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(out, t->in, take);
    t->in += take;
    t->in_n -= take;
    return (int)take;
}

static void note(struct stream_tls *t, enum stream_write r)
{
    t->out_result = MAX(t->out_result, r);
}

static void write_block(struct stream_tls *t)
{
    struct str records = { t->block + RECORD_BYTES, t->out_n };

    t->out_n = 0;
    if (records.n)
        note(t, stream_raw_write(t->stream, &records, 1, STREAM_COPY));
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct stream_tls *t = BIO_get_data(bio);
    size_t left = (size_t)MAX(n, 0);

    BIO_clear_retry_flags(bio);
    if (!t->block)
        return -1;
    while (left > 0) {
        size_t take = MIN(left, OUT_BYTES - t->out_n);

        memcpy(t->block + RECORD_BYTES + t->out_n, p, take);
        t->out_n += take;
        p += take;
        left -= take;
        if (t->out_n == OUT_BYTES)
            write_block(t);
    }
    return n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP;
}

BIO_METHOD *tls_bio_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "smg stream");

    if (m &&
        (BIO_meth_set_read(m, bio_read) != 1 || BIO_meth_set_write(m, bio_write) != 1 || BIO_meth_set_ctrl(m, bio_ctrl) != 1)) {
        BIO_meth_free(m);
        return NULL;
    }
    return m;
}

/* Around every call into OpenSSL that may write. Without a block what it writes fails, which is an end like any other. */
static void begin_output(struct stream_tls *t)
{
    assert(!t->block);
    ERR_clear_error();
    t->block = loop_spare_get(&t->stream->loop->tls, BLOCK_BYTES);
    t->out_n = 0;
    t->out_result = STREAM_SENT;
}

static enum stream_write end_output(struct stream_tls *t)
{
    if (!t->block)
        return STREAM_SENT;
    write_block(t);
    loop_spare_put(&t->stream->loop->tls, t->block);
    t->block = NULL;
    return t->out_result;
}

/* ---- birth ---- */

static struct stream_tls *layer_new(struct stream *s, struct tls_context *c)
{
    struct stream_tls *t = calloc(1, sizeof *t);
    BIO *bio;

    if (!t)
        return NULL;
    t->stream = s;
    t->context = c;
    t->resume.run = on_resume;
    t->ssl = SSL_new(tls_context_get(c, s->loop));
    bio = t->ssl ? BIO_new(c->bio) : NULL;
    if (!bio) {
        SSL_free(t->ssl);
        free(t);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio); /* takes the one reference */
    return t;
}

static void layer_free(struct stream_tls *t)
{
    /* Without this OpenSSL takes a connection that was simply closed for a broken one, and its session for unusable. */
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    buf_fini(&t->held);
    buf_fini(&t->copy);
    buf_fini(&t->waiting);
    free(t);
}

/* The name that the certificate must have; for a name, not an address, the server is told it as well (RFC 6066 3). */
static int expect_host(SSL *ssl, struct str host)
{
    char name[TLS_NAME_MAX + 1];
    unsigned char address[16];

    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--; /* certificates have no final dot */
    if (host.n == 0 || host.n > TLS_NAME_MAX || memchr(host.p, 0, host.n))
        return ERR_INVALID;
    memcpy(name, host.p, host.n);
    name[host.n] = 0;
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 ? 0 : ERR_NOMEM;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1 ? 0 : ERR_NOMEM;
}

int stream_tls_connect(struct stream *s, struct tls_context *c, struct str host, struct tls_session *session)
{
    struct stream_tls *t;
    int r;

    assert(s->state == STREAM_IDLE && !s->tls && c->side == TLS_CLIENT);
    t = layer_new(s, c);
    if (!t)
        return ERR_NOMEM;
    r = expect_host(t->ssl, host);
    if (r < 0) {
        layer_free(t);
        return r;
    }
    SSL_set_connect_state(t->ssl);
    SSL_set_app_data(t->ssl, session); /* for keep_session() in tls_context.c */
    if (session && session->saved)
        (void)SSL_set_session(t->ssl, session->saved); /* one that does not fit means a full handshake */
    s->tls = t;
    return 0;
}

int stream_tls_accept(struct stream *s, struct tls_context *c, struct str plain_reply)
{
    struct stream_tls *t;

    assert(s->state == STREAM_OPEN && !s->tls && !s->reading && c->side == TLS_SERVER);
    if (atomic_fetch_add_explicit(&c->handshakes, 1, memory_order_relaxed) >= TLS_HANDSHAKES_MAX) {
        atomic_fetch_sub_explicit(&c->handshakes, 1, memory_order_relaxed);
        tls_count(s->loop, TLS_SERVER, "too_many");
        return ERR_LIMIT;
    }
    t = layer_new(s, c);
    if (!t) {
        atomic_fetch_sub_explicit(&c->handshakes, 1, memory_order_relaxed);
        return ERR_NOMEM;
    }
    t->plain_reply = plain_reply;
    SSL_set_accept_state(t->ssl);
    s->tls = t;
    timer_start(s->loop, &s->deadline, TLS_HANDSHAKE_MS, on_shake_deadline);
    return 0;
}

bool stream_is_tls(const struct stream *s)
{
    return s->tls != NULL;
}

void tls_session_fini(struct tls_session *s)
{
    SSL_SESSION_free(s->saved); /* NULL is fine */
    s->saved = NULL;
}

/* ---- the handshake ---- */

static void enter(struct stream_tls *t, enum tls_step step)
{
    assert(step > t->step);
    if (t->step == TLS_HANDSHAKE && t->context->side == TLS_SERVER)
        atomic_fetch_sub_explicit(&t->context->handshakes, 1, memory_order_relaxed);
    if (t->step == TLS_HANDSHAKE)
        timer_stop(&t->stream->deadline);
    t->step = step;
}

static void on_shake_deadline(struct timer *timer)
{
    struct stream *s = CONTAINER_OF(timer, struct stream, deadline);

    tls_count(s->loop, TLS_SERVER, "timeout");
    stream_report_end(s, ERR_TIMEOUT);
}

void tls_connected(struct stream *s)
{
    shake(s->tls);
}

static void shake_failed(struct stream_tls *t, int status, const char *why)
{
    struct stream *s = t->stream;

    tls_count(s->loop, t->context->side, why);
    if (status == ERR_PROTOCOL && t->plain_reply.n)
        note(t, stream_raw_write(s, &t->plain_reply, 1, STREAM_COPY)); /* a courtesy: the connection ends either way */
    stream_report_end(s, status);
}

/* On from here OpenSSL may have more to read; a client's owner first hears that it is connected. */
static void shaken(struct stream_tls *t)
{
    struct stream *s = t->stream;

    enter(t, TLS_OPEN);
    tls_count(s->loop, t->context->side, "ok");
    if (s->state == STREAM_CONNECTING) {
        stream_raw_stop(s); /* the owner says when it reads */
        s->state = STREAM_OPEN;
        s->ops->on_connect(s, 0);
    }
    if (t->step != TLS_OPEN)
        return; /* closed by its owner */
    if (s->reading) {
        read_plain(t);
        return;
    }
    buf_put(&t->held, (struct str){ t->in, t->in_n });
    t->in_n = 0;
    if (t->held.failed)
        stream_report_end(s, ERR_NOMEM);
}

static void shake(struct stream_tls *t)
{
    const char *why = "other";
    int r, error, status = 0;

    begin_output(t);
    r = SSL_do_handshake(t->ssl);
    error = r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);
    if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ)
        status = t->block ? tls_error(t->ssl, &why) : ERR_NOMEM;
    (void)end_output(t); /* a failed write reports itself; an alert of ours goes out with this */
    if (status < 0)
        shake_failed(t, status, why);
    else if (error == SSL_ERROR_NONE)
        shaken(t);
}

/* ---- reading ---- */

void tls_received(struct stream *s, const char *data, size_t n)
{
    struct stream_tls *t = s->tls;

    t->in = data;
    t->in_n = n;
    if (t->step == TLS_HANDSHAKE)
        shake(t);
    else if (t->step == TLS_OPEN)
        read_plain(t);
}

static int end_of(struct stream_tls *t, int error)
{
    const char *why;

    switch (error) {
    case SSL_ERROR_ZERO_RETURN:
        return 0; /* close_notify */
    case SSL_ERROR_WANT_READ:
        return ERR_BUSY; /* no end: more bytes are needed */
    default:
        return tls_error(t->ssl, &why);
    }
}

static void read_plain(struct stream_tls *t)
{
    struct stream *s = t->stream;
    char *out = s->loop->read_buffer;
    size_t got = 0;
    int r, end;

    begin_output(t);
    while ((r = SSL_read(t->ssl, out + got, (int)(TLS_PLAIN_BYTES - got))) > 0)
        got += (size_t)r;
    end = end_of(t, SSL_get_error(t->ssl, r));
    (void)end_output(t); /* answers to key updates, alerts; a failed write reports itself */
    if (got)
        s->ops->on_read(s, out, got);
    if (end == ERR_BUSY || t->step != TLS_OPEN)
        return;
    if (s->reading) {
        stream_report_end(s, end);
        return;
    }
    t->end_held = true; /* as without TLS: who does not read does not see the end */
    t->end_status = end;
}

void tls_read_started(struct stream *s)
{
    if (s->tls->held.n || s->tls->end_held)
        loop_defer(s->loop, &s->tls->resume);
}

static void on_resume(struct deferred *d)
{
    struct stream_tls *t = CONTAINER_OF(d, struct stream_tls, resume);
    struct stream *s = t->stream;
    char *at = s->loop->read_buffer + TLS_PLAIN_BYTES;
    size_t n = t->held.n;

    if (!s->reading || t->step != TLS_OPEN)
        return;
    if (t->end_held) {
        stream_report_end(s, t->end_status);
        return;
    }
    memcpy(at, t->held.p, n);
    buf_fini(&t->held);
    tls_received(s, at, n);
}

int tls_end_of_socket(struct stream *s, int status)
{
    if (status < 0)
        return status;
    if (s->tls->step == TLS_HANDSHAKE)
        tls_count(s->loop, s->tls->context->side, "closed");
    return ERR_CLOSED;
}

/* ---- writing ---- */

static size_t bytes_of(const uv_buf_t *v, unsigned n)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < n; i++)
        bytes += v[i].len;
    return bytes;
}

/* Small parts side by side in the block. Returns how many bytes. */
static size_t join(struct stream_tls *t, const uv_buf_t *v, unsigned n)
{
    size_t got = 0;

    for (unsigned i = 0; i < n && got < RECORD_BYTES; i++) {
        size_t take = MIN(v[i].len, RECORD_BYTES - got);

        memcpy(t->block + got, v[i].base, take);
        got += take;
    }
    return got;
}

/* One call of SSL_write with some of V; 0 when it failed. */
static size_t encrypt_some(struct stream_tls *t, const uv_buf_t *v, unsigned n)
{
    const char *p = v[0].base;
    size_t bytes = MIN(v[0].len, (size_t)CHUNK_BYTES);

    if (n > 1 && v[0].len < JOIN_BELOW) {
        bytes = join(t, v, n);
        p = t->block;
    }
    return SSL_write(t->ssl, p, (int)bytes) > 0 ? bytes : 0;
}

/* Encrypts V and hands it on: all of it (STREAM_COPY), or until the kernel takes no more (STREAM_BORROW). What is left stands in V. */
static enum stream_write encrypt(struct stream_tls *t, uv_buf_t *v, unsigned *n, enum stream_leftover leftover)
{
    enum stream_write r = STREAM_SENT;

    begin_output(t);
    if (!t->block)
        return stream_write_failed(t->stream, ERR_NOMEM);
    while (*n > 0 && r != STREAM_FAILED && !(r == STREAM_PENDING && leftover == STREAM_BORROW)) {
        size_t done = encrypt_some(t, v, *n);
        const char *why;

        if (done == 0) {
            note(t, stream_write_failed(t->stream, tls_error(t->ssl, &why)));
            break;
        }
        (void)stream_skip(v, n, done); /* what is left is counted by the caller */
        if (t->out_n > OUT_BYTES / 2)
            write_block(t);
        r = t->out_result;
    }
    return end_output(t);
}

/* Plain text behind what waits already: a copy against the bound and the budget. */
static enum stream_write queue(struct stream_tls *t, const uv_buf_t *v, unsigned n, size_t bytes)
{
    int r = t->waiting.n + bytes > STREAM_PENDING_MAX ? ERR_LIMIT : stream_copy(t->stream, &t->waiting, v, n, bytes);

    return r < 0 ? stream_write_failed(t->stream, r) : STREAM_PENDING;
}

enum stream_write tls_write(struct stream *s, const struct str *parts, unsigned n, enum stream_leftover leftover)
{
    struct stream_tls *t = s->tls;
    uv_buf_t v[STREAM_VEC_MAX];
    enum stream_write r;
    size_t bytes;

    if (s->state != STREAM_OPEN || s->write_error || s->shut || t->step != TLS_OPEN)
        return STREAM_FAILED;
    for (unsigned i = 0; i < n; i++)
        v[i] = (uv_buf_t){ .base = (char *)parts[i].p, .len = parts[i].n };
    bytes = bytes_of(v, n);
    if (bytes == 0)
        return t->owner_waits ? STREAM_PENDING : STREAM_SENT;
    if (t->plain_n)
        return queue(t, v, n, bytes);
    (void)stream_skip(v, &n, 0); /* empty parts at the front */
    r = encrypt(t, v, &n, t->owner_waits ? STREAM_COPY : leftover);
    if (r != STREAM_FAILED && n > 0) {
        memcpy(t->plain, v, n * sizeof v[0]);
        t->plain_n = n;
        r = STREAM_PENDING;
    }
    if (r == STREAM_PENDING)
        t->owner_waits = true;
    return r;
}

static void copies_are_out(struct stream_tls *t)
{
    stream_give_budget(t->stream, t->copy.n);
    buf_fini(&t->copy);
}

/* The kernel takes more: encrypts what waits. STREAM_SENT: nothing does any more. */
static enum stream_write write_more(struct stream_tls *t)
{
    enum stream_write r = STREAM_SENT;

    while (r == STREAM_SENT && (t->plain_n || t->waiting.n)) {
        if (t->plain_n == 0) {
            t->copy = t->waiting;
            t->waiting = (struct buf){ 0 };
            t->plain[0] = uv_buf_init(t->copy.p, 0);
            t->plain[0].len = t->copy.n;
            t->plain_n = 1;
        }
        r = encrypt(t, t->plain, &t->plain_n, STREAM_BORROW);
        if (t->plain_n == 0)
            copies_are_out(t);
    }
    return r;
}

/* False: it is pending, or cannot be said. */
static bool say_goodbye(struct stream_tls *t)
{
    if (t->notified || t->step != TLS_OPEN)
        return true;
    t->notified = true;
    begin_output(t);
    (void)SSL_shutdown(t->ssl); /* writes close_notify; the peer's is not waited for */
    return end_output(t) == STREAM_SENT;
}

bool tls_drained(struct stream *s)
{
    struct stream_tls *t = s->tls;
    enum stream_write r = write_more(t);

    if (r == STREAM_PENDING || (r == STREAM_SENT && s->shut && !say_goodbye(t)))
        return false;
    if (!t->owner_waits)
        return false;
    t->owner_waits = false;
    return true;
}

bool tls_has_pending(const struct stream *s)
{
    return s->tls->owner_waits;
}

size_t tls_pending_bytes(const struct stream *s)
{
    return bytes_of(s->tls->plain, s->tls->plain_n) + s->tls->waiting.n;
}

bool tls_shutdown(struct stream *s)
{
    return !s->tls->owner_waits && say_goodbye(s->tls);
}

/* ---- death ---- */

void tls_over(struct stream *s)
{
    struct stream_tls *t = s->tls;

    if (t->step == TLS_OVER)
        return;
    enter(t, TLS_OVER);
    SSL_set_app_data(t->ssl, NULL); /* the session's place belongs to the stream's owner */
    loop_defer_cancel(s->loop, &t->resume);
}

void tls_goodbye(struct stream *s)
{
    if (!s->tls->owner_waits && !s->write_pending && !s->write_error)
        (void)say_goodbye(s->tls); /* what the kernel does not take now is lost with the connection */
}

void tls_free(struct stream *s)
{
    layer_free(STEAL(s->tls));
}
