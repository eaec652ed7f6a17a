/* budget.c -- the rules of the one memory budget */
#include "test.h"

#include "base/budget.h"

static void what_is_over_the_limit_is_refused_and_not_taken(void **state)
{
    size_t refusals = budget_refusals();

    budget_set_limit(100);
    assert_true(budget_take(60));
    assert_false(budget_take(41));
    assert_int_equal(budget_refusals(), refusals + 1);
    assert_int_equal(budget_used(), 60);
    assert_true(budget_take(40));
    assert_false(budget_take(SIZE_MAX));
    budget_give(100);
    assert_int_equal(budget_used(), 0);
    assert_int_equal(budget_limit(), 100);
}

static void without_a_limit_nothing_is_refused(void **state)
{
    budget_set_limit(0);
    assert_true(budget_take(SIZE_MAX / 2));
    budget_give(SIZE_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_over_the_limit_is_refused_and_not_taken),
        cmocka_unit_test(without_a_limit_nothing_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
