/* JSON as far as it goes: the vectors of spec parsers 5.2, each in one piece and byte by byte */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fail_alloc.h"

#include "base/err.h"
#include "json/json.h"
#include "text/toolcall/partial_json.h"

static void gives(bool strings, const char *text, const char *want, size_t want_used)
{
    struct partial_json s;
    struct buf out = { 0 }, bytes = { 0 };
    size_t used = 0, used_bytes = 0;
    int r = partial_json(str_of(text), strings, &out, &used);
    partial_json_init(&s, strings);
    for (size_t i = 0; text[i]; i++) {
        partial_json_feed(&s, (struct str){ text + i, 1 });
        buf_clear(&bytes); /* reading in between changes nothing */
        (void)!partial_json_read(&s, &bytes, NULL);
    }
    buf_clear(&bytes);
    assert_int_equal(partial_json_read(&s, &bytes, &used_bytes), r);
    buf_put_char(&out, '\0');
    buf_put_char(&bytes, '\0');
    if (want) {
        assert_int_equal(r, 0);
        assert_string_equal(out.p, want);
        assert_int_equal(used, want_used);
    } else
        assert_int_equal(r, ERR_SYNTAX);
    assert_string_equal(out.p, bytes.p);
    assert_int_equal(used, used_bytes);
    partial_json_fini(&s);
    buf_fini(&out);
    buf_fini(&bytes);
}

static void vectors(void **state)
{
    gives(true, "{\"a\": tr", "{\"a\":true}", 8);
    gives(true, "{\"a\": \"x", "{\"a\":\"x\"}", 8);
    gives(true, "{\"a", "{\"a\":null}", 3);
    gives(true, "{\"a\":", "{\"a\":null}", 5);
    gives(true, "{\"a\": 1.", "{\"a\":1.0}", 8);
    gives(true, "{\"a\": -", "{\"a\":0}", 7);
    gives(true, "[1, 2, ", "[1,2,null]", 7);
    gives(true, "{\"a\":{\"b\":[1,{\"c\":\"d", "{\"a\":{\"b\":[1,{\"c\":\"d\"}]}}", 20);
    gives(true, "{\"a\":1,}", "{\"a\":1}", 8);
    gives(true, "[1,]", "[1]", 4);
    gives(true, "{\"a\" 1}", "{\"a\":null}", 5);
    gives(true, "{a:1}", "{}", 1);
    gives(true, "{\"a\":\"\\u00e", "{\"a\":\"\xef\xbf\xbd\"}", 11);
    gives(true, "{\"a\":\"\\ud83d\\ude00\"}", "{\"a\":null}", 12);
    gives(true, "nul", "null", 3);
    gives(true, "{\"a\": falsy}", "{\"a\":null}", 6);
    gives(true, "{\"a\":1} tail", "{\"a\":1}", 7);
    gives(true, "", "null", 0);
    gives(true, "x", "null", 0);
    gives(true, "{\"a\": nope, \"b\": 1}", "{\"a\":null}", 6);
    gives(false, "{\"name\": \"get_w", "{}", 15);
    gives(false, "{\"name\": \"x\", \"arguments\": {\"a\": \"b", "{\"name\":\"x\",\"arguments\":{}}", 35);
    gives(false, "{\"name\":\"x\",\"arguments\":", "{\"name\":\"x\",\"arguments\":null}", 24);
}

static void rules(void **state)
{
    gives(true, "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\q\\",
          "\"a\\\"\\\\/\\b\\f\\n\\r\\té"
          "q\"",
          27);
    gives(true, "\"a\nb\"", "\"a\\nb\"", 5);
    gives(true, "\"\\u12x\"", "\"\xef\xbf\xbdx\"", 7);
    gives(true, "\"\\u0000\\u4e16\\u007f", "\"\\u0000世\x7f\"", 19);
    gives(true, "\"\xe4\xb8\x96\xe4\xb8", "\"世\"", 6);
    gives(true, "tru, ", "true", 3);
    gives(true, "true", "true", 4);
    gives(true, "truer", NULL, 0);
    gives(true, "nope", NULL, 0);
    gives(true, "\"\\ud83d", NULL, 0);
    gives(false, "\"abc", NULL, 0);
    gives(true, "-12", "-12", 3);
    gives(true, "01", "0", 1);
    gives(true, "-0.5e1x", "-5.0", 6);
    gives(true, "1e", "0", 2);
    gives(true, "1e400", "0", 5);
    gives(true, "9223372036854775807", "9223372036854775807", 19);
    gives(true, "-9223372036854775808", "-9223372036854775808", 20);
    gives(true, "9223372036854775808", "9.223372036854776e18", 19);
    gives(true, "[1 2]", "[1]", 3);
    gives(true, "[[1}, 2]", "[[1]]", 3);
    gives(true, "[", "[null]", 1);
    gives(true, "[]", "[]", 2);
    gives(true, "{", "{}", 1);
    gives(true, " \u3000{\u00a0\"a\"\u2003: 1 } ", "{\"a\":1}", 1 + 3 + 1 + 2 + 3 + 3 + 5);
    gives(true, "{\"a\":1 \u2603}", "{\"a\":1}", 7);
    gives(true, "{\"a\":1 \xe3\x80", "{\"a\":1}", 7);
    gives(true, "{\"a\":1,\"b", "{\"a\":1,\"b\":null}", 9);
    gives(false, "{\"a\":1,\"b", "{\"a\":1}", 9);
    gives(false, "[1,\"b", "[1]", 5);
    gives(true, "{\"\\ud83d\":1,\"b\":2}", "{}", 8);
    gives(true, "{\"a\":{\"b\":\"\\ud83d},\"c\":1}", "{\"a\":{\"b\":null}}", 18); /* the inner object ended where the escape did */
    gives(true, "[[\"\\ud83d,2]", "[[null],2]", 12);
}

static void depth_is_bounded(void **state)
{
    char text[100], want[100];
    static const char CLOSERS[] = "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";
    memset(text, '[', 40);
    for (int n = 32; n <= 33; n++) {
        snprintf(text + n, sizeof(text) - (size_t)n, "1");
        snprintf(want, sizeof(want), "%.*s%s%.*s", n, text, n == 32 ? "1" : "null", n, CLOSERS);
        gives(true, text, want, 33);
        text[n] = '[';
    }
}

static void whatever_comes_is_json(void **state)
{
    static const char *const PIECES[] = { "{",    "}",    "[", "]", "\"", ":", ",", "\\", "u", "00",     "d8",    "e", "t",
                                          "true", "null", "1", "-", ".",  "+", " ", "\n", "é", "\u3000", "\"a\"", "x" };
    srand(3);
    for (int i = 0; i < 20000; i++) {
        struct buf text = { 0 }, out = { 0 }, cut = { 0 };
        struct partial_json s;
        struct arena arena;
        struct json_doc doc;
        size_t used = 0, used_cut = 0;
        bool strings = rand() & 1;
        for (int n = rand() % 16; n > 0; n--)
            buf_put(&text, str_of(PIECES[(size_t)rand() % ARRAY_LEN(PIECES)]));
        int r = partial_json(buf_str(&text), strings, &out, &used);
        size_t at = text.n ? (size_t)rand() % text.n : 0;
        partial_json_init(&s, strings);
        partial_json_feed(&s, str_first(buf_str(&text), at));
        partial_json_feed(&s, str_skip(buf_str(&text), at));
        assert_int_equal(partial_json_read(&s, &cut, &used_cut), r);
        assert_true(str_eq(buf_str(&out), buf_str(&cut)) && used == used_cut && used <= text.n);
        arena_init(&arena, NULL, 0);
        if (r == 0)
            assert_int_equal(json_parse(buf_str(&out), &arena, &doc, NULL), 0);
        arena_fini(&arena);
        partial_json_fini(&s);
        buf_fini(&text);
        buf_fini(&out);
        buf_fini(&cut);
    }
}

/* Byte by byte, a megabyte: quadratic work would be some 10^11 steps. */
static void long_texts_take_linear_time(void **state)
{
    static const char *const ROWS[][2] = { { "[", "1," }, { "[\"", "x" },       { "", "[" },      { "", " " },
                                           { "", "1" },   { "{", "\"a\":{}," }, { "[\"", "\\u0" } };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct partial_json s;
        struct buf out = { 0 };
        struct str more = str_of(ROWS[i][1]);
        clock_t begun = clock();
        partial_json_init(&s, true);
        partial_json_feed(&s, str_of(ROWS[i][0]));
        for (size_t n = 0; n < 1u << 20; n++)
            partial_json_feed(&s, (struct str){ more.p + n % more.n, 1 });
        assert_int_equal(partial_json_read(&s, &out, NULL), 0);
        assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 3.0);
        partial_json_fini(&s);
        buf_fini(&out);
    }
}

static void memory_that_is_out_is_said(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct buf out = { 0 };
        int r = partial_json(STR("{\"a\": [1.5, \"b\\n"), true, &out, NULL);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(rules),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(whatever_comes_is_json),
        cmocka_unit_test(long_texts_take_linear_time),
        cmocka_unit_test(memory_that_is_out_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
