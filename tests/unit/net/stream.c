/* stream.c -- what a stream promises its owner: connecting, reading, the two ends */
#include "net/stream_peer.h"

/* ---- connecting ---- */

static void connects_and_carries_bytes_both_ways(void **state)
{
    struct peer p = { .fd = -1 };
    char reply[16] = "";
    int on = 0;
    socklen_t n = sizeof on;
    uv_os_fd_t fd;

    open_pair(&p, NORMAL);
    on_loop(loop, call_read_start, &p);
    p.parts[0] = STR("he");
    p.parts[1] = STR("");
    p.parts[2] = STR("ll");
    p.parts[3] = STR("o");
    p.parts_n = 4;
    on_loop(loop, call_write, &p);
    assert_int_equal(p.wrote, STREAM_SENT);
    assert_false(p.answer);
    assert_int_equal(recv(p.fd, reply, 5, MSG_WAITALL), 5);
    assert_string_equal(reply, "hello");
    send_bytes(p.fd, "world", 5);
    EVENTUALLY(p.bytes == 5);
    loop_settle(loop);
    assert_str(buf_str(&p.got), "world");
    assert_int_equal(uv_fileno((uv_handle_t *)&p.s->tcp, &fd), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
    assert_true(on);
    finish(&p);
    assert_int_equal(p.ends, 0);
}

static void knows_the_address_of_its_peer(void **state)
{
    struct peer p = { .fd = -1 };
    struct net_address asked;
    char a[64], b[64];

    open_pair(&p, NORMAL);
    asked = p.to;
    on_loop(loop, call_address, &p);
    (void)net_address_text(&asked, a);
    (void)net_address_text(&p.to, b);
    assert_string_equal(a, b);
    finish(&p);
}

static void a_refused_connection_is_reported_once(void **state)
{
    struct peer p = { .fd = -1 };
    int bound = listen_on_loopback(-1, &p.to); /* nobody listens there, and nobody else gets the port */

    start_connect(&p, 5000);
    assert_int_equal(p.status, 0);
    EVENTUALLY(p.connects == 1);
    assert_int_equal(p.connected, ERR_REFUSED);
    on_loop(loop, call_read_start, &p); /* of no effect */
    assert_int_equal(write_str(&p, STR("x"), STREAM_COPY), STREAM_FAILED);
    finish(&p);
    assert_int_equal(p.connects, 1);
    assert_int_equal(p.ends, 0);
    close(bound);
}

/* A listener with a full backlog: its kernel does not answer a SYN. */
static int listen_deaf(struct net_address *ret, int fillers[4])
{
    int fd = listen_on_loopback(0, ret);

    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[i], (struct sockaddr *)&ret->ss, sizeof(struct sockaddr_in)); /* EINPROGRESS */
    }
    usleep(50000);
    return fd;
}

static void close_all(int fd, const int fillers[4])
{
    close(fd);
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
}

static void a_connection_that_takes_too_long_times_out(void **state)
{
    struct peer p = { .fd = -1 };
    int fillers[4], fd = listen_deaf(&p.to, fillers);

    start_connect(&p, 60);
    assert_int_equal(p.status, 0);
    EVENTUALLY(p.connects == 1);
    assert_int_equal(p.connected, ERR_TIMEOUT);
    finish(&p);
    assert_int_equal(p.connects, 1);
    close_all(fd, fillers);
}

static void closing_while_connecting_is_silent(void **state)
{
    struct peer p = { .fd = -1 };
    int fillers[4], fd = listen_deaf(&p.to, fillers);

    start_connect(&p, 100);
    finish(&p);
    usleep(150000);
    loop_settle(loop);
    assert_int_equal(p.connects, 0);
    close_all(fd, fillers);
}

static void what_cannot_be_tried_fails_at_once(void **state)
{
    struct peer p = { .fd = -1 };

    assert_int_equal(net_address_parse(STR("255.255.255.255"), 80, &p.to), 0);
    start_connect(&p, 5000);
    assert_true(p.status < 0);
    finish(&p);
    assert_int_equal(p.connects, 0);
}

/* ---- the peer's end ---- */

static void a_fin_is_an_end_after_which_writing_still_works(void **state)
{
    struct peer p = { .fd = -1 };
    char reply[8] = "";

    open_pair(&p, NORMAL);
    on_loop(loop, call_read_start, &p);
    send_bytes(p.fd, "last words", 10);
    assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
    EVENTUALLY(p.ends == 1);
    assert_int_equal(p.ended, 0);
    assert_int_equal(p.bytes, 10);
    assert_int_equal(write_str(&p, STR("reply"), STREAM_COPY), STREAM_SENT);
    assert_int_equal(recv(p.fd, reply, 5, MSG_WAITALL), 5);
    finish(&p);
    assert_int_equal(p.ends, 1);
}

static void a_reset_is_told_from_a_fin(void **state)
{
    struct peer p = { .fd = -1 };

    open_pair(&p, NORMAL);
    on_loop(loop, call_read_start, &p);
    reset_fd(&p);
    EVENTUALLY(p.ends == 1);
    assert_int_equal(p.ended, ERR_RESET);
    assert_int_equal(write_str(&p, STR("x"), STREAM_COPY), STREAM_FAILED);
    finish(&p);
    assert_int_equal(p.ends, 1);
}

static void a_reset_right_behind_the_last_bytes_is_told_from_a_fin(void **state)
{
    struct peer p = { .fd = -1 };

    open_pair(&p, NORMAL);
    send_bytes(p.fd, "cut off he", 10);
    reset_fd(&p);
    usleep(20000); /* bytes and reset are both there when reading starts */
    on_loop(loop, call_read_start, &p);
    EVENTUALLY(p.ends == 1);
    assert_int_equal(p.ended, ERR_RESET);
    finish(&p);
}

static void a_stopped_stream_sees_nothing_but_can_ask(void **state)
{
    static void (*const ENDINGS[])(struct peer *) = { close_fd, reset_fd };

    for (size_t i = 0; i < ARRAY_LEN(ENDINGS); i++) {
        struct peer p = { .fd = -1 };

        open_pair(&p, NORMAL);
        on_loop(loop, call_read_start, &p);
        on_loop(loop, call_read_stop, &p);
        assert_false(peer_gone(&p));
        ENDINGS[i](&p);
        usleep(20000);
        loop_settle(loop);
        assert_int_equal(p.ends, 0);
        assert_true(peer_gone(&p));
        on_loop(loop, call_read_start, &p);
        EVENTUALLY(p.ends == 1);
        assert_int_equal(p.ended, i == 0 ? 0 : ERR_RESET);
        finish(&p);
    }
}

static void a_write_after_the_peers_reset_fails_and_the_end_follows(void **state)
{
    for (int reading = 0; reading < 2; reading++) {
        struct peer p = { .fd = -1 };

        open_pair(&p, NORMAL);
        if (reading) {
            on_loop(loop, call_read_start, &p);
            reset_fd(&p);
            EVENTUALLY(p.ends == 1);
        } else {
            reset_fd(&p);
            usleep(20000);
        }
        assert_int_equal(write_str(&p, STR("x"), STREAM_COPY), STREAM_FAILED);
        EVENTUALLY(p.ends == 1);
        assert_int_equal(p.ended, ERR_RESET);
        finish(&p);
        assert_int_equal(p.ends, 1);
    }
}

static void call_read_and_write(void *arg)
{
    call_read_start(arg);
    call_write(arg);
}

static void an_answer_that_came_before_the_reset_is_still_read_when_a_write_fails(void **state)
{
    struct peer p = { .fd = -1, .parts = { STR_INIT("more of the upload") }, .parts_n = 1 };

    open_pair(&p, NORMAL);
    send_bytes(p.fd, "413 too large", 13);
    reset_fd(&p);
    usleep(20000);
    on_loop(loop, call_read_and_write, &p);
    assert_int_equal(p.wrote, STREAM_FAILED);
    EVENTUALLY(p.ends == 1);
    assert_int_equal(p.ended, ERR_RESET);
    assert_str(buf_str(&p.got), "413 too large");
    finish(&p);
}

static void a_pending_write_that_meets_a_reset_ends_the_stream(void **state)
{
    for (int reading = 0; reading < 2; reading++) {
        struct peer p = { .fd = -1 };
        char *bytes = a_pattern(0, BIG);

        open_pair(&p, SMALL);
        if (reading)
            on_loop(loop, call_read_start, &p);
        assert_int_equal(write_str(&p, (struct str){ bytes, BIG }, STREAM_BORROW), STREAM_PENDING);
        reset_fd(&p);
        EVENTUALLY(p.ends == 1);
        assert_int_equal(p.ended, ERR_RESET);
        finish(&p);
        assert_int_equal(p.drains, 0);
        free(bytes);
    }
}

static void a_pending_write_that_meets_a_reset_behind_a_fin_is_over(void **state)
{
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, BIG);

    open_pair(&p, SMALL);
    on_loop(loop, call_read_start, &p);
    assert_int_equal(write_str(&p, (struct str){ bytes, BIG }, STREAM_COPY), STREAM_PENDING);
    assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
    EVENTUALLY(p.ends == 1);
    assert_int_equal(p.ended, 0);
    assert_int_equal(p.drains, 0);
    reset_fd(&p);
    EVENTUALLY(p.drains == 1);
    assert_int_equal(write_str(&p, STR("x"), STREAM_COPY), STREAM_FAILED);
    finish(&p);
    assert_int_equal(p.drains, 1);
    assert_int_equal(budget_used(), 0);
    free(bytes);
}

/* ---- our end ---- */

static void stream_reset_shows_the_peer_a_reset(void **state)
{
    struct peer p = { .fd = -1 };
    char c;

    open_pair(&p, NORMAL);
    on_loop(loop, call_reset, &p);
    assert_int_equal(recv(p.fd, &c, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    finish(&p);
    assert_int_equal(p.ends, 0);
}

static void a_callback_may_close_its_stream_and_nothing_follows(void **state)
{
    struct peer p = { .fd = -1, .close_at_read = true };

    open_pair(&p, NORMAL);
    on_loop(loop, call_read_start, &p);
    send_bytes(p.fd, "x", 1);
    EVENTUALLY(p.reads == 1);
    loop_settle(loop);
    finish(&p);
    assert_int_equal(p.reads, 1);
    assert_int_equal(p.ends, 0);
    on_loop(loop, call_close, &p); /* NULL by now */
}

/* ---- reading ---- */

static void one_stream_reads_once_a_turn(void **state)
{
    enum { MUCH = 3 << 20 };
    struct peer p = { .fd = -1 };
    int large = 4 << 20;
    char *bytes = a_pattern(0, MUCH);
    uv_os_fd_t fd;

    open_pair(&p, NORMAL);
    assert_int_equal(uv_fileno((uv_handle_t *)&p.s->tcp, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large), 0);
    fcntl(p.fd, F_SETFL, O_NONBLOCK);
    ssize_t sent = send(p.fd, bytes, MUCH, MSG_NOSIGNAL);
    assert_true(sent > 0);
    usleep(50000);
    on_loop(loop, call_read_start, &p);
    fcntl(p.fd, F_SETFL, 0);
    send_bytes(p.fd, bytes + sent, MUCH - (size_t)sent);
    EVENTUALLY(p.bytes == MUCH);
    loop_settle(loop);
    assert_int_equal(p.reads_in_one_turn, 0);
    assert_memory_equal(p.got.p, bytes, MUCH);
    finish(&p);
    free(bytes);
}

static void reading_can_be_stopped_inside_a_callback_and_goes_on_later(void **state)
{
    struct peer p = { .fd = -1, .stop_at_read = true };

    open_pair(&p, NORMAL);
    on_loop(loop, call_read_start, &p);
    send_bytes(p.fd, "one", 3);
    EVENTUALLY(p.bytes == 3);
    send_bytes(p.fd, "two", 3);
    usleep(20000);
    assert_int_equal(p.bytes, 3);
    on_loop(loop, call_read_start, &p);
    EVENTUALLY(p.bytes == 6);
    finish(&p);
}

static void call_count_spares(void *arg)
{
    ((struct peer *)arg)->number = loop->streams.n;
}

static void a_closed_streams_memory_serves_the_next_one(void **state)
{
    struct peer p = { .fd = -1 }, q = { .fd = -1 };
    struct stream *first;
    size_t before;

    open_pair(&p, NORMAL);
    first = p.s;
    on_loop(loop, call_count_spares, &p);
    before = p.number;
    finish(&p);
    on_loop(loop, call_count_spares, &p);
    assert_int_equal(p.number, before + 1);
    open_pair(&q, NORMAL);
    assert_ptr_equal(q.s, first);
    finish(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_and_carries_bytes_both_ways),
        cmocka_unit_test(knows_the_address_of_its_peer),
        cmocka_unit_test(a_refused_connection_is_reported_once),
        cmocka_unit_test(a_connection_that_takes_too_long_times_out),
        cmocka_unit_test(closing_while_connecting_is_silent),
        cmocka_unit_test(what_cannot_be_tried_fails_at_once),
        cmocka_unit_test(a_fin_is_an_end_after_which_writing_still_works),
        cmocka_unit_test(a_reset_is_told_from_a_fin),
        cmocka_unit_test(a_reset_right_behind_the_last_bytes_is_told_from_a_fin),
        cmocka_unit_test(a_stopped_stream_sees_nothing_but_can_ask),
        cmocka_unit_test(a_write_after_the_peers_reset_fails_and_the_end_follows),
        cmocka_unit_test(an_answer_that_came_before_the_reset_is_still_read_when_a_write_fails),
        cmocka_unit_test(a_pending_write_that_meets_a_reset_ends_the_stream),
        cmocka_unit_test(a_pending_write_that_meets_a_reset_behind_a_fin_is_over),
        cmocka_unit_test(stream_reset_shows_the_peer_a_reset),
        cmocka_unit_test(a_callback_may_close_its_stream_and_nothing_follows),
        cmocka_unit_test(one_stream_reads_once_a_turn),
        cmocka_unit_test(reading_can_be_stopped_inside_a_callback_and_goes_on_later),
        cmocka_unit_test(a_closed_streams_memory_serves_the_next_one),
    };

    return cmocka_run_group_tests(tests, loop_setup, loop_teardown);
}
