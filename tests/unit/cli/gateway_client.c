/* gateway_client.c -- targets, tokens, and what answers mean; whole questions are asked by tests/integration/test_cli.py */
#include "stand_ins.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/gateway_client.h"

static struct arena arena;
static struct buf out;

static int begin(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int end(void **state)
{
    arena_fini(&arena);
    buf_fini(&out);
    return 0;
}

static void a_target_is_a_url_with_or_without_a_path(void **state)
{
    struct gateway_target t;

    assert_int_equal(gateway_target_parse(STR("http://gw:8080"), &arena, &t, NULL), 0);
    assert_true(str_eq(t.host, STR("gw")) && t.port == 8080 && t.base.n == 0);
    assert_true(str_eq(t.authority, STR("gw:8080")));
    assert_int_equal(gateway_target_parse(STR("http://[::1]:9/a/b//"), &arena, &t, NULL), 0);
    assert_true(str_eq(t.host, STR("::1")) && str_eq(t.authority, STR("[::1]:9")));
    assert_true(str_eq(t.base, STR("/a/b")));
    assert_int_equal(gateway_target_parse(STR("http://gw"), &arena, &t, NULL), 0);
    assert_int_equal(t.port, 80);
}

static void a_gateway_may_speak_tls(void **state)
{
    struct gateway_options o = { .gateway = STR_INIT("https://127.0.0.1:1"), .timeout_s = 5 };
    struct gateway_client g;
    struct err err = { 0 };

    assert_int_equal(gateway_open(&g, &o, NULL, &arena, NULL), 0);
    assert_true(g.target.tls && g.tls);
    gateway_close(&g);
    o.client_cert = STR("cert.pem");
    assert_int_equal(gateway_open(&g, &o, NULL, &arena, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "--client-key"));
    gateway_close(&g);
    buf_clear(&out);
    gateway_explain_failure(&g, &g.target, ERR_TLS_SELF_SIGNED, &out);
    assert_true(str_find(buf_str(&out), STR("--ca-cert")) != STR_NPOS);
}

static void what_is_no_url_is_refused_with_what_to_write(void **state)
{
    static const char *const BAD[] = {
        "", "gw", "gw:30000", "ftp://gw", "http://", "http://gw?x=1", "http://u:p@gw", "http://g w"
    };
    struct gateway_target t = { .port = 7 };
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_int_equal(gateway_target_parse(str_of(BAD[i]), &arena, &t, &err), ERR_INVALID);
        assert_non_null(strstr(err.message, "http://"));
        assert_int_equal(t.port, 7);
    }
}

static const struct gateway_options OPTIONS = { .gateway = STR_INIT("http://127.0.0.1:1"), .timeout_s = 5 };

static void the_token_comes_from_the_variable_or_from_the_file_that_outranks_it(void **state)
{
    char path[] = "/tmp/smg-token-XXXXXX";
    struct gateway_options o = OPTIONS;
    struct gateway_client g;
    int fd = mkstemp(path);

    assert_int_equal(write(fd, " from-file\n", 11), 11);
    close(fd);
    assert_int_equal(gateway_open(&g, &o, NULL, &arena, NULL), 0);
    assert_int_equal(g.token.n, 0);
    gateway_close(&g);
    assert_int_equal(gateway_open(&g, &o, "from-env\n", &arena, NULL), 0);
    assert_true(str_eq(g.token, STR("from-env")));
    gateway_close(&g);
    o.token_file = str_of(path);
    assert_int_equal(gateway_open(&g, &o, "from-env", &arena, NULL), 0);
    assert_true(str_eq(g.token, STR("from-file")));
    gateway_close(&g);
    unlink(path);
}

static void a_token_that_cannot_be_one_is_refused_without_being_shown(void **state)
{
    struct gateway_options o = OPTIONS;
    struct gateway_client g;
    struct err err = { 0 };

    assert_int_equal(gateway_open(&g, &o, "sec\nret", &arena, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "SMG_TOKEN"));
    assert_null(strstr(err.message, "sec"));
    gateway_close(&g);
    assert_int_equal(gateway_open(&g, &o, " ", &arena, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "empty"));
    gateway_close(&g);
    o.token_file = STR("/nonexistent/token");
    assert_int_equal(gateway_open(&g, &o, NULL, &arena, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent/token"));
    gateway_close(&g);
}

static const char *explain(const struct gateway_client *g, unsigned status, const char *body)
{
    buf_clear(&out);
    gateway_explain(g, status, str_of(body), &out);
    buf_put_char(&out, 0);
    return out.p;
}

static void an_answer_is_explained_in_the_gateways_own_words(void **state)
{
    struct gateway_client g = { .target.text = STR("http://gw") };

    assert_string_equal(explain(&g, 409, "{\"error\":\"it is there\",\"code\":\"X\"}"),
                        "the gateway says: it is there (status 409)");
    assert_string_equal(explain(&g, 422, "{\"error\":{\"message\":\"bad shape\"}}"), "the gateway says: bad shape (status 422)");
    assert_string_equal(explain(&g, 500, "{\"message\":\"broken\"}"), "the gateway says: broken (status 500)");
    assert_string_equal(explain(&g, 503, "try later\n"), "the gateway says: try later (status 503)");
    assert_string_equal(explain(&g, 502, "<html>"), "the gateway answered with status 502 Bad Gateway");
    assert_string_equal(explain(&g, 500, "{\"error\":\"a\\u001bb\"}"), "the gateway says: a?b (status 500)");
}

static void refusals_name_the_remedy(void **state)
{
    struct gateway_client g = { .target.text = STR("http://gw") };

    assert_non_null(strstr(explain(&g, 401, ""), "SMG_TOKEN"));
    assert_non_null(strstr(explain(&g, 404, "{}"), "is http://gw a gateway"));
    assert_null(strstr(explain(&g, 404, "{\"error\":\"no w\",\"code\":\"WORKER_NOT_FOUND\"}"), "is http://gw"));
    g.token = STR("hush");
    g.token_from = STR("the file t");
    assert_non_null(strstr(explain(&g, 401, ""), "the token in the file t"));
    assert_null(strstr(out.p, "hush"));
    assert_non_null(strstr(explain(&g, 403, ""), "role admin"));
}

static void every_failure_names_the_gateway(void **state)
{
    static const int CODES[] = { ERR_TIMEOUT,  ERR_REFUSED, ERR_RESOLVE, ERR_RESET, ERR_CLOSED,
                                 ERR_PROTOCOL, ERR_LIMIT,   ERR_NOMEM,   ERR_IO };
    struct gateway_client g = { .target.text = STR("http://gw"), .timeout_ms = 1500 };

    for (size_t i = 0; i < ARRAY_LEN(CODES); i++) {
        buf_clear(&out);
        gateway_explain_failure(&g, &g.target, CODES[i], &out);
        assert_true(str_has_prefix(buf_str(&out), STR("http://gw ")));
    }
    buf_clear(&out);
    gateway_explain_failure(&g, &g.target, ERR_TIMEOUT, &out);
    assert_true(str_find(buf_str(&out), STR("1.5 s")) != STR_NPOS);
}

static void a_refused_connection_is_status_three(void **state)
{
    struct gateway_client g;
    struct gateway_reply r;

    assert_int_equal(gateway_open(&g, &OPTIONS, NULL, &arena, NULL), 0); /* nobody listens on port 1 */
    assert_int_equal(gateway_do(&g, HTTP_GET, STR("/workers"), STR_NONE, 0, &r), CLI_UNREACHABLE);
    gateway_reply_fini(&r);
    assert_int_equal(gateway_do(&g, HTTP_GET, STR("/workers"), STR_NONE, 0, &r), CLI_UNREACHABLE); /* the loop runs again */
    gateway_reply_fini(&r);
    assert_int_equal(gateway_pause(&g, 1), CLI_OK);
    gateway_close(&g);
}

static void a_signal_ends_what_waits_and_all_that_would(void **state)
{
    struct gateway_client g;
    struct gateway_reply r;

    assert_int_equal(gateway_open(&g, &OPTIONS, NULL, &arena, NULL), 0);
    assert_int_equal(kill(getpid(), SIGINT), 0);
    assert_int_equal(gateway_pause(&g, 3600000), CLI_INTERRUPTED);
    assert_int_equal(gateway_do(&g, HTTP_GET, STR("/workers"), STR_NONE, 0, &r), CLI_INTERRUPTED);
    gateway_reply_fini(&r);
    gateway_close(&g);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        ROW(a_target_is_a_url_with_or_without_a_path),
        ROW(a_gateway_may_speak_tls),
        ROW(what_is_no_url_is_refused_with_what_to_write),
        ROW(the_token_comes_from_the_variable_or_from_the_file_that_outranks_it),
        ROW(a_token_that_cannot_be_one_is_refused_without_being_shown),
        ROW(an_answer_is_explained_in_the_gateways_own_words),
        ROW(refusals_name_the_remedy),
        ROW(every_failure_names_the_gateway),
        ROW(a_refused_connection_is_status_three),
        ROW(a_signal_ends_what_waits_and_all_that_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
