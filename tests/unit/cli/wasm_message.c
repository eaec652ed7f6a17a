/* wasm_message.c -- a request or a response is read from a file as HTTP writes it, or as JSON */
#include "test.h"

#include "cli/wasm_message.h"
#include "fail_alloc.h"

static struct arena arena;
static struct wasm_request req;
static struct wasm_response resp;
static struct err err;

static int begin(void **state)
{
    arena_init(&arena, NULL, 1 << 20);
    err = (struct err){ 0 };
    return 0;
}

static int end(void **state)
{
    arena_fini(&arena);
    return 0;
}

static void request(const char *text)
{
    assert_int_equal(wasm_message_request(str_of(text), &arena, &req, &err), 0);
}

static void response(const char *text)
{
    assert_int_equal(wasm_message_response(str_of(text), &arena, &resp, &err), 0);
}

static void expect_header(struct wasm_headers h, size_t i, const char *name, const char *value)
{
    assert_true(i < h.n);
    assert_str(h.v[i].name, name);
    assert_str(h.v[i].value, value);
}

static void a_request_as_http_writes_it(void **state)
{
    request("POST /v1/chat/completions?a=1&b=%20 HTTP/1.1\r\nHost: gw\r\nX-Two: 1\r\nx-two:2\r\n\r\n{\"model\":\"m\"}\n\nrest");
    assert_str(req.method, "POST");
    assert_str(req.path, "/v1/chat/completions");
    assert_str(req.query, "a=1&b=%20");
    assert_int_equal(req.headers.n, 3);
    expect_header(req.headers, 0, "host", "gw");
    expect_header(req.headers, 1, "x-two", "1");
    expect_header(req.headers, 2, "x-two", "2");
    assert_str(req.body, "{\"model\":\"m\"}\n\nrest");
}

static void lines_may_end_in_lf_and_the_version_and_the_body_may_be_absent(void **state)
{
    request("GET /v1/responses/r1\nx-a: b");
    assert_str(req.method, "GET");
    assert_str(req.path, "/v1/responses/r1");
    assert_int_equal(req.query.n, 0);
    expect_header(req.headers, 0, "x-a", "b");
    assert_int_equal(req.body.n, 0);
}

static void a_request_as_json(void **state)
{
    request(" {\"method\":\"PUT\",\"path\":\"/v1/x?q=1\",\"headers\":{\"X-A\":\"1\",\"x-b\":[\"2\",\"\\u0033\"]},\"body\":{ "
            "\"model\": 1 },\"request_id\":\"r\"}");
    assert_str(req.method, "PUT");
    assert_str(req.path, "/v1/x");
    assert_str(req.query, "q=1");
    assert_str(req.request_id, "r");
    assert_int_equal(req.headers.n, 3);
    expect_header(req.headers, 0, "x-a", "1");
    expect_header(req.headers, 2, "x-b", "3");
    assert_str(req.body, "{ \"model\": 1 }");
    request("{\"query\":\"z\",\"body\":\"te\\u0078t\"}");
    assert_str(req.method, "POST");
    assert_str(req.path, "/v1/chat/completions");
    assert_str(req.query, "z");
    assert_str(req.body, "text");
}

static void a_response_in_both_forms(void **state)
{
    response("HTTP/1.1 503 Service Unavailable\nContent-Type: text/plain\n\nno");
    assert_int_equal(resp.status, 503);
    expect_header(resp.headers, 0, "content-type", "text/plain");
    assert_str(resp.body, "no");
    response("HTTP/2 204");
    assert_int_equal(resp.status, 204);
    response("{\"status\":500,\"body\":[1]}");
    assert_int_equal(resp.status, 500);
    assert_str(resp.body, "[1]");
    response("{}");
    assert_int_equal(resp.status, 200);
    assert_int_equal(resp.body.n, 0);
}

static void what_is_neither_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *message;
    } requests[] = {
        { "", "line 1 is no request line: METHOD /path HTTP/1.1" },
        { "POST http://x/ HTTP/1.1", "line 1 is no request line: METHOD /path HTTP/1.1" },
        { "POST / HTTP/1.1\na: b\nno header\n", "line 3 is no header (name: value); an empty line goes before the body" },
        { "POST / HTTP/1.1\n: b\n", "line 2 is no header (name: value); an empty line goes before the body" },
        { "{\"path\":}", "expected value at line 1 column 9" },
        { "{\"path\":1}", "the member 'path' must be a string" },
        { "{\"headers\":[]}", "the member 'headers' must be an object of strings or of arrays of strings" },
        { "{\"headers\":{\"a\":1}}", "the member 'headers' must be an object of strings or of arrays of strings" },
        { "{\"headers\":{\"a\":[1]}}", "the member 'headers' must be an object of strings or of arrays of strings" },
    };
    static const char *const responses[] = {
        "", "HTTP/1.1", "HTTP/1.1 99 x", "HTTP/1.1 1000", "{\"status\":99}", "{\"status\":\"200\"}"
    };

    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        assert_true(wasm_message_request(str_of(requests[i].text), &arena, &req, &err) < 0);
        assert_string_equal(err.message, requests[i].message);
    }
    for (size_t i = 0; i < ARRAY_LEN(responses); i++)
        assert_true(wasm_message_response(str_of(responses[i]), &arena, &resp, &err) < 0);
}

static void too_many_headers_are_refused(void **state)
{
    _cleanup_(buf_fini) struct buf text = { 0 };

    buf_puts(&text, "GET / HTTP/1.1\n");
    for (unsigned i = 0; i < 1001; i++)
        buf_puts(&text, "a:b\n");
    assert_int_equal(wasm_message_request(buf_str(&text), &arena, &req, &err), ERR_LIMIT);
}

static void without_memory_there_is_an_error_and_no_half_message(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        int r = wasm_message_request(STR("{\"path\":\"/\\u0061\",\"headers\":{\"a\":\"\\u0062\"}}"), &arena, &req, &err);

        assert_true(r == 0 ? !fail_alloc_failed() : r == ERR_NOMEM);
        arena_fini(&arena);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(a_request_as_http_writes_it),
        CASE(lines_may_end_in_lf_and_the_version_and_the_body_may_be_absent),
        CASE(a_request_as_json),
        CASE(a_response_in_both_forms),
        CASE(what_is_neither_is_refused_with_its_place),
        CASE(too_many_headers_are_refused),
        CASE(without_memory_there_is_an_error_and_no_half_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
