/* Python literals and calls as JSON: spec parsers 6.7 */
#include "test.h"

#include "text/toolcall/python_literal.h"

static void literal(const char *text, const char *want)
{
    struct buf out = { 0 };
    size_t n = python_literal(str_of(text), &out);
    buf_put_char(&out, '\0');
    assert_string_equal(out.p, want ? want : "");
    assert_int_equal(n, want ? strlen(text) : 0);
    buf_fini(&out);
}

static void literals_become_json(void **state)
{
    literal("None", "null");
    literal(" True", "true");
    literal("-1.5", "-1.5");
    literal("--2", "2");
    literal("0x1F", "31");
    literal("1_000", "1000");
    literal("18446744073709551615", "18446744073709551615");
    literal("18446744073709551616", "\"18446744073709551616\"");
    literal("1e3", "1000.0");
    literal("'it\\'s' \" ok\"", "\"it's ok\"");
    literal("'''a\n\"b'''", "\"a\\n\\\"b\"");
    literal("r'\\n'", "\"\\\\n\"");
    literal("'\\u4e16\\x41\\101'", "\"世AA\"");
    literal("'\\ud83d\\ude00'", "\"😀\"");
    literal("b'ab'", "\"ab\"");
    literal("[1, (2, 3), (4), (5,), ()]", "[1,[2,3],4,[5],[]]");
    literal("{'k': -1.5, 2: \"v\", None: [],}", "{\"k\":-1.5,\"2\":\"v\",\"null\":[]}");
    literal("foo", "\"foo\"");
}

static void what_is_no_literal_is_refused(void **state)
{
    static const char *const bad[] = { "",        "[1",    "[1 2]", "f(1)", "a.b", "f'x'", "{1}",
                                       "{'a' 1}", "'open", "1 +",   "...",  "01",  "[,]",  "{[1]: 2}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf out = { 0 };
        size_t n = python_literal(str_of(bad[i]), &out);
        assert_true(n < strlen(bad[i]) || n == 0);
        assert_true(n > 0 || out.n == 0);
        buf_fini(&out);
    }
}

static void nesting_is_bounded_and_takes_linear_time(void **state)
{
    char text[1 << 16];
    struct buf out = { 0 };
    memset(text, '(', sizeof(text));
    assert_int_equal(python_literal((struct str){ text, sizeof(text) }, &out), 0);
    memset(text, '[', sizeof(text));
    assert_int_equal(python_literal((struct str){ text, sizeof(text) }, &out), 0);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

static void calls_have_keyword_arguments_only(void **state)
{
    static const char *const bad[] = { "f(1)", "f(**k)", "f(a=1, a=2)", "f(a=1", "a.b(c=1)", "f" };
    struct buf out = { 0 };
    struct str name;
    assert_int_equal(python_call(STR(" f ( a = 1, b=\"x)\" ) rest"), &name, &out), 20);
    assert_true(str_eq(name, STR("f")) && str_eq(buf_str(&out), STR("{\"a\":1,\"b\":\"x)\"}")));
    buf_clear(&out);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(python_call(str_of(bad[i]), &name, &out), 0);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

static void brackets_are_followed_through_strings(void **state)
{
    static const char TEXT[] = "[f(a='(]', b=\"\", c=\"\"\"x\"]\"\"\", d={'k': '\\'['})] tail";
    size_t want = strlen(TEXT) - 5, used;
    for (size_t cut = 0; cut < want; cut++) {
        struct python_scan s;
        python_scan_init(&s);
        assert_false(python_scan_feed(&s, (struct str){ TEXT, cut }, &used));
        assert_int_equal(used, cut);
        assert_true(python_scan_feed(&s, str_of(TEXT + cut), &used));
        assert_int_equal(cut + used, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_become_json),
        cmocka_unit_test(what_is_no_literal_is_refused),
        cmocka_unit_test(nesting_is_bounded_and_takes_linear_time),
        cmocka_unit_test(calls_have_keyword_arguments_only),
        cmocka_unit_test(brackets_are_followed_through_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
