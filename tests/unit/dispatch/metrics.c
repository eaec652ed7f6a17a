/* metrics.c -- what dispatch counts, and that its cache of cells never counts for somebody else */
#include "stage.h"

#define MODELS 300 /* several per place of the cache */

static struct loop *loop;
static struct dispatcher *dispatcher;

static int open_loop(void **state)
{
    assert_int_equal(loop_new("test", 0, &loop, NULL), 0);
    assert_int_equal(dispatcher_new(loop, NULL, NULL, NULL, &(struct dispatcher_conf){ 0 }, &dispatcher), 0);
    return 0;
}

static int close_loop(void **state)
{
    dispatcher_free(dispatcher);
    loop_free(loop);
    return 0;
}

static void name(char text[16], unsigned i)
{
    snprintf(text, 16, "model-%u", i);
}

static void models_that_share_a_place_in_the_cache_are_counted_apart(void **state)
{
    char model[16], line[256];
    struct buf page = { 0 };

    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < MODELS; i++) {
            name(model, i);
            dispatch_count_request(dispatcher, str_of(model), "chat", i % 2);
            if (round == 0)
                dispatch_count_finished(dispatcher, str_of(model), "chat", i % 2, 1000, 500);
        }
    prometheus_render(&page, /* collectors= */ NULL, 0);
    buf_put_char(&page, 0);
    for (unsigned i = 0; i < MODELS; i++) {
        name(model, i);
        snprintf(line, sizeof line,
                 "smg_router_requests_total{router_type=\"http\",backend_type=\"regular\",connection_mode=\"http\",model=\"%s\","
                 "endpoint=\"chat\",streaming=\"%s\"} 3",
                 model, i % 2 ? "true" : "false");
        assert_true(page_says(page.p, line));
    }
    buf_fini(&page);
}

static void the_first_byte_is_timed_for_streams_only(void **state)
{
    dispatch_count_finished(dispatcher, STR("m"), "chat", false, 1000, 500);
    assert_not_counted("smg_router_ttft_seconds_count");
    dispatch_count_finished(dispatcher, STR("m"), "chat", true, 1000, 0); /* a stream without a body has no first byte */
    assert_not_counted(
        "smg_router_ttft_seconds_count{router_type=\"http\",backend_type=\"regular\",model=\"m\",endpoint=\"chat\"} 1");
    dispatch_count_finished(dispatcher, STR("m"), "chat", true, 1000, 500);
    assert_counted("smg_router_ttft_seconds_count{router_type=\"http\",backend_type=\"regular\",model=\"m\",endpoint=\"chat\"} 1");
    assert_counted(
        "smg_router_ttft_seconds_sum{router_type=\"http\",backend_type=\"regular\",model=\"m\",endpoint=\"chat\"} 0.0005");
}

static void a_model_name_longer_than_a_label_is_counted_every_time(void **state)
{
    char model[METRIC_VALUE_MAX * 2], line[METRIC_VALUE_MAX + 256];
    struct str m = { model, sizeof model };

    memset(model, 'x', sizeof model);
    dispatch_count_request(dispatcher, m, "chat", false);
    dispatch_count_request(dispatcher, m, "chat", false);
    snprintf(line, sizeof line,
             "smg_router_requests_total{router_type=\"http\",backend_type=\"regular\",connection_mode=\"http\",model=\"%.*s\","
             "endpoint=\"chat\","
             "streaming=\"false\"} 2",
             METRIC_VALUE_MAX, model);
    assert_counted(line);
}

static void model_names_from_clients_cannot_mint_series_without_a_bound(void **state)
{
    char model[16];

    for (unsigned i = 0; i < METRIC_SERIES_MAX + 100; i++) {
        name(model, i);
        dispatch_count_failed(dispatcher, str_of(model), "chat", 404);
    }
    assert_counted("smg_router_request_errors_total{router_type=\"other\",backend_type=\"other\",connection_mode=\"other\",model="
                   "\"other\",endpoint=\"other\","
                   "error_type=\"other\"} 101");
}

static void a_status_says_what_kind_of_error_it_was(void **state)
{
    static const struct {
        unsigned status;
        const char *kind;
    } ROWS[] = { { 400, "validation_error" }, { 404, "no_workers" },    { 408, "timeout" },       { 504, "timeout" },
                 { 500, "backend_error" },    { 502, "backend_error" }, { 429, "internal_error" } };
    char line[256];

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        char model[16];

        name(model, ROWS[i].status);
        dispatch_count_failed(dispatcher, str_of(model), "chat", ROWS[i].status);
        snprintf(line, sizeof line,
                 "smg_router_request_errors_total{router_type=\"http\",backend_type=\"regular\",connection_mode=\"http\",model=\"%"
                 "s\",endpoint=\"chat\","
                 "error_type=\"%s\"} 1",
                 model, ROWS[i].kind);
        assert_counted(line);
    }
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(models_that_share_a_place_in_the_cache_are_counted_apart),
        RULE(the_first_byte_is_timed_for_streams_only),
        RULE(a_model_name_longer_than_a_label_is_counted_every_time),
        RULE(model_names_from_clients_cannot_mint_series_without_a_bound),
        RULE(a_status_says_what_kind_of_error_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
