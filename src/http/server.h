/* http/server.h -- serves HTTP/1.1 on one loop: connections, exchanges, filters, routes
 *
 *   listener -> connection (one stream; requests one after another, pipelined ones wait) -> exchange -> filters -> handler -> reply
 *
 * The client's socket is always being read, at most SERVER_AHEAD_BYTES ahead of need; past that a timer asks the kernel (stream_peer_gone). A FIN or RST while a
 * reply is due means that the client left. `Expect: 100-continue` is answered when the route wants the body and the filters let it pass.
 * A reply that goes out before the request was read completely closes the connection after it (with a short lingering read, so that the client sees the reply),
 * unless what is left has a declared length of at most SERVER_AHEAD_BYTES: then it is read, dropped, and the connection is kept.
 * Deadlines (408 or silent close): head, body progress, idle keep-alive. Bounds: connections per server; heads 64 KiB; bodies max_body_bytes and the memory budget
 * (503); one exchange per connection at a time.
 * Malformed requests are answered by http/error.h with the status of the codec and the connection is closed.
 */
#pragma once

#include "http/exchange.h"
#include "net/listener.h"
#include "net/tls.h"

#define SERVER_AHEAD_BYTES (64 * 1024)

/* The route array, compiled for lookup; immutable, shared by all loops. */
struct router;
int router_new(const struct route *routes, size_t n, struct router **ret, struct err *err) _must_check_;
void router_free(struct router *r);
/* Fills route, route_label, route_allow, params of EX from ex->req. Case-sensitive, no slash normalisation. */
void router_find(const struct router *r, struct exchange *ex);

/* Ready filters for the filter array (no context). route_check: 404, 405, and 400 for a parameter that is no UTF-8. body_limit: 413 for a declared length over
 * max_body_bytes. expect_check: 417 for an Expect other than 100-continue. What they would refuse is refused before the handler in any case; in the array
 * they choose the moment: behind the filters that every reply must pass, before auth and admission. */
enum filter_verdict route_check_on_head(struct exchange *ex, void *context);
enum filter_verdict body_limit_on_head(struct exchange *ex, void *context);
enum filter_verdict expect_check_on_head(struct exchange *ex, void *context);

struct http_server_conf {
    const struct router *router;  /* borrowed */
    const struct filter *filters; /* borrowed array, in order */
    size_t filters_n;
    void *const *contexts;    /* borrowed array: what handlers and filters get, by their `context` index */
    uint64_t max_body_bytes;  /* 0 = 512 MiB */
    unsigned max_connections; /* 0 = 100000 */
    uint32_t head_ms;         /* from the first byte of a head to its end; 0 = 30000 */
    uint32_t body_ms;         /* without progress of a request body; 0 = 60000 */
    uint32_t idle_ms;         /* between requests; 0 = 75000 */
    uint32_t send_ms;         /* a client that takes nothing of a pending reply; 0 = 300000 */
    struct tls_context *tls;  /* borrowed: outlives the server; NULL = plain HTTP */
};

/* connections is a gauge, the others count. exchanges = finished + failed + aborted + running. malformed: refused before or while they were understood (400,
 * 408, 414, 431, 501, 505; also among the exchanges). */
struct http_server_stats {
    uint64_t accepted, connections, exchanges, finished, failed, aborted, refused_connections, malformed;
};

int http_server_new(struct loop *l, const struct http_server_conf *conf, struct http_server **ret) _must_check_;
int http_server_listen(struct http_server *s, const struct net_address *address, enum listener_share share, uint16_t *ret_port,
                       struct err *err) _must_check_;

/* Stop accepting (the backlog is served), close idle connections, close the others after their current reply. ON_IDLE (may be NULL) once, when none is left. */
void http_server_drain(struct http_server *s, void (*on_idle)(struct http_server *s, void *arg), void *arg);
/* Closes everything at once: running exchanges are aborted. */
void http_server_close(struct http_server *s);
void http_server_free(struct http_server *s); /* after close; at the end of a later turn */

void http_server_stats(const struct http_server *s, struct http_server_stats *ret);
