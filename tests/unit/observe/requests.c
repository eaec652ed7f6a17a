/* requests.c -- one line and a handful of numbers per request
 *
 * The exchanges are the test's own: only the members that the filters read are filled. The log goes to a file in stdout's place.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "observe/prometheus.h"
#include "observe/requests.h"

static struct loop *loop;
static struct observe_requests observe;

static int open_loop(void **state)
{
    assert_int_equal(loop_new("test", 0, &loop, NULL), 0);
    observe_requests_init(&observe, loop);
    return 0;
}

static int close_loop(void **state)
{
    observe_requests_stop(&observe);
    loop_free(loop);
    return 0;
}

static struct exchange an_exchange(enum http_method method, const char *label)
{
    return (struct exchange){
        .loop = loop,
        .req = { .method = method, .method_text = http_method_text(method), .path = str_of(label) },
        .route_label = label,
        .request_id = STR("id-1"),
        .outcome = EX_FINISHED,
        .status = 200,
        .began_us = loop_now_exact_us(loop),
    };
}

static void pass(struct exchange *ex)
{
    assert_int_equal(observe_metrics_on_head(ex, &observe), FILTER_GO_ON);
    observe_metrics_on_end(ex, &observe);
}

static char page[4 << 20];

static void read_page(void)
{
    struct buf out = { 0 };

    buf_put_char(&out, '\n');
    prometheus_render(&out, NULL, 0);
    assert_true(out.n < sizeof page);
    memcpy(page, out.p, out.n);
    page[out.n] = 0;
    buf_fini(&out);
}

/* On the page that was read last. */
static void assert_stands(const char *line)
{
    char want[512];

    snprintf(want, sizeof want, "\n%.500s\n", line);
    if (!strstr(page, want))
        fail_msg("not counted: %s in %s", line, page);
}

static void assert_counted(const char *line)
{
    read_page();
    assert_stands(line);
}

/* ---- metrics ---- */

static void a_request_is_in_flight_until_its_end(void **state)
{
    struct exchange a = an_exchange(HTTP_GET, "/a"), b = an_exchange(HTTP_GET, "/a");

    observe_metrics_on_head(&a, &observe);
    observe_metrics_on_head(&b, &observe);
    assert_counted("smg_http_connections_active 2");
    observe_metrics_on_end(&a, &observe);
    assert_counted("smg_http_connections_active 1");
    observe_metrics_on_end(&b, &observe);
    assert_counted("smg_http_connections_active 0");
    assert_counted("smg_http_requests_total{method=\"GET\",path=\"/a\"} 2");
    assert_counted("smg_http_request_duration_seconds_count{method=\"GET\",path=\"/a\"} 2");
    assert_counted("smg_http_responses_total{path=\"/a\",status_code=\"200\",error_code=\"\"} 2");
}

static void methods_paths_and_statuses_are_counted_apart(void **state)
{
    struct exchange get = an_exchange(HTTP_GET, "/a"), post = an_exchange(HTTP_POST, "/a"), other = an_exchange(HTTP_POST, "/b");

    post.status = 404;
    pass(&get);
    pass(&post);
    pass(&other);
    assert_counted("smg_http_requests_total{method=\"GET\",path=\"/a\"} 1");
    assert_counted("smg_http_requests_total{method=\"POST\",path=\"/a\"} 1");
    assert_counted("smg_http_requests_total{method=\"POST\",path=\"/b\"} 1");
    assert_counted("smg_http_responses_total{path=\"/a\",status_code=\"404\",error_code=\"\"} 1");
}

static void an_error_code_makes_a_series_of_its_own(void **state)
{
    struct exchange ex = an_exchange(HTTP_POST, "/a");

    ex.status = 503;
    pass(&ex);
    ex.facts.error_code = STR("no_workers");
    pass(&ex);
    pass(&ex);
    assert_counted("smg_http_responses_total{path=\"/a\",status_code=\"503\",error_code=\"\"} 1");
    assert_counted("smg_http_responses_total{path=\"/a\",status_code=\"503\",error_code=\"no_workers\"} 2");
}

static void a_client_that_left_before_a_status_counts_as_499(void **state)
{
    struct exchange ex = an_exchange(HTTP_POST, "/a");

    ex.status = 0;
    ex.outcome = EX_ABORTED;
    pass(&ex);
    assert_counted("smg_http_responses_total{path=\"/a\",status_code=\"499\",error_code=\"\"} 1");
}

static void a_request_that_was_malformed_counts_but_was_never_in_flight(void **state)
{
    struct exchange ex = an_exchange(HTTP_OTHER, "other");

    ex.status = 400;
    observe_metrics_on_end(&ex, &observe); /* no filter saw its head */
    assert_counted("smg_http_connections_active 0");
    assert_counted("smg_http_requests_total{method=\"OTHER\",path=\"other\"} 1");
    assert_counted("smg_http_responses_total{path=\"other\",status_code=\"400\",error_code=\"\"} 1");
}

static void an_age_equal_to_a_bound_belongs_to_the_lower_bucket(void **state)
{
    static const struct {
        uint64_t seconds;
        unsigned bucket;
    } ROWS[] = { { 0, 0 }, { 30, 0 }, { 31, 1 }, { 60, 1 }, { 61, 2 }, { 86400, 10 }, { 86401, 11 }, { UINT64_MAX, 11 } };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_int_equal(observe_age_bucket(ROWS[i].seconds), ROWS[i].bucket);
}

/* More routes and statuses than the caches have places. */
static void series_that_share_a_place_in_the_cache_are_counted_apart(void **state)
{
    static char labels[4 * REQUEST_CELLS][16];
    char line[256];

    for (unsigned i = 0; i < ARRAY_LEN(labels); i++)
        snprintf(labels[i], sizeof labels[i], "/path/%u", i);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < ARRAY_LEN(labels); i++) {
            struct exchange ex = an_exchange(i % 2 ? HTTP_GET : HTTP_POST, labels[i]);

            ex.status = 200 + i % 7;
            pass(&ex);
        }
    read_page();
    for (unsigned i = 0; i < ARRAY_LEN(labels); i++) {
        snprintf(line, sizeof line, "smg_http_requests_total{method=\"%s\",path=\"%.15s\"} 3", i % 2 ? "GET" : "POST", labels[i]);
        assert_stands(line);
        snprintf(line, sizeof line, "smg_http_request_duration_seconds_count{method=\"%s\",path=\"%.15s\"} 3",
                 i % 2 ? "GET" : "POST", labels[i]);
        assert_stands(line);
        snprintf(line, sizeof line, "smg_http_responses_total{path=\"%.15s\",status_code=\"%u\",error_code=\"\"} 3", labels[i],
                 200 + i % 7);
        assert_stands(line);
    }
}

static void a_place_taken_over_while_a_request_runs_does_not_take_its_duration(void **state)
{
    static char labels[4 * REQUEST_CELLS][16];
    struct exchange slow = an_exchange(HTTP_GET, "/slow");

    observe_metrics_on_head(&slow, &observe);
    for (unsigned i = 0; i < ARRAY_LEN(labels); i++) {
        struct exchange ex;

        snprintf(labels[i], sizeof labels[i], "/other/%u", i);
        ex = an_exchange(HTTP_GET, labels[i]);
        pass(&ex);
    }
    observe_metrics_on_end(&slow, &observe);
    assert_counted("smg_http_request_duration_seconds_count{method=\"GET\",path=\"/slow\"} 1");
    assert_counted("smg_http_request_duration_seconds_count{method=\"GET\",path=\"/other/7\"} 1");
}

/* ---- access log ---- */

static char logged[64 * 1024];

/* What the log of LEVEL holds after EX ended; in `logged`. */
static void log_of(enum log_level level, struct exchange *ex)
{
    struct log_conf conf = { .level = level, .format = LOG_JSON };
    FILE *f = tmpfile();
    int real = dup(STDOUT_FILENO);
    ssize_t n;

    assert_non_null(f);
    fflush(stdout);
    dup2(fileno(f), STDOUT_FILENO);
    assert_int_equal(log_start(&conf, NULL), 0);
    observe_access_log_on_end(ex, NULL);
    log_stop();
    dup2(real, STDOUT_FILENO);
    close(real);
    n = pread(fileno(f), logged, sizeof logged - 1, 0);
    assert_true(n >= 0);
    logged[n] = 0;
    fclose(f);
}

#define assert_line(part)                            \
    do {                                             \
        if (!strstr(logged, (part)))                 \
            fail_msg("no %s in %s", (part), logged); \
    } while (0)
#define assert_no_line(part) assert_null(strstr(logged, (part)))

static void a_good_request_is_one_line_of_smgs_fields(void **state)
{
    struct exchange ex = an_exchange(HTTP_POST, "/v1/chat/completions");

    ex.bytes_in = 10;
    ex.bytes_out = 20;
    log_of(LOG_INFO, &ex);
    assert_line("\"level\":\"INFO\",\"message\":\"finished processing "
                "request\",\"method\":\"POST\",\"uri\":\"/v1/chat/completions\",\"request_id\":\"id-1\","
                "\"status_code\":200,\"latency\":");
    assert_line("\"bytes_in\":10,\"bytes_out\":20,\"target\":\"smg::response\"}\n");
    assert_no_line("attempts");
    assert_no_line("model");
    assert_no_line("outcome");
    assert_no_line("ttft_us");
    assert_ptr_equal(strchr(logged, '\n') + 1, logged + strlen(logged)); /* one */
}

static void what_dispatch_learned_stands_in_the_line(void **state)
{
    struct exchange ex = an_exchange(HTTP_POST, "/v1/chat/completions");

    ex.facts = (struct exchange_facts){
        .model = STR("m"), .worker = STR("http://w:1"), .attempts = 2, .first_byte_us = ex.began_us + 1234
    };
    log_of(LOG_INFO, &ex);
    assert_line("\"model\":\"m\",\"worker\":\"http://w:1\",\"attempts\":2,\"ttft_us\":1234,");
}

static void client_errors_warn_and_server_errors_are_errors(void **state)
{
    struct exchange ex = an_exchange(HTTP_POST, "/a");

    ex.status = 404;
    ex.facts.error_code = STR("model_not_found");
    log_of(LOG_INFO, &ex);
    assert_line("\"level\":\"WARN\",\"message\":\"request failed with client error\"");
    assert_line("\"error_code\":\"model_not_found\"");
    ex.status = 503;
    log_of(LOG_INFO, &ex);
    assert_line("\"level\":\"ERROR\",\"message\":\"request failed with server error\"");
}

static void a_reply_that_was_cut_is_an_error_whatever_its_status(void **state)
{
    struct exchange ex = an_exchange(HTTP_POST, "/a");

    ex.outcome = EX_FAILED;
    log_of(LOG_INFO, &ex);
    assert_line("\"level\":\"ERROR\"");
    assert_line("\"status_code\":200");
    assert_line("\"outcome\":\"failed\"");
}

static void a_client_that_left_is_499_and_aborted(void **state)
{
    struct exchange ex = an_exchange(HTTP_POST, "/a");

    ex.status = 0;
    ex.outcome = EX_ABORTED;
    log_of(LOG_INFO, &ex);
    assert_line("\"level\":\"WARN\"");
    assert_line("\"status_code\":499");
    assert_line("\"outcome\":\"aborted\"");
}

static void the_query_string_is_left_out(void **state)
{
    struct exchange ex = an_exchange(HTTP_GET, "/a");

    ex.req.target = STR("/a?key=secret");
    ex.req.query = STR("key=secret");
    log_of(LOG_DEBUG, &ex);
    assert_line("\"uri\":\"/a\"");
    assert_no_line("secret");
}

static void probes_are_logged_at_debug_unless_they_fail(void **state)
{
    static const char *const PROBES[] = { "/health", "/liveness", "/readiness" };

    for (size_t i = 0; i < ARRAY_LEN(PROBES); i++) {
        struct exchange ex = an_exchange(HTTP_GET, PROBES[i]);

        log_of(LOG_INFO, &ex);
        assert_string_equal(logged, "");
        log_of(LOG_DEBUG, &ex);
        assert_line("\"level\":\"DEBUG\"");
        ex.status = 503;
        log_of(LOG_INFO, &ex);
        assert_line("\"level\":\"ERROR\"");
    }
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_request_is_in_flight_until_its_end),
        RULE(methods_paths_and_statuses_are_counted_apart),
        RULE(an_error_code_makes_a_series_of_its_own),
        RULE(a_client_that_left_before_a_status_counts_as_499),
        RULE(a_request_that_was_malformed_counts_but_was_never_in_flight),
        RULE(an_age_equal_to_a_bound_belongs_to_the_lower_bucket),
        RULE(series_that_share_a_place_in_the_cache_are_counted_apart),
        RULE(a_place_taken_over_while_a_request_runs_does_not_take_its_duration),
        RULE(a_good_request_is_one_line_of_smgs_fields),
        RULE(what_dispatch_learned_stands_in_the_line),
        RULE(client_errors_warn_and_server_errors_are_errors),
        RULE(a_reply_that_was_cut_is_an_error_whatever_its_status),
        RULE(a_client_that_left_is_499_and_aborted),
        RULE(the_query_string_is_left_out),
        RULE(probes_are_logged_at_debug_unless_they_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
