/* collect.c -- the page of /metrics, read as a scraper reads it, and the probes */
#include "running.h"

static int begin(void **state)
{
    gateway_begin("0");
    return 0;
}

static int end(void **state)
{
    kill(getpid(), SIGTERM);
    gateway_ends();
    return 0;
}

static void one_chat(void)
{
    int client = chat(), e = engine_hears();

    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    hear_all(client);
    assert_status(200);
    close(e);
}

static const char *body_of_page(void)
{
    assert_true(is_status(run.metrics_port, "/metrics", "200"));
    assert_heard("content-type: text/plain; version=0.0.4");
    return strstr(heard, "\r\n\r\n") + 4;
}

#define FAMILIES_MAX 256

static struct families {
    char name[FAMILIES_MAX][128], type[FAMILIES_MAX][16];
    unsigned n;
} families;

/* "# TYPE name type": each family once. */
static void begin_family(const char *line)
{
    struct families *f = &families;

    assert_true(f->n < FAMILIES_MAX);
    assert_int_equal(sscanf(line, "# TYPE %127s %15s", f->name[f->n], f->type[f->n]), 2);
    for (unsigned i = 0; i < f->n; i++)
        if (strcmp(f->name[i], f->name[f->n]) == 0)
            fail_msg("family %s stands twice", f->name[i]);
    f->n++;
}

/* `name{a="b",c="d"} 1.5`: belongs to the family above it and has a number. */
static void check_sample(const char *line)
{
    const char *family = families.name[families.n - 1], *at = line + strlen(family);
    char *rest;

    assert_true(families.n > 0);
    if (strncmp(line, family, strlen(family)) != 0)
        fail_msg("%s stands below %s", line, family);
    if (strcmp(families.type[families.n - 1], "histogram") == 0) {
        const char *suffix = strncmp(at, "_bucket", 7) == 0 ? "_bucket" : strncmp(at, "_sum", 4) == 0 ? "_sum" : "_count";

        assert_int_equal(strncmp(at, suffix, strlen(suffix)), 0);
        at += strlen(suffix);
    }
    if (*at == '{') {
        do {
            at += strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_") + 1;
            assert_int_equal(strncmp(at, "=\"", 2), 0);
            for (at += 2; *at != '"'; at++)
                at += *at == '\\';
            at++;
        } while (*at == ',');
        assert_int_equal(*at, '}');
        at++;
    }
    assert_int_equal(*at, ' ');
    strtod(at + 1, &rest);
    if (*rest != 0 || rest == at + 1)
        fail_msg("no number: %s", line);
}

static void the_page_is_prometheus_text_and_no_family_stands_twice(void **state)
{
    static char page[HEARD_MAX];
    unsigned samples = 0;

    one_chat();
    snprintf(page, sizeof page, "%s", body_of_page());
    families.n = 0;
    for (char *save = NULL, *line = strtok_r(page, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            begin_family(line);
        } else if (line[0] != '#') {
            check_sample(line);
            samples++;
        }
    }
    assert_true(families.n > 10);
    assert_true(samples > families.n);
}

static void live_gauges_tell_of_workers_loops_and_the_process(void **state)
{
    char line[256];
    const char *page;
    int client, e;

    client = chat();
    e = engine_hears();
    page = body_of_page();
    snprintf(line, sizeof line, "\nsmg_worker_health{worker=\"%s\"} 1\n", run.engine_url);
    assert_non_null(strstr(page, line));
    snprintf(line, sizeof line, "\nsmg_worker_requests_active{worker=\"%s\"} 1\n", run.engine_url);
    assert_non_null(strstr(page, line));
    assert_non_null(strstr(page, "\nsmg_worker_pool_size{worker_type=\"regular\",connection_mode=\"http\",model=\"m\"} 1\n"));
    assert_non_null(strstr(page, "\nsmg_tokio_workers 2\n"));
    assert_non_null(strstr(page, "\nprocess_resident_memory_bytes "));
    assert_non_null(strstr(page, "\nsmg_http_connections_active 1\n"));
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    hear_all(client);
    close(e);
    page = body_of_page();
    snprintf(line, sizeof line, "\nsmg_worker_requests_active{worker=\"%s\"} 0\n", run.engine_url);
    assert_non_null(strstr(page, line));
}

static void metrics_are_not_on_the_main_port(void **state)
{
    assert_true(is_status(run.port, "/metrics", "404"));
    assert_true(is_status(run.metrics_port, "/v1/models", "404"));
}

static void probes_answer_on_both_ports(void **state)
{
    static const char *const PATHS[] = { "/liveness", "/health", "/readiness" };

    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        assert_true(is_status(run.port, PATHS[i], "200"));
        assert_true(is_status(run.probe_port, PATHS[i], "200"));
    }
    assert_heard("{\"status\":\"ready\",\"healthy_workers\":1,\"total_workers\":1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_prometheus_text_and_no_family_stands_twice),
        cmocka_unit_test(live_gauges_tell_of_workers_loops_and_the_process),
        cmocka_unit_test(metrics_are_not_on_the_main_port),
        cmocka_unit_test(probes_answer_on_both_ports),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
