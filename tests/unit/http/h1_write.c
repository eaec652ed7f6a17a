/* h1_write.c -- what is written is what the parser reads, and nothing can break out of its line */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/h1.h"

static void a_request_head_is_written_line_by_line(void **state)
{
    struct buf out = { 0 };

    h1_put_request_line(&out, STR("POST"), STR("/v1/x?y=1"));
    assert_true(h1_put_field(&out, STR("host"), STR("a:80")));
    assert_true(h1_put_field(&out, STR("x-empty"), STR_NONE));
    h1_put_length(&out, 12345);
    h1_put_end(&out);
    assert_false(out.failed);
    assert_str(buf_str(&out), "POST /v1/x?y=1 HTTP/1.1\r\nhost: a:80\r\nx-empty: \r\ncontent-length: 12345\r\n\r\n");
    buf_fini(&out);
}

static void status_lines_have_their_reason(void **state)
{
    static const struct {
        unsigned status;
        const char *line;
    } ROWS[] = {
        { 200, "HTTP/1.1 200 OK\r\n" },
        { 404, "HTTP/1.1 404 Not Found\r\n" },
        { 100, "HTTP/1.1 100 Continue\r\n" },
        { 999, "HTTP/1.1 999 Unknown Status Code\r\n" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct buf out = { 0 };

        h1_put_status_line(&out, ROWS[i].status);
        assert_str(buf_str(&out), ROWS[i].line);
        buf_fini(&out);
    }
}

static void a_value_that_would_break_the_framing_is_left_out(void **state)
{
    static const struct str BAD[] = { STR_INIT("a\r\nX: y"), STR_INIT("a\nb"), STR_INIT("a\rb"), STR_INIT("a\0b"),
                                      STR_INIT("\x7f") };
    struct buf out = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_false(h1_put_field(&out, STR("x"), BAD[i]));
    assert_int_equal(out.n, 0);
    assert_true(h1_put_field(&out, STR("x"), STR("tab\tand caf\xc3\xa9")));
    buf_fini(&out);
}

static void chunk_prefixes_are_the_size_in_hex(void **state)
{
    static const size_t SIZES[] = { 1, 9, 10, 15, 16, 255, 256, 0x1a2b, 65535, 65536, (size_t)1 << 32, SIZE_MAX };

    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        char out[H1_CHUNK_PREFIX_MAX], want[32];
        size_t n = h1_chunk_prefix(out, SIZES[i]);

        snprintf(want, sizeof want, "%zx\r\n", SIZES[i]);
        assert_str(((struct str){ out, n }), want);
    }
}

static void what_is_written_is_read_back(void **state)
{
    struct http_field fields[H1_FIELDS_MAX];
    struct buf out = { 0 };
    struct http_head h;
    struct h1_error e;

    h1_put_status_line(&out, 503);
    assert_true(h1_put_field(&out, STR("retry-after"), STR("1")));
    h1_put_length(&out, UINT64_MAX / 2);
    h1_put_end(&out);
    assert_int_equal(h1_parse_reply(out.p, out.n, HTTP_POST, fields, &h, &e), 0);
    assert_int_equal(h.status, 503);
    assert_str(h.reason, "Service Unavailable");
    assert_true(h.length == UINT64_MAX / 2);
    assert_str(http_value(&h.fields, HF_RETRY_AFTER), "1");
    buf_fini(&out);
}

static void a_full_buffer_is_a_sticky_failure(void **state)
{
    struct buf out = { .max = 20 };

    h1_put_request_line(&out, STR("GET"), STR("/"));
    assert_true(h1_put_field(&out, STR("host"), STR("example")));
    h1_put_status_line(&out, 404);
    h1_put_end(&out);
    assert_true(out.failed);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_head_is_written_line_by_line),
        cmocka_unit_test(status_lines_have_their_reason),
        cmocka_unit_test(a_value_that_would_break_the_framing_is_left_out),
        cmocka_unit_test(chunk_prefixes_are_the_size_in_hex),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_full_buffer_is_a_sticky_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
