/* buf.c -- the rules of growing buffers */
#include "test.h"

#include "base/buf.h"
#include "fail_alloc.h"

static void bytes_stand_in_the_order_they_were_put(void **state)
{
    struct buf b = { 0 };

    buf_puts(&b, "a");
    buf_put_char(&b, 'b');
    buf_put(&b, STR_NONE);
    buf_put_u64(&b, UINT64_MAX);
    buf_put_char(&b, ' ');
    buf_put_i64(&b, INT64_MIN);
    buf_put_i64(&b, 0);
    buf_printf(&b, "[%s%d]", "x", 7);
    assert_str(buf_str(&b), "ab18446744073709551615 -92233720368547758080[x7]");
    buf_fini(&b);
    assert_null(b.p);
}

static void printing_grows_as_far_as_needed(void **state)
{
    struct buf b = { 0 };

    for (unsigned n = 0; n < 600; n += 7) {
        buf_clear(&b);
        buf_printf(&b, "%*s|", (int)n, "");
        assert_int_equal(b.n, n + 1);
        assert_int_equal(b.p[n], '|');
    }
    buf_fini(&b);
}

static void the_bound_is_exact_and_failure_is_kept(void **state)
{
    struct buf b = { .max = 4 };

    buf_printf(&b, "%s", "abcd");
    assert_false(b.failed);
    buf_put_char(&b, 'e');
    assert_true(b.failed);
    buf_consume(&b, 4);
    buf_put_char(&b, 'e');
    assert_int_equal(b.n, 0);
    buf_clear(&b);
    buf_puts(&b, "abcd");
    assert_false(b.failed);
    buf_printf(&b, "%s", "e");
    assert_true(b.failed);
    assert_str(buf_str(&b), "abcd");
    assert_null(buf_reserve(&b, 1));
    buf_fini(&b);
}

static void impossible_sizes_fail(void **state)
{
    struct buf b = { 0 };

    buf_puts(&b, "a");
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    assert_str(buf_str(&b), "a");
    buf_fini(&b);
}

static void consuming_moves_the_rest_to_the_front(void **state)
{
    struct buf b = { 0 };

    buf_consume(&b, 0);
    buf_puts(&b, "abc");
    buf_consume(&b, 1);
    assert_str(buf_str(&b), "bc");
    buf_consume(&b, 2);
    assert_str(buf_str(&b), "");
    buf_fini(&b);
}

static void room_that_was_reserved_is_there(void **state)
{
    struct buf b = { 0 };
    char *p = buf_reserve(&b, 1000);

    assert_non_null(p);
    memset(p, 'x', 1000);
    b.n += 1000;
    assert_true(b.cap >= 1000);
    assert_non_null(buf_reserve(&b, 0));
    buf_fini(&b);
}

static void without_memory_the_text_stays_and_failed_is_set(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct buf b = { 0 };

        buf_puts(&b, "kept");
        for (unsigned i = 0; i < 100; i++)
            buf_printf(&b, "%s", "0123456789");
        assert_int_equal(b.failed, fail_alloc_failed());
        assert_true(b.failed || b.n == 1004);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stand_in_the_order_they_were_put),          cmocka_unit_test(printing_grows_as_far_as_needed),
        cmocka_unit_test(the_bound_is_exact_and_failure_is_kept),          cmocka_unit_test(impossible_sizes_fail),
        cmocka_unit_test(consuming_moves_the_rest_to_the_front),           cmocka_unit_test(room_that_was_reserved_is_there),
        cmocka_unit_test(without_memory_the_text_stays_and_failed_is_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
