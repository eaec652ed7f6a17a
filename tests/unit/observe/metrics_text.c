/* metrics_text.c -- reading the Prometheus exposition format line by line */
#include "test.h"

#include <math.h>
#include <stdio.h>

#include "observe/metrics_text.h"

static struct metrics_line line;

static enum metrics_line_kind read_one(const char *text)
{
    struct str rest = str_of(text);

    return metrics_next(&rest, &line);
}

static void samples_are_taken_apart(void **state)
{
    assert_int_equal(read_one("  a:b { x = \"1\\\"\" , y=\"\" , } \t-1.5e2  1700\r\n"), METRICS_SAMPLE);
    assert_true(str_eq(line.name, STR("a:b")) && line.labels_n == 2 && line.value == -150);
    assert_true(str_eq(line.labels[0].value, STR("1\\\"")) && str_eq(line.timestamp, STR("1700")));
    assert_int_equal(read_one("a +Inf # {trace=\"1\"} 3"), METRICS_SAMPLE);
    assert_true(isinf(line.value) && line.value > 0);
    assert_int_equal(read_one("a{} NaN"), METRICS_SAMPLE);
    assert_true(isnan(line.value));
}

static void comments_are_told_apart(void **state)
{
    assert_int_equal(read_one("# HELP a some text"), METRICS_HELP);
    assert_true(str_eq(line.text, STR("some text")));
    assert_int_equal(read_one("#TYPE a histogram"), METRICS_TYPE);
    assert_int_equal(read_one("# EOF"), METRICS_OTHER);
    assert_int_equal(read_one(" \n\t\n"), METRICS_END);
}

static void what_nobody_understands_is_bad_and_the_next_line_is_read(void **state)
{
    static const char *const BAD[] = { "a",    "a{",          "a{x}",     "a{x=1} 1",   "a{x=\"1\"", "a 1 2 3",
                                       "1a 1", "{x=\"1\"} 1", "# TYPE a", "# HELP 1 x", "a one" };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        char text[64];
        struct str rest;

        snprintf(text, sizeof text, "%s\nb 1", BAD[i]);
        rest = str_of(text);
        assert_int_equal(metrics_next(&rest, &line), METRICS_BAD);
        assert_int_equal(metrics_next(&rest, &line), METRICS_SAMPLE);
        assert_int_equal(metrics_next(&rest, &line), METRICS_END);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_taken_apart),
        cmocka_unit_test(comments_are_told_apart),
        cmocka_unit_test(what_nobody_understands_is_bad_and_the_next_line_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
