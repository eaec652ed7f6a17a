/* server.c -- the server of one loop: listeners, drain, close, and the memory that its connections share
 *
 *   OPEN --http_server_drain--> DRAINING --(no listener, no connection: on_idle)
 *     |                            |
 *     +------http_server_close-----+--> CLOSED --http_server_free--> freed when the last connection, exchange and handle is gone
 *
 * Shared memory: a few spare buffers for bodies and leftovers, so that the steady state calls no malloc; one cork; one scratch buffer for generated parts and
 * one for error bodies. All of it is used by one connection at a time, within one call.
 */
#include "http/server_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/clock.h"

#define DEFAULT_BODY_BYTES   ((uint64_t)512 << 20) /* SMG's --max-payload-size */
#define DATE_CHECK_US        100000                /* how stale the cached second may be */
#define SCRATCH_BYTES_MAX    (256 * 1024)
#define IF_ZERO(v, fallback) ((v) ? (v) : (fallback))

static void on_accept(struct listener *l, struct stream *stream);
static void on_drained(struct listener *l);
static void on_generate(uv_idle_t *handle);
static void on_idle_later(struct deferred *d);

static const struct listener_ops LISTENER_OPS = { .on_accept = on_accept, .on_drained = on_drained };

/* For a client that took the TLS port for a plain one. */
static const struct str PLAIN_TO_TLS =
    STR_INIT("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 143\r\nconnection: close\r\n\r\n"
             "{\"error\":{\"message\":\"This port speaks HTTPS: use an https:// "
             "URL\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"plain_http_on_tls_port\"}}");

static void on_flush(struct deferred *d)
{
    cork_flush(CONTAINER_OF(d, struct http_server, flush_later));
}

static void set_conf(struct http_server *s, const struct http_server_conf *conf)
{
    s->conf = *conf;
    s->conf.max_body_bytes = MIN(IF_ZERO(conf->max_body_bytes, DEFAULT_BODY_BYTES), (uint64_t)1 << 40);
    s->conf.max_connections = IF_ZERO(conf->max_connections, 100000);
    s->conf.head_ms = IF_ZERO(conf->head_ms, 30000);
    s->conf.body_ms = IF_ZERO(conf->body_ms, 60000);
    s->conf.idle_ms = IF_ZERO(conf->idle_ms, 75000);
    s->conf.send_ms = IF_ZERO(conf->send_ms, 300000);
}

int http_server_new(struct loop *l, const struct http_server_conf *conf, struct http_server **ret)
{
    struct http_server *s = calloc(1, sizeof(*s));

    if (!s || !buf_reserve(&s->cork, CORK_BYTES)) {
        free(s);
        return ERR_NOMEM;
    }
    s->loop = l;
    set_conf(s, conf);
    s->generated.max = GENERATE_BYTES;
    s->scratch.max = SCRATCH_BYTES_MAX;
    s->flush_later.run = on_flush;
    s->idle_later.run = on_idle_later;
    list_init(&s->connections);
    list_init(&s->free_connections);
    list_init(&s->free_exchanges);
    list_init(&s->generating);
    (void)uv_idle_init(&l->uv, &s->idle); /* cannot fail */
    s->idle.data = s;
    *ret = s;
    return 0;
}

int http_server_listen(struct http_server *s, const struct net_address *address, enum listener_share share, uint16_t *ret_port,
                       struct err *err)
{
    struct listener *l;
    int r;

    if (s->listeners_n == LISTENERS_MAX)
        return err_set(err, ERR_LIMIT, "a server has at most %d listeners", LISTENERS_MAX);
    r = listener_new(s->loop, address, share, &LISTENER_OPS, s, &l, err);
    if (r < 0)
        return r;
    s->listeners[s->listeners_n++] = l;
    s->listeners_open++;
    if (ret_port)
        *ret_port = listener_port(l);
    return 0;
}

static void on_accept(struct listener *l, struct stream *stream)
{
    struct http_server *s = l->owner;

    s->stats.accepted++;
    if (s->stats.connections >= s->conf.max_connections) {
        s->stats.refused_connections++;
        stream_close(stream);
        return;
    }
    if (s->conf.tls && stream_tls_accept(stream, s->conf.tls, PLAIN_TO_TLS) < 0) {
        s->stats.refused_connections++;
        stream_close(stream);
        return;
    }
    conn_open(s, stream);
}

/* ---- generators: one proceed each per turn ---- */

void server_generate_later(struct http_server *s, struct exchange *ex)
{
    list_remove(&ex->link);
    list_append(&s->generating, &ex->link);
    (void)uv_idle_start(&s->idle, on_generate); /* fails only without a callback */
}

static void on_generate(uv_idle_t *handle)
{
    struct http_server *s = handle->data;
    struct list due;
    struct exchange *ex;

    loop_enter(s->loop);
    list_init(&due);
    list_move(&due, &s->generating);
    while ((ex = list_first(&due, struct exchange, link)) != NULL) {
        list_remove(&ex->link);
        exchange_generate_step(ex);
    }
    if (list_empty(&s->generating))
        (void)uv_idle_stop(&s->idle); /* never fails */
}

/* ---- the ends ---- */

static void check_idle(struct http_server *s)
{
    if (s->state == SERVER_DRAINING && s->on_idle && s->listeners_open == 0 && list_empty(&s->connections))
        loop_defer(s->loop, &s->idle_later);
}

static void on_idle_later(struct deferred *d)
{
    struct http_server *s = CONTAINER_OF(d, struct http_server, idle_later);
    void (*on_idle)(struct http_server *, void *) = s->on_idle;

    s->on_idle = NULL;
    if (on_idle)
        on_idle(s, s->on_idle_arg);
}

void server_connection_gone(struct http_server *s)
{
    check_idle(s);
}

static void on_drained(struct listener *l)
{
    struct http_server *s = l->owner;

    for (unsigned i = 0; i < s->listeners_n; i++)
        if (s->listeners[i] == l)
            s->listeners[i] = NULL;
    s->listeners_open--;
    check_idle(s);
}

void http_server_drain(struct http_server *s, void (*on_idle)(struct http_server *s, void *arg), void *arg)
{
    struct http_connection *c;

    assert(loop_is_current(s->loop));
    if (s->state != SERVER_OPEN)
        return;
    s->state = SERVER_DRAINING;
    s->on_idle = on_idle;
    s->on_idle_arg = arg;
    for (unsigned i = 0; i < s->listeners_n; i++)
        if (s->listeners[i])
            listener_drain(s->listeners[i]);
    LIST_EACH(c, &s->connections, link)
    {
        c->armed = DEADLINE_NONE; /* the idle deadline is a shorter one now */
        conn_kick(c);
    }
    check_idle(s);
}

static void on_idle_handle_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;

    loop_enter(s->loop);
    s->idle_closed = true;
    server_released(s);
}

void http_server_close(struct http_server *s)
{
    struct http_connection *c;

    if (s->state == SERVER_CLOSED)
        return;
    s->state = SERVER_CLOSED;
    for (unsigned i = 0; i < s->listeners_n; i++)
        listener_close(s->listeners[i]);
    s->listeners_n = s->listeners_open = 0;
    loop_defer_cancel(s->loop, &s->idle_later);
    while ((c = list_first(&s->connections, struct http_connection, link)) != NULL)
        conn_lost(c);
    uv_close((uv_handle_t *)&s->idle, on_idle_handle_closed);
}

static void destroy(struct http_server *s)
{
    struct http_connection *c;

    loop_defer_cancel(s->loop, &s->flush_later);
    LIST_EACH(c, &s->free_connections, link)
    free(c);
    for (uint32_t i = 0; i < s->slots_n; i++)
        exchange_free(s->slots[i]);
    free(s->slots);
    for (unsigned i = 0; i < s->spare_n; i++) {
        budget_give(s->spare[i].cap);
        buf_fini(&s->spare[i]);
    }
    buf_fini(&s->cork);
    buf_fini(&s->generated);
    buf_fini(&s->scratch);
    free(s);
}

void server_released(struct http_server *s)
{
    if (s->free_wanted && s->idle_closed && s->dying == 0)
        destroy(s);
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    assert(s->state == SERVER_CLOSED);
    s->free_wanted = true;
    server_released(s);
}

/* ---- what connections share ---- */

static bool take_spare(struct http_server *s, struct buf *b)
{
    if (s->spare_n == 0)
        return false;
    *b = s->spare[--s->spare_n];
    s->spare_bytes -= b->cap;
    return true;
}

bool server_bytes_reserve(struct http_server *s, struct buf *b, size_t n, size_t most)
{
    size_t cap;
    char *p;

    if (!b->p && take_spare(s, b))
        b->n = 0;
    if (n <= b->cap)
        return true;
    for (cap = MAX(b->cap, BYTES_FIRST); cap < n; cap *= 2)
        ;
    if (cap > SPARE_BYTES && most >= n)
        cap = MIN(cap, most); /* small ones keep round sizes, for they are used again */
    if (!budget_take(cap - b->cap))
        return false;
    p = realloc(b->p, cap);
    if (!p) {
        budget_give(cap - b->cap);
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void server_bytes_release(struct http_server *s, struct buf *b)
{
    if (!b->p)
        return;
    if (b->cap <= SPARE_BYTES && s->spare_n < SPARE_MAX && s->spare_bytes + b->cap <= SPARE_TOTAL) {
        s->spare_bytes += b->cap;
        b->n = 0;
        s->spare[s->spare_n++] = *b;
        *b = (struct buf){ 0 };
        return;
    }
    budget_give(b->cap);
    buf_fini(b);
}

struct str server_date(struct http_server *s)
{
    uint64_t now_us = loop_now_us(s->loop);

    if (s->date_n == 0 || now_us - s->date_checked_us >= DATE_CHECK_US) {
        uint64_t now_s = clock_wall_s();

        s->date_checked_us = now_us;
        if (s->date_n == 0 || now_s != s->date_s) {
            char text[CLOCK_TEXT_MAX];
            size_t n = clock_http_date(text, now_s);

            s->date_s = now_s;
            s->date_n = (size_t)snprintf(s->date, sizeof(s->date), "date: %.*s\r\n", (int)n, text);
        }
    }
    return (struct str){ s->date, s->date_n };
}

void http_server_stats(const struct http_server *s, struct http_server_stats *ret)
{
    *ret = s->stats;
}
