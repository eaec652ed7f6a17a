/* log_format.c -- how lines look, and that no text can break out of its line */
#include "test.h"

#include "base/log_internal.h"

#include <math.h>

#define MARCH_1 1740830401042000u

static void lines_are(const struct log_style *style, enum log_level level, const char *message, const struct log_field *f, size_t n,
                      const char *want)
{
    struct buf out = { 0 };

    log_format_line(&out, style,
                    &(struct log_line){ MARCH_1, level, "smg::worker", "../x/src/worker/health.c", message, 12, f, n });
    assert_str(buf_str(&out), want);
    buf_fini(&out);
}

static const struct log_style text = { .format = LOG_TEXT }, json = { .format = LOG_JSON };

static void text_lines(void **state)
{
    const struct log_field f[] = { LF_CSTR("k", "v"),        LF_UINT("n", 3),    LF_INT("i", -4),
                                   LF_BARE("b", STR("x y")), LF_FLOAT("f", 0.1), LF_BOOL("ok", true) };

    lines_are(&text, LOG_INFO, "message", f, 2, "2025-03-01 12:00:01  INFO smg::worker: message k=\"v\" n=3\n");
    lines_are(&text, LOG_ERROR, "m", f, ARRAY_LEN(f),
              "2025-03-01 12:00:01 ERROR smg::worker: m k=\"v\" n=3 i=-4 b=x y f=0.1 ok=true\n");
    lines_are(&text, LOG_DEBUG, "m", NULL, 0, "2025-03-01 12:00:01 DEBUG smg::worker: src/worker/health.c:12: m\n");
}

static void json_lines(void **state)
{
    const struct log_field f[] = { LF_CSTR("k", "v\"\\"), LF_UINT("n", UINT64_MAX), LF_BARE("b", STR("x")),
                                   LF_FLOAT("f", 1e300),  LF_FLOAT("g", NAN),       LF_BOOL("no", false) };
    struct log_style ms = { .format = LOG_JSON, .rfc3339_ms = true };

    lines_are(&json, LOG_WARN, "m", f, ARRAY_LEN(f),
              "{\"timestamp\":\"2025-03-01 "
              "12:00:01\",\"level\":\"WARN\",\"message\":\"m\",\"k\":\"v\\\"\\\\\",\"n\":18446744073709551615,"
              "\"b\":\"x\",\"f\":1e+300,\"g\":null,\"no\":false,\"target\":\"smg::worker\"}\n");
    lines_are(&ms, LOG_DEBUG, "m", NULL, 0,
              "{\"timestamp\":\"2025-03-01T12:00:01.042Z\",\"level\":\"DEBUG\",\"message\":\"m\",\"target\":\"smg::worker\","
              "\"filename\":\"src/worker/health.c\",\"line_number\":12}\n");
}

static void control_bytes_and_broken_text_are_made_harmless(void **state)
{
    const struct log_field f[] = { LF_STR("k", STR("a\n\x1b[31m\"\xff\xc2\x9b\xc3\xa4\x7f")) };
    const struct log_field bare[] = { LF_BARE("k", STR("a\r\nb\"\0")) };

    lines_are(&text, LOG_INFO, "a\nb", f, 1,
              "2025-03-01 12:00:01  INFO smg::worker: a\\nb k=\"a\\n\\u{1b}[31m\\\"\xef\xbf\xbd\\u{9b}\xc3\xa4\\u{7f}\"\n");
    lines_are(&json, LOG_INFO, "a\nb", f, 1,
              "{\"timestamp\":\"2025-03-01 "
              "12:00:01\",\"level\":\"INFO\",\"message\":\"a\\nb\",\"k\":\"a\\n\\u001b[31m\\\"\xef\xbf\xbd\\u009b\xc3\xa4\\u007f\","
              "\"target\":\"smg::worker\"}\n");
    lines_are(&text, LOG_INFO, "m", bare, 1, "2025-03-01 12:00:01  INFO smg::worker: m k=a\\r\\nb\"\\u{00}\n");
}

static void long_texts_are_cut(void **state)
{
    static char x[LOG_TEXT_MAX + 1];
    const struct log_field f = LF_STR("k", ((struct str){ x, sizeof x }));
    struct buf out = { 0 };

    memset(x, 'x', sizeof x);
    log_format_line(&out, &text, &(struct log_line){ MARCH_1, LOG_INFO, "t", "f.c", "m", 1, &f, 1 });
    assert_in_range(out.n, LOG_TEXT_MAX, LOG_TEXT_MAX + 100);
    assert_true(str_has_suffix(buf_str(&out), STR("x...\"\n")));
    buf_fini(&out);
}

static void colours_stand_around_time_level_and_target(void **state)
{
    struct log_style colour = { .format = LOG_TEXT, .colour = true };

    lines_are(&colour, LOG_ERROR, "m", NULL, 0,
              "\x1b[2m2025-03-01 12:00:01\x1b[0m \x1b[31mERROR\x1b[0m\x1b[2m smg::worker:\x1b[0m m\n");
}

static void floats_read_back_as_they_were(void **state)
{
    const struct log_field f[] = { LF_FLOAT("a", 1.0 / 3), LF_FLOAT("b", 5e-324), LF_FLOAT("c", INFINITY), LF_FLOAT("d", 3) };

    lines_are(&text, LOG_INFO, "m", f, 4,
              "2025-03-01 12:00:01  INFO smg::worker: m a=0.3333333333333333 b=4.94065645841247e-324 c=inf d=3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(control_bytes_and_broken_text_are_made_harmless),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(colours_stand_around_time_level_and_target),
        cmocka_unit_test(floats_read_back_as_they_were),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
