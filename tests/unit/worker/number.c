/* number.c -- small numbers for workers */
#include "test.h"

#include "worker/worker_number.h"

static void numbers_are_different_and_never_zero(void **state)
{
    uint16_t a = worker_number_take(), b = worker_number_take();

    assert_int_not_equal(a, 0);
    assert_int_not_equal(b, 0);
    assert_int_not_equal(a, b);
    worker_number_give(a);
    worker_number_give(b);
    worker_number_give(0);
}

static void a_number_comes_again_after_all_others_only(void **state)
{
    uint16_t first = worker_number_take(), next;
    unsigned others = 0;

    worker_number_give(first);
    while ((next = worker_number_take()) != first) {
        others++;
        worker_number_give(next);
    }
    assert_int_equal(others, WORKER_NUMBERS - 2);
    worker_number_give(first);
}

static void when_all_are_taken_there_is_none(void **state)
{
    for (unsigned i = 1; i < WORKER_NUMBERS; i++)
        assert_int_not_equal(worker_number_take(), 0);
    assert_int_equal(worker_number_take(), 0);
    worker_number_give(4711);
    assert_int_equal(worker_number_take(), 4711);
    for (unsigned i = 1; i < WORKER_NUMBERS; i++)
        worker_number_give((uint16_t)i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_different_and_never_zero),
        cmocka_unit_test(a_number_comes_again_after_all_others_only),
        cmocka_unit_test(when_all_are_taken_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
