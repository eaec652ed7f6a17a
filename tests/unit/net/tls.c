/* tls.c -- what TLS changes for a stream's owner, and what it must not change: the other side is OpenSSL on a plain socket in the test's thread */
#include "fail_alloc.h"
#include "net/listener.h"
#include "net/stream_peer.h"
#include "net/tls_cert.h"

static struct test_cert cert;
static struct tls_context *server, *client;
static SSL_CTX *far_server, *far_client;

static const struct str PLAIN = STR_INIT("plain HTTP is not spoken here");

/* ---- one accepted or connected stream, and its far side ---- */

struct scene {
    struct peer p;
    struct listener *listener;
    SSL *far;
    struct tls_session session;
    struct str host;
    atomic_bool accepted;
};

static void on_accept(struct listener *l, struct stream *s)
{
    struct scene *x = l->owner;

    assert_int_equal(stream_tls_accept(s, server, PLAIN), 0);
    s->ops = &OPS;
    s->owner = &x->p;
    x->p.s = s;
    stream_read_start(s);
    x->accepted = true;
}

static const struct listener_ops LISTENER = { .on_accept = on_accept };

static void call_listen(void *arg)
{
    struct scene *x = arg;
    struct net_address at;

    assert_int_equal(net_address_parse(STR("127.0.0.1"), 0, &at), 0);
    assert_int_equal(listener_new(loop, &at, LISTENER_ALONE, &LISTENER, x, &x->listener, NULL), 0);
    x->p.to = x->listener->address;
}

static void call_unlisten(void *arg)
{
    listener_close(((struct scene *)arg)->listener);
}

/* Ours is the server; the far side is connected but has not said anything. */
static void accept_one(struct scene *x)
{
    struct peer *p = &x->p;

    p->loop = loop;
    p->connected = p->ended = NOTHING;
    on_loop(loop, call_listen, x);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&p->to.ss, sizeof(struct sockaddr_in)), 0);
    EVENTUALLY(x->accepted);
    on_loop(loop, call_unlisten, x);
    x->far = SSL_new(far_client);
    SSL_set_fd(x->far, p->fd);
    SSL_set_connect_state(x->far);
}

static void call_connect_tls(void *arg)
{
    struct scene *x = arg;
    struct peer *p = &x->p;

    p->inside = true;
    p->s = stream_new(loop, &OPS, p);
    assert_int_equal(stream_tls_connect(p->s, client, x->host.n ? x->host : STR("localhost"), &x->session), 0);
    p->status = stream_connect(p->s, &p->to, p->timeout_ms);
    p->inside = false;
}

/* Ours is the client; the far side has accepted the socket. */
static void connect_one(struct scene *x)
{
    struct peer *p = &x->p;
    int listening = listen_on_loopback(8, &p->to);

    p->loop = loop;
    p->connected = p->ended = NOTHING;
    p->timeout_ms = p->timeout_ms ? p->timeout_ms : 20000;
    on_loop(loop, call_connect_tls, x);
    assert_int_equal(p->status, 0);
    p->fd = accept(listening, NULL, NULL);
    assert_true(p->fd >= 0);
    close(listening);
    x->far = SSL_new(far_server);
    SSL_set_fd(x->far, p->fd);
    SSL_set_accept_state(x->far);
}

static void open_client(struct scene *x)
{
    connect_one(x);
    assert_int_equal(SSL_do_handshake(x->far), 1);
    EVENTUALLY(x->p.connects == 1);
    assert_int_equal(x->p.connected, 0);
    on_loop(loop, call_read_start, &x->p);
}

static void open_server(struct scene *x)
{
    accept_one(x);
    assert_int_equal(SSL_do_handshake(x->far), 1);
}

static void done(struct scene *x)
{
    SSL_free(x->far);
    finish(&x->p);
    tls_session_fini(&x->session);
}

/* ---- both ways ---- */

static void carries_bytes_both_ways_as_a_client_and_as_a_server(void **state)
{
    for (int side = 0; side < 2; side++) {
        struct scene x = { 0 };
        char got[16] = "";

        (side ? open_server : open_client)(&x);
        assert_int_equal(SSL_write(x.far, "question", 8), 8);
        EVENTUALLY(x.p.bytes == 8);
        loop_settle(loop);
        assert_str(buf_str(&x.p.got), "question");
        x.p.parts[0] = STR("an");
        x.p.parts[1] = STR("");
        x.p.parts[2] = STR("swer");
        x.p.parts_n = 3;
        on_loop(loop, call_write, &x.p);
        assert_int_equal(x.p.wrote, STREAM_SENT);
        assert_int_equal(SSL_read(x.far, got, sizeof got), 6); /* small parts are one record */
        assert_string_equal(got, "answer");
        done(&x);
        assert_int_equal(x.p.ends, 0);
    }
}

/* Sends what the far client says in two pieces, cut at AT; false when it is not that long. */
static bool hello_in_two_pieces(struct scene *x, size_t at)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL *far = SSL_new(far_client);
    char *hello;
    long n;

    SSL_set_bio(far, in, out);
    SSL_set_connect_state(far);
    assert_int_equal(SSL_do_handshake(far), -1);
    n = BIO_get_mem_data(out, &hello);
    if ((size_t)n > at) {
        char reply[4096];
        ssize_t r;

        send_bytes(x->p.fd, hello, at);
        loop_settle(loop);
        send_bytes(x->p.fd, hello + at, (size_t)n - at);
        (void)BIO_reset(out);
        for (int done_ = -1; done_ < 0;) {
            r = recv(x->p.fd, reply, sizeof reply, 0);
            assert_true(r > 0);
            assert_int_equal(BIO_write(in, reply, (int)r), r);
            done_ = SSL_do_handshake(far);
        }
        assert_int_equal(SSL_write(far, "x", 1), 1);
        n = BIO_get_mem_data(out, &hello);
        for (long i = 0; i < n; i++) { /* the second flight and the first record: byte by byte */
            send_bytes(x->p.fd, hello + i, 1);
            if (i % 16 == 0)
                loop_settle(loop);
        }
        EVENTUALLY(x->p.bytes == 1);
        n = (long)at + 1;
    }
    SSL_free(far);
    return (size_t)n > at;
}

static void shakes_hands_however_the_bytes_are_cut(void **state)
{
    for (size_t at = 1, whole = false; !whole; at += at < 8 ? 1 : 13) {
        struct scene x = { 0 };

        accept_one(&x);
        whole = !hello_in_two_pieces(&x, at);
        done(&x);
    }
}

/* ---- back-pressure ---- */

static void a_borrowed_body_waits_for_a_slow_peer_and_arrives_whole(void **state)
{
    enum { N = 8 << 20 };
    char *body = a_pattern(0, N), *got = malloc(N);
    struct scene x = { 0 };
    size_t n = 0;

    open_client(&x);
    assert_int_equal(write_str(&x.p, (struct str){ body, N }, STREAM_BORROW), STREAM_PENDING);
    assert_true(x.p.answer);
    assert_true(x.p.number > N / 2);
    assert_int_equal(write_str(&x.p, STR("tail"), STREAM_COPY), STREAM_PENDING); /* behind it */
    while (n < N) {
        int r = SSL_read(x.far, got + n, (int)(N - n));

        assert_true(r > 0);
        n += (size_t)r;
    }
    assert_memory_equal(got, body, N);
    assert_int_equal(SSL_read(x.far, got, 4), 4);
    assert_memory_equal(got, "tail", 4);
    EVENTUALLY(x.p.drains == 1);
    assert_int_equal(x.p.wrote, STREAM_PENDING);
    done(&x);
    free(body);
    free(got);
    assert_int_equal(budget_used(), 0);
}

static void copies_past_the_bound_fail_the_stream(void **state)
{
    char *body = a_pattern(0, STREAM_PENDING_MAX);
    struct scene x = { 0 };
    enum stream_write r = STREAM_SENT;

    open_client(&x);
    for (int i = 0; i < 8 && r != STREAM_FAILED; i++)
        r = write_str(&x.p, (struct str){ body, STREAM_PENDING_MAX / 2 }, STREAM_COPY);
    assert_int_equal(r, STREAM_FAILED);
    EVENTUALLY(x.p.ends == 1);
    assert_int_equal(x.p.ended, ERR_LIMIT);
    done(&x);
    free(body);
    assert_int_equal(budget_used(), 0);
}

static void a_fast_peer_is_stopped_and_nothing_is_lost(void **state)
{
    enum { N = 4 << 20 };
    char *body = a_pattern(0, N);
    struct scene x = { .p.stop_at_read = true };
    struct timeval wait = { .tv_usec = 50000 };
    size_t n = 0;

    open_server(&x);
    setsockopt(x.p.fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    SSL_set_mode(x.far, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    while (n < N) {
        int r = SSL_write(x.far, body + n, (int)MIN((size_t)65536, N - n));

        if (r > 0)
            n += (size_t)r;
        else
            on_loop(loop, call_read_start, &x.p); /* one read more */
    }
    while (x.p.bytes < N) {
        on_loop(loop, call_read_start, &x.p);
        loop_settle(loop);
    }
    assert_int_equal(x.p.got.n, N);
    assert_memory_equal(x.p.got.p, body, N);
    assert_int_equal(x.p.reads_in_one_turn, 0);
    done(&x);
    free(body);
}

/* ---- ends ---- */

static void close_notify_is_an_end_and_a_bare_fin_is_a_cut(void **state)
{
    for (int notify = 0; notify < 2; notify++) {
        struct scene x = { 0 };

        open_client(&x);
        assert_int_equal(SSL_write(x.far, "bytes", 5), 5);
        if (notify)
            assert_true(SSL_shutdown(x.far) >= 0);
        close_fd(&x.p);
        EVENTUALLY(x.p.ends == 1);
        assert_int_equal(x.p.bytes, 5);
        assert_int_equal(x.p.ended, notify ? 0 : ERR_CLOSED);
        done(&x);
    }
}

static void an_end_is_not_told_to_an_owner_that_does_not_read(void **state)
{
    struct scene x = { .p.stop_at_read = true };

    open_server(&x);
    assert_int_equal(SSL_write(x.far, "bytes", 5), 5);
    assert_true(SSL_shutdown(x.far) >= 0);
    EVENTUALLY(x.p.bytes == 5);
    loop_settle(loop);
    assert_int_equal(x.p.ends, 0);
    on_loop(loop, call_read_start, &x.p);
    EVENTUALLY(x.p.ends == 1);
    assert_int_equal(x.p.ended, 0);
    done(&x);
}

static void shutdown_and_close_say_goodbye_and_reset_does_not(void **state)
{
    void (*const WAYS[])(void *) = { call_shutdown, call_close, call_reset };

    for (unsigned i = 0; i < ARRAY_LEN(WAYS); i++) {
        struct scene x = { 0 };
        char byte;
        int r;

        open_client(&x);
        on_loop(loop, WAYS[i], &x.p);
        r = SSL_read(x.far, &byte, 1);
        assert_int_equal(SSL_get_error(x.far, r), i < 2 ? SSL_ERROR_ZERO_RETURN : SSL_ERROR_SYSCALL);
        done(&x);
    }
}

static void a_peer_that_leaves_in_the_handshake_ends_it_once(void **state)
{
    struct scene x = { 0 }, y = { 0 };

    accept_one(&x);
    send_bytes(x.p.fd, "\x16\x03\x01\x02", 4);
    loop_settle(loop);
    close_fd(&x.p);
    EVENTUALLY(x.p.ends == 1);
    assert_int_equal(x.p.ended, ERR_CLOSED);
    done(&x);
    connect_one(&y);
    reset_fd(&y.p);
    EVENTUALLY(y.p.connects == 1);
    assert_true(y.p.connected == ERR_RESET || y.p.connected == ERR_CLOSED);
    assert_int_equal(y.p.ends, 0);
    done(&y);
}

static void closing_in_the_handshake_is_silent(void **state)
{
    struct scene x = { 0 }, y = { 0 };

    accept_one(&x);
    send_bytes(x.p.fd, "\x16\x03\x01", 3);
    loop_settle(loop);
    done(&x);
    assert_int_equal(x.p.ends, 0);
    connect_one(&y);
    done(&y);
    assert_int_equal(y.p.connects + y.p.ends, 0);
}

static void a_server_that_says_nothing_is_a_timeout(void **state)
{
    struct scene x = { .p.timeout_ms = 50 };

    connect_one(&x);
    EVENTUALLY(x.p.connects == 1);
    assert_int_equal(x.p.connected, ERR_TIMEOUT);
    done(&x);
}

static void plain_http_is_answered_and_ended(void **state)
{
    struct scene x = { 0 };
    char got[64] = "";

    accept_one(&x);
    send_bytes(x.p.fd, "GET / HTTP/1.1\r\n\r\n", 18);
    EVENTUALLY(x.p.ends == 1);
    assert_int_equal(x.p.ended, ERR_PROTOCOL);
    assert_int_equal(x.p.reads, 0);
    on_loop(loop, call_close, &x.p);
    assert_int_equal(recv(x.p.fd, got, PLAIN.n, MSG_WAITALL), PLAIN.n);
    assert_string_equal(got, PLAIN.p);
    done(&x);
}

/* ---- who is there ---- */

static void the_name_must_be_the_one_that_was_asked_for(void **state)
{
    static const struct {
        const char *host;
        int status;
    } ROWS[] = { { "localhost", 0 },
                 { "LOCALHOST.", 0 },
                 { "elsewhere", ERR_TLS_NAME },
                 { "127.0.0.1", ERR_TLS_NAME },
                 { "::1", ERR_TLS_NAME } };

    for (unsigned i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct scene x = { .host = str_of(ROWS[i].host) };

        connect_one(&x);
        (void)SSL_do_handshake(x.far);
        EVENTUALLY(x.p.connects == 1);
        assert_int_equal(x.p.connected, ROWS[i].status);
        done(&x);
    }
}

static void the_second_connection_resumes_the_first_ones_session(void **state)
{
    struct scene x = { 0 }, y = { 0 };

    open_client(&x);
    assert_int_equal(SSL_write(x.far, "x", 1), 1); /* the ticket came before it */
    EVENTUALLY(x.p.bytes == 1);
    y.session.saved = STEAL(x.session.saved);
    assert_non_null(y.session.saved);
    done(&x);
    open_client(&y);
    assert_true(SSL_session_reused(y.far));
    done(&y);
}

/* ---- contexts ---- */

static void a_context_is_all_or_nothing_when_memory_runs_out(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct tls_server_conf conf = { .cert_path = str_of(cert.cert),
                                        .key_path = str_of(cert.key),
                                        .client_ca_path = str_of(cert.cert) };
        struct tls_context *c = NULL;
        int r = tls_server_new(&conf, &c, NULL);

        assert_true(r == 0 || r == ERR_NOMEM);
        assert_true((r == 0) == (c != NULL));
        tls_context_free(c);
    }
}

static void a_context_knows_how_long_its_certificate_lasts(void **state)
{
    int64_t left = tls_context_lifetime_s(server);

    assert_true(left > 0 && left <= 3600);
    assert_int_equal(tls_context_lifetime_s(client), INT64_MAX);
}

static int setup(void **state)
{
    loop_setup(state);
    make_cert(&cert);
    server = a_server(&cert);
    client = a_client(&cert);
    far_server = SSL_CTX_new(TLS_server_method());
    far_client = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_use_certificate_file(far_server, cert.cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(far_server, cert.key, SSL_FILETYPE_PEM), 1);
    return 0;
}

static int teardown(void **state)
{
    loop_teardown(state);
    tls_context_free(server);
    tls_context_free(client);
    SSL_CTX_free(far_server);
    SSL_CTX_free(far_client);
    remove_cert(&cert);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_bytes_both_ways_as_a_client_and_as_a_server),
        cmocka_unit_test(shakes_hands_however_the_bytes_are_cut),
        cmocka_unit_test(a_borrowed_body_waits_for_a_slow_peer_and_arrives_whole),
        cmocka_unit_test(copies_past_the_bound_fail_the_stream),
        cmocka_unit_test(a_fast_peer_is_stopped_and_nothing_is_lost),
        cmocka_unit_test(close_notify_is_an_end_and_a_bare_fin_is_a_cut),
        cmocka_unit_test(an_end_is_not_told_to_an_owner_that_does_not_read),
        cmocka_unit_test(shutdown_and_close_say_goodbye_and_reset_does_not),
        cmocka_unit_test(a_peer_that_leaves_in_the_handshake_ends_it_once),
        cmocka_unit_test(closing_in_the_handshake_is_silent),
        cmocka_unit_test(a_server_that_says_nothing_is_a_timeout),
        cmocka_unit_test(plain_http_is_answered_and_ended),
        cmocka_unit_test(the_name_must_be_the_one_that_was_asked_for),
        cmocka_unit_test(the_second_connection_resumes_the_first_ones_session),
        cmocka_unit_test(a_context_is_all_or_nothing_when_memory_runs_out),
        cmocka_unit_test(a_context_knows_how_long_its_certificate_lasts),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
