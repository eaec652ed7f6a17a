/* h1_body.c -- reading bodies of all framings; the refused chunks are in h1_smuggling.c */
#include "test.h"

#include <stdlib.h>

#include "http/h1.h"

static struct h1_body a_body(enum http_body_kind kind, uint64_t length)
{
    struct http_head h = { .body = kind, .length = length };
    struct h1_body b;

    h1_body_init(&b, &h);
    return b;
}

static void no_body_is_done_at_once(void **state)
{
    struct h1_body b = a_body(HTTP_BODY_NONE, 0);

    assert_true(b.done);
    assert_int_equal(h1_body_eof(&b), 0);
    b = a_body(HTTP_BODY_LENGTH, 0);
    assert_true(b.done);
}

static void a_length_takes_its_bytes_and_not_one_more(void **state)
{
    struct h1_body b = a_body(HTTP_BODY_LENGTH, 5);
    struct str part;
    size_t used;

    assert_int_equal(h1_body_feed(&b, "hel", 3, &used, &part, NULL), 0);
    assert_str(part, "hel");
    assert_false(b.done);
    assert_int_equal(h1_body_feed(&b, "loGET /", 7, &used, &part, NULL), 0);
    assert_str(part, "lo");
    assert_int_equal(used, 2);
    assert_true(b.done);
    assert_int_equal(h1_body_feed(&b, "GET /", 5, &used, &part, NULL), 0);
    assert_int_equal(used, 0);
    assert_int_equal(part.n, 0);
}

static void without_framing_the_body_goes_until_the_end(void **state)
{
    struct h1_body b = a_body(HTTP_BODY_UNTIL_CLOSE, 0);
    struct str part;
    size_t used;

    assert_int_equal(h1_body_feed(&b, "hello", 5, &used, &part, NULL), 0);
    assert_str(part, "hello");
    assert_false(b.done);
    assert_int_equal(h1_body_eof(&b), 0);
    assert_true(b.done);
}

static void an_end_before_the_end_is_cut_short(void **state)
{
    struct h1_body b = a_body(HTTP_BODY_LENGTH, 5);
    struct str part;
    size_t used;

    assert_int_equal(h1_body_eof(&b), ERR_CLOSED);
    b = a_body(HTTP_BODY_CHUNKED, 0);
    for (size_t n = 0; n < 15; n++) {
        static const char TEXT[] = "5\r\nhello\r\n0\r\n\r\n";

        b = a_body(HTTP_BODY_CHUNKED, 0);
        for (size_t at = 0; at < n; at += used)
            assert_int_equal(h1_body_feed(&b, TEXT + at, n - at, &used, &part, NULL), 0);
        assert_int_equal(h1_body_eof(&b), ERR_CLOSED);
    }
}

static void a_whole_chunk_and_the_end_cost_one_call(void **state)
{
    static const char TEXT[] = "5\r\nhello\r\n0\r\n\r\nHTTP/1.1";
    struct h1_body b = a_body(HTTP_BODY_CHUNKED, 0);
    struct str part;
    size_t used;

    assert_int_equal(h1_body_feed(&b, TEXT, sizeof TEXT - 1, &used, &part, NULL), 0);
    assert_str(part, "hello");
    assert_int_equal(used, 15);
    assert_true(b.done);
}

static void each_call_gives_one_part(void **state)
{
    static const char TEXT[] = "1\r\na\r\n2\r\nbc\r\n3\r\ndef";
    struct h1_body b = a_body(HTTP_BODY_CHUNKED, 0);
    struct str part;
    size_t used, at = 0;

    for (size_t n = 1; n <= 3; n++) {
        assert_int_equal(h1_body_feed(&b, TEXT + at, sizeof TEXT - 1 - at, &used, &part, NULL), 0);
        assert_int_equal(part.n, n);
        at += used;
    }
    assert_int_equal(at, sizeof TEXT - 1);
    assert_false(b.done);
}

static void a_chunk_may_be_larger_than_any_read(void **state)
{
    struct h1_body b = a_body(HTTP_BODY_CHUNKED, 0);
    struct str part;
    size_t used;

    assert_int_equal(h1_body_feed(&b, "ffffffffffffffff\r\nabc", 21, &used, &part, NULL), 0);
    assert_str(part, "abc");
    assert_int_equal(used, 21);
    assert_true(b.left == UINT64_MAX - 3);
}

static void an_error_names_what_was_wrong(void **state)
{
    static const struct {
        const char *text, *message;
    } ROWS[] = {
        { "x", "malformed chunk size" },
        { "5\r\nhelloX", "chunk longer than its size" },
        { "0\r\nX: \x01", "control byte in a trailer field" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct h1_body b = a_body(HTTP_BODY_CHUNKED, 0);
        struct h1_error e = { 0 };
        struct str part = STR_NONE;
        size_t used = 99;

        assert_int_equal(h1_body_feed(&b, ROWS[i].text, strlen(ROWS[i].text), &used, &part, &e), ERR_PROTOCOL);
        assert_string_equal(e.message, ROWS[i].message);
        assert_int_equal(e.status, 400);
        assert_int_equal(used, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_body_is_done_at_once),
        cmocka_unit_test(a_length_takes_its_bytes_and_not_one_more),
        cmocka_unit_test(without_framing_the_body_goes_until_the_end),
        cmocka_unit_test(an_end_before_the_end_is_cut_short),
        cmocka_unit_test(a_whole_chunk_and_the_end_cost_one_call),
        cmocka_unit_test(each_call_gives_one_part),
        cmocka_unit_test(a_chunk_may_be_larger_than_any_read),
        cmocka_unit_test(an_error_names_what_was_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
