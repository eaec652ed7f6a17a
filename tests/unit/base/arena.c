/* arena.c -- the rules of memory that is freed in one go */
#include "test.h"

#include "base/arena.h"
#include "base/budget.h"
#include "fail_alloc.h"

static void pieces_of_every_size_are_aligned_and_apart(void **state)
{
    struct arena a = { 0 };
    char *before = NULL;
    size_t before_n = 0;

    for (size_t n = 0; n < 6000; n = n * 9 / 8 + 1) {
        char *p = arena_alloc(&a, n);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, 0x55, n);
        assert_true(!before || p >= before + before_n || p + n <= before);
        before = p;
        before_n = n;
    }
    arena_fini(&a);
}

static void blocks_come_back_from_the_cache(void **state)
{
    struct arena_cache cache = { 0 };
    struct arena a;

    arena_init(&a, &cache, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_non_null(arena_alloc(&a, 1000));
    arena_fini(&a);
    assert_int_equal(cache.n, 2);
    FOR_EACH_FAILING_ALLOCATION(n)
    { /* the counting run finds none: the body runs once */
        assert_int_equal(n, 0);
        for (unsigned i = 0; i < 10; i++)
            assert_non_null(arena_alloc(&a, 1000));
        arena_fini(&a);
    }
    arena_cache_fini(&cache);
}

static void the_cache_keeps_no_more_than_its_bound(void **state)
{
    struct arena_cache cache = { .max = 1 };
    struct arena a;

    arena_init(&a, &cache, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_non_null(arena_alloc(&a, 1000));
    arena_fini(&a);
    assert_int_equal(cache.n, 1);
    arena_cache_fini(&cache);
    assert_null(cache.free);
}

static void the_bound_makes_the_arena_fail_for_good(void **state)
{
    struct arena a;

    arena_init(&a, NULL, 100);
    assert_non_null(arena_alloc(&a, 60));
    assert_null(arena_alloc(&a, 60));
    assert_true(a.failed);
    assert_null(arena_alloc(&a, 1));
    arena_fini(&a);
    assert_false(a.failed);
    assert_non_null(arena_alloc(&a, 100));
    assert_null(arena_alloc(&a, 1));
    arena_fini(&a);
}

static void large_pieces_draw_from_the_budget_where_the_owner_wants_it(void **state)
{
    struct arena plain = { 0 }, a = { .budgeted = true };

    budget_set_limit(100000);
    assert_non_null(arena_alloc(&plain, 200000));
    assert_non_null(arena_alloc(&a, 1000)); /* of a block */
    assert_int_equal(budget_used(), 0);
    assert_non_null(arena_alloc(&a, 60000));
    assert_in_range(budget_used(), 60000, 60100);
    assert_null(arena_alloc(&a, 60000));
    assert_true(a.failed);
    arena_fini(&plain);
    arena_fini(&a);
    assert_int_equal(budget_used(), 0);
    assert_true(a.budgeted);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        if (arena_alloc(&a, 60000))
            assert_true(budget_used() > 60000);
        arena_fini(&a);
        assert_int_equal(budget_used(), 0);
    }
    budget_set_limit(0);
}

static void products_that_overflow_fail(void **state)
{
    struct arena a = { 0 };

    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_true(a.failed);
    arena_fini(&a);
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_fini(&a);
}

static void copies_end_in_nul(void **state)
{
    struct arena a = { 0 };
    struct str s = arena_str(&a, STR("abc")), t = arena_printf(&a, "%d-%s", 5, "x"), empty = arena_str(&a, STR_NONE);

    assert_string_equal(s.p, "abc");
    assert_str(t, "5-x");
    assert_non_null(empty.p);
    assert_string_equal(empty.p, "");
    arena_fini(&a);
}

static void zeroed_memory_is_zero_also_from_used_blocks(void **state)
{
    struct arena_cache cache = { 0 };
    struct arena a;
    char *p;

    arena_init(&a, &cache, 0);
    p = arena_alloc(&a, 500);
    memset(p, 0xff, 500);
    arena_fini(&a);
    p = arena_alloc_zero(&a, 500);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(p[i], 0);
    arena_fini(&a);
    arena_cache_fini(&cache);
}

static void trimming_gives_back_the_end_of_the_newest_piece(void **state)
{
    struct arena a = { 0 };
    char *p = arena_alloc(&a, 1000), *q, *large;

    arena_trim(&a, p, 10);
    assert_int_equal(a.used, 16);
    q = arena_alloc(&a, 1);
    assert_ptr_equal(q, p + 16);
    large = arena_alloc(&a, ARENA_BLOCK + 1000);
    arena_trim(&a, large, 10);
    memset(large, 1, ARENA_BLOCK + 1000);
    arena_trim(&a, q, 100); /* more than there is: nothing happens */
    assert_ptr_equal(arena_alloc(&a, 1), q + 16);
    arena_fini(&a);
}

static void without_memory_it_fails_and_frees_what_it_has(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena_cache cache = { 0 };
        struct arena a;
        struct str s;

        arena_init(&a, &cache, 0);
        for (unsigned i = 0; i < 3; i++) {
            (void)arena_str(&a, STR("text"));
            (void)!arena_alloc(&a, 1000);
            (void)!arena_alloc(&a, 6000);
        }
        s = arena_printf(&a, "%s", "end");
        assert_int_equal(a.failed, fail_alloc_failed());
        assert_true(a.failed ? s.p == NULL : str_eq(s, STR("end")));
        arena_fini(&a);
        arena_cache_fini(&cache);
    }
}

static void what_another_arena_holds_can_be_taken_over(void **state)
{
    struct arena_cache cache = { 0 };
    struct arena to, from;
    struct str mine, small, large;
    char *trimmed;

    (void)state;
    arena_init(&to, &cache, 0);
    arena_init(&from, NULL, 0);
    mine = arena_str(&to, STR("mine"));
    small = arena_str(&from, STR("small"));
    large = (struct str){ arena_alloc_zero(&from, 3 * ARENA_BLOCK), 3 * ARENA_BLOCK };
    arena_take(&to, &from);
    assert_int_equal(from.used, 0);
    assert_null(from.blocks);
    assert_int_equal(to.used, 3 * ARENA_BLOCK + 32);
    trimmed = arena_alloc(&to, 64); /* its own newest block is still the one that it cuts from */
    arena_trim(&to, trimmed, 16);
    assert_ptr_equal(arena_alloc(&to, 16), trimmed + 16);
    assert_str(mine, "mine");
    assert_str(small, "small");
    assert_int_equal(large.p[large.n - 1], 0);
    arena_fini(&from);
    arena_fini(&to);
    assert_int_equal(cache.n, 2);
    arena_cache_fini(&cache);
}

static void taking_over_more_than_the_bound_fails(void **state)
{
    struct arena to, from;

    (void)state;
    arena_init(&to, NULL, 64);
    arena_init(&from, NULL, 0);
    assert_non_null(arena_alloc(&from, 80));
    arena_take(&to, &from);
    assert_true(to.failed);
    assert_null(arena_alloc(&to, 1));
    arena_fini(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_every_size_are_aligned_and_apart),
        cmocka_unit_test(blocks_come_back_from_the_cache),
        cmocka_unit_test(the_cache_keeps_no_more_than_its_bound),
        cmocka_unit_test(the_bound_makes_the_arena_fail_for_good),
        cmocka_unit_test(large_pieces_draw_from_the_budget_where_the_owner_wants_it),
        cmocka_unit_test(products_that_overflow_fail),
        cmocka_unit_test(copies_end_in_nul),
        cmocka_unit_test(zeroed_memory_is_zero_also_from_used_blocks),
        cmocka_unit_test(trimming_gives_back_the_end_of_the_newest_piece),
        cmocka_unit_test(what_another_arena_holds_can_be_taken_over),
        cmocka_unit_test(taking_over_more_than_the_bound_fails),
        cmocka_unit_test(without_memory_it_fails_and_frees_what_it_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
