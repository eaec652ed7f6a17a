/* net/listener.h -- a listening socket of one loop; several loops listen on one port by SO_REUSEPORT
 *
 * Two gateways on one port must be an error, which SO_REUSEPORT alone would hide: net_port_probe() binds without it first.
 * At the file-descriptor bound (EMFILE, ENFILE) accepting stops for a moment, is logged and counted, and goes on by a timer.
 * Drain: listener_drain() has the kernel ignore new connections (SYNs), gives handshakes that have begun LISTENER_DRAIN_MS to end, accepts what the
 * backlog holds and closes, so that no client that the kernel greeted is reset: one that comes later is refused, at once or when its SYN is repeated.
 * The socket is polled and accepted from here, not by uv_listen, which answers EMFILE by accepting and hanging up.
 */
#pragma once

#include "net/stream.h"

#define LISTENER_DRAIN_MS 100  /* a round trip of a far client; after it its handshake has ended or been given up */
#define LISTENER_PAUSE_MS 100  /* without file descriptors or memory */
#define LISTENER_BACKLOG  4096 /* the kernel cuts it to net.core.somaxconn */

struct listener;

struct listener_ops {
    /* A connection: *S has its address and is not reading yet. The owner sets s->ops, s->owner and starts reading, or closes it. */
    void (*on_accept)(struct listener *l, struct stream *s);
    /* Optional; after listener_drain: closed, nothing follows, *L is freed when it returns. */
    void (*on_drained)(struct listener *l);
};

/* On the heap. OPEN --pause/resume--> PAUSED; either --listener_drain--> DRAINING --(backlog empty)--> CLOSED; any --listener_close--> CLOSED. */
struct listener {
    uv_poll_t poll; /* first: the libuv handle */
    int fd;         /* owned; -1 = closed */
    struct loop *loop;
    const struct listener_ops *ops;
    void *owner;
    struct net_address address; /* with the real port when 0 was asked for */
    struct timer retry;         /* PAUSED: accept again; DRAINING: the end of the drain */
    enum { LISTENER_OPEN, LISTENER_PAUSED, LISTENER_DRAINING, LISTENER_CLOSED } state;
    bool silent; /* closed by its owner: no on_drained */
    unsigned drain_tries;
    uint64_t accepted, paused_n, lost; /* lost: accepted, but no memory for the stream */
    uint64_t logged_us;                /* loop clock: the last complaint, at most one a second */
};

/* Checks that ADDRESS can be bound by nobody else: ERR_EXISTS with "address already in use: 0.0.0.0:30000", ERR_INVALID, ERR_IO. */
int net_port_probe(const struct net_address *address, struct err *err) _must_check_;

/* Binds and listens. SHARED: with SO_REUSEPORT. The same errors. */
enum listener_share { LISTENER_ALONE, LISTENER_SHARED };
int listener_new(struct loop *loop, const struct net_address *address, enum listener_share share, const struct listener_ops *ops,
                 void *owner, struct listener **ret, struct err *err) _must_check_;
uint16_t listener_port(const struct listener *l);
void listener_drain(struct listener *l);
void listener_close(struct listener *l); /* silent; NULL is fine */
