/* reader.c -- what json_parse gives for a document, and what the values answer */
#include "../test.h"

#include "json/json.h"

#include <stdlib.h>

static struct arena arena;
static struct json_doc doc;

/* Parses a literal that must be valid; the document stands in `doc`. The text is a malloc'ed copy, so that reading past it is caught. */
static struct json parsed(const char *text)
{
    static char *copy;
    size_t n = strlen(text);

    free(copy);
    copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    assert_int_equal(json_parse((struct str){ copy, n }, &arena, &doc, NULL), 0);
    return json_root(&doc);
}

static int begin(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int end(void **state)
{
    arena_fini(&arena);
    return 0;
}

static void knows_the_type_of_every_value(void **state)
{
    struct json v = parsed(" [null,false,true,-12,1.5,\"s\",[],{}] ");

    static const enum json_type TYPES[] = { JSON_NULL,   JSON_FALSE,  JSON_TRUE,  JSON_NUMBER,
                                            JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
    assert_int_equal(json_count(v), ARRAY_LEN(TYPES));
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        assert_true(json_is(json_at(v, i), TYPES[i]));
    assert_true(json_is_bool(json_at(v, 1)) && json_is_bool(json_at(v, 2)) && !json_is_bool(json_at(v, 0)));
    assert_true(json_is_null(json_at(v, 0)) && !json_is_null(json_at(v, 1)));
    assert_int_equal(doc.n, 9);
}

static void a_missing_value_answers_no_to_everything(void **state)
{
    int64_t i = 7;
    uint64_t u = 7;
    double d = 7;
    struct json none = json_get(parsed("{\"a\":1}"), STR("b"));

    assert_false(json_exists(none));
    assert_true(json_is_null(none));
    assert_false(json_is(none, JSON_NULL) || json_is_bool(none));
    assert_null(json_raw(none).p);
    assert_null(json_raw_str(none).p);
    assert_null(json_str(none, &arena).p);
    assert_false(json_str_eq(none, STR("")));
    assert_int_equal(json_to_i64(none, &i), ERR_INVALID);
    assert_int_equal(json_to_u64(none, &u), ERR_INVALID);
    assert_int_equal(json_to_double(none, &d), ERR_INVALID);
    assert_true(i == 7 && u == 7 && d == 7);
    assert_int_equal(json_count(none), 0);
    assert_false(json_exists(json_at(none, 0)));
    assert_false(json_exists(json_get(none, STR("a"))));
    struct json_iter it = json_iter(none);
    assert_false(json_next(&it));
}

static void raw_gives_the_bytes_as_they_stand(void **state)
{
    struct json v = parsed("{ \"a\" : [ 1 , 2 ] , \"b\\n\" : \"x\\ty\" , \"c\" : -1.50e+1 , \"d\" : { } , \"e\":true }");

    assert_str(json_raw(json_get(v, STR("a"))), "[ 1 , 2 ]");
    assert_str(json_raw(json_get(v, STR("b\n"))), "\"x\\ty\"");
    assert_str(json_raw_str(json_get(v, STR("b\n"))), "x\\ty");
    assert_str(json_raw(json_get(v, STR("c"))), "-1.50e+1");
    assert_str(json_raw(json_get(v, STR("d"))), "{ }");
    assert_str(json_raw(json_get(v, STR("e"))), "true");
    assert_null(json_raw_str(json_get(v, STR("c"))).p);
}

static void undoes_every_escape(void **state)
{
    static const struct {
        const char *in;
        struct str out;
    } ROWS[] = {
        { "\"\"", STR_INIT("") },
        { "\"plain\"", STR_INIT("plain") },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", STR_INIT("\"\\/\b\f\n\r\t") },
        { "\"\\u0041\\u00e9\\u20AC\"", STR_INIT("Aé€") },
        { "\"\\u0000\"", STR_INIT("\0") },
        { "\"\\uFFFF\\u007f\\u0080\\u07ff\\u0800\"", STR_INIT("\uffff\x7f\xC2\x80\u07ff\u0800") },
        { "\"\\ud83d\\ude00\"", STR_INIT("😀") },
        { "\"\\uDBFF\\uDFFF\"", STR_INIT("\U0010ffff") },
        { "\"\\ud800\"", STR_INIT("\uFFFD") },
        { "\"\\udc00x\"", STR_INIT("\uFFFDx") },
        { "\"\\ud800\\n\"", STR_INIT("\uFFFD\n") },
        { "\"\\ud800\\ud800\\udc00\"", STR_INIT("\uFFFD\U00010000") },
        { "\"\\ud800\\u0041\"", STR_INIT("\uFFFDA") },
        { "\"\\ud800abcdef\"", STR_INIT("\uFFFDabcdef") },
        { "\"a\\nb\\nc\"", STR_INIT("a\nb\nc") },
        { "\"\\\\\\\\n\"", STR_INIT("\\\\n") },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct json v = parsed(ROWS[i].in);
        assert_true(str_eq(json_str(v, &arena), ROWS[i].out));
        assert_true(json_str_eq(v, ROWS[i].out));
        assert_false(json_str_eq(v, STR("something else")));
        if (ROWS[i].out.n) { /* neither a beginning nor a continuation is equal */
            assert_false(json_str_eq(v, str_first(ROWS[i].out, ROWS[i].out.n - 1)));
            assert_false(json_str_eq(v, arena_printf(&arena, "%.*sx", STR_FMT(ROWS[i].out))));
        }
    }
}

static void a_string_without_escapes_is_a_view_of_the_text(void **state)
{
    struct json v = parsed("\"héllo\"");
    size_t used = arena.used;

    assert_ptr_equal(json_str(v, &arena).p, doc.text.p + 1);
    assert_int_equal(arena.used, used);
}

static void converts_integers_in_range_and_nothing_else(void **state)
{
    enum { NO_U = 1, NO_I = 2 };
    static const struct {
        const char *in;
        uint64_t u;
        int64_t i;
        int no;
    } ROWS[] = {
        { "0", 0, 0, 0 },
        { "-0", 0, 0, 0 },
        { "42", 42, 42, 0 },
        { "-1", 0, -1, NO_U },
        { "9223372036854775807", INT64_MAX, INT64_MAX, 0 },
        { "9223372036854775808", (uint64_t)INT64_MAX + 1, 0, NO_I },
        { "-9223372036854775808", 0, INT64_MIN, NO_U },
        { "-9223372036854775809", 0, 0, NO_U | NO_I },
        { "18446744073709551615", UINT64_MAX, 0, NO_I },
        { "18446744073709551616", 0, 0, NO_U | NO_I },
        { "99999999999999999999999999", 0, 0, NO_U | NO_I },
        { "1.0", 0, 0, NO_U | NO_I },
        { "1e2", 0, 0, NO_U | NO_I },
        { "\"1\"", 0, 0, NO_U | NO_I },
        { "true", 0, 0, NO_U | NO_I },
        { "[1]", 0, 0, NO_U | NO_I },
    };

    for (size_t k = 0; k < ARRAY_LEN(ROWS); k++) {
        struct json v = parsed(ROWS[k].in);
        uint64_t u = 77;
        int64_t i = 77;
        assert_int_equal(json_to_u64(v, &u), ROWS[k].no & NO_U ? ERR_INVALID : 0);
        assert_int_equal(json_to_i64(v, &i), ROWS[k].no & NO_I ? ERR_INVALID : 0);
        assert_true(u == (ROWS[k].no & NO_U ? 77 : ROWS[k].u));
        assert_true(i == (ROWS[k].no & NO_I ? 77 : ROWS[k].i));
    }
}

static void converts_numbers_to_the_nearest_double(void **state)
{
    static const char *const NUMBERS[] = { "0",
                                           "-0.0",
                                           "0.1",
                                           "1e5",
                                           "1E-7",
                                           "123456789012345678901234567890",
                                           "2.2250738585072011e-308",
                                           "5e-324",
                                           "1e-400",
                                           "1.7976931348623157e308",
                                           "9007199254740993",
                                           "0.30000000000000004" };
    double d = 7;

    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        assert_int_equal(json_to_double(parsed(NUMBERS[i]), &d), 0);
        double expected = strtod(NUMBERS[i], NULL);
        assert_memory_equal(&d, &expected, sizeof d);
    }
    d = 7;
    assert_int_equal(json_to_double(parsed("1e400"), &d), ERR_INVALID);
    assert_int_equal(json_to_double(parsed("-1e400"), &d), ERR_INVALID);
    assert_int_equal(json_to_double(parsed("\"1\""), &d), ERR_INVALID);
    assert_true(d == 7);
}

static void finds_the_last_member_of_a_name(void **state)
{
    struct json v = parsed("{\"a\":1,\"b\":{\"a\":5},\"\\u0061\":2,\"c\":3}");
    int64_t i = 0;

    assert_int_equal(json_to_i64(json_get(v, STR("a")), &i), 0);
    assert_int_equal(i, 2);
    assert_int_equal(json_count(v), 4);
    assert_false(json_exists(json_get(v, STR("aa"))));
    assert_false(json_exists(json_get(v, STR(""))));
    assert_false(json_exists(json_get(json_get(v, STR("c")), STR("a"))));
}

static void walks_members_and_elements_in_order(void **state)
{
    struct buf seen = { 0 };
    struct json_iter it = json_iter(parsed("{\"x\":[1,[2,3],{}],\"y\":\"z\",\"w\":null}"));

    while (json_next(&it)) {
        buf_put(&seen, json_raw_str(it.key));
        buf_put_char(&seen, '=');
        struct json_iter inner = json_iter(it.value);
        while (json_next(&inner)) {
            assert_false(json_exists(inner.key));
            buf_put(&seen, json_raw(inner.value));
            buf_put_char(&seen, ';');
        }
    }
    assert_str(buf_str(&seen), "x=1;[2,3];{};y=w=");
    assert_false(json_next(&it));
    buf_fini(&seen);
}

static void counts_and_indexes_past_what_a_node_can_count(void **state)
{
    size_t n = JSON_COUNT_MAX + (size_t)3;
    char *text = malloc(2 * n + 1);

    text[0] = '[';
    for (size_t i = 0; i < n; i++) {
        text[2 * i + 1] = '0';
        text[2 * i + 2] = i + 1 < n ? ',' : ']';
    }
    assert_int_equal(json_parse((struct str){ text, 2 * n + 1 }, &arena, &doc, NULL), 0);
    assert_int_equal(json_count(json_root(&doc)), n);
    assert_true(json_exists(json_at(json_root(&doc), n - 1)));
    assert_false(json_exists(json_at(json_root(&doc), n)));
    free(text);
}

static void explains_mistakes_as_serde_json_does(void **state)
{
    static const struct {
        const char *in, *message;
        unsigned line, column;
    } ROWS[] = {
        { "", "EOF while parsing a value", 1, 0 },
        { " \n ", "EOF while parsing a value", 2, 1 },
        { "{invalid json}", "key must be a string", 1, 2 },
        { "{\"url\":", "EOF while parsing a value", 1, 7 },
        { "{\"url\":\"http://a:1\"} x", "trailing characters", 1, 22 },
        { "[1,]", "trailing comma", 1, 4 },
        { "{\"a\":1,}", "trailing comma", 1, 8 },
        { "[1 2]", "expected `,` or `]`", 1, 4 },
        { "{\"a\":1 \"b\"", "expected `,` or `}`", 1, 8 },
        { "{\"a\" 1}", "expected `:`", 1, 6 },
        { "{\"a\"", "EOF while parsing an object", 1, 4 },
        { "{", "EOF while parsing an object", 1, 1 },
        { "{\"a\":1", "EOF while parsing an object", 1, 6 },
        { "{\"a\":1,", "EOF while parsing a value", 1, 7 },
        { "[", "EOF while parsing a list", 1, 1 },
        { "[1", "EOF while parsing a list", 1, 2 },
        { "[1,", "EOF while parsing a value", 1, 3 },
        { "\"abc", "EOF while parsing a string", 1, 4 },
        { "\"a\\", "EOF while parsing a string", 1, 3 },
        { "\"\\u12", "EOF while parsing a string", 1, 5 },
        { "\"\\x\"", "invalid escape", 1, 3 },
        { "\"a\tb\"", "control character (\\u0000-\\u001F) found while parsing a string", 1, 3 },
        { "[\n  \"a\",\n  truf\n]", "expected ident", 3, 6 },
        { "nul", "EOF while parsing a value", 1, 3 },
        { "@", "expected value", 1, 1 },
        { "[01]", "invalid number", 1, 3 },
        { "-", "EOF while parsing a value", 1, 1 },
        { "-x", "invalid number", 1, 2 },
        { "1.", "EOF while parsing a value", 1, 2 },
        { "1.x", "invalid number", 1, 3 },
        { "1e+", "EOF while parsing a value", 1, 3 },
        { "\"\xFF\"", "invalid unicode code point", 1, 2 },
    };
    struct json_error e;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        assert_int_equal(json_parse(str_of(ROWS[i].in), &arena, &doc, &e), ERR_SYNTAX);
        assert_string_equal(e.message, ROWS[i].message);
        assert_int_equal(e.line, ROWS[i].line);
        assert_int_equal(e.column, ROWS[i].column);
        assert_int_equal(json_parse(str_of(ROWS[i].in), &arena, &doc, NULL), ERR_SYNTAX);
    }
}

static void refuses_nesting_deeper_than_the_bound(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 2];
    struct json_error e;

    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(json_parse((struct str){ text + 1, 2 * JSON_DEPTH_MAX }, &arena, &doc, &e), 0);
    assert_int_equal(json_parse((struct str){ text, sizeof text }, &arena, &doc, &e), ERR_SYNTAX);
    assert_string_equal(e.message, "recursion limit exceeded");
    assert_int_equal(e.column, JSON_DEPTH_MAX + 1);
}

static void tells_the_line_and_column_of_a_byte(void **state)
{
    unsigned line, column;

    parsed("{\n \"a\": 1}");
    json_position(&doc, 0, &line, &column);
    assert_true(line == 1 && column == 1);
    json_position(&doc, 3, &line, &column);
    assert_true(line == 2 && column == 2);
    json_position(&doc, 999, &line, &column);
    assert_true(line == 2 && column == 8);
}

static void refuses_a_text_whose_offsets_would_not_fit(void **state)
{
    assert_int_equal(json_parse((struct str){ "", UINT32_MAX }, &arena, &doc, NULL), ERR_LIMIT);
}

static void costs_sixteen_bytes_per_value(void **state)
{
    parsed("[1,2,3]");
    assert_int_equal(arena.used, 4 * 16);
}

static void leaves_the_document_alone_when_memory_runs_out(void **state)
{
    struct arena small;
    struct json_doc untouched = { .n = 99 };

    arena_init(&small, NULL, 32);
    assert_int_equal(json_parse(STR("[1,2,3]"), &small, &untouched, NULL), ERR_NOMEM);
    assert_int_equal(untouched.n, 99);
    arena_fini(&small);
    /* more nodes than the scanner holds on its own */
    char text[2001];
    memset(text, '0', sizeof text);
    for (size_t i = 0; i < sizeof text; i += 2)
        text[i] = ',';
    text[0] = '[';
    text[sizeof text - 1] = ']';
    arena_init(&small, NULL, 5000);
    assert_int_equal(json_parse((struct str){ text, sizeof text }, &small, &untouched, NULL), ERR_NOMEM);
    arena_fini(&small);
    assert_int_equal(json_parse((struct str){ text, sizeof text }, &arena, &doc, NULL), 0);
    assert_int_equal(json_count(json_root(&doc)), 1000);
    /* undoing an escape */
    struct json v = parsed("\"\\n0123456789012345\"");
    arena_init(&small, NULL, 8);
    assert_null(json_str(v, &small).p);
    assert_true(small.failed);
    arena_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(knows_the_type_of_every_value, begin, end),
        cmocka_unit_test_setup_teardown(a_missing_value_answers_no_to_everything, begin, end),
        cmocka_unit_test_setup_teardown(raw_gives_the_bytes_as_they_stand, begin, end),
        cmocka_unit_test_setup_teardown(undoes_every_escape, begin, end),
        cmocka_unit_test_setup_teardown(a_string_without_escapes_is_a_view_of_the_text, begin, end),
        cmocka_unit_test_setup_teardown(converts_integers_in_range_and_nothing_else, begin, end),
        cmocka_unit_test_setup_teardown(converts_numbers_to_the_nearest_double, begin, end),
        cmocka_unit_test_setup_teardown(finds_the_last_member_of_a_name, begin, end),
        cmocka_unit_test_setup_teardown(walks_members_and_elements_in_order, begin, end),
        cmocka_unit_test_setup_teardown(counts_and_indexes_past_what_a_node_can_count, begin, end),
        cmocka_unit_test_setup_teardown(explains_mistakes_as_serde_json_does, begin, end),
        cmocka_unit_test_setup_teardown(refuses_nesting_deeper_than_the_bound, begin, end),
        cmocka_unit_test_setup_teardown(tells_the_line_and_column_of_a_byte, begin, end),
        cmocka_unit_test_setup_teardown(refuses_a_text_whose_offsets_would_not_fit, begin, end),
        cmocka_unit_test_setup_teardown(costs_sixteen_bytes_per_value, begin, end),
        cmocka_unit_test_setup_teardown(leaves_the_document_alone_when_memory_runs_out, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
