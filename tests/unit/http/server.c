/* server.c -- the rules of requests: pieces, pipelines, refusals, expectations, bodies. Real sockets on loopback. */
#include "served.h"

/* ---- replies ---- */

static void a_request_is_answered_with_our_fields(void **state)
{
    int fd = client();

    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nX-Request-Id: r1\r\n\r\n");
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    assert_string_equal(heard.body, "{\"hello\":1}");
    assert_true(heard_field("content-type: application/json"));
    assert_true(heard_field("content-length: 11"));
    assert_true(heard_field("x-request-id: r1"));
    assert_true(heard_field("x-filter: seen"));
    assert_true(heard_field("access-control-allow-origin: *"));
    assert_non_null(strstr(heard.text, "\r\ndate: "));
    assert_null(strstr(heard.text, "\r\nserver:"));
    assert_null(strstr(heard.text, "\r\nconnection:"));
    close(fd);
}

static void a_connection_serves_many_requests(void **state)
{
    int fd = client();

    for (int i = 0; i < 50; i++)
        expect_still_open(fd);
    assert_int_equal(SEEN(ends), 50);
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    int fd = client();

    say(fd, "GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo"
            "GET /items/3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    hear_all(fd);
    char *one = strstr(heard.text, "\r\n\r\n1HTTP"), *two = strstr(heard.text, "\r\n\r\ntwoHTTP"),
         *three = strstr(heard.text, "\r\n\r\n3");
    assert_true(one && two && three && one < two && two < three);
    assert_true(heard.closed);
    close(fd);
}

static void a_pipelined_request_waits_for_the_reply_before_it(void **state)
{
    int fd = client();

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /items/second HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    let_it_read();
    assert_int_equal(SEEN(handled), 1);
    close(fd);
    wait_for(no_connections);
    assert_int_equal(SEEN(aborts), 1);
    assert_int_equal(SEEN(handled), 1);
}

static void the_pipeline_goes_on_after_a_late_reply(void **state)
{
    int fd = client();

    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /items/second HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(one_held);
    served_do(reply_to_held, NULL);
    hear_until(fd, "\r\n\r\nsecond");
    assert_non_null(strstr(heard.text, "held"));
    close(fd);
}

/* ---- pieces ---- */

static const char *const PIECES[] = {
    "GET /items/a%20b?q=1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: r\r\n\r\n",
    "\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: r\r\nContent-Length: 11\r\n\r\nhello there",
    ("POST /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: r\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nt: "
     "v\r\n\r\n"),
    "POST /drop HTTP/1.1\r\nHost: a\r\nX-Request-Id: r\r\nContent-Length: 5\r\n\r\n12345",
};

/* What was heard without the date, which may change between two replies. */
static void remember(char *out)
{
    char *date = strstr(heard.text, "\r\ndate: ");

    assert_non_null(date);
    memset(date + 8, 'x', 29);
    strcpy(out, heard.text);
}

static void any_cut_in_two_gives_the_same_reply(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(PIECES); i++) {
        static char whole[4096], cut[4096];
        int fd = client();

        say(fd, PIECES[i]);
        hear_reply(fd);
        assert_int_equal(heard.status, 200);
        remember(whole);
        for (size_t at = 1; at < strlen(PIECES[i]); at++) {
            say_n(fd, PIECES[i], at);
            let_it_read();
            say(fd, PIECES[i] + at);
            hear_reply(fd);
            remember(cut);
            assert_string_equal(cut, whole);
        }
        expect_still_open(fd);
        close(fd);
    }
}

static void byte_by_byte_gives_the_same_reply(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(PIECES); i++) {
        int fd = client();

        for (const char *p = PIECES[i]; *p; p++) {
            say_n(fd, p, 1);
            let_it_read();
        }
        hear_reply(fd);
        assert_int_equal(heard.status, 200);
        expect_still_open(fd);
        close(fd);
    }
}

/* ---- methods and versions ---- */

static void head_gives_the_length_and_no_body(void **state)
{
    int fd = client();

    say(fd, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_reply_to(fd, true);
    assert_int_equal(heard.status, 200);
    assert_true(heard_field("content-length: 11"));
    assert_int_equal(heard.n, (size_t)(heard.body - heard.text));
    expect_still_open(fd);
    close(fd);
}

static void http_1_0_closes_unless_it_asks_to_keep(void **state)
{
    int fd = client();

    say(fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    hear_reply(fd);
    assert_true(heard_field("connection: keep-alive"));
    say(fd, "GET /hello HTTP/1.0\r\n\r\n");
    hear_all(fd);
    assert_int_equal(heard.status, 200);
    assert_true(heard.closed);
    close(fd);
}

static void a_client_that_asks_to_close_is_closed(void **state)
{
    int fd = client();

    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    hear_all(fd);
    assert_int_equal(heard.status, 200);
    assert_true(heard_field("connection: close"));
    assert_true(heard.closed);
    close(fd);
}

/* ---- refusals ---- */

static void unknown_paths_and_methods_answer_in_json_through_the_filters(void **state)
{
    int fd = client();

    say(fd, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_reply(fd);
    assert_int_equal(heard.status, 404);
    assert_true(heard_field("access-control-allow-origin: *"));
    assert_non_null(strstr(heard.text, "\r\nx-request-id: req-"));
    assert_string_equal(heard.body, "{\"error\":{\"message\":\"There is no resource at /nowhere\",\"type\":\"Not "
                                    "Found\",\"param\":null,\"code\":\"not_found\"}}");
    assert_string_equal(SEEN(label), "other");
    say(fd, "DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_reply(fd);
    assert_int_equal(heard.status, 405);
    assert_true(heard_field("allow: GET,HEAD"));
    assert_string_equal(SEEN(label), "/hello");
    expect_still_open(fd);
    close(fd);
}

static void malformed_requests_are_answered_counted_and_closed(void **state)
{
    static const struct {
        const char *in;
        unsigned status;
    } rows[] = {
        { "GET /hello HTTP/1.1\r\n\r\n", 400 },             /* no Host */
        { "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400 }, /* a blank before the colon */
        { "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505 },
        { "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n", 400 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = client();

        SET(ends, 0);
        SET(replies, 0);
        say(fd, rows[i].in);
        hear_all(fd);
        assert_int_equal(heard.status, rows[i].status);
        assert_true(heard_field("connection: close"));
        assert_non_null(strstr(heard.text, "\r\nx-request-id: req-"));
        assert_non_null(strstr(heard.text, "\"malformed_request\""));
        assert_true(heard.closed);
        assert_int_equal(SEEN(ends), 1);
        assert_int_equal(SEEN(replies), 1);
        assert_int_equal(SEEN(outcome), EX_FINISHED);
        close(fd);
        if (i < 4) {
            assert_string_equal(SEEN(label), "other");
            assert_string_equal(SEEN(method), "OTHER");
        }
    }
}

static void too_long_a_head_is_431_and_too_long_a_line_414(void **state)
{
    static char big[80 * 1024];
    int fd = client();

    memset(big, 'x', sizeof(big));
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
    say_n(fd, big, sizeof(big));
    hear_all(fd);
    assert_int_equal(heard.status, 431);
    close(fd);
    fd = client();
    say(fd, "GET /");
    say_n(fd, big, sizeof(big));
    hear_all(fd);
    assert_int_equal(heard.status, 414);
    close(fd);
}

static int server_with_small_limit(void **state)
{
    served_start((struct http_server_conf){ .max_body_bytes = 100 });
    return 0;
}

static void a_declared_length_over_the_limit_is_413_before_it_is_read(void **state)
{
    int fd = client();

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n");
    hear_all(fd);
    assert_int_equal(heard.status, 413);
    assert_true(heard_field("connection: close"));
    assert_true(heard_field("access-control-allow-origin: *"));
    assert_non_null(strstr(heard.text, "100 bytes"));
    assert_int_equal(SEEN(heads), 0);
    close(fd);
    fd = client();
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    for (int i = 0; i < 100; i++)
        say(fd, "y");
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    assert_int_equal(heard.body_n, 100);
    close(fd);
}

static void a_chunked_body_over_the_limit_is_413_when_it_gets_there(void **state)
{
    int fd = client();

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n60\r\n");
    for (int i = 0; i < 96; i++)
        say(fd, "y");
    say(fd, "\r\n5\r\n");
    let_it_read();
    assert_int_equal(SEEN(ends), 0);
    say(fd, "12345\r\n");
    hear_all(fd);
    assert_int_equal(heard.status, 413);
    assert_int_equal(SEEN(ends), 1);
    assert_int_equal(SEEN(handled), 0);
    close(fd);
}

static void the_early_reply_is_readable_although_the_client_goes_on_sending(void **state)
{
    static char body[200 * 1024];
    int fd = client();

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    let_it_read();
    for (int i = 0; i < 1; i++)
        say_n(fd, body, sizeof(body));
    hear_all(fd);
    assert_int_equal(heard.status, 413);
    assert_true(heard.closed);
    close(fd);
}

static void an_early_reply_keeps_the_connection_when_the_rest_is_small(void **state)
{
    int fd = client();

    SET(script, ANSWER_HEAD);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    hear_reply(fd);
    assert_int_equal(heard.status, 429);
    assert_null(strstr(heard.text, "\r\nconnection:"));
    SET(script, PASS);
    say(fd, "56789");
    expect_still_open(fd);
    close(fd);
}

static void an_early_reply_to_a_large_upload_closes(void **state)
{
    int fd = client();

    SET(script, ANSWER_HEAD);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n01234");
    hear_all(fd);
    assert_int_equal(heard.status, 429);
    assert_true(heard_field("connection: close"));
    assert_true(heard.closed);
    close(fd);
}

static void an_early_reply_to_a_chunked_upload_closes(void **state)
{
    int fd = client();

    SET(script, ANSWER_HEAD);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234");
    hear_all(fd);
    assert_int_equal(heard.status, 429);
    assert_true(heard_field("connection: close"));
    close(fd);
}

static void a_route_without_a_body_drops_it_and_goes_on(void **state)
{
    int fd = client();

    say(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    say(fd, "0\r\n\r\n");
    expect_still_open(fd);
    close(fd);
}

/* ---- Expect ---- */

static void says_100_continue_when_the_body_is_wanted(void **state)
{
    int fd = client();

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    hear_until(fd, "\r\n\r\n");
    assert_string_equal(heard.text, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "hi");
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    assert_string_equal(heard.body, "hi");
    expect_still_open(fd);
    close(fd);
}

static void does_not_invite_a_body_that_a_filter_refuses(void **state)
{
    int fd = client();

    SET(script, ANSWER_HEAD);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    hear_all(fd);
    assert_int_equal(heard.status, 429);
    assert_true(heard_field("connection: close"));
    close(fd);
}

static void an_unwanted_body_is_not_invited_and_the_connection_ends(void **state)
{
    int fd = client();

    say(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    hear_all(fd);
    assert_int_equal(heard.status, 200);
    assert_true(heard_field("connection: close"));
    close(fd);
}

static void an_expectation_to_continue_without_a_body_is_passed_over(void **state)
{
    int fd = client();

    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    expect_still_open(fd);
    close(fd);
}

static void another_expectation_is_417(void **state)
{
    int fd = client();

    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n");
    hear_reply(fd);
    assert_int_equal(heard.status, 417);
    close(fd);
}

/* ---- bodies ---- */

static void a_large_body_arrives_whole_and_its_memory_goes_back(void **state)
{
    static char body[64 * 1024];
    int fd = client();

    memset(body, 'b', sizeof(body));
    say(fd, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 6553600\r\n\r\n");
    for (int i = 0; i < 100; i++)
        say_n(fd, body, sizeof(body));
    wait_for(one_held);
    assert_int_equal(SEEN(body_n), 6553600);
    assert_in_range(budget_used(), 6553600, 6553600 + (1 << 20));
    served_do(reply_to_held, NULL);
    hear_reply(fd);
    let_it_read();
    assert_in_range(budget_used(), 0, 1 << 20);
    close(fd);
}

static void the_declared_length_is_not_taken_in_advance(void **state)
{
    int fds[20];

    for (int i = 0; i < 20; i++) {
        fds[i] = client();
        say(fds[i], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nx");
    }
    let_it_read();
    assert_in_range(budget_used(), 1, 20 * 4096);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    wait_for(no_connections);
}

static void a_body_over_the_memory_budget_is_503(void **state)
{
    static char body[64 * 1024];
    int fd = client();

    budget_set_limit(1 << 20);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1900000\r\n\r\n");
    for (int i = 0; i < 18; i++)
        say_n(fd, body, sizeof(body));
    hear_all(fd);
    budget_set_limit(0);
    assert_int_equal(heard.status, 503);
    assert_non_null(strstr(heard.text, "out_of_memory"));
    assert_non_null(strstr(heard.text, "\r\nretry-after: 1\r\n"));
    close(fd);
}

#define RULE(name)             cmocka_unit_test_setup_teardown(name, default_server, stop_server)
#define RULE_WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_request_is_answered_with_our_fields),
        RULE(a_connection_serves_many_requests),
        RULE(pipelined_requests_are_answered_in_order),
        RULE(a_pipelined_request_waits_for_the_reply_before_it),
        RULE(the_pipeline_goes_on_after_a_late_reply),
        RULE(any_cut_in_two_gives_the_same_reply),
        RULE(byte_by_byte_gives_the_same_reply),
        RULE(head_gives_the_length_and_no_body),
        RULE(http_1_0_closes_unless_it_asks_to_keep),
        RULE(a_client_that_asks_to_close_is_closed),
        RULE(unknown_paths_and_methods_answer_in_json_through_the_filters),
        RULE(malformed_requests_are_answered_counted_and_closed),
        RULE(too_long_a_head_is_431_and_too_long_a_line_414),
        RULE_WITH(server_with_small_limit, a_declared_length_over_the_limit_is_413_before_it_is_read),
        RULE_WITH(server_with_small_limit, a_chunked_body_over_the_limit_is_413_when_it_gets_there),
        RULE_WITH(server_with_small_limit, the_early_reply_is_readable_although_the_client_goes_on_sending),
        RULE(an_early_reply_keeps_the_connection_when_the_rest_is_small),
        RULE(an_early_reply_to_a_large_upload_closes),
        RULE(an_early_reply_to_a_chunked_upload_closes),
        RULE(a_route_without_a_body_drops_it_and_goes_on),
        RULE(says_100_continue_when_the_body_is_wanted),
        RULE(does_not_invite_a_body_that_a_filter_refuses),
        RULE(an_unwanted_body_is_not_invited_and_the_connection_ends),
        RULE(an_expectation_to_continue_without_a_body_is_passed_over),
        RULE(another_expectation_is_417),
        RULE(a_large_body_arrives_whole_and_its_memory_goes_back),
        RULE(the_declared_length_is_not_taken_in_advance),
        RULE(a_body_over_the_memory_budget_is_503),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
