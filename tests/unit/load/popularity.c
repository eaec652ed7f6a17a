/* popularity.c -- things come as often as Zipf's law says */
#include "test.h"

#include <math.h>

#include "fail_alloc.h"
#include "load/popularity.h"

#define N 200000

/* How often each of COUNTS_N things comes in N draws. */
static void draw(uint32_t n, double exponent, unsigned *counts)
{
    struct popularity p;
    struct random random;

    random_init(&random, 7);
    assert_int_equal(popularity_init(&p, n, exponent), 0);
    for (int i = 0; i < N; i++) {
        uint32_t at = popularity_draw(&p, &random);

        assert_in_range(at, 0, n - 1);
        counts[at]++;
    }
    popularity_fini(&p);
}

static void without_an_exponent_all_come_equally_often(void **state)
{
    unsigned counts[10] = { 0 };

    draw(10, 0, counts);
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], N / 10 * 0.95, N / 10 * 1.05);
}

static void the_ith_comes_as_one_over_i_to_the_exponent(void **state)
{
    static const double EXPONENTS[] = { 0.5, 1, 2 };

    for (unsigned e = 0; e < ARRAY_LEN(EXPONENTS); e++) {
        unsigned counts[10] = { 0 };
        double sum = 0;

        draw(10, EXPONENTS[e], counts);
        for (int i = 1; i <= 10; i++)
            sum += pow(i, -EXPONENTS[e]);
        for (int i = 1; i <= 10; i++) {
            double want = N * pow(i, -EXPONENTS[e]) / sum;

            assert_in_range(counts[i - 1], want * 0.9, want * 1.1); /* more than four standard errors of the rarest */
        }
    }
}

static void the_last_one_comes_too(void **state)
{
    unsigned counts[3] = { 0 };

    draw(3, 1, counts);
    assert_true(counts[2] > 0);
}

static void one_thing_needs_no_draw(void **state)
{
    struct popularity p;
    struct random a, b;

    random_init(&a, 1);
    random_init(&b, 1);
    assert_int_equal(popularity_init(&p, 1, 1.5), 0);
    assert_int_equal(popularity_draw(&p, &a), 0);
    assert_int_equal(random_u64(&a), random_u64(&b));
    popularity_fini(&p);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct popularity p;
        int r = popularity_init(&p, 100, 1);

        assert_true(r == 0 || r == ERR_NOMEM);
        assert_int_equal(r == 0, !fail_alloc_failed());
        popularity_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_exponent_all_come_equally_often),
        cmocka_unit_test(the_ith_comes_as_one_over_i_to_the_exponent),
        cmocka_unit_test(the_last_one_comes_too),
        cmocka_unit_test(one_thing_needs_no_draw),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
