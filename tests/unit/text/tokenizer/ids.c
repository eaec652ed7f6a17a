/* ids_reserve and ids_put: growth, and what happens when memory runs out */
#include "test.h"

#include "fail_alloc.h"
#include "text/tokenizer/tokenizer.h"

static void ids_grow_as_they_are_put(void **state)
{
    struct ids ids = { 0 };
    for (uint32_t i = 0; i < 10000; i++)
        ids_put(&ids, i * 3);
    assert_int_equal(ids.n, 10000);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(ids.v[i], i * 3);
    ids_clear(&ids);
    assert_int_equal(ids.n, 0);
    ids_fini(&ids);
    assert_null(ids.v);
}

static void without_memory_failure_sticks(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct ids ids = { 0 };
        for (uint32_t i = 0; i < 1000; i++)
            ids_put(&ids, i);
        assert_true(ids.failed ? ids.n < 1000 && !ids_reserve(&ids, 1) : ids.n == 1000);
        ids_fini(&ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_grow_as_they_are_put),
        cmocka_unit_test(without_memory_failure_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
