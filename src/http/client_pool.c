/* http/client_pool.c -- the kept connections of one client: found by origin, used newest first, closed oldest first
 *
 *   state     list                           left by
 *   busy      none                           client_pool_keep -> idle, client_pool_close -> closed
 *   idle      origin.idle and client.idle    client_pool_take -> busy, client_pool_close -> closed
 *   closed    client.closed                  recycle (end of the turn) -> free
 *   free      client.free                    client_pool_open -> busy
 *
 * Newest first, so that a pool that grew in a burst shrinks again: what is not needed grows old at the other end. client.idle is ordered by age, and one timer for what ends first
 * serves all: the oldest, or, once calls came with idle times of their own (`mixed`), one that a walk over all finds: at most idle_max of them, at most as often as one ends.
 */
#include "http/client_internal.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

static void recycle(struct deferred *d);
static void sweep(struct timer *t);

/* ---- origins ---- */

#define KEY_MAX (CLIENT_HOST_MAX + 3)

static struct str make_key(char out[KEY_MAX], struct str host, uint16_t port, bool tls)
{
    memcpy(out, host.p, host.n);
    out[host.n] = (char)(port >> 8);
    out[host.n + 1] = (char)port;
    out[host.n + 2] = (char)tls;
    return (struct str){ out, host.n + 3 };
}

static struct http_origin *find_origin(struct http_client *client, struct str host, uint16_t port, bool tls)
{
    char bytes[KEY_MAX];

    if (host.n > CLIENT_HOST_MAX)
        return NULL;
    return map_get(&client->origins, make_key(bytes, host, port, tls));
}

static struct http_origin *add_origin(struct http_client *client, struct str host, uint16_t port, bool tls)
{
    struct http_origin *o = calloc(1, sizeof *o + KEY_MAX);

    if (!o)
        return NULL;
    o->key = make_key(o->bytes, host, port, tls);
    list_init(&o->idle);
    if (map_put(&client->origins, o->key, o, NULL) < 0) {
        free(o);
        return NULL;
    }
    return o;
}

static void leave_origin(struct http_conn *conn)
{
    struct http_origin *o = conn->origin;

    conn->origin = NULL;
    if (--o->conns_n > 0)
        return;
    map_remove(&conn->client->origins, o->key);
    tls_session_fini(&o->session);
    free(o);
}

/* ---- connections ---- */

static void leave_idle(struct http_conn *conn)
{
    list_remove(&conn->in_origin);
    list_remove(&conn->in_client);
    conn->origin->idle_n--;
    conn->client->stats.idle--;
}

struct http_conn *client_pool_take(struct http_client *client, const struct http_call *c)
{
    struct http_origin *o = find_origin(client, c->host, c->port, c->tls);
    struct http_conn *conn = o ? list_first(&o->idle, struct http_conn, in_origin) : NULL;

    if (conn) {
        leave_idle(conn);
        client->stats.reused++;
    }
    return conn;
}

static struct http_conn *take_free(struct http_client *client)
{
    struct http_conn *conn = list_first(&client->free, struct http_conn, in_client);

    if (conn) {
        list_remove(&conn->in_client);
        client->free_n--;
        return conn;
    }
    conn = calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->client = client;
    list_init(&conn->in_origin);
    list_init(&conn->in_client);
    return conn;
}

static void give_free(struct http_conn *conn)
{
    struct http_client *client = conn->client;

    if (client->free_n >= CLIENT_FREE_MAX) {
        buf_fini(&conn->head);
        free(conn);
        return;
    }
    list_prepend(&client->free, &conn->in_client);
    client->free_n++;
}

/* CONN gets a stream of its own, and its origin. What was made is in CONN on failure, too. */
static int fill(struct http_conn *conn, const struct http_call *c)
{
    struct http_client *client = conn->client;
    struct http_origin *o;

    if (c->tls && !client->conf.tls)
        return ERR_UNSUPPORTED;
    conn->stream = stream_new(client->loop, &http_call_stream_ops, conn);
    if (!conn->stream)
        return ERR_NOMEM;
    o = find_origin(client, c->host, c->port, c->tls);
    if (!o)
        o = add_origin(client, c->host, c->port, c->tls);
    if (!o)
        return ERR_NOMEM;
    conn->origin = o;
    o->conns_n++;
    return c->tls ? stream_tls_connect(conn->stream, client->conf.tls, c->host, &o->session) : 0;
}

int client_pool_open(struct http_client *client, const struct http_call *c, struct http_conn **ret)
{
    struct http_conn *conn = take_free(client);
    int r;

    if (!conn)
        return ERR_NOMEM;
    r = fill(conn, c);
    if (r < 0) {
        stream_close(conn->stream);
        conn->stream = NULL;
        if (conn->origin)
            leave_origin(conn);
        give_free(conn);
        return r;
    }
    client->stats.opened++;
    *ret = conn;
    return 0;
}

/* Wakes the sweep no later than UNTIL_US. */
static void sweep_by(struct http_client *client, uint64_t until_us)
{
    uint64_t now = loop_now_us(client->loop);

    if (client->sweep.running && client->sweep_us <= until_us)
        return;
    client->sweep_us = until_us;
    timer_start(client->loop, &client->sweep, until_us > now ? (until_us - now) / 1000 + 1 : 1, sweep);
}

void client_pool_keep(struct http_conn *conn, const struct http_call *c)
{
    struct http_client *client = conn->client;
    struct http_origin *o = conn->origin;
    unsigned idle_max = MIN(client->conf.idle_per_origin_max, c->own_pool ? c->pool_idle_max : UINT_MAX);
    uint32_t idle_ms = c->own_pool && c->pool_idle_ms != UINT32_MAX ? c->pool_idle_ms : client->conf.idle_ms;

    assert(conn->call == NULL && conn->stream != NULL);
    if (idle_max == 0 || idle_ms == 0) {
        client_pool_close(conn);
        return;
    }
    while (o->idle_n >= idle_max) /* more than one where the bound has shrunk */
        client_pool_close(CONTAINER_OF(o->idle.prev, struct http_conn, in_origin));
    if (client->stats.idle >= client->conf.idle_max)
        client_pool_close(list_first(&client->idle, struct http_conn, in_client));
    client->mixed |= idle_ms != client->conf.idle_ms;
    conn->idle_until_us = loop_now_us(client->loop) + (uint64_t)idle_ms * 1000;
    list_prepend(&o->idle, &conn->in_origin);
    list_append(&client->idle, &conn->in_client);
    o->idle_n++;
    client->stats.idle++;
    stream_read_start(conn->stream); /* a call that was paused had stopped it; an end of the peer must be seen */
    sweep_by(client, conn->idle_until_us);
}

void client_pool_close(struct http_conn *conn)
{
    struct http_client *client = conn->client;

    assert(conn->stream != NULL);
    if (!list_empty(&conn->in_origin))
        leave_idle(conn);
    stream_close(conn->stream);
    conn->stream = NULL;
    conn->call = NULL;
    leave_origin(conn);
    list_append(&client->closed, &conn->in_client);
    loop_defer(client->loop, &client->recycle);
}

static void recycle(struct deferred *d)
{
    struct http_client *client = CONTAINER_OF(d, struct http_client, recycle);
    struct http_conn *conn;

    LIST_EACH(conn, &client->closed, in_client)
    {
        list_remove(&conn->in_client);
        give_free(conn);
    }
}

static void sweep(struct timer *t)
{
    struct http_client *client = CONTAINER_OF(t, struct http_client, sweep);
    uint64_t now = loop_now_us(client->loop), next_us = UINT64_MAX;
    struct http_conn *conn;

    LIST_EACH(conn, &client->idle, in_client)
    {
        if (conn->idle_until_us > now) {
            next_us = MIN(next_us, conn->idle_until_us);
            if (!client->mixed)
                break;
        } else {
            client_pool_close(conn);
        }
    }
    client->mixed &= !list_empty(&client->idle);
    if (next_us != UINT64_MAX)
        sweep_by(client, next_us);
}

/* ---- the client ---- */

int http_client_new(struct loop *l, const struct http_client_conf *conf, struct http_client **ret)
{
    struct http_client *client = calloc(1, sizeof *client);
    int r;

    if (!client)
        return ERR_NOMEM;
    r = resolver_new(l, &client->resolver);
    if (r < 0) {
        free(client);
        return r;
    }
    client->loop = l;
    if (conf)
        client->conf = *conf;
    if (client->conf.idle_per_origin_max == 0)
        client->conf.idle_per_origin_max = 500;
    if (client->conf.idle_max == 0)
        client->conf.idle_max = 4096;
    if (client->conf.idle_ms == 0)
        client->conf.idle_ms = 50000;
    client->recycle.run = recycle;
    list_init(&client->idle);
    list_init(&client->closed);
    list_init(&client->free);
    *ret = client;
    return 0;
}

void http_client_free(struct http_client *client)
{
    struct http_conn *conn;

    if (!client)
        return;
    while ((conn = list_first(&client->idle, struct http_conn, in_client)) != NULL)
        client_pool_close(conn);
    assert(client->origins.n == 0); /* else a call still runs */
    loop_defer_cancel(client->loop, &client->recycle);
    timer_stop(&client->sweep);
    list_move(&client->free, &client->closed);
    LIST_EACH(conn, &client->free, in_client)
    {
        buf_fini(&conn->head);
        free(conn);
    }
    map_fini(&client->origins);
    resolver_free(client->resolver);
    free(client);
}

static void forget(struct http_client *client, struct http_origin *o)
{
    /* The origin goes with its last connection. */
    for (unsigned n = o ? o->idle_n : 0; n > 0; n--)
        client_pool_close(list_first(&o->idle, struct http_conn, in_origin));
}

void http_client_forget(struct http_client *client, struct str host, uint16_t port)
{
    forget(client, find_origin(client, host, port, /* tls= */ false));
    forget(client, find_origin(client, host, port, /* tls= */ true));
}

void http_client_stats(const struct http_client *client, struct http_client_stats *ret)
{
    *ret = client->stats;
}
