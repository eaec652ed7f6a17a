/* http/client_internal.h -- between client.c (calls) and client_pool.c (connections): not for other rooms
 *
 *   client --map by host, port, tls--> origin --idle, newest first--> connection --(while a call runs)--> call
 *      |                                                               ^
 *      +--idle, oldest first: what the bounds and the sweep close------+
 *
 * A connection is idle (in both lists, conn->call NULL, reading), busy (conn->call set), or closed (in `closed` until the end of the turn, when it
 * becomes free for reuse: whoever holds the pointer in a callback may still compare it). An origin lives as long as it has a connection.
 */
#pragma once

#include "base/map.h"
#include "http/client.h"

#define CLIENT_HOST_MAX 255 /* bytes of a name: RFC 1035 2.3.4 */
#define CLIENT_FREE_MAX 256 /* connection objects kept for reuse; each is about 300 bytes */

struct http_origin {
    struct str key;             /* the bytes below: host, the port in two bytes, tls in one */
    struct list idle;           /* http_conn.in_origin, newest first */
    struct tls_session session; /* owned */
    unsigned idle_n, conns_n;
    char bytes[];
};

struct http_conn {
    struct http_client *client; /* borrowed for life */
    struct stream *stream;      /* owned; NULL once closed */
    struct http_origin *origin; /* borrowed; NULL once closed */
    struct http_call *call;     /* borrowed; NULL = idle or closed */
    struct list in_origin;      /* origin.idle */
    struct list in_client;      /* client.idle, client.closed or client.free */
    uint64_t idle_until_us;     /* loop clock; while idle */

    /* of the reply being read */
    struct buf head; /* owned: a head that came in pieces; empty otherwise */
    size_t scanned;  /* h1_head_end's memory over `head` */
    unsigned interim_n;
    bool keep; /* may serve another call after this one */
    struct h1_body body;
};

struct http_client {
    struct loop *loop;
    struct resolver *resolver; /* owned */
    struct http_client_conf conf;
    struct map origins; /* struct http_origin by key */
    struct list idle;   // http_conn.in_client, oldest first
    struct list closed; // http_conn.in_client
    struct list free;   // http_conn.in_client
    unsigned free_n;
    struct deferred recycle;
    struct timer sweep;
    uint64_t sweep_us; /* loop clock: when it fires; while it runs */
    bool mixed;        /* idle times differ: the list of idle ones is in no order of their ends */
    struct http_client_stats stats;
    struct http_field fields[H1_FIELDS_MAX]; /* of the head being delivered; good inside one read callback */
};

/* client.c's callbacks for every connection's stream, idle ones included. */
extern const struct stream_ops http_call_stream_ops;

/* An idle connection for C, no longer idle; NULL when there is none. */
struct http_conn *client_pool_take(struct http_client *client, const struct http_call *c);
/* A new one with a stream that is not connected: 0, ERR_NOMEM, or ERR_UNSUPPORTED (TLS without a context). */
int client_pool_open(struct http_client *client, const struct http_call *c, struct http_conn **ret) _must_check_;
/* Makes a busy connection, which served C, idle; at a bound the oldest is closed. */
void client_pool_keep(struct http_conn *conn, const struct http_call *c);
/* Closes a connection in any state. The object stays readable until the end of the turn. */
void client_pool_close(struct http_conn *conn);
