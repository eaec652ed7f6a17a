/* clock.c -- dates agree with the C library's */
#include "test.h"

#include "base/clock.h"

#include <time.h>

static void the_texts_have_their_forms(void **state)
{
    char out[CLOCK_TEXT_MAX];

    assert_int_equal(clock_http_date(out, 784111777), 29);
    assert_string_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(clock_text(out, 1740830401042000), 19);
    assert_string_equal(out, "2025-03-01 12:00:01");
    assert_int_equal(clock_rfc3339(out, 1740830401042007, 3), 24);
    assert_string_equal(out, "2025-03-01T12:00:01.042Z");
    clock_rfc3339(out, 1740830401042007, 0);
    assert_string_equal(out, "2025-03-01T12:00:01Z");
    clock_rfc3339(out, 1740830401042007, 6);
    assert_string_equal(out, "2025-03-01T12:00:01.042007Z");
    clock_rfc3339(out, 1740830401042007, 9);
    assert_string_equal(out, "2025-03-01T12:00:01.042007000Z");
}

static void every_day_of_eight_centuries_is_right(void **state)
{
    for (uint64_t day = 0; day < 800 * 366; day++) {
        time_t t = (time_t)(day * 86400 + day % 86400);
        char ours[CLOCK_TEXT_MAX], theirs[64];
        struct tm tm;

        gmtime_r(&t, &tm);
        clock_http_date(ours, (uint64_t)t);
        strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_string_equal(ours, theirs);
    }
}

static void the_farthest_moment_fits(void **state)
{
    char out[CLOCK_TEXT_MAX];

    assert_in_range(clock_text(out, UINT64_MAX), 1, CLOCK_TEXT_MAX - 1);
    assert_in_range(clock_rfc3339(out, UINT64_MAX, 9), 1, CLOCK_TEXT_MAX - 1);
    assert_in_range(clock_http_date(out, UINT64_MAX / 1000000), 1, CLOCK_TEXT_MAX - 1);
}

static void time_goes_on(void **state)
{
    uint64_t ns = clock_now_ns(), us = clock_now_us();

    assert_true(clock_now_ns() >= ns);
    assert_true(us >= ns / 1000);
    assert_true(clock_wall_us() / 1000000 >= (uint64_t)1700000000);
    assert_true(clock_wall_us() / 1000000 - clock_wall_s() + 1 <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_texts_have_their_forms),
        cmocka_unit_test(every_day_of_eight_centuries_is_right),
        cmocka_unit_test(the_farthest_moment_fits),
        cmocka_unit_test(time_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
