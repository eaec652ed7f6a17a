/* http/server_internal.h -- what the files of the server share; nobody else includes it
 *
 *   server.c      the server: listeners, drain, close, spare memory, the clock's text
 *   connection.c  one stream: which bytes are head, body or leftovers; deadlines; the ways to end
 *   output.c      the cork: what leaves in one writev
 *   pipeline.c    one exchange from its head to its handler and its end: filters, states
 *   exchange.c    what the worker side calls: reply, generator, references
 *   router.c      route lookup
 *
 * A connection has at most one exchange. Memory of both goes back to the server's free lists at the end of the turn in which they ended, so whoever is on the
 * stack may still read them.
 */
#pragma once

#include <assert.h>

#include "http/h1.h"
#include "http/server.h"

#define CORK_BYTES     (64 * 1024) /* the reply head and the tokens of one turn */
#define PART_DIRECT    (8 * 1024) /* from here on a part is handed to the kernel where it stands: copying costs more than a vector */
#define GENERATE_BYTES (64 * 1024)   /* of one proceed */
#define REPLY_COPY_MAX (1024 * 1024) /* a longer whole reply is copied once and goes out in turns */
#define LINGER_MS      2000          /* after an early reply: the client's time to read it before a reset could overtake it */
#define LINGER_BYTES   (256 * 1024)
#define PROBE_MS       500               /* how often a connection that is not being read is asked whether its peer is gone */
#define DRAIN_FIRST_MS 1000              /* at drain, a connection that never carried a request gets this long for its first */
#define BODY_IN_ARENA  (ARENA_BLOCK / 4) /* bytes; larger ones get a buffer that the server uses again */
#define BYTES_FIRST    4096              /* a buffer's first size */
#define SPARE_BYTES    (64 * 1024)       /* the largest buffer that is kept */
#define SPARE_TOTAL    (1024 * 1024)     /* all that are kept, in bytes */
#define SPARE_MAX      256
#define LISTENERS_MAX  8
#define PEER_TEXT      64

/* What the bytes that come next are (see the drawing in connection.c). */
enum conn_read {
    READ_HEAD,    /* the next head; nothing of it yet = the connection is idle */
    READ_HOLD,    /* of a body whose turn has not come, or of the requests behind the current one: kept */
    READ_BODY,    /* the body that the handler wants */
    READ_DRAIN,   /* a body that nobody wants; the connection goes on behind it */
    READ_DISCARD, /* the rest of a refused request, its reply under way; the connection ends after it */
    READ_LINGER,  /* the reply went out, FIN was sent; what still comes is dropped */
    READ_ENDED,   /* FIN came; the last reply is still going out */
    READ_DEAD,    /* closed; memory goes at the end of the turn */
};

enum conn_deadline { DEADLINE_NONE, DEADLINE_IDLE, DEADLINE_HEAD, DEADLINE_BODY, DEADLINE_SEND, DEADLINE_LINGER };

struct http_connection {
    struct http_server *server;
    struct stream *stream; /* owned; NULL when dead */
    struct list link;      /* server.connections; server.free_connections */
    struct exchange *ex;   /* the running one, or NULL */
    enum conn_read read;   /* written only by conn_enter() */
    bool processing;       /* process() is on the stack */
    bool lost;             /* a write failed: ends at the end of the turn */
    bool progress;         /* bytes of a body came since the deadline was armed */
    bool served;           /* carried a request before */

    struct str rest;     /* while processing: bytes not looked at yet */
    struct buf in;       /* bytes kept between reads; server_bytes_*; no memory while empty */
    size_t scanned;      /* of an unfinished head */
    size_t dropped;      /* bytes thrown away in DISCARD and LINGER */
    struct h1_body body; /* BODY and DRAIN */
    uint64_t drained;    /* bytes of a body dropped so far */

    enum conn_deadline
        armed;        /* NONE also while the timer of an earlier state still runs: conn_arm decides before the event is over */
    size_t send_mark; /* what the stream still had to write when DEADLINE_SEND was armed */
    struct timer deadline, probe;
    struct deferred later;
    char peer[PEER_TEXT];
    size_t peer_n;
};

struct http_server {
    struct loop *loop;
    struct http_server_conf conf;
    struct http_server_stats stats;
    enum { SERVER_OPEN, SERVER_DRAINING, SERVER_CLOSED } state;
    bool free_wanted;

    struct listener *listeners[LISTENERS_MAX];
    unsigned listeners_n, listeners_open;
    struct list connections;      /* http_connection.link */
    struct list free_connections; /* http_connection.link */
    struct list free_exchanges;   /* exchange.link */
    struct exchange **slots;      /* owned; by exchange.slot */
    uint32_t slots_n, slots_cap;
    unsigned dying; /* connections and exchanges that wait for the end of the turn */

    struct http_connection *corked; /* whose bytes stand in the cork */
    struct buf cork;
    struct deferred flush_later;

    struct list generating; /* exchange.link: the next proceed is due in the next turn */
    uv_idle_t idle;         /* runs while that list has members */
    bool idle_closed;
    struct buf generated; /* one proceed's bytes */
    struct buf scratch;   /* one error body */

    struct buf spare[SPARE_MAX];
    unsigned spare_n;
    size_t spare_bytes;

    struct http_field fields[H1_FIELDS_MAX]; /* of the head being parsed */
    char date[64];                           /* "date: ...\r\n" */
    size_t date_n;
    uint64_t date_s, date_checked_us;

    void (*on_idle)(struct http_server *s, void *arg);
    void *on_idle_arg;
    struct deferred idle_later;
};

/* ---- server.c ---- */

/* Room for N bytes in all in B, doubling from BYTES_FIRST, never past MOST; counted in the memory budget. false: no memory, B is unchanged. */
bool server_bytes_reserve(struct http_server *s, struct buf *b, size_t n, size_t most) _must_check_;
void server_bytes_release(struct http_server *s, struct buf *b);
struct str server_date(struct http_server *s); /* the whole field line */
void server_connection_gone(struct http_server *s);
void server_released(struct http_server *s); /* the last step of http_server_free, when nothing is left */
void server_generate_later(struct http_server *s, struct exchange *ex);

/* ---- connection.c ---- */

void conn_open(struct http_server *s, struct stream *stream);
void conn_enter(struct http_connection *c, enum conn_read to);
/* The exchange of C is over; the connection goes on to the next request, or ends when CLOSE_AFTER. Never frees C at once. */
enum conn_next { CONN_KEEP, CONN_END };
void conn_exchange_over(struct http_connection *c, enum conn_next next);
void conn_kick(struct http_connection *c); /* look at the kept bytes at the end of this turn */
void conn_arm(struct http_connection *c);  /* the deadline that the state asks for */
enum conn_close { CLOSE_PLAIN, CLOSE_RESET };
void conn_close(struct http_connection *c, enum conn_close how);
/* The client is gone: the exchange is aborted, the connection closed. */
void conn_lost(struct http_connection *c);
/* Bytes behind the current head that came already. */
struct str conn_waiting(const struct http_connection *c);

/* ---- output.c ---- */

/* The cork, now C's, with room for N <= CORK_BYTES more bytes: writing to it cannot fail. */
struct buf *cork_open(struct http_connection *c, size_t n);
/* PART goes out now, behind what is corked and before TAIL, without being copied first. PART is good until return. */
void cork_write_direct(struct http_connection *c, struct str part, struct str tail);
void cork_flush(struct http_server *s);
void cork_drop(struct http_connection *c); /* forgets what is corked for C */

/* ---- pipeline.c ---- */

void exchange_set_state(struct exchange *ex, enum exchange_state to);
struct exchange *exchange_new(struct http_connection *c) _must_check_; /* NULL: no memory */
void exchange_begin(struct exchange *ex);                              /* req is parsed: look up the route, run the filters */
void exchange_body_done(struct exchange *ex);                          /* the body stands in body_bytes */
void exchange_run_on_reply(struct exchange *ex);
void exchange_no_memory(struct exchange *ex); /* 503 */
/* The end, once: outcome, callbacks, the filters' on_end; the memory goes at the end of the turn. The connection is the caller's next step. */
enum exchange_notice { OWNER_KNOWS, OWNER_ABORT };
void exchange_finish(struct exchange *ex, enum exchange_outcome outcome, enum exchange_notice notice);
void exchange_free(struct exchange *ex); /* with the server */

/* ---- exchange.c ---- */

void exchange_ready(struct exchange *ex);         /* the client can take more */
void exchange_generate_step(struct exchange *ex); /* one proceed */
void exchange_held_step(struct exchange *ex);     /* a held reply is whole, or will not be */

/* ---- router.c ---- */

unsigned route_params(const struct route *route);
