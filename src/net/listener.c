/* net/listener.c -- listening sockets: polled by libuv, accepted here
 *
 *   from            to         by              when
 *   (new)           OPEN       listener_new
 *   OPEN            PAUSED     pause           accept4 found no file descriptor or no memory
 *   PAUSED          OPEN       on_retry        LISTENER_PAUSE_MS later
 *   OPEN, PAUSED    DRAINING   listener_drain  new SYNs are ignored; what is under way is still accepted
 *   DRAINING        CLOSED     on_retry        LISTENER_DRAIN_MS later, when the backlog is empty (or DRAIN_TRIES found no file descriptor)
 *   any             CLOSED     listener_close
 *   CLOSED          (freed)    on_closed       after on_drained, when it was a drain
 *
 * Why a drain needs a filter: between an accept4 that finds nothing and close() another handshake may end, and close() resets it. A socket filter
 * that drops SYNs (and passes the third packet of handshakes that have begun) makes the backlog run dry; clients repeat a dropped SYN after a second
 * and are refused then. Accepted sockets inherit the filter, where it does nothing: their peers send no SYN without ACK.
 */
#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "net/listener.h"
#include "net/stream_internal.h"

#define TARGET           "smg::net"
#define ACCEPTS_PER_TURN 64 /* then the connections that are open already get their turn */
#define DRAIN_TRIES      50 /* of LISTENER_PAUSE_MS: 5 s without a file descriptor */

static const struct metric_family PAUSES = { .name = "smg_listener_pauses_total",
                                             .help = "Times that accepting stopped for want of file descriptors or memory",
                                             .type = METRIC_COUNTER };

static void on_readable(uv_poll_t *handle, int status, int events);
static void pause_accepting(struct listener *l, int error);
static void on_retry(struct timer *t);
static void close_socket(struct listener *l);
static void on_closed(uv_handle_t *handle);

/* ---- sockets ---- */

static int bind_failed(const struct net_address *address, int error, struct err *err)
{
    char text[64];

    (void)net_address_text(address, text); /* the text is what matters */
    switch (error) {
    case EADDRINUSE:
        return err_set(err, ERR_EXISTS, "address already in use: %s", text);
    case EADDRNOTAVAIL:
    case EACCES:
    case EAFNOSUPPORT:
        return err_set(err, ERR_INVALID, "cannot listen on %s: %s", text, uv_strerror(-error));
    default:
        return err_set(err, ERR_IO, "cannot listen on %s: %s", text, uv_strerror(-error));
    }
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* Sets on the listening socket what each accepted one inherits. A kernel that refuses one of them still serves. */
static void set_inherited_options(int fd)
{
    (void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    (void)set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    (void)set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, STREAM_KEEPALIVE_S);
    (void)set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    (void)set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 10);
}

/* Bound, not listening. */
static int bind_socket(const struct net_address *address, enum listener_share share, int *ret_fd, struct err *err)
{
    int fd = socket(address->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

    if (fd < 0)
        return bind_failed(address, errno, err);
    /* SO_REUSEADDR lets us bind beside connections in TIME_WAIT; beside a socket that listens Linux refuses it all the same. */
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
        (share == LISTENER_SHARED && set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0) ||
        bind(fd, (const struct sockaddr *)&address->ss, net_address_len(address)) < 0) {
        error = errno;
        close(fd);
        return bind_failed(address, error, err);
    }
    *ret_fd = fd;
    return 0;
}

static int open_socket(const struct net_address *address, enum listener_share share, int *ret_fd, struct err *err)
{
    int fd = -1, r = bind_socket(address, share, &fd, err), error;

    if (r < 0)
        return r;
    if (listen(fd, LISTENER_BACKLOG) < 0) {
        error = errno;
        close(fd);
        return bind_failed(address, error, err);
    }
    *ret_fd = fd;
    return 0;
}

/* It does not listen: a client that is early must not be accepted and then cut. */
int net_port_probe(const struct net_address *address, struct err *err)
{
    int fd = -1, r = bind_socket(address, LISTENER_ALONE, &fd, err);

    if (r < 0)
        return r;
    close(fd);
    return 0;
}

/* ---- life ---- */

static int open_listener(struct listener *l, enum listener_share share, struct err *err)
{
    socklen_t n = sizeof l->address.ss;
    int r;

    r = open_socket(&l->address, share, &l->fd, err);
    if (r < 0)
        return r;
    set_inherited_options(l->fd);
    if (getsockname(l->fd, (struct sockaddr *)&l->address.ss, &n) < 0)
        r = -errno;
    else
        r = uv_poll_init(&l->loop->uv, &l->poll, l->fd);
    if (r < 0) {
        close(l->fd);
        return bind_failed(&l->address, -r, err);
    }
    return 0;
}

int listener_new(struct loop *loop, const struct net_address *address, enum listener_share share, const struct listener_ops *ops,
                 void *owner, struct listener **ret, struct err *err)
{
    struct listener *l = calloc(1, sizeof *l);
    int r;

    if (!l)
        return err_set(err, ERR_NOMEM, "listener: %s", err_text(ERR_NOMEM));
    l->loop = loop;
    l->ops = ops;
    l->owner = owner;
    l->address = *address;
    r = open_listener(l, share, err);
    if (r < 0) {
        free(l);
        return r;
    }
    (void)uv_poll_start(&l->poll, UV_READABLE, on_readable); /* cannot fail on a new handle */
    *ret = l;
    return 0;
}

uint16_t listener_port(const struct listener *l)
{
    if (l->address.ss.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&l->address.ss)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&l->address.ss)->sin_port);
}

/* ---- accepting ---- */

enum accepted { ACCEPT_MORE, ACCEPT_EMPTY, ACCEPT_STARVED, ACCEPT_CLOSED };

/* An IPv4 client of an IPv6 socket appears as ::ffff:a.b.c.d (RFC 4291 2.5.5.2): logs and rules want a.b.c.d. */
static void unmap_v4(struct net_address *a)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a->ss;

    memcpy(&v6, &a->ss, sizeof v6);
    if (v6.sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    memset(a, 0, sizeof *a);
    v4->sin_family = AF_INET;
    v4->sin_port = v6.sin6_port;
    memcpy(&v4->sin_addr, &v6.sin6_addr.s6_addr[12], 4);
}

static enum accepted take(struct listener *l, int fd, struct net_address *peer)
{
    struct stream *s;

    unmap_v4(peer);
    if (stream_adopt(l->loop, fd, peer, &s) < 0) {
        close(fd);
        l->lost++;
        errno = ENOMEM;
        return ACCEPT_STARVED;
    }
    l->accepted++;
    l->ops->on_accept(l, s);
    return l->state == LISTENER_CLOSED ? ACCEPT_CLOSED : ACCEPT_MORE;
}

static enum accepted accept_one(struct listener *l)
{
    struct net_address peer;
    socklen_t n = sizeof peer.ss;
    int fd = accept4(l->fd, (struct sockaddr *)&peer.ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        return take(l, fd, &peer);
    switch (errno) {
    case EAGAIN:
        return ACCEPT_EMPTY;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return ACCEPT_STARVED;
    default:
        return ACCEPT_MORE; /* that client's connection failed while it waited (accept(2), "Error handling") */
    }
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct listener *l = (struct listener *)handle;
    enum accepted r = status < 0 ? ACCEPT_STARVED : ACCEPT_MORE;

    (void)events;
    loop_enter(l->loop);
    for (unsigned n = 0; n < ACCEPTS_PER_TURN && r == ACCEPT_MORE; n++)
        r = accept_one(l);
    if (r == ACCEPT_STARVED)
        pause_accepting(l, status < 0 ? -status : errno);
}

static void pause_accepting(struct listener *l, int error)
{
    uint64_t now_us = loop_now_us(l->loop);

    l->paused_n++;
    metric_add(metric_cell(l->loop->metrics, &PAUSES, NULL), 1);
    if (l->logged_us == 0 || now_us - l->logged_us >= 1000000) {
        char text[64];
        size_t n = net_address_text(&l->address, text);

        l->logged_us = now_us;
        log_error(TARGET, "cannot accept connections, trying again", LF_STR("address", ((struct str){ text, n })),
                  LF_CSTR("reason", uv_strerror(-error)), LF_UINT("pauses", l->paused_n));
    }
    (void)uv_poll_stop(&l->poll); /* always 0 */
    if (l->state == LISTENER_DRAINING)
        return; /* its timer runs */
    l->state = LISTENER_PAUSED;
    timer_start(l->loop, &l->retry, LISTENER_PAUSE_MS, on_retry);
}

/* ---- the ends ---- */

static void ignore_new_connections(int fd)
{
    enum { TCP_FLAGS_AT = 13, FLAG_SYN = 0x02, FLAG_ACK = 0x10, PASS = 0x40000 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS_AT),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FLAG_SYN | FLAG_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FLAG_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, PASS),
    };
    struct sock_fprog program = { .len = ARRAY_LEN(code), .filter = code };

    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                     sizeof program); /* without it a late client may be reset: no more than that */
}

void listener_drain(struct listener *l)
{
    if (l->state >= LISTENER_DRAINING)
        return;
    if (l->state == LISTENER_PAUSED)
        (void)uv_poll_start(&l->poll, UV_READABLE, on_readable); /* cannot fail: the handle is stopped */
    l->state = LISTENER_DRAINING;
    ignore_new_connections(l->fd);
    timer_start(l->loop, &l->retry, LISTENER_DRAIN_MS, on_retry);
}

static void finish_drain(struct listener *l)
{
    enum accepted r = ACCEPT_MORE;

    while (r == ACCEPT_MORE)
        r = accept_one(l);
    if (r == ACCEPT_STARVED && ++l->drain_tries < DRAIN_TRIES)
        timer_start(l->loop, &l->retry, LISTENER_PAUSE_MS, on_retry);
    else if (r != ACCEPT_CLOSED)
        close_socket(l);
}

static void on_retry(struct timer *t)
{
    struct listener *l = CONTAINER_OF(t, struct listener, retry);

    if (l->state == LISTENER_DRAINING) {
        finish_drain(l);
        return;
    }
    assert(l->state == LISTENER_PAUSED);
    l->state = LISTENER_OPEN;
    (void)uv_poll_start(&l->poll, UV_READABLE, on_readable); /* cannot fail: the handle is stopped */
}

static void close_socket(struct listener *l)
{
    l->state = LISTENER_CLOSED;
    timer_stop(&l->retry);
    uv_close((uv_handle_t *)&l->poll, on_closed);
    close(l->fd);
    l->fd = -1;
}

void listener_close(struct listener *l)
{
    if (!l)
        return;
    l->silent = true;
    if (l->state != LISTENER_CLOSED)
        close_socket(l);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = (struct listener *)handle;

    loop_enter(l->loop);
    if (!l->silent && l->ops->on_drained)
        l->ops->on_drained(l);
    free(l);
}
