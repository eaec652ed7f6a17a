/* faults.c -- the fault knobs: what a header and a JSON object may say, and that nonsense changes nothing */
#include "test.h"

#include "mock/faults.h"

static struct mock_request_faults none(void)
{
    return (struct mock_request_faults){ .stall_after = -1, .cut_after = -1 };
}

static void a_header_names_faults_in_any_order_and_with_any_separator(void **state)
{
    static const char *const headers[] = { "status=503,cut=5", "cut=5; status=503", " cut=5 status=503 ", ";;cut=5,,status=503;",
                                           "status=500 status=503 cut=5" };

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct mock_request_faults f = none();

        assert_int_equal(faults_read_header(str_of(headers[i]), &f, NULL), 0);
        assert_int_equal(f.status, 503);
        assert_int_equal(f.cut_after, 5);
        assert_int_equal(f.stall_after, -1);
    }
}

static void each_item_has_its_place(void **state)
{
    struct mock_request_faults f = none();

    assert_int_equal(faults_read_header(STR("delay=200 stall=3 wrong-length=-7 retry_after=2"), &f, NULL), 0);
    assert_int_equal(f.delay_ms, 200);
    assert_int_equal(f.stall_after, 3);
    assert_int_equal(f.wrong_length, -7);
    assert_int_equal(f.retry_after_s, 2);
    assert_int_equal(faults_read_header(STR(""), &f, NULL), 0);
}

static void a_header_that_is_not_understood_changes_nothing(void **state)
{
    static const struct {
        const char *header, *message;
    } rows[] = {
        { "cut=1 stall", "x-mock-fault: \"stall\" is not a whole number" },
        { "cut=1 stal=3", "x-mock-fault: unknown item \"stal=3\"" },
        { "cut=1 status=200", "x-mock-fault: \"status=200\" is not a whole number from 400 to 599" },
        { "cut=1 cut=x", "x-mock-fault: \"cut=x\"" },
        { "cut=1 cut=", "x-mock-fault: \"cut=\"" },
        { "cut=1 delay=1.5", "x-mock-fault: \"delay=1.5\"" },
        { "cut=1 delay=1e99", "x-mock-fault: \"delay=1e99\"" },
        { "cut=1 =3", "x-mock-fault: unknown item \"=3\"" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mock_request_faults f = none();
        struct err err = { 0 };

        assert_int_equal(faults_read_header(str_of(rows[i].header), &f, &err), ERR_INVALID);
        assert_memory_equal(err.message, rows[i].message, strlen(rows[i].message));
        assert_int_equal(f.cut_after, -1);
    }
}

static int read_text(const char *text, struct mock_faults *f, struct err *err)
{
    struct json_doc doc;
    struct arena arena;
    int r;

    arena_init(&arena, NULL, 0);
    assert_int_equal(json_parse(str_of(text), &arena, &doc, NULL), 0);
    r = faults_read_json(json_root(&doc), f, err);
    arena_fini(&arena);
    return r;
}

static void json_sets_what_it_names_and_keeps_the_rest(void **state)
{
    struct mock_faults f = MOCK_FAULTS_NONE;

    assert_int_equal(read_text("{\"fail_rate\":0.25,\"unhealthy\":true}", &f, NULL), 0);
    assert_int_equal(read_text("{\"fail-status\":429,\"cut-after\":7}", &f, NULL), 0);
    assert_true(f.fail_rate == 0.25);
    assert_true(f.unhealthy);
    assert_int_equal(f.fail_status, 429);
    assert_int_equal(f.cut_after, 7);
    assert_int_equal(f.stall_after, -1);
}

static void json_that_is_wrong_anywhere_changes_nothing(void **state)
{
    static const char *const texts[] = {
        "[]",
        "{\"cut_after\":3,\"fail_rate\":1.5}",
        "{\"cut_after\":3,\"unhealthy\":1}",
        "{\"cut_after\":3,\"nope\":1}",
        "{\"cut_after\":3.5}",
        "{\"cut_after\":\"3\"}",
        "{\"cut_after\":null}",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct mock_faults f = MOCK_FAULTS_NONE;
        struct err err = { 0 };

        assert_int_equal(read_text(texts[i], &f, &err), ERR_INVALID);
        assert_true(err.message[0]);
        assert_int_equal(f.cut_after, -1);
    }
}

static void what_is_written_can_be_read_back(void **state)
{
    struct mock_faults f = { 0.5, 503, 2, 10, 20, 30, -5, 40, true }, back = MOCK_FAULTS_NONE;
    struct json_writer w;
    struct buf out = { 0 };

    json_begin(&w, &out);
    faults_write_json(&f, &w);
    buf_put_char(&out, 0);
    assert_int_equal(read_text(out.p, &back, NULL), 0);
    assert_true(back.fail_rate == 0.5 && back.fail_status == 503 && back.retry_after_s == 2 && back.ttft_ms == 10 &&
                back.stall_after == 20 && back.cut_after == 30 && back.wrong_length == -5 && back.slow_health_ms == 40 &&
                back.unhealthy);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_names_faults_in_any_order_and_with_any_separator),
        cmocka_unit_test(each_item_has_its_place),
        cmocka_unit_test(a_header_that_is_not_understood_changes_nothing),
        cmocka_unit_test(json_sets_what_it_names_and_keeps_the_rest),
        cmocka_unit_test(json_that_is_wrong_anywhere_changes_nothing),
        cmocka_unit_test(what_is_written_can_be_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
