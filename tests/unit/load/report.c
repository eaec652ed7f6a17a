/* report.c -- sums, rates and the two forms of the report */
#include "test.h"

#include <stdlib.h>

#include "json/json.h"
#include "load/load.h"

static struct load_report *report;

static int make_report(void **state)
{
    report = calloc(1, sizeof *report);
    load_tally_init(&report->t);
    return report ? 0 : -1;
}

static int drop_report(void **state)
{
    free(report);
    return 0;
}

static void merging_adds_everything_up(void **state)
{
    struct load_tally *a = malloc(sizeof *a), *b = malloc(sizeof *b);

    load_tally_init(a);
    load_tally_init(b);
    a->ok = 3, b->ok = 4;
    a->failed = 1, b->failed = 2;
    a->failures[LOAD_CUT] = 1, b->failures[LOAD_REFUSED] = 2;
    a->statuses[200] = 3, b->statuses[200] = 4, b->statuses[503] = 1;
    a->peak_streams = 10, b->peak_streams = 20;
    histogram_add(&a->latency, 100);
    histogram_add(&b->latency, 300);
    histogram_add(&b->ttft, 5);
    histogram_add(&b->itl, 6);
    histogram_add(&b->lag, 7);
    load_tally_merge(&report->t, a);
    load_tally_merge(&report->t, b);
    assert_int_equal(report->t.ok, 7);
    assert_int_equal(report->t.failed, 3);
    assert_int_equal(report->t.failures[LOAD_CUT], 1);
    assert_int_equal(report->t.failures[LOAD_REFUSED], 2);
    assert_int_equal(report->t.statuses[200], 7);
    assert_int_equal(report->t.statuses[503], 1);
    assert_int_equal(report->t.peak_streams, 30);
    assert_int_equal(report->t.latency.count, 2);
    assert_int_equal(report->t.latency.min, 100);
    assert_int_equal(report->t.latency.max, 300);
    assert_int_equal(report->t.ttft.count + report->t.itl.count + report->t.lag.count, 3);
    free(a);
    free(b);
}

/* A member by its path: "latency_ms.p50". */
static double number_at(const struct json_doc *doc, const char *path)
{
    struct str rest = str_of(path), key;
    struct json v = json_root(doc);
    double d = 0;

    while (rest.n) {
        (void)str_split(rest, '.', &key, &rest);
        v = json_get(v, key);
    }
    if (json_to_double(v, &d) < 0)
        fail_msg("%s is no number", path);
    return d;
}

static void the_json_form_parses_and_has_every_figure(void **state)
{
    struct load_conf conf = {
        .authority = STR("h:1"), .path = STR("/p"), .model = STR("m\"x"), .rate = 12.5, .stream = true, .api_key = STR("sk-secret")
    };
    struct buf out = { 0 };
    struct arena arena;
    struct json_doc doc;

    report->window_us = 2000000;
    report->elapsed_us = 2500000;
    report->concurrency = 9;
    report->threads = 2;
    report->t.ok = 12;
    report->t.window_ok = 10;
    report->t.window_tokens = 100;
    report->t.failures[LOAD_BAD_SSE] = 2;
    report->t.failed = 2;
    report->t.statuses[200] = 12;
    for (uint64_t us = 1000; us <= 100000; us += 1000)
        histogram_add(&report->t.latency, us);
    load_report_json(report, &conf, &out);
    assert_false(out.failed);
    arena_init(&arena, NULL, 0);
    assert_int_equal(json_parse(buf_str(&out), &arena, &doc, NULL), 0);
    assert_true(number_at(&doc, "throughput.requests_per_s") == 5);
    assert_true(number_at(&doc, "throughput.output_tokens_per_s") == 50);
    assert_true(number_at(&doc, "config.rate") == 12.5);
    assert_true(number_at(&doc, "config.concurrency") == 9);
    assert_true(number_at(&doc, "requests.ok") == 12);
    assert_true(number_at(&doc, "failures.bad_sse") == 2);
    assert_true(number_at(&doc, "failures.refused") == 0);
    assert_true(number_at(&doc, "statuses.200") == 12);
    assert_true(number_at(&doc, "latency_ms.count") == 100);
    assert_true(number_at(&doc, "latency_ms.max") == 100);
    assert_true(number_at(&doc, "latency_ms.p50") > 49 && number_at(&doc, "latency_ms.p50") < 53);
    assert_true(number_at(&doc, "latency_ms.p99") > 97 && number_at(&doc, "latency_ms.p99") <= 100);
    assert_true(number_at(&doc, "lag_ms.p99") == 0);
    assert_int_equal(str_find(buf_str(&out), STR("secret")), STR_NPOS);
    arena_fini(&arena);
    buf_fini(&out);
}

static void the_table_names_what_failed(void **state)
{
    struct load_conf conf = { .stream = true };
    struct buf out = { 0 };

    report->window_us = 1000000;
    report->threads = 1;
    report->t.ok = report->t.window_ok = 5;
    report->t.failed = 3;
    report->t.failures[LOAD_CUT] = 2;
    report->t.failures[LOAD_STATUS] = 1;
    report->t.statuses[503] = 1;
    histogram_add(&report->t.ttft, 1500);
    load_report_table(report, &conf, &out);
    assert_true(str_find(buf_str(&out), STR("5 succeeded, 3 failed")) != STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("5.0 requests/s")) != STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("2 x reply cut short")) != STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("1 x HTTP 503")) != STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("first token")) != STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("1.50 ms")) != STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("token gap")) == STR_NPOS); /* nothing to say */
    buf_fini(&out);
}

static void a_run_without_a_window_has_no_rates_and_no_infinities(void **state)
{
    struct load_conf conf = { 0 };
    struct buf out = { 0 };

    report->t.ok = report->t.window_ok = 5;
    load_report_json(report, &conf, &out);
    load_report_table(report, &conf, &out);
    assert_int_equal(str_find(buf_str(&out), STR("inf")), STR_NPOS);
    assert_int_equal(str_find(buf_str(&out), STR("nan")), STR_NPOS);
    buf_fini(&out);
}

static void the_progress_line_fits_a_terminal(void **state)
{
    struct load_progress p = { .elapsed_us = 99999900000,
                               .in_flight = 10000,
                               .ended = 999999999,
                               .requests_per_s = 99999.9,
                               .tokens_per_s = 1e7,
                               .p50_us = 999,
                               .p99_us = 99999 };
    struct buf out = { 0 };

    load_progress_line(&p, &out);
    assert_in_range(out.n, 60, 120);
    assert_int_equal(str_find_char(buf_str(&out), '\n'), STR_NPOS);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(merging_adds_everything_up, make_report, drop_report),
        cmocka_unit_test_setup_teardown(the_json_form_parses_and_has_every_figure, make_report, drop_report),
        cmocka_unit_test_setup_teardown(the_table_names_what_failed, make_report, drop_report),
        cmocka_unit_test_setup_teardown(a_run_without_a_window_has_no_rates_and_no_infinities, make_report, drop_report),
        cmocka_unit_test_setup_teardown(the_progress_line_fits_a_terminal, make_report, drop_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
