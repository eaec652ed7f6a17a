/* prometheus.c -- the text of GET /metrics */
#include "test.h"

#include "observe/prometheus.h"

static const double BOUNDS[] = { 0.001, 0.5, 7200 };
static const struct metric_family REQUESTS = {
    .name = "t_requests_total", .help = "Requests", .type = METRIC_COUNTER, .labels = { "method", "path" }
};
static const struct metric_family DURATION = {
    .name = "t_duration_seconds", .help = "Time", .type = METRIC_HISTOGRAM, .labels = { "path" }, .bounds = BOUNDS, .bounds_n = 3
};
static const struct metric_family ACTIVE = { .name = "t_active", .help = "In flight", .type = METRIC_GAUGE, .labels = { NULL } };

static void assert_number(double v, const char *text)
{
    struct buf b = { 0 };

    prometheus_number(&b, v);
    assert_str(buf_str(&b), text);
    buf_fini(&b);
}

static void numbers_are_short_and_without_exponent(void **state)
{
    (void)state;
    assert_number(1, "1");
    assert_number(0.25, "0.25");
    assert_number(-1, "-1");
    assert_number(0.001, "0.001");
    assert_number(8128902, "8128902");
    assert_number(0.1, "0.1");
    assert_number(1.0 / 0.0, "+Inf");
    assert_number(0.0 / 0.0, "NaN");
}

static void cells_of_all_shards_are_summed_and_labels_keep_their_order(void **state)
{
    struct metrics_shard *a = metrics_shard_new(), *b = metrics_shard_new();
    struct str get[] = { STR("GET"), STR("/health") }, post[] = { STR("POST"), STR("/x\"\\\n") }, path[] = { STR("/health") };
    struct buf out = { 0 };

    (void)state;
    metric_add(metric_cell(a, &REQUESTS, get), 2);
    metric_add(metric_cell(b, &REQUESTS, get), 3);
    metric_add(metric_cell(b, &REQUESTS, post), 1);
    metric_add(metric_cell(a, &ACTIVE, NULL), 5);
    metric_add(metric_cell(b, &ACTIVE, NULL), -4);
    metric_observe_us(metric_cell(a, &DURATION, path), 500);
    metric_observe_us(metric_cell(b, &DURATION, path), 250000);
    prometheus_render(&out, NULL, 0);
    assert_str(buf_str(&out), "# HELP t_active In flight\n"
                              "# TYPE t_active gauge\n"
                              "t_active 1\n"
                              "\n"
                              "# HELP t_duration_seconds Time\n"
                              "# TYPE t_duration_seconds histogram\n"
                              "t_duration_seconds_bucket{path=\"/health\",le=\"0.001\"} 1\n"
                              "t_duration_seconds_bucket{path=\"/health\",le=\"0.5\"} 2\n"
                              "t_duration_seconds_bucket{path=\"/health\",le=\"7200\"} 2\n"
                              "t_duration_seconds_bucket{path=\"/health\",le=\"+Inf\"} 2\n"
                              "t_duration_seconds_sum{path=\"/health\"} 0.2505\n"
                              "t_duration_seconds_count{path=\"/health\"} 2\n"
                              "\n"
                              "# HELP t_requests_total Requests\n"
                              "# TYPE t_requests_total counter\n"
                              "t_requests_total{method=\"GET\",path=\"/health\"} 5\n"
                              "t_requests_total{method=\"POST\",path=\"/x\\\"\\\\\\n\"} 1\n");
    buf_fini(&out);
    metrics_shard_free(a);
    metrics_shard_free(b);
}

static void collect(struct prometheus_writer *w, void *arg)
{
    struct prometheus_label label = { "worker", STR("http://a:1") };

    prometheus_family(w, "t_health", METRIC_GAUGE, arg);
    prometheus_sample(w, &label, 1, 1);
    prometheus_sample(w, NULL, 0, 0.5);
}

static void collectors_write_families_of_their_own(void **state)
{
    struct prometheus_collector c = { collect, (void *)(uintptr_t) "Health" };
    struct buf out = { 0 };

    (void)state;
    prometheus_render(&out, &c, 1);
    assert_str(buf_str(&out), "# HELP t_health Health\n# TYPE t_health gauge\nt_health{worker=\"http://a:1\"} 1\nt_health 0.5\n");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_short_and_without_exponent),
        cmocka_unit_test(cells_of_all_shards_are_summed_and_labels_keep_their_order),
        cmocka_unit_test(collectors_write_families_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
