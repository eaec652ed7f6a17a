/* arrivals.c -- due times are a Poisson process, and the same one for the same seed */
#include "test.h"

#include <math.h>

#include "load/arrivals.h"

#define N 200000

static void the_same_seed_gives_the_same_times(void **state)
{
    struct arrivals a, b;

    arrivals_init(&a, 500, 7);
    arrivals_init(&b, 500, 7);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(arrivals_next(&a), arrivals_next(&b));
}

static void another_seed_gives_other_times(void **state)
{
    struct arrivals a, b;
    int same = 0;

    arrivals_init(&a, 500, 7);
    arrivals_init(&b, 500, 8);
    for (int i = 0; i < 1000; i++)
        same += arrivals_next(&a) == arrivals_next(&b);
    assert_in_range(same, 0, 10);
}

static void times_never_go_back(void **state)
{
    struct arrivals a;
    uint64_t last = 0;

    arrivals_init(&a, 1e6, 1);
    for (int i = 0; i < N; i++) {
        uint64_t t = arrivals_next(&a);

        assert_true(t >= last);
        last = t;
    }
}

/* Exponential gaps: mean 1/rate, standard deviation the same; the bounds are about ten standard errors wide. */
static void gaps_have_the_mean_and_the_spread_of_the_rate(void **state)
{
    static const double RATES[] = { 0.5, 100, 20000 };

    for (unsigned r = 0; r < ARRAY_LEN(RATES); r++) {
        double want = 1e6 / RATES[r], sum = 0, squares = 0, last = 0;
        struct arrivals a;

        arrivals_init(&a, RATES[r], 42 + r);
        for (int i = 0; i < N; i++) {
            (void)arrivals_next(&a);
            double gap = a.at_us - last;

            last = a.at_us;
            sum += gap;
            squares += gap * gap;
        }
        double mean = sum / N, deviation = sqrt(squares / N - mean * mean);

        assert_true(fabs(mean / want - 1) < 0.025);
        assert_true(fabs(deviation / want - 1) < 0.04);
    }
}

/* Counts per interval have a variance equal to their mean: what tells a Poisson process from an even pace. */
static void counts_per_interval_vary_as_much_as_their_mean(void **state)
{
    enum { INTERVALS = 20000 };
    static unsigned counts[INTERVALS];
    double mean = 0, variance = 0;
    struct arrivals a;

    memset(counts, 0, sizeof counts);
    arrivals_init(&a, 1000, 3); /* 10 per interval of 10 ms */
    for (;;) {
        uint64_t i = arrivals_next(&a) / 10000;

        if (i >= INTERVALS)
            break;
        counts[i]++;
    }
    for (int i = 0; i < INTERVALS; i++)
        mean += counts[i];
    mean /= INTERVALS;
    for (int i = 0; i < INTERVALS; i++)
        variance += (counts[i] - mean) * (counts[i] - mean);
    variance /= INTERVALS;
    assert_true(fabs(mean - 10) < 0.25);
    assert_true(fabs(variance / mean - 1) < 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_times),
        cmocka_unit_test(another_seed_gives_other_times),
        cmocka_unit_test(times_never_go_back),
        cmocka_unit_test(gaps_have_the_mean_and_the_spread_of_the_rate),
        cmocka_unit_test(counts_per_interval_vary_as_much_as_their_mean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
