/* random.c -- the rules of random numbers */
#include "test.h"

#include "base/random.h"

#include <ctype.h>

static void the_same_seed_gives_the_same_sequence(void **state)
{
    struct random a, b, c;

    random_init(&a, 42);
    random_init(&b, 42);
    random_init(&c, 43);
    assert_int_not_equal(random_u64(&c), random_u64(&a));
    (void)random_u64(&b);
    for (unsigned i = 0; i < 100; i++)
        assert_true(random_u64(&a) == random_u64(&b));
}

/* What the authors' program prints for this state. */
static void the_generator_is_xoshiro256_starstar(void **state)
{
    struct random r = { { 1, 2, 3, 4 } };

    assert_true(random_u64(&r) == 11520);
    assert_true(random_u64(&r) == 0);
    assert_true(random_u64(&r) == 1509978240);
    assert_true(random_u64(&r) == 1215971899390074240);
}

static void choices_are_in_range_and_even(void **state)
{
    unsigned seen[7] = { 0 };
    struct random r;

    random_init(&r, 1);
    for (unsigned i = 0; i < 70000; i++)
        seen[random_below(&r, 7)]++;
    for (unsigned i = 0; i < 7; i++)
        assert_in_range(seen[i], 9500, 10500);
    assert_int_equal(random_below(&r, 1), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(random_below(&r, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
}

static void means_are_right(void **state)
{
    double unit = 0, exponential = 0;
    struct random r;

    random_init(&r, 1);
    for (unsigned i = 0; i < 100000; i++) {
        double u = random_unit(&r), e = random_exponential(&r, 3.0);

        assert_true(u >= 0 && u < 1 && e >= 0);
        unit += u;
        exponential += e;
    }
    assert_true(unit > 49500 && unit < 50500);
    assert_true(exponential > 294000 && exponential < 306000);
}

static void letters_and_digits_only(void **state)
{
    char text[10001] = { 0 };
    unsigned seen[256] = { 0 };
    struct random r;

    random_init_os(&r);
    random_alnum(&r, text, 10000);
    for (unsigned i = 0; i < 10000; i++) {
        assert_true(isalnum((unsigned char)text[i]));
        seen[(unsigned char)text[i]]++;
    }
    assert_int_equal(text[10000], 0);
    for (const char *c = "AZaz09"; *c; c++)
        assert_in_range(seen[(unsigned char)*c], 80, 260); /* 161 on average */
}

static void the_kernels_bytes_differ_each_time(void **state)
{
    unsigned char a[1000] = { 0 }, b[1000] = { 0 };

    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    random_bytes(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_sequence),
        cmocka_unit_test(the_generator_is_xoshiro256_starstar),
        cmocka_unit_test(choices_are_in_range_and_even),
        cmocka_unit_test(means_are_right),
        cmocka_unit_test(letters_and_digits_only),
        cmocka_unit_test(the_kernels_bytes_differ_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
