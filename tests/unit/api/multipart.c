/* multipart.c -- multipart/form-data: where each part stands (RFC 7578, RFC 2046 5.1.1) */
#include <stdio.h>

#include "test.h"

#include "api/multipart.h"

static void boundaries_are_found_in_every_spelling(void **state)
{
    static const struct {
        const char *type, *boundary;
    } rows[] = {
        { "multipart/form-data; boundary=abc", "abc" },
        { "Multipart/Form-Data;BOUNDARY=abc", "abc" },
        { "multipart/form-data; boundary=\"a b:c\"; charset=utf-8", "a b:c" },
        { "multipart/form-data; charset=\"x;boundary=no\"; boundary=yes", "yes" },
        { "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk", "----WebKitFormBoundary7MA4YWxk" },
        { "multipart/form-data", "" },
        { "multipart/form-data; boundary=", "" },
        { "multipart/form-data; boundary=\"abc", "" },
        { "multipart/form-data; boundary=\"abc \"", "" },
        { "multipart/form-data; boundary=a{b}", "" },
        { "multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", "" },
        { "multipart/mixed; boundary=abc", "" },
        { "application/json", "" },
        { "", "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!str_eq(multipart_boundary(str_of(rows[i].type)), str_of(rows[i].boundary)))
            fail_msg("%s", rows[i].type);
}

static struct multipart m;
static struct err err;

static int read_body(const char *text)
{
    return multipart_read(str_of(text), STR("B"), &m, &err);
}

static void parts_are_views_of_the_body(void **state)
{
    static const char BODY[] = "--B\r\n"
                               "Content-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".wav\"\r\n"
                               "Content-Type: audio/wav\r\n"
                               "X-Other: y\r\n"
                               "\r\n"
                               "RIFF\r\n--\r\n--A\r\n"
                               "\r\n--B \t\r\n"
                               "content-disposition: form-data; name=model\r\n"
                               "\r\n"
                               "whisper\r\n"
                               "--B\r\n"
                               "Content-Disposition: form-data; name=\"empty\"\r\n"
                               "\r\n"
                               "\r\n"
                               "--B--\r\nepilogue";

    assert_int_equal(read_body(BODY), 0);
    assert_int_equal(m.n, 3);
    assert_true(str_eq(m.parts[0].filename, STR("a \\\"b\\\".wav")));
    assert_true(str_eq(m.parts[0].content_type, STR("audio/wav")));
    assert_true(str_eq(m.parts[0].data, STR("RIFF\r\n--\r\n--A\r\n")));
    assert_ptr_equal(multipart_find(&m, STR("model")), &m.parts[1]);
    assert_true(str_eq(m.parts[1].data, STR("whisper")));
    assert_int_equal(multipart_find(&m, STR("empty"))->data.n, 0);
    assert_null(multipart_find(&m, STR("Model")));
}

static void a_form_without_parts_is_empty(void **state)
{
    assert_int_equal(read_body("--B--"), 0);
    assert_int_equal(m.n, 0);
    assert_int_equal(read_body("\r\n--B--\r\n"), 0);
}

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
    static const char *const BODIES[] = {
        "",
        "x--B--",
        "--Bx\r\n",
        "--B",
        "--B\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--B",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--C--",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\n--B--",
        "--B\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nx\r\n--B--",
        "--B\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--B--",
        "--B\r\n\r\nx\r\n--B--",
        "--B\nContent-Disposition: form-data; name=a\n\nx\n--B--",
    };

    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++)
        if (read_body(BODIES[i]) != ERR_INVALID)
            fail_msg("accepted: %s", BODIES[i]);
}

static void parts_and_headers_are_bounded(void **state)
{
    static char body[MULTIPART_PARTS_MAX * 64 + MULTIPART_HEAD_MAX * 2];
    size_t n = 0;

    for (unsigned i = 0; i <= MULTIPART_PARTS_MAX; i++)
        n += (size_t)sprintf(body + n, "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n");
    sprintf(body + n, "--B--");
    assert_int_equal(read_body(body), ERR_LIMIT);
    n = (size_t)sprintf(body, "--B\r\n");
    memset(body + n, 'a', MULTIPART_HEAD_MAX + 10);
    sprintf(body + n + MULTIPART_HEAD_MAX + 10, "\r\n\r\nx\r\n--B--");
    assert_int_equal(read_body(body), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries_are_found_in_every_spelling), cmocka_unit_test(parts_are_views_of_the_body),
        cmocka_unit_test(a_form_without_parts_is_empty),          cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(parts_and_headers_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
