/* histogram.c -- quantiles within the promised error */
#include "test.h"

#include "base/histogram.h"

static struct histogram h, other;

static void an_empty_one_answers_zero(void **state)
{
    histogram_init(&h);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_true(histogram_mean(&h) == 0);
}

static void every_value_is_off_by_less_than_1_6_percent(void **state)
{
    for (uint64_t v = 0; v < UINT64_C(1) << 40; v = v * 21 / 20 + 1) {
        uint64_t got;

        histogram_init(&h);
        histogram_add(&h, 0); /* keep min and max from giving the exact value */
        histogram_add(&h, v);
        histogram_add(&h, (UINT64_C(1) << 40) - 1);
        got = histogram_quantile(&h, 0.5);
        assert_true((got > v ? got - v : v - got) * 1000 <= v * 16);
    }
}

static void quantiles_of_a_thousand_values(void **state)
{
    histogram_init(&h);
    for (unsigned i = 1; i <= 1000; i++)
        histogram_add(&h, i * 1000);
    assert_int_equal(histogram_quantile(&h, 0), 1000);
    assert_int_equal(histogram_quantile(&h, 1), 1000000);
    assert_in_range(histogram_quantile(&h, 0.5), 492000, 509000);
    assert_in_range(histogram_quantile(&h, 0.99), 975000, 1000000);
    assert_true(histogram_mean(&h) == 500500);
}

static void too_large_values_count_as_the_largest(void **state)
{
    histogram_init(&h);
    histogram_add(&h, UINT64_MAX);
    assert_true(histogram_quantile(&h, 0.5) == (UINT64_C(1) << 40) - 1);
}

static void merging_adds(void **state)
{
    histogram_init(&h);
    histogram_init(&other);
    histogram_merge(&h, &other);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    histogram_add(&other, 10);
    histogram_add(&other, 20);
    histogram_add(&h, 30);
    histogram_merge(&h, &other);
    assert_int_equal(h.count, 3);
    assert_int_equal(histogram_quantile(&h, 0), 10);
    assert_int_equal(histogram_quantile(&h, 0.5), 20);
    assert_int_equal(histogram_quantile(&h, 1), 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_answers_zero),
        cmocka_unit_test(every_value_is_off_by_less_than_1_6_percent),
        cmocka_unit_test(quantiles_of_a_thousand_values),
        cmocka_unit_test(too_large_values_count_as_the_largest),
        cmocka_unit_test(merging_adds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
