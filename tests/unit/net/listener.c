/* listener.c -- accepting, sharing a port, running out of descriptors, draining; clients are plain sockets in the test's threads */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail_alloc.h"
#include "net/listener.h"
#include "net/loop_thread.h"

/* A listener that sends a greeting to each client and closes. */
struct greeter {
    struct listener *l;
    struct loop *loop;
    struct net_address at;
    enum listener_share share;
    atomic_uint accepted, drained;
    atomic_bool greeting_failed, close_at_accept;
    char last_peer[64];
    int status, nodelay;
    uint64_t pauses;
    struct err err;
};

static struct loop *loop;

static void on_accept(struct listener *l, struct stream *s)
{
    struct greeter *g = l->owner;
    struct str hello = STR("hello");
    struct net_address peer;
    socklen_t n = sizeof g->nodelay;
    uv_os_fd_t fd;

    stream_peer_address(s, &peer);
    (void)net_address_text(&peer, g->last_peer);
    assert_int_equal(uv_fileno((uv_handle_t *)&s->tcp, &fd), 0);
    (void)getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &g->nodelay, &n);
    g->accepted++; /* before the client can know it */
    if (stream_write(s, &hello, 1, STREAM_COPY) != STREAM_SENT)
        g->greeting_failed = true;
    stream_close(s);
    if (g->close_at_accept) {
        listener_close(l);
        g->l = NULL;
    }
}

static void on_drained(struct listener *l)
{
    struct greeter *g = l->owner;

    g->l = NULL;
    g->drained++;
}

static const struct listener_ops OPS = { .on_accept = on_accept, .on_drained = on_drained };

static void call_listen(void *arg)
{
    struct greeter *g = arg;

    g->status = listener_new(g->loop, &g->at, g->share, &OPS, g, &g->l, &g->err);
    if (g->status == 0)
        g->at = g->l->address;
}

static void call_drain(void *arg)
{
    struct greeter *g = arg;

    listener_drain(g->l);
    listener_drain(g->l);
}

static void call_close(void *arg)
{
    struct greeter *g = arg;

    listener_close(g->l);
    listener_close(NULL);
    g->l = NULL;
}

static void add_pauses(const struct metric_cell *cell, void *arg)
{
    uint64_t *sum = arg;

    if (strcmp(cell->family->name, "smg_listener_pauses_total") == 0)
        *sum += (uint64_t)atomic_load(&cell->value);
}

/* What an operator sees on the metrics page. */
static uint64_t counted_pauses(void)
{
    uint64_t sum = 0;

    metrics_each(add_pauses, &sum);
    return sum;
}

static void call_pauses(void *arg)
{
    struct greeter *g = arg;

    g->pauses = g->l->paused_n;
}

static void start(struct greeter *g, struct loop *on, const char *host, uint16_t port, enum listener_share share)
{
    g->loop = on;
    g->share = share;
    assert_int_equal(net_address_parse(str_of(host), port, &g->at), 0);
    on_loop(on, call_listen, g);
}

static void stop(struct greeter *g)
{
    on_loop(g->loop, call_close, g);
    loop_settle(g->loop);
}

static int connect_to(const struct net_address *a)
{
    int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&a->ss,
                a->ss.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) < 0) {
        close(fd);
        return -errno;
    }
    return fd;
}

static bool was_greeted(int fd)
{
    char text[5];

    return recv(fd, text, sizeof text, MSG_WAITALL) == 5 && memcmp(text, "hello", 5) == 0;
}

static void greets(struct greeter *g)
{
    int fd = connect_to(&g->at);

    assert_true(fd >= 0);
    assert_true(was_greeted(fd));
    close(fd);
}

/* ---- accepting ---- */

static void a_client_is_accepted_with_its_address_and_nodelay(void **state)
{
    struct greeter g = { 0 };

    start(&g, loop, "127.0.0.1", 0, LISTENER_ALONE);
    assert_int_equal(g.status, 0);
    assert_true(listener_port(g.l) > 0);
    greets(&g);
    assert_int_equal(strncmp(g.last_peer, "127.0.0.1:", 10), 0);
    assert_true(g.nodelay);
    assert_false(g.greeting_failed);
    stop(&g);
    assert_int_equal(connect_to(&g.at), -ECONNREFUSED);
    assert_int_equal(g.drained, 0);
}

static void an_ipv4_client_of_an_ipv6_socket_has_an_ipv4_address(void **state)
{
    struct greeter g = { 0 };
    struct net_address v4;
    int fd;

    start(&g, loop, "::", 0, LISTENER_ALONE);
    if (g.status < 0)
        skip(); /* a machine without IPv6 */
    assert_int_equal(net_address_parse(STR("127.0.0.1"), listener_port(g.l), &v4), 0);
    fd = connect_to(&v4);
    assert_true(fd >= 0 && was_greeted(fd));
    close(fd);
    assert_int_equal(strncmp(g.last_peer, "127.0.0.1:", 10), 0);
    stop(&g);
}

static void a_callback_may_close_its_listener(void **state)
{
    struct greeter g = { .close_at_accept = true };
    int fd;

    start(&g, loop, "127.0.0.1", 0, LISTENER_ALONE);
    fd = connect_to(&g.at);
    assert_true(was_greeted(fd));
    close(fd);
    loop_settle(loop);
    assert_int_equal(g.drained, 0);
}

/* ---- ports ---- */

static void two_loops_share_a_port(void **state)
{
    struct loop *second = loop_thread_start(1);
    struct greeter a = { 0 }, b = { 0 };

    start(&a, loop, "127.0.0.1", 0, LISTENER_SHARED);
    start(&b, second, "127.0.0.1", listener_port(a.l), LISTENER_SHARED);
    assert_int_equal(b.status, 0);
    for (int i = 0; i < 64; i++)
        greets(&a);
    assert_int_equal(a.accepted + b.accepted, 64);
    assert_true(a.accepted > 0 && b.accepted > 0); /* by chance not: 2^-63 */
    stop(&a);
    stop(&b);
    loop_thread_end(second);
}

static void a_probe_finds_a_port_that_is_taken_even_a_shared_one(void **state)
{
    static const enum listener_share SHARES[] = { LISTENER_ALONE, LISTENER_SHARED };

    for (size_t i = 0; i < ARRAY_LEN(SHARES); i++) {
        struct greeter g = { 0 }, other = { 0 };
        struct err err = { 0 };
        char want[ERR_MESSAGE_MAX];

        start(&g, loop, "127.0.0.1", 0, SHARES[i]);
        snprintf(want, sizeof want, "address already in use: 127.0.0.1:%u", listener_port(g.l));
        assert_int_equal(net_port_probe(&g.at, &err), ERR_EXISTS);
        assert_string_equal(err.message, want);
        start(&other, loop, "127.0.0.1", listener_port(g.l), LISTENER_ALONE);
        assert_int_equal(other.status, ERR_EXISTS);
        assert_string_equal(other.err.message, want);
        greets(&g);
        stop(&g);
    }
}

static void a_port_is_free_again_after_connections_that_we_closed(void **state)
{
    struct greeter g = { 0 }, again = { 0 };
    uint16_t port;

    start(&g, loop, "127.0.0.1", 0, LISTENER_SHARED);
    port = listener_port(g.l);
    greets(&g); /* leaves a TIME_WAIT on our side */
    stop(&g);
    assert_int_equal(net_port_probe(&g.at, NULL), 0);
    assert_int_equal(net_port_probe(&g.at, NULL), 0); /* a probe leaves nothing behind */
    start(&again, loop, "127.0.0.1", port, LISTENER_SHARED);
    assert_int_equal(again.status, 0);
    greets(&again);
    stop(&again);
}

static void without_memory_no_listener_is_made(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct greeter g = { 0 };

        start(&g, loop, "127.0.0.1", 0, LISTENER_ALONE);
        assert_int_equal(g.status, fail_alloc_failed() ? ERR_NOMEM : 0);
        stop(&g);
    }
}

static void an_address_that_is_not_ours_is_refused_by_name(void **state)
{
    struct net_address a;
    struct err err = { 0 };

    assert_int_equal(net_address_parse(STR("192.0.2.1"), 4000, &a), 0);
    assert_int_equal(net_port_probe(&a, &err), ERR_INVALID);
    assert_int_equal(strncmp(err.message, "cannot listen on 192.0.2.1:4000: ", 33), 0);
}

/* ---- draining ---- */

static void a_drain_serves_who_is_in_the_backlog(void **state)
{
    enum { CLIENTS = 300 };
    struct greeter g = { 0 };
    int fds[CLIENTS];

    start(&g, loop, "127.0.0.1", 0, LISTENER_ALONE);
    for (int i = 0; i < CLIENTS; i++)
        assert_true((fds[i] = connect_to(&g.at)) >= 0);
    on_loop(loop, call_drain, &g);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(was_greeted(fds[i]));
        close(fds[i]);
    }
    EVENTUALLY(g.drained == 1);
    assert_int_equal(g.accepted, CLIENTS);
    assert_int_equal(connect_to(&g.at), -ECONNREFUSED);
    loop_settle(loop);
    assert_int_equal(g.drained, 1);
}

struct knocker {
    struct net_address at;
    atomic_bool end;
    unsigned greeted, turned_away, lost;
};

/* Connects without waiting for ever: 1 = connected, 0 = refused or not answered. */
static int try_connect(const struct net_address *a, int *ret_fd)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    socklen_t n = sizeof error;

    if (connect(fd, (const struct sockaddr *)&a->ss, sizeof(struct sockaddr_in)) < 0 && errno == EINPROGRESS &&
        poll(&p, 1, 30) == 1)
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
    else
        error = p.revents ? 0 : ETIMEDOUT;
    *ret_fd = fd;
    return error == 0;
}

static void *knock(void *arg)
{
    struct knocker *k = arg;

    while (!k->end) {
        char text[5];
        int fd, connected = try_connect(&k->at, &fd);
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (!connected)
            k->turned_away++;
        else if (poll(&p, 1, 5000) == 1 && recv(fd, text, 5, 0) == 5)
            k->greeted++;
        else
            k->lost++;
        close(fd);
    }
    return NULL;
}

static void a_drain_loses_nobody_who_connects_meanwhile(void **state)
{
    enum { KNOCKERS = 3 };

    for (int round = 0; round < 3; round++) {
        struct greeter g = { 0 };
        struct knocker k[KNOCKERS] = { 0 };
        pthread_t threads[KNOCKERS];

        start(&g, loop, "127.0.0.1", 0, LISTENER_ALONE);
        for (int i = 0; i < KNOCKERS; i++) {
            k[i].at = g.at;
            assert_int_equal(pthread_create(&threads[i], NULL, knock, &k[i]), 0);
        }
        usleep(20000);
        on_loop(loop, call_drain, &g);
        EVENTUALLY(g.drained == 1);
        usleep(20000);
        for (int i = 0; i < KNOCKERS; i++)
            k[i].end = true;
        for (int i = 0; i < KNOCKERS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(k[i].lost, 0);
            assert_true(k[i].greeted > 0);
            assert_true(k[i].turned_away > 0);
        }
    }
}

static void closing_during_a_drain_is_silent(void **state)
{
    struct greeter g = { 0 };

    start(&g, loop, "127.0.0.1", 0, LISTENER_ALONE);
    on_loop(loop, call_drain, &g);
    stop(&g);
    usleep((LISTENER_DRAIN_MS + 50) * 1000);
    loop_settle(loop);
    assert_int_equal(g.drained, 0);
}

/* ---- no file descriptors ---- */

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    struct greeter g = { 0 };
    struct rlimit old, low;
    int client, spare;

    start(&g, loop, "127.0.0.1", 0, LISTENER_ALONE);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    spare = dup(client); /* the number that an accept would get */
    assert_true(spare >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)spare;
    close(spare);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&g.at.ss, sizeof(struct sockaddr_in)), 0);
    usleep(350000);
    on_loop(loop, call_pauses, &g);
    assert_in_range(g.pauses, 1, 5); /* one try in 100 ms, no spinning */
    assert_in_range(counted_pauses(), g.pauses, 5);
    assert_int_equal(g.accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(was_greeted(client)); /* it waited in the backlog */
    close(client);
    greets(&g);
    stop(&g);
}

static void a_drain_without_descriptors_waits_for_some(void **state)
{
    struct greeter g = { 0 };
    struct rlimit old, low;
    int client, spare;

    start(&g, loop, "127.0.0.1", 0, LISTENER_ALONE);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    spare = dup(client);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)spare;
    close(spare);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&g.at.ss, sizeof(struct sockaddr_in)), 0);
    usleep(20000); /* paused by now */
    on_loop(loop, call_drain, &g);
    usleep(250000);
    assert_int_equal(g.drained, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(was_greeted(client));
    close(client);
    EVENTUALLY(g.drained == 1);
}

static int setup(void **state)
{
    (void)state;
    loop = loop_thread_start(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_thread_end(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_accepted_with_its_address_and_nodelay),
        cmocka_unit_test(an_ipv4_client_of_an_ipv6_socket_has_an_ipv4_address),
        cmocka_unit_test(a_callback_may_close_its_listener),
        cmocka_unit_test(two_loops_share_a_port),
        cmocka_unit_test(a_probe_finds_a_port_that_is_taken_even_a_shared_one),
        cmocka_unit_test(a_port_is_free_again_after_connections_that_we_closed),
        cmocka_unit_test(without_memory_no_listener_is_made),
        cmocka_unit_test(an_address_that_is_not_ours_is_refused_by_name),
        cmocka_unit_test(a_drain_serves_who_is_in_the_backlog),
        cmocka_unit_test(a_drain_loses_nobody_who_connects_meanwhile),
        cmocka_unit_test(closing_during_a_drain_is_silent),
        cmocka_unit_test(without_descriptors_accepting_pauses_and_goes_on),
        cmocka_unit_test(a_drain_without_descriptors_waits_for_some),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
