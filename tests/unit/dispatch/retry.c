/* retry.c -- pauses between attempts: the vectors of spec data-plane 7 */
#include "test.h"

#include "dispatch/retry.h"

static struct random source;

static void dp_37_the_default_pauses_without_jitter(void **state)
{
    struct retry_conf c = RETRY_CONF_DEFAULT;
    static const unsigned WANT[] = { 50, 75, 112, 168 };

    c.jitter = 0;
    for (unsigned k = 0; k < ARRAY_LEN(WANT); k++)
        assert_int_equal(retry_backoff_ms(&c, k, &source), WANT[k]);
}

static void dp_37_pauses_stop_growing_at_the_longest(void **state)
{
    const struct retry_conf c = { .initial_ms = 100, .max_ms = 250, .multiplier = 2 };

    assert_int_equal(retry_backoff_ms(&c, 0, &source), 100);
    assert_int_equal(retry_backoff_ms(&c, 1, &source), 200);
    assert_int_equal(retry_backoff_ms(&c, 2, &source), 250);
    assert_int_equal(retry_backoff_ms(&c, 10, &source), 250);
    assert_int_equal(retry_backoff_ms(&c, UINT32_MAX, &source), 250);
}

static void dp_37_jitter_moves_a_pause_by_up_to_its_share(void **state)
{
    const struct retry_conf c = { .initial_ms = 100, .max_ms = 30000, .multiplier = 2, .jitter = 0.5 };
    unsigned least = UINT32_MAX, most = 0;

    for (unsigned i = 0; i < 2000; i++) {
        unsigned ms = retry_backoff_ms(&c, 2, &source);

        least = MIN(least, ms);
        most = MAX(most, ms);
    }
    assert_in_range(least, 200, 220);
    assert_in_range(most, 580, 600);
}

static void the_largest_numbers_fit(void **state)
{
    const struct retry_conf c = { .initial_ms = UINT32_MAX, .max_ms = UINT32_MAX, .multiplier = 1e300, .jitter = 1 };

    for (unsigned i = 0; i < 100; i++)
        (void)retry_backoff_ms(&c, i, &source); /* UBSan looks on */
}

static void dp_16_these_statuses_are_worth_another_attempt(void **state)
{
    for (unsigned status = 100; status < 600; status++) {
        bool want = status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504);

        assert_int_equal(retry_status(status), want);
    }
}

static void a_worker_may_say_otherwise(void **state)
{
    const struct retry_conf gateway = RETRY_CONF_DEFAULT;
    struct worker_resilience given = WORKER_RESILIENCE_NONE;
    struct retry_conf c = retry_conf_over(&given, &gateway);

    assert_int_equal(c.attempts_max, 5);
    given.max_retries = 0; /* as SMG: at least one */
    given.initial_backoff_ms = 7;
    given.max_backoff_ms = 9;
    given.backoff_multiplier = 0.5;
    given.jitter_factor = 3;
    c = retry_conf_over(&given, &gateway);
    assert_int_equal(c.attempts_max, 1);
    assert_int_equal(c.initial_ms, 7);
    assert_int_equal(c.max_ms, 9);
    assert_true(c.multiplier >= 1 && c.multiplier <= 1);
    assert_true(c.jitter >= 1 && c.jitter <= 1);
    given.max_retries = 3;
    given.disable_retry = 1;
    assert_int_equal(retry_conf_over(&given, &gateway).attempts_max, 1);
}

static int seed(void **state)
{
    random_init(&source, 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_37_the_default_pauses_without_jitter),
        cmocka_unit_test(dp_37_pauses_stop_growing_at_the_longest),
        cmocka_unit_test(dp_37_jitter_moves_a_pause_by_up_to_its_share),
        cmocka_unit_test(the_largest_numbers_fit),
        cmocka_unit_test(dp_16_these_statuses_are_worth_another_attempt),
        cmocka_unit_test(a_worker_may_say_otherwise),
    };

    return cmocka_run_group_tests(tests, seed, NULL);
}
