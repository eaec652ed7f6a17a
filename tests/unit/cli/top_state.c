/* top_state.c -- answers of the gateway become rows; counters become rates */
#include "stand_ins.h"

#include "fail_alloc.h"

#include "cli/top_state.h"

#define LIST                                                                                                  \
    "{\"workers\":[{\"id\":\"1\",\"model_id\":\"m\",\"url\":\"http://a:1\",\"status\":\"ready\",\"load\":2}," \
    "{\"id\":\"2\",\"url\":\"http://b:2\",\"status\":\"draining\",\"load\":0}],\"total\":2}"
#define LIST_OF_B "{\"workers\":[{\"id\":\"2\",\"url\":\"http://b:2\",\"status\":\"ready\",\"load\":1}],\"total\":1}"
#define SECOND    1000000u

static struct top_state s;

static int begin(void **state)
{
    top_state_init(&s);
    return 0;
}

static int end(void **state)
{
    top_state_fini(&s);
    return 0;
}

static void set_page(const char *url, double requests, double active, double failures, double seconds, uint64_t now_us)
{
    struct buf page = { 0 };

    buf_printf(&page,
               "# TYPE smg_worker_requests_total counter\n"
               "smg_worker_requests_total{worker=\"%s\"} %g\nsmg_worker_requests_active{worker=\"%s\"} %g\n"
               "smg_worker_errors_total{worker_type=\"regular\"} 7\n"
               "smg_worker_failures_total{worker=\"%s\"} %g\nsmg_worker_request_seconds_total{worker=\"%s\"} %g\n",
               url, requests, url, active, url, failures, url, seconds);
    top_set_metrics(&s, buf_str(&page), now_us);
    buf_fini(&page);
}

static void the_list_becomes_rows_in_its_order(void **state)
{
    assert_int_equal(top_set_workers(&s, STR(LIST)), 0);
    assert_true(s.listed);
    assert_int_equal(s.n, 2);
    assert_true(str_eq(s.rows[0].url, STR("http://a:1")));
    assert_true(str_eq(s.rows[0].model, STR("m")));
    assert_int_equal(s.rows[0].load, 2);
    assert_true(str_eq(s.rows[1].status, STR("draining")));
    assert_true(s.rows[0].rate < 0 && s.rows[0].engine.kv_use < 0);
}

static void an_answer_that_makes_no_sense_changes_nothing(void **state)
{
    static const char *const BAD[] = { "", "no json", "{}", "[]", "{\"workers\":{}}", "{\"workers\":[" };

    assert_int_equal(top_set_workers(&s, STR(LIST)), 0);
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_int_equal(top_set_workers(&s, str_of(BAD[i])), ERR_SYNTAX);
        assert_int_equal(top_set_loads(&s, str_of(BAD[i])), ERR_SYNTAX);
        assert_int_equal(s.n, 2);
    }
}

static void elements_without_a_url_and_second_ones_are_left_out(void **state)
{
    assert_int_equal(top_set_workers(&s, STR("{\"workers\":[7,{},{\"url\":\"u\"},{\"url\":\"u\",\"load\":5},{\"url\":\"v\"}]}")),
                     0);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.rows[0].load, 0);
}

static void loads_find_their_worker(void **state)
{
    assert_int_equal(top_set_workers(&s, STR(LIST)), 0);
    assert_int_equal(
        top_set_loads(&s,
                      STR("{\"workers\":[{\"worker\":\"http://b:2\",\"load\":5,\"details\":{\"loads\":[{\"token_usage\":0.5}]}},"
                          "{\"worker\":\"http://gone\",\"load\":1}]}")),
        0);
    assert_false(s.rows[0].engine.known);
    assert_float_equal(s.rows[1].engine.kv_use, 0.5, 1e-9);
}

static void two_pages_make_a_rate(void **state)
{
    assert_int_equal(top_set_workers(&s, STR(LIST)), 0);
    set_page("http://a:1", 100, 10, 1, 50, 5 * SECOND);
    assert_true(s.rows[0].rate < 0);
    assert_false(s.rated);
    set_page("http://a:1", 131, 11, 4, 56, 7 * SECOND);
    assert_true(s.rated);
    assert_float_equal(s.rows[0].rate, 15, 1e-9); /* 30 ended in 2 s */
    assert_float_equal(s.rows[0].errors, 1.5, 1e-9);
    assert_float_equal(s.rows[0].latency_s, 0.2, 1e-9);
    assert_true(s.rows[1].rate < 0);
}

static void nothing_that_ended_has_no_latency(void **state)
{
    assert_int_equal(top_set_workers(&s, STR(LIST)), 0);
    set_page("http://a:1", 100, 0, 0, 50, SECOND);
    set_page("http://a:1", 101, 1, 0, 50, 2 * SECOND);
    assert_float_equal(s.rows[0].rate, 0, 1e-9);
    assert_true(s.rows[0].latency_s < 0);
}

static void counters_that_go_back_are_a_restart_and_no_rate(void **state)
{
    assert_int_equal(top_set_workers(&s, STR(LIST)), 0);
    set_page("http://a:1", 100, 0, 0, 50, SECOND);
    set_page("http://a:1", 3, 0, 0, 1, 2 * SECOND);
    assert_true(s.rows[0].rate < 0);
    set_page("http://a:1", 5, 0, 0, 2, 3 * SECOND);
    assert_float_equal(s.rows[0].rate, 2, 1e-9);
}

static void a_worker_keeps_what_is_known_while_it_stays_listed(void **state)
{
    assert_int_equal(top_set_workers(&s, STR(LIST)), 0);
    set_page("http://b:2", 10, 0, 0, 1, SECOND);
    set_page("http://b:2", 20, 0, 0, 2, 2 * SECOND);
    assert_int_equal(top_set_workers(&s, STR(LIST_OF_B)), 0);
    assert_int_equal(s.n, 1);
    assert_float_equal(s.rows[0].rate, 10, 1e-9);
    assert_int_equal(top_set_workers(&s, STR("{\"workers\":[]}")), 0);
    assert_int_equal(top_set_workers(&s, STR(LIST_OF_B)), 0);
    assert_true(s.rows[0].rate < 0); /* it came anew */
}

static void pages_of_other_programs_are_passed_over(void **state)
{
    static const char *const PAGES[] = { "",
                                         "\n\n",
                                         "smg_worker_requests_total",
                                         "smg_worker_requests_total{",
                                         "smg_worker_requests_total{worker=\"",
                                         "smg_worker_requests_total{worker=\"http://a:1\"}",
                                         "smg_worker_requests_total{worker=\"http://a:1\"} x",
                                         "smg_worker_requests_total{worker=\"http://a:1\",b=\"c\"} 1" };

    assert_int_equal(top_set_workers(&s, STR(LIST)), 0);
    for (size_t i = 0; i < ARRAY_LEN(PAGES); i++) {
        top_set_metrics(&s, str_of(PAGES[i]), (i + 1) * SECOND);
        assert_true(s.rows[0].seen_us == 0 && s.rows[0].rate < 0);
    }
}

static void a_name_cannot_command_the_terminal(void **state)
{
    assert_int_equal(top_set_workers(&s, STR("{\"workers\":[{\"url\":\"http://a\",\"model_id\":\"x\\u001b[2J\"}]}")), 0);
    assert_true(str_eq(s.rows[0].model, STR("x?[2J")));
}

static void a_list_comes_whole_or_not_at_all_when_memory_runs_out(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct top_state t;
        int r;

        top_state_init(&t);
        r = top_set_workers(&t, STR(LIST));
        assert_true(r == 0 || r == ERR_NOMEM);
        assert_int_equal(t.n, r == 0 ? 2 : 0);
        r = top_set_loads(&t, STR("{\"workers\":[{\"worker\":\"http://b:2\",\"load\":5}]}"));
        assert_true(r == 0 || r == ERR_NOMEM);
        top_state_fini(&t);
    }
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        ROW(the_list_becomes_rows_in_its_order),
        ROW(an_answer_that_makes_no_sense_changes_nothing),
        ROW(elements_without_a_url_and_second_ones_are_left_out),
        ROW(loads_find_their_worker),
        ROW(two_pages_make_a_rate),
        ROW(nothing_that_ended_has_no_latency),
        ROW(counters_that_go_back_are_a_restart_and_no_rate),
        ROW(a_worker_keeps_what_is_known_while_it_stays_listed),
        ROW(pages_of_other_programs_are_passed_over),
        ROW(a_name_cannot_command_the_terminal),
        cmocka_unit_test(a_list_comes_whole_or_not_at_all_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
