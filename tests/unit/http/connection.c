/* connection.c -- the rules of connections: leaving clients, filters that wait, deadlines, bounds, drain. Real sockets on loopback. */
#include "served.h"

/* ---- clients that leave ---- */

static void leaving_during_the_upload_aborts(void **state)
{
    for (int rst = 0; rst < 2; rst++) {
        int fd = client();

        SET(ends, 0);
        say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nhalf");
        let_it_read();
        if (rst)
            slam(fd);
        else
            close(fd);
        wait_for(no_connections);
        assert_int_equal(SEEN(ends), 1);
        assert_int_equal(SEEN(outcome), EX_ABORTED);
        assert_int_equal(SEEN(handled), 0);
    }
}

static void leaving_while_a_filter_waits_aborts(void **state)
{
    for (int script = WAIT_HEAD; script <= WAIT_BODY; script++) {
        int fd = client();

        SET(ends, 0);
        SET(aborts, 0);
        SET(script, (enum script)script);
        say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        wait_for(one_held);
        close(fd);
        wait_for(no_connections);
        assert_int_equal(SEEN(aborts), 1);
        assert_int_equal(SEEN(ends), 1);
        assert_int_equal(SEEN(outcome), EX_ABORTED);
        assert_int_equal(SEEN(handled), 0);
    }
}

static void leaving_while_the_request_is_handled_aborts(void **state)
{
    for (int rst = 0; rst < 2; rst++) {
        int fd = client();

        SET(ends, 0);
        SET(aborts, 0);
        say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_for(one_held);
        if (rst)
            slam(fd);
        else
            close(fd);
        wait_for(no_connections);
        assert_int_equal(SEEN(aborts), 1);
        assert_int_equal(SEEN(ends), 1);
        assert_int_equal(SEEN(outcome), EX_ABORTED);
    }
}

static void a_half_close_while_a_reply_is_due_means_that_the_client_left(void **state)
{
    int fd = client();

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    shutdown(fd, SHUT_WR);
    wait_for(no_connections);
    assert_int_equal(SEEN(aborts), 1);
    expect_closed(fd);
}

static void begin_stream(void *arg)
{
    exchange_reply_head(app.held, 200, HTTP_LENGTH_UNKNOWN);
    app.full = exchange_send(app.held, STR("data: 1\n\n")) == SEND_FULL;
}

static void leaving_during_the_reply_aborts(void **state)
{
    int fd = client();

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    served_do(begin_stream, NULL);
    hear_until(fd, "data: 1");
    assert_false(SEEN(full));
    close(fd);
    wait_for(no_connections);
    assert_int_equal(SEEN(aborts), 1);
    assert_int_equal(SEEN(outcome), EX_ABORTED);
}

static void send_until_full(void *arg)
{
    static char part[64 * 1024];

    exchange_reply_head(app.held, 200, HTTP_LENGTH_UNKNOWN);
    for (int i = 0; i < 1000; i++)
        if (exchange_send(app.held, (struct str){ part, sizeof(part) }) == SEND_FULL) {
            app.full = true;
            return;
        }
}

static void leaving_while_the_reply_is_paused_aborts(void **state)
{
    int fd = client_small(4096);

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    served_do(send_until_full, NULL);
    assert_true(SEEN(full));
    slam(fd);
    wait_for(no_connections);
    assert_int_equal(SEEN(aborts), 1);
    assert_int_equal(SEEN(readies), 0);
    assert_int_equal(SEEN(outcome), EX_ABORTED);
}

static void leaving_with_more_pipelined_than_is_read_ahead_is_noticed(void **state)
{
    static char more[600 * 1024];
    int fd = client();

    memset(more, 'x', sizeof(more));
    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    (void)!send(fd, more, sizeof(more), MSG_DONTWAIT | MSG_NOSIGNAL);
    let_it_read();
    assert_in_range(budget_used(), 64 * 1024, 1024 * 1024);
    slam(fd); /* a FIN would stand behind the bytes that the server does not read */
    wait_for(no_connections);
    assert_int_equal(SEEN(aborts), 1);
}

static void an_idle_connection_may_leave(void **state)
{
    int fd = client();

    expect_still_open(fd);
    close(fd);
    wait_for(no_connections);
    assert_int_equal(SEEN(aborts), 0);
    assert_int_equal(SEEN(outcome), EX_FINISHED);
}

static void a_complete_reply_is_written_out_to_a_client_that_half_closed(void **state)
{
    size_t got = 0;
    int fd = client_small(4096);
    ssize_t r;
    char *big = malloc(900 * 1024);

    memset(big, 'z', 900 * 1024);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 921600\r\n\r\n");
    say_n(fd, big, 900 * 1024);
    wait_for(one_ended);
    shutdown(fd, SHUT_WR);
    let_it_read();
    while ((r = recv(fd, big, 900 * 1024, 0)) > 0)
        got += (size_t)r;
    assert_int_equal(r, 0);
    assert_true(got > 900 * 1024);
    free(big);
    close(fd);
    wait_for(no_connections);
    assert_int_equal(SEEN(outcome), EX_FINISHED);
}

static void send_until_full_and_end(void *arg)
{
    send_until_full(NULL);
    exchange_end(app.held);
}

static void a_client_that_half_closed_and_then_resets_is_gone(void **state)
{
    int fd = client_small(4096);

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    served_do(send_until_full_and_end, NULL);
    assert_true(SEEN(full));
    assert_int_equal(SEEN(outcome), EX_FINISHED);
    shutdown(fd, SHUT_WR);
    let_it_read();
    slam(fd);
    wait_for(no_connections);
    assert_int_equal(SEEN(aborts), 0);
}

/* ---- filters that wait ---- */

static void resume_held(void *arg)
{
    struct exchange *ex = app.held;

    app.held = NULL;
    exchange_resume(ex);
    assert_int_equal(app.handled, 0);
}

static void a_waiting_filter_goes_on_when_resumed(void **state)
{
    for (int script = WAIT_HEAD; script <= WAIT_BODY; script++) {
        int fd = client();

        SET(script, (enum script)script);
        SET(handled, 0);
        say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        wait_for(one_held);
        SET(script, PASS);
        served_do(resume_held, NULL);
        hear_reply(fd);
        assert_string_equal(heard.body, "body");
        expect_still_open(fd);
        close(fd);
    }
}

static void resume_and_close(void *arg)
{
    exchange_resume(app.held);
    http_server_close(served.server);
}

static void what_is_resumed_and_aborted_in_one_turn_is_not_handled(void **state)
{
    int fd = client();

    SET(script, WAIT_HEAD);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    served_do(resume_and_close, NULL);
    expect_closed(fd);
    assert_int_equal(SEEN(handled), 0);
    assert_int_equal(SEEN(aborts), 0); /* the filter's callbacks ended with exchange_resume */
    assert_int_equal(SEEN(ends), 1);
    assert_int_equal(SEEN(outcome), EX_ABORTED);
}

static void a_waiting_filter_may_answer_instead(void **state)
{
    int fd = client();

    SET(script, WAIT_HEAD);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    wait_for(one_held);
    SET(script, PASS);
    served_do(reply_to_held, NULL);
    hear_reply(fd);
    assert_string_equal(heard.body, "held");
    assert_int_equal(SEEN(handled), 0);
    expect_still_open(fd);
    close(fd);
}

static void a_filter_may_answer_after_the_body(void **state)
{
    int fd = client();

    SET(script, ANSWER_BODY);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    hear_reply(fd);
    assert_int_equal(heard.status, 422);
    assert_int_equal(SEEN(body_n), 4);
    SET(script, PASS);
    expect_still_open(fd);
    close(fd);
}

/* ---- deadlines ---- */

static int impatient_server(void **state)
{
    served_start((struct http_server_conf){ .head_ms = 150, .body_ms = 150, .idle_ms = 250, .send_ms = 300 });
    return 0;
}

static void a_head_that_trickles_is_408(void **state)
{
    int fd = client();

    say(fd, "GET /hello HTTP/1.1\r\n");
    usleep(30000);
    say(fd, "Host: a\r\n");
    hear_all(fd);
    assert_int_equal(heard.status, 408);
    assert_true(heard_field("connection: close"));
    assert_string_equal(SEEN(label), "other");
    close(fd);
}

static void a_body_that_stops_is_408(void **state)
{
    int fd = client();

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nhalf");
    hear_all(fd);
    assert_int_equal(heard.status, 408);
    assert_string_equal(SEEN(label), "/echo");
    close(fd);
}

static void a_body_that_goes_on_is_waited_for(void **state)
{
    int fd = client();

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n");
    for (int i = 0; i < 8; i++) {
        usleep(25000);
        say(fd, "b");
    }
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    close(fd);
}

static void an_idle_connection_is_closed_silently(void **state)
{
    int fd = client(), fresh = client();

    expect_still_open(fd);
    expect_closed(fd);
    expect_closed(fresh);
    assert_int_equal(SEEN(ends), 1);
}

static void an_unwanted_body_that_stops_closes_after_the_reply(void **state)
{
    int fd = client();

    say(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nhalf");
    hear_all(fd);
    assert_int_equal(heard.status, 200);
    assert_true(heard.closed || heard.reset);
    close(fd);
}

static void a_client_that_takes_nothing_is_cut(void **state)
{
    int fd = client_small(4096);

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    served_do(send_until_full, NULL);
    assert_true(SEEN(full));
    wait_for(no_connections);
    assert_int_equal(SEEN(aborts), 1);
    close(fd);
}

static void handling_has_no_deadline(void **state)
{
    int fd = client();

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    usleep(300000);
    served_do(reply_to_held, NULL);
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    close(fd);
}

/* ---- bounds, drain, close ---- */

static int server_of_two(void **state)
{
    served_start((struct http_server_conf){ .max_connections = 2 });
    return 0;
}

static void connections_over_the_bound_are_refused_and_counted(void **state)
{
    int a = client(), b = client(), c;
    struct http_server_stats st;

    expect_still_open(a);
    expect_still_open(b);
    c = client();
    expect_closed(c);
    served_do(read_stats, &st);
    assert_int_equal(st.refused_connections, 1);
    assert_int_equal(st.connections, 2);
    close(a);
    close(b);
}

static void on_drained(struct http_server *s, void *arg)
{
    served.drained++;
}

static void drain(void *arg)
{
    http_server_drain(served.server, on_drained, NULL);
    assert_int_equal(served.drained, 0);
}

static bool is_drained(void)
{
    return served.drained == 1;
}

static void drain_closes_idle_connections_and_finishes_the_others(void **state)
{
    int idle = client(), busy = client();

    expect_still_open(idle);
    say(busy, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    served_do(drain, NULL);
    expect_closed(idle);
    let_it_read();
    served_do(nothing, NULL);
    assert_int_equal(served.drained, 0);
    served_do(reply_to_held, NULL);
    hear_all(busy);
    assert_int_equal(heard.status, 200);
    assert_true(heard_field("connection: close"));
    assert_true(heard.closed);
    close(busy);
    wait_for(is_drained);
}

static void drain_of_an_idle_server_ends_at_once(void **state)
{
    served_do(drain, NULL);
    wait_for(is_drained);
}

static void a_connection_that_never_asked_gets_a_moment_at_drain(void **state)
{
    int fd = client();

    let_it_read();
    served_do(drain, NULL);
    let_it_read();
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_all(fd);
    assert_int_equal(heard.status, 200);
    assert_true(heard_field("connection: close"));
    close(fd);
    wait_for(is_drained);
}

static void close_server(void *arg)
{
    http_server_close(served.server);
}

static void close_aborts_what_runs(void **state)
{
    int fd = client();

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    served_do(close_server, NULL);
    assert_int_equal(SEEN(aborts), 1);
    assert_int_equal(SEEN(ends), 1);
    close(fd);
}

static void every_exchange_is_counted_once(void **state)
{
    struct http_server_stats st;
    int fd = client();

    expect_still_open(fd);
    say(fd, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_reply(fd);
    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    close(fd);
    wait_for(no_connections);
    served_do(read_stats, &st);
    assert_int_equal(st.accepted, 1);
    assert_int_equal(st.exchanges, 3);
    assert_int_equal(st.finished, 2);
    assert_int_equal(st.aborted, 1);
    assert_int_equal(st.failed, 0);
}

#define RULE(name)             cmocka_unit_test_setup_teardown(name, default_server, stop_server)
#define RULE_WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(leaving_during_the_upload_aborts),
        RULE(leaving_while_a_filter_waits_aborts),
        RULE(leaving_while_the_request_is_handled_aborts),
        RULE(a_half_close_while_a_reply_is_due_means_that_the_client_left),
        RULE(leaving_during_the_reply_aborts),
        RULE(leaving_while_the_reply_is_paused_aborts),
        RULE(leaving_with_more_pipelined_than_is_read_ahead_is_noticed),
        RULE(an_idle_connection_may_leave),
        RULE(a_complete_reply_is_written_out_to_a_client_that_half_closed),
        RULE(a_client_that_half_closed_and_then_resets_is_gone),
        RULE(a_waiting_filter_goes_on_when_resumed),
        RULE(what_is_resumed_and_aborted_in_one_turn_is_not_handled),
        RULE(a_waiting_filter_may_answer_instead),
        RULE(a_filter_may_answer_after_the_body),
        RULE_WITH(impatient_server, a_head_that_trickles_is_408),
        RULE_WITH(impatient_server, a_body_that_stops_is_408),
        RULE_WITH(impatient_server, a_body_that_goes_on_is_waited_for),
        RULE_WITH(impatient_server, an_idle_connection_is_closed_silently),
        RULE_WITH(impatient_server, an_unwanted_body_that_stops_closes_after_the_reply),
        RULE_WITH(impatient_server, a_client_that_takes_nothing_is_cut),
        RULE_WITH(impatient_server, handling_has_no_deadline),
        RULE_WITH(server_of_two, connections_over_the_bound_are_refused_and_counted),
        RULE(drain_closes_idle_connections_and_finishes_the_others),
        RULE(drain_of_an_idle_server_ends_at_once),
        RULE(a_connection_that_never_asked_gets_a_moment_at_drain),
        RULE(close_aborts_what_runs),
        RULE(every_exchange_is_counted_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
