/* tests/unit/text/tokenizer/score.c -- numbers with the last bit that the original gives them (its own answers stand here) */
#include "test.h"

#include "text/tokenizer/score.h"

static double read_score(const char *text)
{
    double v = -1;

    assert_true(score_read(str_of(text), &v));
    return v;
}

static void what_fits_in_53_bits_is_rounded_once(void **state)
{
    assert_true(read_score("0") == 0);
    assert_true(read_score("-8.571214378086523") == -8.571214378086523);
    assert_true(read_score("-10.5") == -10.5);
    assert_true(read_score("12e-1") == 1.2);
    assert_true(read_score("1E+3") == 1000);
}

static void seventeen_digits_are_rounded_twice(void **state)
{
    assert_true(read_score("-13.146710119802117") == -13.146710119802115);
    assert_true(read_score("-13.146710119802117") != -13.146710119802117);
}

static void digits_past_64_bits_are_dropped(void **state)
{
    assert_true(read_score("1.00000000000000000009999") == 1.0);
    assert_true(read_score("123456789012345678901234") > 1.2e23);
    assert_true(read_score("123456789012345678901234") < 1.3e23);
}

static void the_ends_of_the_range_are_zero_and_false(void **state)
{
    double v;

    assert_true(read_score("1e-400") == 0);
    assert_true(read_score("1e-320") > 0);
    assert_true(read_score("0e999999999") == 0);
    assert_true(read_score("1e-999999999999") == 0);
    assert_false(score_read(STR("1e309"), &v));
    assert_false(score_read(STR("-1e99999999999"), &v));
    assert_false(score_read(STR("99999e305"), &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_in_53_bits_is_rounded_once),
        cmocka_unit_test(seventeen_digits_are_rounded_twice),
        cmocka_unit_test(digits_past_64_bits_are_dropped),
        cmocka_unit_test(the_ends_of_the_range_are_zero_and_false),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
