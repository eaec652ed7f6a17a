/* breaker.c -- the circuit breaker's rules. Time is a number that the test advances. */
#include "test.h"

#include "worker/breaker.h"

static struct breaker b;
static struct breaker_conf conf;
static uint64_t now_us;

static int open_breaker(void **state)
{
    b = (struct breaker){ 0 };
    conf = (struct breaker_conf){ .failure_threshold = 3, .success_threshold = 2, .timeout_ms = 1000, .window_ms = 10000 };
    now_us = 1000000000;
    return 0;
}

static void pass_ms(uint64_t ms)
{
    now_us += ms * 1000;
}

static bool report(enum breaker_outcome outcome, bool probe)
{
    return breaker_report(&b, &conf, outcome, probe, now_us);
}

static void fail_times(unsigned n)
{
    while (n-- > 0)
        report(BREAKER_FAILURE, false);
}

static enum breaker_pass enter(void)
{
    return breaker_enter(&b, &conf, now_us);
}

static enum breaker_admission look(void)
{
    uint64_t recheck_us = UINT64_MAX;

    return breaker_look(&b, &conf, now_us, &recheck_us);
}

static void assert_state(enum breaker_state want)
{
    assert_str(breaker_state_text(breaker_view(&b).state), breaker_state_text(want).p);
}

/* Open, its time over. */
static void open_and_due(void)
{
    fail_times(conf.failure_threshold);
    pass_ms(conf.timeout_ms + 20);
}

static void dp_38_failures_in_a_row_open_it(void **state)
{
    fail_times(2);
    assert_state(BREAKER_CLOSED);
    assert_int_equal(look(), BREAKER_YES);
    assert_true(report(BREAKER_FAILURE, false)); /* the lists must be made anew */
    assert_state(BREAKER_OPEN);
    assert_int_equal(look(), BREAKER_NO);
    assert_int_equal(enter(), BREAKER_REFUSED);
}

static void dp_38_a_success_in_between_resets(void **state)
{
    fail_times(2);
    assert_false(report(BREAKER_SUCCESS, false));
    fail_times(2);
    assert_state(BREAKER_CLOSED);
    assert_int_equal(breaker_view(&b).failures, 2);
    assert_int_equal(breaker_view(&b).successes, 0);
}

static void what_says_nothing_changes_nothing(void **state)
{
    fail_times(2);
    assert_false(report(BREAKER_NOTHING, false));
    assert_int_equal(breaker_view(&b).failures, 2);
    fail_times(1);
    assert_state(BREAKER_OPEN);
}

static void failures_older_than_the_window_do_not_count(void **state)
{
    fail_times(2);
    pass_ms(conf.window_ms + 100);
    fail_times(2);
    assert_state(BREAKER_CLOSED);
    assert_int_equal(breaker_view(&b).failures, 2);
    fail_times(1);
    assert_state(BREAKER_OPEN);
}

static void dp_38_after_the_timeout_it_is_half_open_for_one_request(void **state)
{
    open_and_due();
    assert_int_equal(look(), BREAKER_YES);
    assert_state(BREAKER_OPEN); /* until somebody comes */
    assert_int_equal(enter(), BREAKER_PROBE);
    assert_state(BREAKER_HALF_OPEN);
    assert_int_equal(look(), BREAKER_NO);
    assert_int_equal(enter(), BREAKER_REFUSED);
}

static void an_open_breaker_says_when_to_look_again(void **state)
{
    uint64_t recheck_us = UINT64_MAX;

    fail_times(3);
    pass_ms(400);
    assert_int_equal(breaker_look(&b, &conf, now_us, &recheck_us), BREAKER_NO);
    assert_in_range(recheck_us, now_us + 580000, now_us + 620000);
    recheck_us = 5;
    breaker_look(&b, &conf, now_us, &recheck_us);
    assert_int_equal(recheck_us, 5); /* only lowered */
}

static void dp_38_two_successful_probes_close_it(void **state)
{
    open_and_due();
    assert_int_equal(enter(), BREAKER_PROBE);
    assert_true(report(BREAKER_SUCCESS, true));
    assert_state(BREAKER_HALF_OPEN);
    assert_int_equal(look(), BREAKER_YES);
    assert_int_equal(enter(), BREAKER_PROBE);
    assert_true(report(BREAKER_SUCCESS, true));
    assert_state(BREAKER_CLOSED);
    assert_int_equal(enter(), BREAKER_PASSED);
    assert_int_equal(enter(), BREAKER_PASSED);
}

static void dp_38_a_failed_probe_opens_it_again(void **state)
{
    open_and_due();
    enter();
    report(BREAKER_SUCCESS, true);
    enter();
    assert_true(report(BREAKER_FAILURE, true));
    assert_state(BREAKER_OPEN);
    pass_ms(conf.timeout_ms - 100);
    assert_int_equal(enter(), BREAKER_REFUSED); /* the time began anew */
    pass_ms(200);
    assert_int_equal(enter(), BREAKER_PROBE);
    report(BREAKER_SUCCESS, true);
    assert_state(BREAKER_HALF_OPEN); /* and so did the count */
}

static void a_probe_that_says_nothing_makes_room_for_the_next(void **state)
{
    open_and_due();
    enter();
    assert_true(report(BREAKER_NOTHING, true));
    assert_state(BREAKER_HALF_OPEN);
    assert_int_equal(enter(), BREAKER_PROBE);
}

static void what_began_before_it_opened_changes_nothing(void **state)
{
    fail_times(3);
    assert_false(report(BREAKER_SUCCESS, false));
    assert_state(BREAKER_OPEN);
    pass_ms(conf.timeout_ms + 20);
    enter();
    assert_false(report(BREAKER_FAILURE, false));
    assert_false(report(BREAKER_SUCCESS, false));
    assert_state(BREAKER_HALF_OPEN);
    assert_int_equal(look(), BREAKER_NO);
}

static void who_recovers_comes_back_with_one_request(void **state)
{
    breaker_recover(&b, &conf);
    assert_state(BREAKER_CLOSED); /* it was never broken */
    assert_int_equal(look(), BREAKER_YES);
    assert_int_equal(enter(), BREAKER_PROBE);
    assert_int_equal(look(), BREAKER_RESERVE);
    assert_int_equal(enter(), BREAKER_PASSED); /* nobody else was left */
    assert_true(report(BREAKER_SUCCESS, true));
    assert_int_equal(look(), BREAKER_YES); /* one is enough */
    assert_int_equal(enter(), BREAKER_PASSED);
    assert_int_equal(atomic_load(&b.transitions[BREAKER_CLOSED][BREAKER_HALF_OPEN]), 0);
}

static void who_recovers_and_fails_on_opens(void **state)
{
    breaker_recover(&b, &conf);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(enter(), BREAKER_PROBE);
        report(BREAKER_FAILURE, true);
    }
    assert_state(BREAKER_OPEN);
    assert_int_equal(atomic_load(&b.transitions[BREAKER_CLOSED][BREAKER_OPEN]), 1);
}

static void health_says_nothing_about_an_open_breaker(void **state)
{
    fail_times(3);
    breaker_recover(&b, &conf);
    assert_state(BREAKER_OPEN);
}

static void a_disabled_breaker_lets_all_pass_and_counts(void **state)
{
    conf.disabled = true;
    fail_times(50);
    breaker_recover(&b, &conf);
    assert_state(BREAKER_CLOSED);
    assert_int_equal(look(), BREAKER_YES);
    assert_int_equal(enter(), BREAKER_PASSED);
    assert_int_equal(atomic_load(&b.failures), 50);
}

static void a_threshold_beyond_counting_is_never_reached(void **state)
{
    conf.failure_threshold = UINT32_MAX; /* how SMG says "disabled" */
    fail_times(BREAKER_COUNT_MAX + 10);
    assert_state(BREAKER_CLOSED);
    assert_int_equal(breaker_view(&b).failures, BREAKER_COUNT_MAX);
}

static void a_reset_closes_it(void **state)
{
    fail_times(3);
    breaker_reset(&b);
    assert_state(BREAKER_CLOSED);
    assert_int_equal(breaker_view(&b).failures, 0);
}

static void transitions_and_outcomes_are_counted(void **state)
{
    open_and_due();
    enter();
    report(BREAKER_FAILURE, true);
    pass_ms(conf.timeout_ms + 20);
    enter();
    report(BREAKER_SUCCESS, true);
    enter();
    report(BREAKER_SUCCESS, true);
    assert_int_equal(atomic_load(&b.transitions[BREAKER_CLOSED][BREAKER_OPEN]), 1);
    assert_int_equal(atomic_load(&b.transitions[BREAKER_OPEN][BREAKER_HALF_OPEN]), 2);
    assert_int_equal(atomic_load(&b.transitions[BREAKER_HALF_OPEN][BREAKER_OPEN]), 1);
    assert_int_equal(atomic_load(&b.transitions[BREAKER_HALF_OPEN][BREAKER_CLOSED]), 1);
    assert_int_equal(atomic_load(&b.failures), 4);
    assert_int_equal(atomic_load(&b.successes), 2);
}

static void a_clock_that_is_a_turn_behind_does_no_harm(void **state)
{
    fail_times(3);
    now_us -= 50000;
    assert_int_equal(look(), BREAKER_NO);
    assert_int_equal(enter(), BREAKER_REFUSED);
}

static void the_same_settings_are_the_same(void **state)
{
    struct breaker_conf other = conf;

    assert_true(breaker_conf_eq(&conf, &other));
    other.window_ms++;
    assert_false(breaker_conf_eq(&conf, &other));
}

#define RULE(f) cmocka_unit_test_setup(f, open_breaker)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(dp_38_failures_in_a_row_open_it),
        RULE(dp_38_a_success_in_between_resets),
        RULE(what_says_nothing_changes_nothing),
        RULE(failures_older_than_the_window_do_not_count),
        RULE(dp_38_after_the_timeout_it_is_half_open_for_one_request),
        RULE(an_open_breaker_says_when_to_look_again),
        RULE(dp_38_two_successful_probes_close_it),
        RULE(dp_38_a_failed_probe_opens_it_again),
        RULE(a_probe_that_says_nothing_makes_room_for_the_next),
        RULE(what_began_before_it_opened_changes_nothing),
        RULE(who_recovers_comes_back_with_one_request),
        RULE(who_recovers_and_fails_on_opens),
        RULE(health_says_nothing_about_an_open_breaker),
        RULE(a_disabled_breaker_lets_all_pass_and_counts),
        RULE(a_threshold_beyond_counting_is_never_reached),
        RULE(a_reset_closes_it),
        RULE(transitions_and_outcomes_are_counted),
        RULE(a_clock_that_is_a_turn_behind_does_no_harm),
        RULE(the_same_settings_are_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
