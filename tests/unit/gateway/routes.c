/* routes.c -- what must hold of the route and filter arrays as a whole */
#include "test.h"

#include "gateway/gateway_internal.h"

#define EACH(r, array, n) for (const struct route *r = (array); r < (array) + (n); r++)

static void every_route_has_a_path_a_handler_and_a_context(void **state)
{
    EACH(r, GATEWAY_ROUTES, GATEWAY_ROUTES_N)
    {
        assert_true(r->path[0] == '/');
        assert_non_null(r->handler);
        assert_true(r->context < CONTEXT_COUNT);
    }
}

static void no_method_and_path_stand_twice(void **state)
{
    EACH(a, GATEWAY_ROUTES, GATEWAY_ROUTES_N)
    EACH(b, a + 1, (size_t)(GATEWAY_ROUTES + GATEWAY_ROUTES_N - (a + 1)))
    assert_false(a->method == b->method && strcmp(a->path, b->path) == 0);
}

static void what_costs_a_workers_time_asks_for_a_key_and_reads_a_body(void **state)
{
    EACH(r, GATEWAY_ROUTES, GATEWAY_ROUTES_N)
    {
        if (r->method != HTTP_POST || r->context != CONTEXT_INFERENCE)
            continue;
        assert_int_equal(r->auth, ROUTE_DATA);
        assert_int_equal(r->body, strstr(r->path, "/cancel") ? ROUTE_BODY_NONE : ROUTE_BODY_BUFFER);
        assert_non_null(r->endpoint);
    }
}

static void what_changes_the_gateway_is_the_admins(void **state)
{
    EACH(r, GATEWAY_ROUTES, GATEWAY_ROUTES_N)
    {
        if (r->context != CONTEXT_ADMIN)
            continue;
        /* The engines' metrics are public, as in SMG (spec control-plane 2): a page to read. */
        assert_int_equal(r->auth, strcmp(r->path, "/engine_metrics") == 0 ? ROUTE_PUBLIC : ROUTE_ADMIN);
    }
}

static void tokenizers_are_the_admins_and_tokenizing_is_for_keys_of_the_data_plane(void **state)
{
    EACH(r, GATEWAY_ROUTES, GATEWAY_ROUTES_N)
    {
        if (r->context == CONTEXT_TOKENIZERS)
            assert_int_equal(r->auth, strncmp(r->path, "/v1/tokenizers", 14) == 0 ? ROUTE_ADMIN : ROUTE_DATA);
    }
}

static void workers_messages_and_tokenizers_speak_their_own_errors(void **state)
{
    EACH(r, GATEWAY_ROUTES, GATEWAY_ROUTES_N)
    {
        enum route_errors want = strncmp(r->path, "/workers", 8) == 0        ? ROUTE_ERRORS_WORKERS
                                 : strncmp(r->path, "/v1/messages", 12) == 0 ? ROUTE_ERRORS_ANTHROPIC
                                 : r->context == CONTEXT_TOKENIZERS          ? ROUTE_ERRORS_TYPED
                                 : r->handler == admin_add_wasm              ? ROUTE_ERRORS_TYPED /* add_result */
                                                                             : ROUTE_ERRORS_OPENAI;

        assert_int_equal(r->errors, want);
    }
}

static void a_get_waits_for_no_body(void **state)
{
    EACH(r, GATEWAY_ROUTES, GATEWAY_ROUTES_N)
    if (r->method == HTTP_GET)
        assert_int_equal(r->body, ROUTE_BODY_NONE);
}

static void probes_and_metrics_are_public_and_of_the_gateway(void **state)
{
    EACH(r, PROBE_ROUTES, PROBE_ROUTES_N)
    {
        assert_int_equal(r->auth, ROUTE_PUBLIC);
        assert_int_equal(r->context, CONTEXT_GATEWAY);
    }
    EACH(r, METRICS_ROUTES, METRICS_ROUTES_N)
    {
        assert_int_equal(r->auth, ROUTE_PUBLIC);
        assert_int_equal(r->context, CONTEXT_GATEWAY);
    }
}

static void the_arrays_make_routers(void **state)
{
    struct router *router;

    assert_int_equal(router_new(GATEWAY_ROUTES, GATEWAY_ROUTES_N, &router, NULL), 0);
    router_free(router);
    assert_int_equal(router_new(PROBE_ROUTES, PROBE_ROUTES_N, &router, NULL), 0);
    router_free(router);
    assert_int_equal(router_new(METRICS_ROUTES, METRICS_ROUTES_N, &router, NULL), 0);
    router_free(router);
}

static size_t place_of(const char *filter)
{
    for (size_t i = 0; i < GATEWAY_FILTERS_N; i++)
        if (strcmp(GATEWAY_FILTERS[i].name, filter) == 0)
            return i;
    fail_msg("no filter \"%s\"", filter);
    return 0;
}

static void every_filter_does_something_in_a_context(void **state)
{
    for (size_t i = 0; i < GATEWAY_FILTERS_N; i++) {
        const struct filter *f = &GATEWAY_FILTERS[i];

        assert_true(f->on_head || f->on_body || f->on_reply || f->on_end);
        assert_true(f->context < CONTEXT_COUNT);
        assert_int_equal(place_of(f->name), i); /* names are unique */
    }
}

static void what_refuses_stands_behind_what_names_counts_and_logs(void **state)
{
    assert_true(place_of("request id") < place_of("metrics"));
    assert_true(place_of("metrics") < place_of("404 and 405"));
    assert_true(place_of("access log") < place_of("404 and 405"));
    assert_true(place_of("CORS") < place_of("404 and 405"));
    assert_true(place_of("body limit") < place_of("auth"));
    assert_true(place_of("auth") < place_of("404 and 405")); /* who may not come in is not told which methods there are */
    assert_true(place_of("auth") < place_of("plugins"));     /* decision 3 */
    assert_true(place_of("plugins") < place_of("admission"));
}

static void plugins_see_the_data_plane_but_for_multipart_forms(void **state)
{
    EACH(r, GATEWAY_ROUTES, GATEWAY_ROUTES_N)
    assert_int_equal(r->plugins, strncmp(r->path, "/v1/audio/", 10) == 0 ? ROUTE_PLUGINS_NEVER : ROUTE_PLUGINS_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_has_a_path_a_handler_and_a_context),
        cmocka_unit_test(no_method_and_path_stand_twice),
        cmocka_unit_test(what_costs_a_workers_time_asks_for_a_key_and_reads_a_body),
        cmocka_unit_test(what_changes_the_gateway_is_the_admins),
        cmocka_unit_test(workers_messages_and_tokenizers_speak_their_own_errors),
        cmocka_unit_test(tokenizers_are_the_admins_and_tokenizing_is_for_keys_of_the_data_plane),
        cmocka_unit_test(a_get_waits_for_no_body),
        cmocka_unit_test(probes_and_metrics_are_public_and_of_the_gateway),
        cmocka_unit_test(the_arrays_make_routers),
        cmocka_unit_test(every_filter_does_something_in_a_context),
        cmocka_unit_test(plugins_see_the_data_plane_but_for_multipart_forms),
        cmocka_unit_test(what_refuses_stands_behind_what_names_counts_and_logs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
