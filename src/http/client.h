/* http/client.h -- calls to HTTP/1.1 servers over a pool of kept connections, one pool per loop
 *
 *                     http_call_start
 *    IDLE ------------------> CONNECTING ---> SENDING ---> WAIT_HEAD ---> BODY ---> DONE
 *     (pooled connection: straight to SENDING)                 |             |        ^
 *                                                    any error, timeout, end +--------+
 *
 *   - The caller owns `struct http_call` (usually in the exchange's arena) and the bytes of head and body, all until on_end or http_call_cancel.
 *   - on_end is the terminal callback: exactly once, never from inside http_call_start. After http_call_cancel there is none: cancelling is silent,
 *     at once, and closes the connection unless the reply was complete.
 *   - A kept connection that turns out closed before any byte of the reply came is replaced by a fresh one, once, without the caller noticing
 *     (call->fresh_retry tells): RFC 9112 9.3.1 leaves that to us, and a server that closes an idle connection does not begin to answer.
 *   - A reply that comes before the request is fully sent is delivered; the connection is closed after it.
 *   - 1xx replies are swallowed (at most 16). Replies that break the rules end with ERR_PROTOCOL. Bytes behind a complete reply close the connection.
 *   - Back-pressure: http_call_pause stops reading; on_body may still be called for what the current read already holds.
 *   - Callbacks come in batches: everything that one read held, then on_batch once: the place to flush.
 *   - With `tls` set the call speaks TLS: the server's certificate is checked against `host`; the connect time covers the handshake. An origin's TLS session is
 *     resumed as long as it has a connection. A body without a length that ends without close_notify was cut short: ERR_CLOSED.
 * Threads: the owner loop only. Bounds: idle connections per origin and in all; each call at most one connection.
 */
#pragma once

#include "http/h1.h"
#include "loop/loop.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/tls.h"

struct http_client;
struct http_call;

struct http_client_conf {
    unsigned idle_per_origin_max; /* 0 = 500, as SMG */
    unsigned idle_max;            /* of all origins; 0 = 4096; the oldest goes */
    uint32_t idle_ms;             /* a kept connection's life without use; 0 = 50000 */
    struct tls_context *tls;      /* borrowed: outlives the client; for calls with `tls`. NULL = they end with ERR_UNSUPPORTED */
};

int http_client_new(struct loop *l, const struct http_client_conf *conf, struct http_client **ret) _must_check_;
/* Closes the kept connections. No call may be running. */
void http_client_free(struct http_client *c);
/* Closes the kept connections to HOST:PORT, plain and TLS (a worker that was removed). */
void http_client_forget(struct http_client *c, struct str host, uint16_t port);

struct http_call_ops {
    /* The final head (never 1xx). Views good until return. Optional. */
    void (*on_head)(struct http_call *c, const struct http_head *head);
    /* Bytes of the body, framing removed; good until return; never empty. Optional. */
    void (*on_body)(struct http_call *c, struct str part);
    /* After the callbacks of one read, unless the call ended in it. Optional. */
    void (*on_batch)(struct http_call *c);
    /* 0 = the whole reply came. Else ERR_RESOLVE, ERR_REFUSED, ERR_UNREACHABLE, ERR_RESET, ERR_CLOSED (cut short), ERR_TIMEOUT, ERR_PROTOCOL, ERR_TLS_*, ERR_UNSUPPORTED, ERR_NOMEM, ERR_IO;
     * c->step is the step in which it happened. */
    void (*on_end)(struct http_call *c, int status);
};

enum http_call_step { CALL_IDLE, CALL_CONNECTING, CALL_SENDING, CALL_WAIT_HEAD, CALL_BODY, CALL_DONE };

struct http_call {
    /* set by the caller, before http_call_start; borrowed until the end */
    const struct http_call_ops *ops;
    void *owner;
    struct str host; /* name or IP literal */
    uint16_t port;
    bool tls;
    enum http_method method;
    struct str head; /* the request's head as it goes out, with its empty line */
    struct str body; /* may be empty */
    uint32_t connect_ms, head_ms,
        idle_ms; /* from start to connected; for sending, and from sent to the reply's head; between reads of the body, not while paused. 0 = 10000, none, none */

    /* Of the connection, once the reply is complete, instead of the client's own bounds. */
    bool own_pool;
    unsigned pool_idle_max; /* idle connections to this origin; 0: it is closed; UINT_MAX: the client's */
    uint32_t pool_idle_ms;  /* how long it is kept; 0: it is closed; UINT32_MAX: the client's */

    /* readable at any time */
    enum http_call_step step; /* written only by enter() in client.c */
    bool reused;              /* ran on a kept connection */
    bool fresh_retry;         /* the kept connection was dead and a fresh one took over */
    uint64_t sent_us;         /* loop clock: request handed to the kernel completely */
    uint64_t bytes_in;

    /* internal to client.c */
    struct http_client *client; /* NULL unless the call runs */
    struct http_conn *conn;
    struct resolve_request resolve;
    struct timer timer;
    struct deferred failed;
    int failed_status;
    bool paused;
};

/* 0: exactly one on_end follows. Negative: nothing was started (ERR_NOMEM). The call is zeroed by the caller except for the fields above. */
int http_call_start(struct http_client *client, struct http_call *c) _must_check_;
void http_call_cancel(struct http_call *c); /* any step; a no-op in IDLE and DONE */
void http_call_pause(struct http_call *c);
void http_call_resume(struct http_call *c);

struct http_client_stats {
    uint64_t opened, reused, closed_dead, idle;
};
void http_client_stats(const struct http_client *c, struct http_client_stats *ret);

/* The whole reply into memory, for the control plane: a call that gathers up to `max` bytes. */
struct http_fetch {
    struct http_call call; /* fill host, port, method, head, body, timeouts as above; ops and owner are ours */
    void (*done)(struct http_fetch *f, int status); /* the terminal callback; ERR_LIMIT when the body was longer */
    void *owner;
    size_t max;
    /* the result */
    unsigned status;
    struct buf body; /* owned; http_fetch_fini */
    char content_type[64];
    struct deferred deferred_done;
    int done_status;
};
int http_fetch_start(struct http_client *client, struct http_fetch *f) _must_check_;
void http_fetch_cancel(struct http_fetch *f);
void http_fetch_fini(struct http_fetch *f); /* not while it runs */
