/* fetch.c -- whole replies into memory, with a bound */
#include "script_server.h"

#include "http/client.h"

#define LENGTH_REPLY  "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
#define CHUNKED_REPLY "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
#define CLOSE_REPLY   "HTTP/1.1 200 OK\r\n\r\nhello world"
#define TYPED_REPLY                                                                                                \
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n " \
    "world\r\n0\r\n\r\n"

static struct {
    struct loop *loop;
    struct script_server server;
    struct http_client *client;
    struct http_fetch fetch;
    struct deferred begin;
    struct timer end; /* of a fetch that was cancelled: nothing else would end the test */
    int status;
    unsigned dones;
} t;

static void end_run(void)
{
    http_client_free(t.client);
    script_server_close(&t.server);
    loop_stop(t.loop);
}

static void on_done(struct http_fetch *f, int status)
{
    t.status = status;
    t.dones++;
    end_run();
}

static void on_end_of_wait(struct timer *timer)
{
    end_run();
}

static void begin(struct deferred *d)
{
    t.fetch.call.port = t.server.port;
    assert_int_equal(http_fetch_start(t.client, &t.fetch), 0);
    assert_int_equal(t.dones, 0);
}

static void begin_and_cancel(struct deferred *d)
{
    begin(d);
    http_fetch_cancel(&t.fetch);
    http_fetch_cancel(&t.fetch);
    timer_start(t.loop, &t.end, 50, on_end_of_wait);
}

static void run(const struct script *script, size_t max, void (*first)(struct deferred *d))
{
    memset(&t, 0, sizeof t);
    t.fetch = (struct http_fetch){
        .call = { .host = STR("127.0.0.1"), .method = HTTP_GET, .head = STR("GET / HTTP/1.1\r\nhost: a\r\n\r\n") },
        .done = on_done,
        .max = max,
    };
    assert_int_equal(loop_new("test", 0, &t.loop, NULL), 0);
    script_server_start(&t.server, t.loop, script, 1);
    assert_int_equal(http_client_new(t.loop, NULL, &t.client), 0);
    t.begin.run = first;
    loop_defer(t.loop, &t.begin);
    loop_run(t.loop);
    loop_free(t.loop);
}

static int end_test(void **state)
{
    http_fetch_fini(&t.fetch);
    return 0;
}

static void a_fetch_gathers_the_reply(void **state)
{
    const struct script script = { .reply = STR(TYPED_REPLY), .piece = 7 };

    run(&script, 11, begin);
    assert_int_equal(t.status, 0);
    assert_int_equal(t.dones, 1);
    assert_int_equal(t.fetch.status, 404);
    assert_string_equal(t.fetch.content_type, "text/plain");
    assert_str(buf_str(&t.fetch.body), "hello world");
}

static void a_fetch_that_outgrows_its_bound_ends(void **state)
{
    static const struct script BODIES[] = { { .reply = STR_INIT(LENGTH_REPLY) },
                                            { .reply = STR_INIT(CHUNKED_REPLY) },
                                            { .reply = STR_INIT(CLOSE_REPLY), .piece = 5, .after = SCRIPT_FIN } };

    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
        run(&BODIES[i], 10, begin);
        assert_int_equal(t.status, ERR_LIMIT);
        assert_int_equal(t.dones, 1);
        assert_int_equal(t.fetch.status, 200);
        http_fetch_fini(&t.fetch);
    }
}

static void a_fetch_reports_the_calls_failure(void **state)
{
    static const struct script CUT = { .reply = STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
                                       .after = SCRIPT_FIN };

    run(&CUT, 100, begin);
    assert_int_equal(t.status, ERR_CLOSED);
    assert_int_equal(t.dones, 1);
    assert_str(buf_str(&t.fetch.body), "hello");
}

static void a_cancelled_fetch_says_nothing(void **state)
{
    static const struct script SCRIPT = { .reply = STR_INIT(LENGTH_REPLY) };

    run(&SCRIPT, 100, begin_and_cancel);
    assert_int_equal(t.dones, 0);
}

static void a_long_content_type_is_cut(void **state)
{
    static const struct script SCRIPT = { .reply = STR_INIT(
                                              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: "
                                              "0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n") };

    run(&SCRIPT, 0, begin);
    assert_int_equal(t.status, 0);
    assert_int_equal(strlen(t.fetch.content_type), sizeof t.fetch.content_type - 1);
}

#define TEST(test) cmocka_unit_test_teardown(test, end_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fetch_gathers_the_reply),      TEST(a_fetch_that_outgrows_its_bound_ends), TEST(a_fetch_reports_the_calls_failure),
        TEST(a_cancelled_fetch_says_nothing), TEST(a_long_content_type_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
