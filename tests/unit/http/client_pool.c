/* client_pool.c -- which connections are kept, which are used again, and how they end (see client_scene.h) */
#include "client_scene.h"

#include <limits.h>

/* ---- which connections are kept ---- */

static void bytes_behind_a_reply_close_the_connection(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(LENGTH_REPLY "HTTP/1.1 200 OK\r\n") },
                                            { .reply = STR_INIT(EMPTY_REPLY EMPTY_REPLY) },
                                            { .reply = STR_INIT(CHUNKED_REPLY "\n") } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 3);
    assert_seen(0, "200 hello world=0");
    assert_seen(1, "204 =0");
    assert_seen(2, "200 hello world=0");
    assert_int_equal(scene.stats.opened, 3);
    assert_int_equal(scene.stats.idle, 0);
}

static void a_reply_that_says_close_is_obeyed(void **state)
{
    static const struct script SCRIPT[] = { { .reply =
                                                  STR_INIT("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok") },
                                            { .reply = STR_INIT("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok") } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 2);
    assert_seen(0, "200 ok=0");
    assert_seen(1, "200 ok=0");
    assert_int_equal(scene.stats.opened, 2);
    assert_int_equal(scene.stats.idle, 0);
}

static void a_kept_connection_that_died_unseen_is_replaced_once(void **state)
{
    for (enum script_after how = SCRIPT_FIN; how <= SCRIPT_RST; how++) {
        const struct script scripts[] = { { .reply = STR(LENGTH_REPLY) }, { .after = how }, { .reply = STR(EMPTY_REPLY) } };

        SCENE(SCRIPTS(scripts), .calls_n = 2);
        assert_seen(1, "204 =0");
        assert_true(scene.seen[1].fresh_retry);
        assert_false(scene.seen[1].reused);
        assert_int_equal(scene.stats.opened, 2);
        assert_int_equal(scene.stats.closed_dead, 1);
        end_test(state);
    }
}

static void a_fresh_connection_that_dies_is_not_replaced(void **state)
{
    static const struct script SCRIPT[] = {
        { .reply = STR_INIT(LENGTH_REPLY) }, { .after = SCRIPT_FIN }, { .after = SCRIPT_FIN }, { .reply = STR_INIT(EMPTY_REPLY) }
    };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 2);
    assert_seen(1, "=-12");
    assert_true(scene.seen[1].fresh_retry);
    assert_int_equal(scene.server.accepted, 2);
}

static void a_kept_connection_that_began_to_answer_is_not_replaced(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(LENGTH_REPLY) }, { .reply = STR_INIT("H"), .after = SCRIPT_FIN } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 2);
    assert_seen(1, "=-12");
    assert_true(scene.seen[1].reused);
    assert_false(scene.seen[1].fresh_retry);
}

static void blurt(struct scene *t)
{
    script_server_blurt(&t->server, "HTTP/1.1 408 Request Timeout\r\n\r\n");
}

static void hang_up(struct scene *t)
{
    script_server_hang_up(&t->server);
}

static void an_idle_connection_that_speaks_or_ends_is_dropped_at_once(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(LENGTH_REPLY) } };

    for (int i = 0; i < 2; i++) {
        SCENE(SCRIPTS(SCRIPT), .late_ms = 100, .on_time = i ? blurt : hang_up, .time_ms = 50);
        assert_seen(0, "200 hello world=0");
        assert_int_equal(scene.stats.idle, 1);
        assert_int_equal(scene.late_stats.idle, 0);
        assert_int_equal(scene.late_stats.closed_dead, 1);
        end_test(state);
    }
}

static void idle_connections_end_with_their_time(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(EMPTY_REPLY) },
                                            { .reply = STR_INIT(EMPTY_REPLY) },
                                            { .reply = STR_INIT(EMPTY_REPLY) } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 3, .together = 3, .conf.idle_ms = 40, .late_ms = 150);
    assert_int_equal(scene.stats.idle, 3);
    assert_int_equal(scene.late_stats.idle, 0);
    assert_int_equal(scene.late_stats.closed_dead, 0);
}

static void bounds_of_idle_connections_close_the_oldest(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(EMPTY_REPLY) },
                                            { .reply = STR_INIT(EMPTY_REPLY) },
                                            { .reply = STR_INIT(EMPTY_REPLY) } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 3, .together = 3, .conf.idle_per_origin_max = 2);
    assert_int_equal(scene.stats.opened, 3);
    assert_int_equal(scene.stats.idle, 2);
    SCENE(SCRIPTS(SCRIPT), .calls_n = 3, .together = 3, .conf.idle_max = 1);
    assert_int_equal(scene.stats.idle, 1);
}

static void want(struct seen *s, unsigned idle_max, uint32_t idle_ms)
{
    s->call.own_pool = true;
    s->call.pool_idle_max = idle_max;
    s->call.pool_idle_ms = idle_ms;
}

static void none_kept(struct seen *s)
{
    want(s, 0, UINT32_MAX);
}

static void none_for_long(struct seen *s)
{
    want(s, UINT_MAX, 0);
}

static void one_kept(struct seen *s)
{
    want(s, 1, UINT32_MAX);
}

static void a_call_may_bound_what_is_kept_of_its_origin(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(EMPTY_REPLY) },
                                            { .reply = STR_INIT(EMPTY_REPLY) },
                                            { .reply = STR_INIT(EMPTY_REPLY) } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 3, .together = 3, .on_start = none_kept);
    assert_int_equal(scene.stats.idle, 0);
    SCENE(SCRIPTS(SCRIPT), .calls_n = 3, .together = 3, .on_start = none_for_long);
    assert_int_equal(scene.stats.idle, 0);
    SCENE(SCRIPTS(SCRIPT), .calls_n = 3, .together = 3, .on_start = one_kept);
    assert_int_equal(scene.stats.idle, 1);
    assert_int_equal(scene.stats.opened, 3);
}

/* The first one is kept as long as the client says, the others go soon: the oldest does not end first. */
static void others_go_soon(struct seen *s)
{
    if (s != &scene.seen[0])
        want(s, UINT_MAX, 30);
}

static void a_call_may_say_how_long_its_connection_is_kept(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(EMPTY_REPLY) },
                                            { .reply = STR_INIT(EMPTY_REPLY) },
                                            { .reply = STR_INIT(EMPTY_REPLY) } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 3, .together = 3, .on_start = others_go_soon, .late_ms = 150);
    assert_int_equal(scene.stats.idle, 3);
    assert_int_equal(scene.late_stats.idle, 1);
}

static void forget(struct scene *t)
{
    struct http_client_stats stats;

    http_client_forget(t->client, STR("127.0.0.1"), (uint16_t)(t->server.port + 1));
    http_client_stats(t->client, &stats);
    assert_int_equal(stats.idle, 2);
    http_client_forget(t->client, STR("127.0.0.1"), t->server.port);
    http_client_forget(t->client, STR("127.0.0.1"), t->server.port);
}

static void forgetting_an_origin_closes_its_idle_connections(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(EMPTY_REPLY) }, { .reply = STR_INIT(EMPTY_REPLY) } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 2, .together = 2, .on_late = forget);
    assert_int_equal(scene.stats.idle, 2);
    assert_int_equal(scene.late_stats.idle, 0);
}

static void names_are_resolved(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(EMPTY_REPLY) }, { .reply = STR_INIT(EMPTY_REPLY) } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 2, .host = STR("localhost"));
    assert_seen(0, "204 =0");
    assert_int_equal(scene.stats.opened, 1);
    assert_int_equal(scene.stats.reused, 1);
}

#define TEST(t) cmocka_unit_test_teardown(t, end_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_behind_a_reply_close_the_connection),
        TEST(a_reply_that_says_close_is_obeyed),
        TEST(a_kept_connection_that_died_unseen_is_replaced_once),
        TEST(a_fresh_connection_that_dies_is_not_replaced),
        TEST(a_kept_connection_that_began_to_answer_is_not_replaced),
        TEST(an_idle_connection_that_speaks_or_ends_is_dropped_at_once),
        TEST(idle_connections_end_with_their_time),
        TEST(bounds_of_idle_connections_close_the_oldest),
        TEST(a_call_may_bound_what_is_kept_of_its_origin),
        TEST(a_call_may_say_how_long_its_connection_is_kept),
        TEST(forgetting_an_origin_closes_its_idle_connections),
        TEST(names_are_resolved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
