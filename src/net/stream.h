/* net/stream.h -- a byte stream over TCP, or TLS over TCP behind the same functions (tls.h), for one owner on one loop
 *
 *   stream_connect / listener accept --> OPEN --read callbacks--> ... --stream_close--> freed at the end of the turn
 *
 * Reading: bytes come in the loop's one read buffer and are good only inside on_read: the owner uses or copies them. One callback per readiness and turn.
 * Writing: stream_write() tries the kernel at once (one writev of up to STREAM_VEC_MAX parts). What does not fit is, by choice of the caller,
 *   copied (STREAM_COPY: small things, tokens) or referenced until on_drain (STREAM_BORROW: request bodies). At most one write is pending per
 *   stream: the caller who got STREAM_PENDING stops its source (pauses the upstream, stops the generator) until on_drain.
 *   A write while one is pending is copied behind it, whatever the choice (bounded by STREAM_PENDING_MAX and the memory budget; past that
 *   STREAM_FAILED). After STREAM_FAILED nothing more can be written, and on_end follows unless the stream is closed first.
 * Callbacks: never from inside a call of this file. on_end is the terminal one (once); none comes after stream_close.
 * TCP_NODELAY always, keepalive 30 s.
 */
#pragma once

#include <sys/socket.h>

#include "loop/loop.h"

#define STREAM_VEC_MAX     4
#define STREAM_PENDING_MAX (4u << 20)

struct stream;

struct stream_ops {
    /* stream_connect only: STATUS 0 = open, else ERR_REFUSED, ERR_TIMEOUT, ERR_UNREACHABLE, ERR_RESET, ERR_IO, ERR_TLS_* (then the stream is dead; close it). */
    void (*on_connect)(struct stream *s, int status);
    /* N >= 1 bytes at DATA, writable scratch, good until return. */
    void (*on_read)(struct stream *s, char *data, size_t n);
    /* The pending write went out; the owner may write again. After on_end(0) also when it failed: then the next write does, too. */
    void (*on_drain)(struct stream *s);
    /* The peer's end: 0 = FIN (TLS: close_notify; a FIN without one is ERR_CLOSED), else ERR_RESET, ERR_TIMEOUT, ERR_IO, and ERR_NOMEM or ERR_LIMIT after a failed write of our own.
     * No on_read after it. Writing may still work after a FIN. */
    void (*on_end)(struct stream *s, int status);
};

enum stream_write { STREAM_SENT, STREAM_PENDING, STREAM_FAILED };
enum stream_leftover { STREAM_COPY, STREAM_BORROW };

struct net_address {
    struct sockaddr_storage ss;
};

struct stream {
    uv_tcp_t tcp; /* first: the libuv handle */
    struct loop *loop;
    const struct stream_ops *ops;
    void *owner; /* borrowed; for the owner's callbacks */

    /* internal to net/ */
    enum { STREAM_IDLE, STREAM_CONNECTING, STREAM_OPEN, STREAM_DEAD, STREAM_CLOSING } state;
    bool reading, write_pending, end_reported;
    bool shut; /* FIN was asked for: sent, or goes when nothing is pending */
    uv_connect_t connect;
    uv_write_t write;
    struct buf sending;      /* owned; copies that libuv holds */
    struct buf pending;      /* owned; copies that wait behind it */
    size_t in_flight;        /* bytes of the libuv write */
    size_t budgeted;         /* bytes taken from the budget for the copies */
    int write_error;         /* what the first failed write said; 0 = none did */
    uint64_t read_turn;      /* loop.turn_number of the last read: one callback a turn */
    struct net_address peer; /* as accepted or connected to */
    struct timer deadline;   /* of the connect; of an accepted stream's TLS handshake */
    uint64_t bytes_in, bytes_out;
    struct stream_tls *tls; /* owned; NULL = bytes go as they are */
    struct deferred report; /* failures found inside a call are reported from here */
    int report_status;
};

/* "10.0.0.1", "::1" with PORT into *RET; ERR_INVALID when HOST is not an IP literal. */
int net_address_parse(struct str host, uint16_t port, struct net_address *ret) _must_check_;
/* "10.0.0.1:80", "[::1]:80"; returns the length (at most 63). */
size_t net_address_text(const struct net_address *a, char out[64]);

/* A stream on the heap. Owner: the caller, until stream_close. */
struct stream *stream_new(struct loop *l, const struct stream_ops *ops, void *owner) _must_check_;

/* Starts connecting. 0 (on_connect follows) or a negative code at once (no callback). TIMEOUT_MS > 0. */
int stream_connect(struct stream *s, const struct net_address *to, uint64_t timeout_ms) _must_check_;

/* Both idempotent. While stopped, the peer meets a full window, and its end or reset is not seen: see stream_peer_gone. A stop and a later start cost
 * system calls: for back-pressure, not per message. */
void stream_read_start(struct stream *s);
void stream_read_stop(struct stream *s);

/* Writes PARTS (1..STREAM_VEC_MAX). */
enum stream_write stream_write(struct stream *s, const struct str *parts, unsigned n, enum stream_leftover leftover) _must_check_;
bool stream_has_pending(const struct stream *s);

/* What the kernel has not yet taken; shrinks when the peer reads. */
size_t stream_pending_bytes(const struct stream *s);

void stream_shutdown(struct stream *s); /* FIN after what is pending; no write after it. Idempotent */
void stream_close(struct stream *s);    /* silent; the memory goes at a later turn. NULL is fine. */
void stream_reset(struct stream *s);    /* closes with RST: the peer must see that the reply is cut */

/* For a stream that is not being read: did the peer close or reset? (TCP_INFO; a system call: from a timer, not per event.) */
bool stream_peer_gone(struct stream *s);

void stream_peer_address(struct stream *s, struct net_address *ret);
