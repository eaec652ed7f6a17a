/* script_server.h -- a raw TCP server on loopback, in the test's own loop, that answers by script
 *
 * It knows no HTTP but the empty line behind a request's head (and `after_bytes`): the bytes of a reply, how they are cut into writes, and what happens behind
 * them are the test's. Script i answers the i-th request that arrives, on whatever connection. Built on plain libuv, so that net/ is not tested with itself.
 */
#pragma once

#include <stdlib.h>

#include "loop/loop.h"
#include "test.h"

enum script_after {
    SCRIPT_KEEP, /* wait for the next request */
    SCRIPT_FIN,  /* close */
    SCRIPT_RST,  /* reset */
};

struct script {
    struct str reply;
    size_t piece;       /* bytes per write, each in a turn of its own; 0 = all at once */
    size_t after_bytes; /* answer once so many bytes of the request came; 0 = at its empty line */
    bool deaf;          /* reads nothing and answers at once */
    enum script_after after;
};

struct script_server {
    struct loop *loop;
    uv_tcp_t tcp;
    uint16_t port;
    const struct script *scripts; /* borrowed; past the last one nothing is answered */
    size_t scripts_n, next;
    struct list peers; // script_peer.link
    unsigned accepted, open;
};

struct script_peer {
    uv_tcp_t tcp;
    uv_idle_t turn;
    struct list link;
    struct script_server *server;
    const struct script *script; /* being answered; NULL = waiting for a request */
    size_t sent, received;
    unsigned newlines; /* of the CR LF CR LF in progress */
    unsigned handles;  /* still to be closed */
    bool closing;
    char scratch[65536];
};

static void script_gone(uv_handle_t *handle)
{
    struct script_peer *p = handle->data;

    if (--p->handles > 0)
        return;
    p->server->open--;
    free(p);
}

static void script_close(struct script_peer *p, enum script_after how)
{
    if (p->closing)
        return;
    p->closing = true;
    list_remove(&p->link);
    uv_close((uv_handle_t *)&p->turn, script_gone);
    if (how != SCRIPT_RST || uv_tcp_close_reset(&p->tcp, script_gone) < 0)
        uv_close((uv_handle_t *)&p->tcp, script_gone);
}

static void script_turn(uv_idle_t *handle)
{
    struct script_peer *p = handle->data;
    const struct script *s = p->script;
    size_t left = s->reply.n - p->sent, n = s->piece && s->piece < left ? s->piece : left;
    uv_buf_t buf = { .base = n ? (char *)(uintptr_t)(s->reply.p + p->sent) : NULL, .len = n };
    int r = n ? uv_try_write((uv_stream_t *)&p->tcp, &buf, 1) : 0;

    if (r == UV_EAGAIN)
        return;
    if (r < 0) {
        script_close(p, SCRIPT_FIN);
        return;
    }
    p->sent += (size_t)r;
    if (p->sent < s->reply.n)
        return;
    uv_idle_stop(handle);
    p->script = NULL;
    if (s->after != SCRIPT_KEEP)
        script_close(p, s->after);
}

static void script_answer(struct script_peer *p)
{
    struct script_server *server = p->server;

    if (p->script || server->next == server->scripts_n)
        return;
    p->script = &server->scripts[server->next++];
    p->sent = 0;
    uv_idle_start(&p->turn, script_turn);
}

static void script_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct script_peer *p = handle->data;

    *buf = uv_buf_init(p->scratch, sizeof p->scratch);
}

static void script_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    static const char END[] = "\r\n\r\n";
    struct script_peer *p = handle->data;
    struct script_server *server = p->server;
    size_t after = server->next < server->scripts_n ? server->scripts[server->next].after_bytes : 0;

    if (n < 0) {
        script_close(p, SCRIPT_FIN);
        return;
    }
    p->received += (size_t)n;
    if (after) {
        if (p->received >= after) {
            p->received = 0;
            script_answer(p);
        }
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        p->newlines = buf->base[i] == END[p->newlines] ? p->newlines + 1 : buf->base[i] == '\r';
        if (p->newlines == 4) {
            p->newlines = 0;
            p->received = 0;
            script_answer(p);
        }
    }
}

static void script_accept(uv_stream_t *listener, int status)
{
    struct script_server *server = listener->data;
    struct script_peer *p = calloc(1, sizeof *p);

    assert_int_equal(status, 0);
    assert_non_null(p);
    p->server = server;
    p->handles = 2;
    uv_tcp_init(listener->loop, &p->tcp);
    uv_idle_init(listener->loop, &p->turn);
    p->tcp.data = p->turn.data = p;
    list_append(&server->peers, &p->link);
    server->accepted++;
    server->open++;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&p->tcp), 0);
    uv_tcp_nodelay(&p->tcp, 1);
    if (server->next < server->scripts_n && server->scripts[server->next].deaf)
        script_answer(p);
    else
        uv_read_start((uv_stream_t *)&p->tcp, script_alloc, script_read);
}

static inline void script_server_start(struct script_server *server, struct loop *loop, const struct script *scripts, size_t n)
{
    struct sockaddr_in address;
    int length = sizeof address;

    *server = (struct script_server){ .loop = loop, .scripts = scripts, .scripts_n = n };
    list_init(&server->peers);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_init(&loop->uv, &server->tcp), 0);
    server->tcp.data = server;
    assert_int_equal(uv_tcp_bind(&server->tcp, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&server->tcp, 128, script_accept), 0);
    assert_int_equal(uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&address, &length), 0);
    server->port = ntohs(address.sin_port);
}

static inline void script_server_close(struct script_server *server)
{
    struct script_peer *p;

    uv_close((uv_handle_t *)&server->tcp, NULL);
    LIST_EACH(p, &server->peers, link)
    script_close(p, SCRIPT_FIN);
}

/* Every connection says TEXT without being asked, then goes on as before. */
static inline void script_server_blurt(struct script_server *server, const char *text)
{
    struct script_peer *p;
    uv_buf_t buf = { .base = (char *)(uintptr_t)text, .len = strlen(text) };

    LIST_EACH(p, &server->peers, link)
    (void)uv_try_write((uv_stream_t *)&p->tcp, &buf, 1); /* a few bytes into an empty socket buffer */
}

static inline void script_server_hang_up(struct script_server *server)
{
    struct script_peer *p;

    LIST_EACH(p, &server->peers, link)
    script_close(p, SCRIPT_FIN);
}
