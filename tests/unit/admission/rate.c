/* rate.c -- requests per second. Time is a number that the test advances. */
#include "test.h"

#include "admission/rate.h"

#define SECOND 1000000000ull

static uint64_t now = 77 * SECOND, wait_ns;

static unsigned take_all(struct rate *r)
{
    unsigned n = 0;

    while (n < 1000000 && rate_take(r, now, &wait_ns))
        n++;
    return n;
}

static void a_second_of_tokens_at_once_then_one_by_one(void **state)
{
    struct rate r = { 0 };

    (void)state;
    rate_configure(&r, 4);
    assert_int_equal(take_all(&r), 4);
    assert_int_equal(wait_ns, SECOND / 4);
    now += SECOND / 4 - 1;
    assert_false(rate_take(&r, now, &wait_ns));
    assert_int_equal(wait_ns, 1);
    now += 1;
    assert_int_equal(take_all(&r), 1);
    now += 100 * SECOND; /* never more than a second's */
    assert_int_equal(take_all(&r), 4);
}

static void zero_is_no_limit(void **state)
{
    struct rate r = { 0 };

    (void)state;
    assert_int_equal(take_all(&r), 1000000);
    rate_configure(&r, 1);
    assert_int_equal(take_all(&r), 1);
    rate_configure(&r, 0);
    assert_int_equal(take_all(&r), 1000000);
}

static void a_new_rate_holds_at_once(void **state)
{
    struct rate r = { 0 };

    (void)state;
    rate_configure(&r, 1000);
    assert_int_equal(take_all(&r), 1000);
    rate_configure(&r, 2);
    now += SECOND / 2;
    assert_int_equal(take_all(&r), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_of_tokens_at_once_then_one_by_one),
        cmocka_unit_test(zero_is_no_limit),
        cmocka_unit_test(a_new_rate_holds_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
