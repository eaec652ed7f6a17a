/* stream_peer.h -- a stream on a loop's thread, what its owner saw, and its other end: a plain socket in the test's thread */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "net/loop_thread.h"
#include "net/stream.h"

enum { NOTHING = 1000, BIG = 1 << 20 /* bytes: more than the kernel takes of a SMALL pair */ };

/* A stream and what its owner saw. Plain members belong to the loop's thread. */
struct peer {
    struct stream *s;
    struct loop *loop;
    int fd;      /* the other end, in the test's thread */
    bool inside; /* of a call of the file under test */
    atomic_bool called_inside;
    atomic_int connected, ended; /* the status; NOTHING = not called */
    atomic_uint connects, ends, drains, reads;
    atomic_size_t bytes;
    struct buf got;
    uint64_t last_turn;
    atomic_uint reads_in_one_turn;
    bool close_at_read, stop_at_read;
    /* arguments of calls */
    struct str parts[STREAM_VEC_MAX];
    unsigned parts_n;
    enum stream_leftover leftover;
    enum stream_write wrote;
    struct net_address to;
    uint64_t timeout_ms;
    int status;
    size_t number;
    bool answer;
};

static struct loop *loop;

static inline void saw(struct peer *p)
{
    if (p->inside)
        p->called_inside = true;
}

static inline void on_connect(struct stream *s, int status)
{
    struct peer *p = s->owner;

    saw(p);
    p->connected = status;
    p->connects++;
}

static inline void on_read(struct stream *s, char *data, size_t n)
{
    struct peer *p = s->owner;

    saw(p);
    if (p->loop->turn_number == p->last_turn)
        p->reads_in_one_turn++;
    p->last_turn = p->loop->turn_number;
    buf_put(&p->got, (struct str){ data, n });
    memset(data, 'X', n); /* scratch */
    p->bytes += n;
    p->reads++;
    if (p->close_at_read) {
        p->s = NULL;
        stream_close(s);
    } else if (p->stop_at_read) {
        stream_read_stop(s);
    }
}

static inline void on_drain(struct stream *s)
{
    struct peer *p = s->owner;

    saw(p);
    p->drains++;
}

static inline void on_end(struct stream *s, int status)
{
    struct peer *p = s->owner;

    saw(p);
    p->ended = status;
    p->ends++;
}

static const struct stream_ops OPS = { .on_connect = on_connect, .on_read = on_read, .on_drain = on_drain, .on_end = on_end };

/* ---- calls on the loop's thread ---- */

static inline void call_connect(void *arg)
{
    struct peer *p = arg;

    p->inside = true;
    p->s = stream_new(p->loop, &OPS, p);
    p->status = p->s ? stream_connect(p->s, &p->to, p->timeout_ms) : ERR_NOMEM;
    p->inside = false;
}

static inline void call_read_start(void *arg)
{
    struct peer *p = arg;

    p->inside = true;
    stream_read_start(p->s);
    stream_read_start(p->s);
    p->inside = false;
}

static inline void call_read_stop(void *arg)
{
    stream_read_stop(((struct peer *)arg)->s);
}

static inline void call_write(void *arg)
{
    struct peer *p = arg;

    p->inside = true;
    p->wrote = stream_write(p->s, p->parts, p->parts_n, p->leftover);
    p->number = stream_pending_bytes(p->s);
    p->answer = stream_has_pending(p->s);
    p->inside = false;
}

static inline void call_shutdown(void *arg)
{
    stream_shutdown(((struct peer *)arg)->s);
    stream_shutdown(((struct peer *)arg)->s);
}

static inline void call_close(void *arg)
{
    struct peer *p = arg;

    stream_close(p->s);
    stream_close(p->s);
    p->s = NULL;
}

static inline void call_reset(void *arg)
{
    struct peer *p = arg;

    stream_reset(p->s);
    p->s = NULL;
}

static inline void call_peer_gone(void *arg)
{
    struct peer *p = arg;

    p->answer = stream_peer_gone(p->s);
}

static inline void call_address(void *arg)
{
    struct peer *p = arg;

    stream_peer_address(p->s, &p->to);
}

static inline bool peer_gone(struct peer *p)
{
    on_loop(loop, call_peer_gone, p);
    return p->answer;
}

static inline enum stream_write write_str(struct peer *p, struct str bytes, enum stream_leftover leftover)
{
    p->parts[0] = bytes;
    p->parts_n = 1;
    p->leftover = leftover;
    on_loop(loop, call_write, p);
    return p->wrote;
}

/* ---- the other side ---- */

static inline int listen_on_loopback(int backlog, struct net_address *ret)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    memset(ret, 0, sizeof *ret);
    memcpy(&ret->ss, &a, sizeof a);
    return fd;
}

static inline void start_connect(struct peer *p, uint64_t timeout_ms)
{
    p->loop = loop;
    p->fd = -1;
    p->connected = p->ended = NOTHING;
    p->timeout_ms = timeout_ms;
    on_loop(loop, call_connect, p);
}

/* A stream that is open, and its other end in p->fd. SMALL: both kernels' buffers hold a few KB only. */
enum buffers { NORMAL, SMALL };

static inline void open_pair(struct peer *p, enum buffers buffers)
{
    int small = 4096, listening = listen_on_loopback(8, &p->to);

    if (buffers == SMALL)
        assert_int_equal(setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    start_connect(p, 5000);
    assert_int_equal(p->status, 0);
    p->fd = accept(listening, NULL, NULL);
    assert_true(p->fd >= 0);
    close(listening);
    EVENTUALLY(p->connects == 1);
    assert_int_equal(p->connected, 0);
    if (buffers == SMALL) {
        uv_os_fd_t fd;

        assert_int_equal(uv_fileno((uv_handle_t *)&p->s->tcp, &fd), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    }
}

static inline void close_fd(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

static inline void reset_fd(struct peer *p)
{
    struct linger now = { .l_onoff = 1 };

    assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close_fd(p);
}

static inline void finish(struct peer *p)
{
    on_loop(loop, call_close, p);
    loop_settle(loop);
    close_fd(p);
    assert_false(p->called_inside);
    assert_true(p->ends <= 1);
    assert_true(p->connects <= 1);
    buf_fini(&p->got);
}

static inline void send_bytes(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t r = send(fd, bytes, n, MSG_NOSIGNAL);

        assert_true(r > 0);
        bytes += r;
        n -= (size_t)r;
    }
}

/* Reads N bytes and compares them with the pattern that starts at FROM. */
static inline unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + i / 251);
}

static inline void expect_pattern(int fd, size_t from, size_t n)
{
    static unsigned char chunk[65536];

    while (n) {
        ssize_t r = recv(fd, chunk, MIN(n, sizeof chunk), 0);

        assert_true(r > 0);
        for (ssize_t i = 0; i < r; i++)
            if (chunk[i] != pattern(from + (size_t)i))
                fail_msg("byte %zu is wrong", from + (size_t)i);
        from += (size_t)r;
        n -= (size_t)r;
    }
}

static inline char *a_pattern(size_t from, size_t n)
{
    char *p = malloc(n);

    for (size_t i = 0; i < n; i++)
        p[i] = (char)pattern(from + i);
    return p;
}

static inline int loop_setup(void **state)
{
    (void)state;
    loop = loop_thread_start(0);
    return 0;
}

static inline int loop_teardown(void **state)
{
    (void)state;
    loop_thread_end(loop);
    return 0;
}
