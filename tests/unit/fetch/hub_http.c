/* hub_http.c -- single requests: heads, redirects, who gets the token, what another attempt is worth */
#include "fetch/hub_http.h"

#include "fetch/canned_server.h"

static struct hub_config config = { .connect_ms = 10000, .stall_s = 10, .backoff_ms = 1, .retry_after_max_s = 1, .attempts = 3 };
static struct hub_progress progress;
static _Atomic bool cancel;
static struct hub_http http;
static struct hub_head head;
static struct err err;
static char body[256];

static int open_session(void **state)
{
    (void)state;
    config.endpoint = can.url;
    config.token = NULL;
    atomic_store(&cancel, false);
    atomic_store(&can.requests, 0);
    body[0] = 0;
    return hub_http_init(&http, &config, &progress, &cancel, NULL);
}

static int close_session(void **state)
{
    (void)state;
    hub_http_fini(&http);
    return 0;
}

static int keep(void *arg, const struct hub_head *h, struct str bytes, struct err *e)
{
    (void)arg, (void)h, (void)e;
    snprintf(body + strlen(body), sizeof body - strlen(body), "%.*s", STR_FMT(bytes));
    return 0;
}

static int get(const char *path, struct hub_request r)
{
    char url[256];

    snprintf(url, sizeof url, "%s%s", can.url, path);
    r.url = url;
    r.max_bytes = r.max_bytes ? r.max_bytes : 1000;
    r.part = keep;
    return hub_http_get(&http, &r, &head, &err);
}

#define OK(fields, text) "HTTP/1.1 200 OK\r\nConnection: close\r\n" fields "\r\n" text

static void a_head_is_read(void **state)
{
    static const struct canned ROWS[] = {
        { "/full", OK("ETag: W/\"abc\"\r\nX-Linked-ETAG: \"def\"\r\nx-repo-commit: "
                      "0123456789abcdef0123456789abcdef01234567\r\nX-Linked-Size: 77\r\nContent-Length: 2\r\n",
                      "hi") },
        { "/odd", OK("ETag: \"../x\"\r\nX-Linked-ETAG: \"a/b\"\r\nX-Repo-Commit: nonsense\r\nX-Linked-Size: -1\r\nContent-Range: "
                     "bits 1-2/3\r\n",
                     "") },
        { "/part", "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: plain\r\nContent-Range: bytes "
                   "5-9/1234\r\nContent-Length: 5\r\n\r\n56789" },
        { "/none",
          "HTTP/1.1 416 Range Not Satisfiable\r\nConnection: close\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n" },
        { "/busy", "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 7\r\nX-Error-Code: "
                   "RateLimit\r\nContent-Length: 4\r\n\r\nbusy" },
    };

    CAN(ROWS);
    assert_int_equal(get("/full", (struct hub_request){ 0 }), 0);
    assert_int_equal(head.status, 200);
    assert_string_equal(head.etag, "abc");
    assert_string_equal(head.linked_etag, "def");
    assert_string_equal(head.commit, "0123456789abcdef0123456789abcdef01234567");
    assert_true(head.has_linked_size && head.linked_size == 77 && head.has_length && head.length == 2 && !head.has_range);
    assert_string_equal(body, "hi");
    assert_int_equal(get("/odd", (struct hub_request){ 0 }), 0);
    assert_true(head.etag[0] == 0 && head.linked_etag[0] == 0 && head.commit[0] == 0 && !head.has_linked_size && !head.has_total);
    assert_int_equal(get("/part", (struct hub_request){ .range = HUB_FROM, .from = 5, .if_range = "plain" }), 0);
    assert_true(head.status == 206 && head.has_range && head.range_from == 5 && head.has_total && head.total == 1234);
    assert_non_null(strstr(can.last, "\r\nRange: bytes=5-\r\n"));
    assert_non_null(strstr(can.last, "\r\nIf-Range: \"plain\"\r\n"));
    assert_non_null(strstr(can.last, "\r\nAccept-Encoding: identity\r\n"));
    assert_int_equal(get("/none", (struct hub_request){ .range = HUB_FIRST_BYTE }), 0);
    assert_true(head.status == 416 && !head.has_range && head.has_total && head.total == 0);
    assert_non_null(strstr(can.last, "\r\nRange: bytes=0-0\r\n"));
    body[0] = 0;
    assert_int_equal(get("/busy", (struct hub_request){ 0 }), 0);
    assert_true(head.status == 429 && head.retry_after_s == 7);
    assert_string_equal(head.error_code, "RateLimit");
    assert_string_equal(body, ""); /* no file */
}

static void redirects_are_followed_and_the_hubs_fields_kept(void **state)
{
    static const struct canned ROWS[] = {
        { "/a", "HTTP/1.1 307 Temporary Redirect\r\nConnection: close\r\nLocation: /b?x=1\r\nX-Linked-Etag: kept\r\nETag: "
                "gone\r\nContent-Length: 3\r\n\r\nxxx" },
        { "/b?x=1", OK("Content-Length: 2\r\n", "hi") },
        { "/circle", "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /circle\r\nContent-Length: 0\r\n\r\n" },
        { "/file", "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n" },
        { "/bare", "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n" },
    };

    CAN(ROWS);
    assert_int_equal(get("/a", (struct hub_request){ 0 }), 0);
    assert_int_equal(head.status, 200);
    assert_string_equal(head.linked_etag, "kept");
    assert_string_equal(head.etag, "");
    assert_string_equal(body, "hi");
    assert_int_equal(get("/circle", (struct hub_request){ 0 }), ERR_LIMIT);
    assert_int_equal(get("/file", (struct hub_request){ 0 }), ERR_PROTOCOL);
    assert_int_equal(get("/bare", (struct hub_request){ 0 }), 0);
    assert_int_equal(head.status, 304);
}

static void the_token_is_for_the_endpoints_origin_only(void **state)
{
    static char elsewhere[256];
    static struct canned rows[] = { { "/here", OK("Content-Length: 0\r\n", "") }, { "/away", elsewhere } };

    config.token = (char[]){ "secret" };
    CAN(rows);
    assert_int_equal(get("/here", (struct hub_request){ 0 }), 0);
    assert_non_null(strstr(can.last, "\r\nAuthorization: Bearer secret\r\n"));
    snprintf(elsewhere, sizeof elsewhere,
             "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: http://localhost:%u/here\r\nContent-Length: 0\r\n\r\n",
             can.port);
    assert_int_equal(get("/away", (struct hub_request){ 0 }), 0);
    assert_int_equal(head.status, 200);
    assert_null(strstr(can.last, "secret"));
    assert_int_equal(get("/away", (struct hub_request){ .hub_only = true }), 0);
    assert_true(head.elsewhere && strstr(head.url, "localhost") != NULL && strstr(can.last, "/away") != NULL);
}

static void a_body_past_its_bound_is_refused(void **state)
{
    static const struct canned ROWS[] = { { "/x?signature=1", OK("Content-Length: 10\r\n", "0123456789") } };

    CAN(ROWS);
    assert_int_equal(get("/x?signature=1", (struct hub_request){ .max_bytes = 9 }), ERR_LIMIT);
    assert_non_null(strstr(err.message, "larger than 9 bytes"));
    assert_null(strstr(err.message, "signature"));
}

static void a_body_that_breaks_off_is_a_reset(void **state)
{
    static const struct canned ROWS[] = { { "/x?signature=1", OK("Content-Length: 100\r\n", "0123456789") } };

    CAN(ROWS);
    assert_int_equal(get("/x?signature=1", (struct hub_request){ 0 }), ERR_RESET);
    assert_null(strstr(err.message, "signature"));
}

static void patience_ends_with_the_attempts(void **state)
{
    static const struct canned ROWS[] = { { "/busy", "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" } };
    char url[128];
    const struct hub_request r = { .url = url, .max_bytes = 1 };

    CAN(ROWS);
    snprintf(url, sizeof url, "%s/busy", can.url);
    atomic_store(&progress.phase, HUB_ASKING);
    assert_int_equal(hub_http_get_patiently(&http, &r, 3, &head, &err), 0);
    assert_int_equal(head.status, 503);
    assert_int_equal(can.requests, 3);
    assert_int_equal(progress.phase, HUB_ASKING);
}

static void a_pause_is_bounded_and_can_be_cancelled(void **state)
{
    assert_int_equal(hub_http_pause(&http, 40, 0, &err), 0); /* 16 ms, not an age */
    assert_int_equal(hub_http_pause(&http, 1, 2, &err), ERR_BUSY);
    assert_non_null(strstr(err.message, "in 2 seconds"));
    atomic_store(&cancel, true);
    assert_int_equal(hub_http_pause(&http, 1, 1, &err), ERR_CANCELLED);
    assert_int_equal(get("/x", (struct hub_request){ 0 }), ERR_CANCELLED);
    assert_int_equal(can.requests, 0);
}

static void what_may_pass_is_asked_again(void **state)
{
    static const unsigned PASSING[] = { 408, 429, 500, 502, 503, 504 }, STAYING[] = { 200, 206, 400, 401, 403, 404, 416, 501 };

    for (size_t i = 0; i < ARRAY_LEN(PASSING); i++)
        assert_true(hub_http_is_passing(0, PASSING[i]));
    for (size_t i = 0; i < ARRAY_LEN(STAYING); i++)
        assert_false(hub_http_is_passing(0, STAYING[i]));
    assert_true(hub_http_is_passing(ERR_RESET, 0) && hub_http_is_passing(ERR_TIMEOUT, 0) && hub_http_is_passing(ERR_REFUSED, 0));
    assert_false(hub_http_is_passing(ERR_PROTOCOL, 0) || hub_http_is_passing(ERR_CANCELLED, 503) ||
                 hub_http_is_passing(ERR_NOMEM, 0));
}

static void a_refusal_says_what_to_do(void **state)
{
    static const struct {
        unsigned status;
        const char *code;
        int error;
        const char *text;
    } ROWS[] = {
        { 401, "RepoNotFound", ERR_NOT_FOUND, "HF_TOKEN" },
        { 401, "GatedRepo", ERR_NOT_FOUND, "terms" },
        { 403, "", ERR_NOT_FOUND, "/org/name" },
        { 404, "RevisionNotFound", ERR_NOT_FOUND, "revision" },
        { 404, "", ERR_NOT_FOUND, "not found" },
        { 429, "", ERR_BUSY, "too many" },
        { 500, "", ERR_PROTOCOL, "status 500" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        for (unsigned with_token = 0; with_token < 2; with_token++) {
            config.token = with_token ? (char[]){ "secret" } : NULL;
            head.status = ROWS[i].status;
            snprintf(head.error_code, sizeof head.error_code, "%s", ROWS[i].code);
            assert_int_equal(hub_http_refusal(&http, &head, STR("org/name"), &err), ROWS[i].error);
            assert_non_null(strstr(err.message, ROWS[i].text));
            assert_null(strstr(err.message, "secret"));
        }
    }
}

static void paths_are_escaped(void **state)
{
    struct buf b = { 0 };

    hub_http_escape(&b, STR("a-_.~/ %?#\xC3\xA4"), true);
    buf_put_char(&b, ' ');
    hub_http_escape(&b, STR("refs/pr/1"), false);
    assert_str(buf_str(&b), "a-_.~/%20%25%3F%23%C3%A4 refs%2Fpr%2F1");
    buf_fini(&b);
}

#define IN_A_SESSION(test) cmocka_unit_test_setup_teardown(test, open_session, close_session)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_SESSION(a_head_is_read),
        IN_A_SESSION(redirects_are_followed_and_the_hubs_fields_kept),
        IN_A_SESSION(the_token_is_for_the_endpoints_origin_only),
        IN_A_SESSION(a_body_past_its_bound_is_refused),
        IN_A_SESSION(a_body_that_breaks_off_is_a_reset),
        IN_A_SESSION(patience_ends_with_the_attempts),
        IN_A_SESSION(a_pause_is_bounded_and_can_be_cancelled),
        IN_A_SESSION(what_may_pass_is_asked_again),
        IN_A_SESSION(a_refusal_says_what_to_do),
        IN_A_SESSION(paths_are_escaped),
    };

    return cmocka_run_group_tests(tests, can_open, can_close);
}
