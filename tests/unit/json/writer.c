/* writer.c -- what json_write.h puts out */
#include "../test.h"

#include "json/json.h"
#include "json/json_write.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct buf out;
static struct json_writer w;

static int begin(void **state)
{
    json_begin(&w, &out);
    return 0;
}

static int end(void **state)
{
    buf_fini(&out);
    return 0;
}

static void places_commas_and_brackets(void **state)
{
    json_object(&w);
    json_put_str(&w, "s", STR("x"));
    json_put_u64(&w, "u", UINT64_MAX);
    json_put_i64(&w, "i", INT64_MIN);
    json_put_bool(&w, "t", true);
    json_put_bool(&w, "f", false);
    json_put_null(&w, "n");
    json_put_raw(&w, "r", STR("[1, 2]"));
    json_put_object(&w, "o");
    json_end(&w);
    json_put_array(&w, "a");
    json_value_u64(&w, 1);
    json_array(&w);
    json_end(&w);
    json_object(&w);
    json_put_f64(&w, "d", 0.5);
    json_put_f32(&w, "e", 0.1f);
    json_end(&w);
    json_value_str(&w, STR("y"));
    json_value_null(&w);
    json_end(&w);
    json_put_str(&w, "z", STR(""));
    json_end(&w);
    assert_str(buf_str(&out),
               "{\"s\":\"x\",\"u\":18446744073709551615,\"i\":-9223372036854775808,\"t\":true,\"f\":false,\"n\":null,"
               "\"r\":[1, 2],\"o\":{},\"a\":[1,[],{\"d\":0.5,\"e\":0.1},\"y\",null],\"z\":\"\"}");
}

static void the_root_may_be_any_value(void **state)
{
    json_value_str(&w, STR("x"));
    assert_str(buf_str(&out), "\"x\"");
}

static void objects_and_arrays_nest_to_any_mixture(void **state)
{
    for (int i = 0; i < 30; i++) {
        json_array(&w);
        json_object(&w);
        json_key(&w, STR("k"));
    }
    json_value_bool(&w, true);
    for (int i = 0; i < 60; i++)
        json_end(&w);
    struct arena arena;
    struct json_doc doc;
    arena_init(&arena, NULL, 0);
    assert_int_equal(json_parse(buf_str(&out), &arena, &doc, NULL), 0);
    assert_int_equal(doc.n, 30 * 3 + 1);
    arena_fini(&arena);
}

static void escapes_what_must_be_escaped_and_nothing_else(void **state)
{
    static const struct {
        struct str in;
        const char *out;
    } ROWS[] = {
        { STR_INIT(""), "" },
        { STR_INIT("plain text / with slash"), "plain text / with slash" },
        { STR_INIT("\"\\"), "\\\"\\\\" },
        { STR_INIT("\b\f\n\r\t"), "\\b\\f\\n\\r\\t" },
        { STR_INIT("\0\x01\x0b\x1f"), "\\u0000\\u0001\\u000b\\u001f" },
        { STR_INIT("\x7f"), "\x7f" },
        { STR_INIT("é€😀\u2028"), "é€😀\u2028" },
        { STR_INIT("0123456789abcdef\n0123456789abcdef"), "0123456789abcdef\\n0123456789abcdef" },
        { STR_INIT("\x80"), "\uFFFD" },
        { STR_INIT("a\xC3"), "a\uFFFD" },
        { STR_INIT("\xE2\x82"), "\uFFFD" },
        { STR_INIT("\xE2\x82x"), "\uFFFDx" },
        { STR_INIT("\xF0\x9F\x98\xE2\x82\xAC"), "\uFFFD€" },
        { STR_INIT("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD" },
        { STR_INIT("\xC0\xAF"), "\uFFFD\uFFFD" },
        { STR_INIT("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD" },
        { STR_INIT("\xE0\x80"), "\uFFFD\uFFFD" },
        { STR_INIT("\xFF\xFE"), "\uFFFD\uFFFD" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        buf_clear(&out);
        json_escape(&out, ROWS[i].in);
        assert_str(buf_str(&out), ROWS[i].out);
        buf_clear(&out);
        json_begin(&w, &out);
        json_array(&w);
        json_value_str(&w, STR("a"));
        json_value_str(&w, ROWS[i].in);
        json_end(&w);
        char expected[256];
        snprintf(expected, sizeof expected, "[\"a\",\"%s\"]", ROWS[i].out);
        assert_str(buf_str(&out), expected);
    }
}

static void a_special_byte_is_seen_at_every_place(void **state)
{
    static const char SPECIAL[] = { '"', '\\', '\n', '\x1f', '\x01' };

    for (size_t n = 1; n < 40; n++) {
        for (size_t at = 0; at < n; at++) {
            char text[40];
            memset(text, ' ', sizeof text); /* the byte next to the border of what needs escaping */
            text[at] = SPECIAL[(n + at) % sizeof SPECIAL];
            buf_clear(&out);
            json_escape(&out, (struct str){ text, n });
            assert_true(out.n > n);
            assert_int_equal(out.p[at], '\\');
        }
    }
}

static void keys_are_escaped_too(void **state)
{
    json_object(&w);
    json_key(&w, STR("a\"\n"));
    json_value_null(&w);
    json_key(&w, STR("b"));
    json_value_null(&w);
    json_end(&w);
    assert_str(buf_str(&out), "{\"a\\\"\\n\":null,\"b\":null}");
}

static void a_null_view_is_the_empty_string(void **state)
{
    json_escape(&out, STR_NONE);
    assert_int_equal(out.n, 0);
    json_value_str(&w, STR_NONE);
    assert_str(buf_str(&out), "\"\"");
}

static void check_f64(double v, const char *expected)
{
    buf_clear(&out);
    json_begin(&w, &out);
    json_value_f64(&w, v);
    assert_str(buf_str(&out), expected);
}

static void check_f32(float v, const char *expected)
{
    buf_clear(&out);
    json_begin(&w, &out);
    json_value_f32(&w, v);
    assert_str(buf_str(&out), expected);
}

static void doubles_take_their_shortest_form(void **state)
{
    check_f64(0, "0.0");
    check_f64(-0.0, "-0.0");
    check_f64(1, "1.0");
    check_f64(-1.5, "-1.5");
    check_f64(0.1, "0.1");
    check_f64(0.1 + 0.2, "0.30000000000000004");
    check_f64(1.0 / 3, "0.3333333333333333");
    check_f64(100, "100.0");
    check_f64(123456789.125, "123456789.125");
    check_f64(1e15, "1000000000000000.0");
    check_f64(123456789012345680.0, "1.2345678901234568e17");
    check_f64(1e16, "1e16");
    check_f64(1e21, "1e21");
    check_f64(1.5e300, "1.5e300");
    check_f64(DBL_MAX, "1.7976931348623157e308");
    check_f64(0.00001, "0.00001");
    check_f64(0.000012, "0.000012");
    check_f64(0.000001, "1e-6");
    check_f64(1e-7, "1e-7");
    check_f64(-1.25e-9, "-1.25e-9");
    check_f64(DBL_MIN, "2.2250738585072014e-308");
    check_f64(5e-324, "5e-324");
    check_f64(9007199254740993.0, "9007199254740992.0");
}

static void floats_take_the_shortest_form_of_a_float(void **state)
{
    check_f32(0, "0.0");
    check_f32(-0.0f, "-0.0");
    check_f32(1, "1.0");
    check_f32(0.1f, "0.1");
    check_f32(0.7f, "0.7");
    check_f32(16777216.0f, "16777216.0");
    check_f32(123456789.0f, "123456790.0");
    check_f32(1e12f, "1000000000000.0");
    check_f32(1e13f, "1e13");
    check_f32(1e-5f, "0.00001");
    check_f32(1e-6f, "0.000001");
    check_f32(1e-7f, "1e-7");
    check_f32(FLT_MAX, "3.4028235e38");
    check_f32(FLT_MIN, "1.1754944e-38");
    check_f32(1e-45f, "1e-45");
}

static void what_is_no_number_is_null(void **state)
{
    check_f64(NAN, "null");
    check_f64(INFINITY, "null");
    check_f64(-INFINITY, "null");
    check_f32(NAN, "null");
    check_f32(-INFINITY, "null");
}

static void every_number_reads_back_as_it_was(void **state)
{
    uint64_t seed = 42;

    for (int i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        double d;
        float f;
        uint32_t low = (uint32_t)(seed >> 32);
        memcpy(&d, &seed, sizeof d);
        memcpy(&f, &low, sizeof f);
        if (!isfinite(d) || !isfinite(f))
            continue;
        buf_clear(&out);
        json_begin(&w, &out);
        json_value_f64(&w, d);
        buf_put_char(&out, 0);
        assert_true(strtod(out.p, NULL) == d);
        buf_clear(&out);
        json_begin(&w, &out);
        json_value_f32(&w, f);
        buf_put_char(&out, 0);
        assert_true(strtof(out.p, NULL) == f);
    }
}

static void the_locale_does_not_matter(void **state)
{
    static const char *const COMMA_LOCALES[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8" };
    bool found = false;

    for (size_t i = 0; i < ARRAY_LEN(COMMA_LOCALES) && !found; i++)
        found = setlocale(LC_NUMERIC, COMMA_LOCALES[i]) != NULL;
    check_f64(0.25, "0.25");
    check_f64(1.25e-9, "1.25e-9");
    check_f32(0.7f, "0.7");
    setlocale(LC_NUMERIC, "C");
    if (!found)
        skip();
}

static void failure_is_the_bufs_and_is_kept(void **state)
{
    out.max = 10;
    json_object(&w);
    json_put_str(&w, "key", STR("a longer text"));
    json_put_u64(&w, "n", 1);
    json_end(&w);
    assert_true(out.failed);
    assert_true(out.n <= 10);
    out.max = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(places_commas_and_brackets, begin, end),
        cmocka_unit_test_setup_teardown(the_root_may_be_any_value, begin, end),
        cmocka_unit_test_setup_teardown(objects_and_arrays_nest_to_any_mixture, begin, end),
        cmocka_unit_test_setup_teardown(escapes_what_must_be_escaped_and_nothing_else, begin, end),
        cmocka_unit_test_setup_teardown(a_special_byte_is_seen_at_every_place, begin, end),
        cmocka_unit_test_setup_teardown(keys_are_escaped_too, begin, end),
        cmocka_unit_test_setup_teardown(a_null_view_is_the_empty_string, begin, end),
        cmocka_unit_test_setup_teardown(doubles_take_their_shortest_form, begin, end),
        cmocka_unit_test_setup_teardown(floats_take_the_shortest_form_of_a_float, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_number_is_null, begin, end),
        cmocka_unit_test_setup_teardown(every_number_reads_back_as_it_was, begin, end),
        cmocka_unit_test_setup_teardown(the_locale_does_not_matter, begin, end),
        cmocka_unit_test_setup_teardown(failure_is_the_bufs_and_is_kept, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
