/* cors.c -- which origins may call, and how preflights are answered (spec operations 18.1) */
#include "served.h"

static const struct str LISTED[] = { STR_INIT("https://a.example"), STR_INIT("https://b.example") };
static const struct str STAR[] = { STR_INIT("*") };

static void with_origins(const struct str *origins, size_t n)
{
    served_do(nothing, NULL);
    served.cors = (struct cors){ origins, n };
    served_do(nothing, NULL);
}

static void ask_as(const char *method, const char *path, const char *origin)
{
    char request[256];
    int fd = client();

    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: a\r\nOrigin: %s\r\n\r\n", method, path, origin);
    say(fd, request);
    hear_reply(fd);
    close(fd);
}

static void any_origin_may_call_by_default(void **state)
{
    ask_as("GET", "/hello", "https://evil.example");
    assert_true(heard_field("access-control-allow-origin: *"));
    assert_true(heard_field("access-control-expose-headers: *"));
    assert_true(heard_field("vary: origin, access-control-request-method, access-control-request-headers"));
    assert_null(strstr(heard.text, "access-control-allow-methods"));
}

static void a_star_in_the_list_means_any(void **state)
{
    with_origins(STAR, 1);
    ask_as("GET", "/hello", "https://c.example");
    assert_true(heard_field("access-control-allow-origin: *"));
}

static void listed_origins_are_echoed_and_others_get_nothing(void **state)
{
    with_origins(LISTED, 2);
    ask_as("GET", "/hello", "https://b.example");
    assert_true(heard_field("access-control-allow-origin: https://b.example"));
    assert_true(heard_field("access-control-expose-headers: x-request-id"));
    ask_as("GET", "/hello", "https://B.example");
    assert_int_equal(heard.status, 200);
    assert_null(strstr(heard.text, "access-control-allow-origin"));
}

static void a_preflight_is_answered_for_every_path(void **state)
{
    static const char *const paths[] = { "/hello", "/nowhere", "*" };

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        ask_as("OPTIONS", paths[i], "https://a.example");
        assert_int_equal(heard.status, 200);
        assert_int_equal(heard.body_n, 0);
        assert_true(heard_field("access-control-allow-methods: *"));
        assert_true(heard_field("access-control-allow-headers: *"));
        assert_true(heard_field("access-control-max-age: 3600"));
        assert_non_null(strstr(heard.text, "\r\nx-request-id: req-"));
    }
    assert_int_equal(SEEN(handled), 0);
}

static void a_listed_origin_may_put(void **state)
{
    with_origins(LISTED, 2);
    ask_as("OPTIONS", "/workers/1", "https://a.example");
    assert_true(heard_field("access-control-allow-methods: GET,POST,PUT,PATCH,DELETE,OPTIONS"));
    assert_non_null(
        strstr(heard.text, "access-control-allow-headers: content-type,authorization,x-api-key,anthropic-version,x-request-id"));
}

static void a_workers_view(struct exchange *ex)
{
    exchange_add_name(ex, STR("access-control-allow-origin"), STR("https://worker.example"));
    exchange_add_name(ex, STR("x-request-id"), STR("the worker's"));
    exchange_reply(ex, 200, TYPE_TEXT, STR("ok"));
}

static void a_workers_own_fields_are_replaced(void **state)
{
    SET(probe, a_workers_view);
    ask_as("GET", "/probe", "https://a.example");
    assert_null(strstr(heard.text, "worker"));
    assert_true(heard_field("access-control-allow-origin: *"));
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, default_server, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(any_origin_may_call_by_default),
        RULE(a_star_in_the_list_means_any),
        RULE(listed_origins_are_echoed_and_others_get_nothing),
        RULE(a_preflight_is_answered_for_every_path),
        RULE(a_listed_origin_may_put),
        RULE(a_workers_own_fields_are_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
