/* least_load.c -- least_load and power_of_two by reports of the engines (spec data-plane 6.4, 6.5; cases 31, 32) */
#include "crew.h"

static struct policy *a_least_load(double throughput)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;

    conf.default_throughput = throughput;
    return a_policy_with("least_load", &conf);
}

static void dp_31_fewer_waiting_tokens_win(void **state)
{
    struct policy *p = a_least_load(100);

    gather(2);
    report(0, 0.2, 100, 8000);
    report(1, 0.2, 100, 1000);
    assert_int_equal(chosen(p), 2);
    assert_branch("reports");
    policy_unref(p);
}

static void dp_31_a_full_cache_is_a_barrier(void **state)
{
    struct policy *p = a_least_load(100);

    gather(2);
    report(0, 0.98, 100, 0); /* 0.15 * 49 = 7.35 s */
    report(1, 0, 100, 0);
    assert_int_equal(chosen(p), 2);
    report(1, 0, 100, 736);
    atomic_store(&lives[1].credited_tokens, 0);
    assert_int_equal(chosen(p), 1);
    policy_unref(p);
}

static void dp_31_what_was_sent_counts_until_the_next_report(void **state)
{
    struct policy *p = a_least_load(100);
    double scores[2];

    gather(2);
    report(0, 0, 100, 0);
    report(1, 0, 100, 0);
    assert_int_equal(chosen(p), 1);
    choice.scores = scores;
    assert_int_equal(chosen(p), 2);
    assert_true(scores[0] > 10.23 && scores[0] < 10.25);
    assert_string_equal(choice.score_name, "seconds");
    policy_unref(p);
}

static void dp_31_one_that_does_not_report_is_judged_by_its_requests(void **state)
{
    struct policy *p = a_least_load(100);

    gather(2);
    give_load(0, 5); /* 5 * 1024 / 100 = 51.2 s */
    report(1, 0, 100, 4000);
    assert_int_equal(chosen(p), 2);
    give_load(0, 3); /* 30.7 s */
    assert_int_equal(chosen(p), 1);
    policy_unref(p);
}

static void without_any_report_requests_are_compared(void **state)
{
    struct policy *p = a_policy("least_load");

    gather(3);
    give_load(0, 2);
    give_load(1, 1);
    give_load(2, 1);
    assert_int_equal(chosen(p), 2);
    assert_branch("request_counts");
    policy_unref(p);
}

static void the_only_worker_gets_no_credit(void **state)
{
    struct policy *p = a_policy("least_load");

    gather(1);
    report(0, 0, 100, 0);
    assert_int_equal(chosen(p), 1);
    assert_int_equal(atomic_load(&lives[0].credited_tokens), 0);
    policy_unref(p);
}

static void a_shadow_credits_nobody_and_compares_its_own_loads(void **state)
{
    struct policy *p = a_policy("least_load");

    gather(2);
    give_load(0, 9);
    hint.shadow = true;
    atomic_store(&lives[1].shadow_load, 1);
    assert_int_equal(chosen(p), 1);
    assert_int_equal(atomic_load(&lives[0].credited_tokens), 0);
    policy_unref(p);
}

/* 32 */
static void dp_32_a_report_on_one_side_only_does_not_count(void **state)
{
    struct policy *p = a_policy("power_of_two");

    gather(2);
    report(0, 0.1, 0, 0);
    give_load(0, 3);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(chosen(p), 2);
        assert_branch("request_counts");
    }
    report(1, 0.9, 0, 0);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(chosen(p), 1);
        assert_branch("kv_usage");
    }
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_31_fewer_waiting_tokens_win),
        cmocka_unit_test(dp_31_a_full_cache_is_a_barrier),
        cmocka_unit_test(dp_31_what_was_sent_counts_until_the_next_report),
        cmocka_unit_test(dp_31_one_that_does_not_report_is_judged_by_its_requests),
        cmocka_unit_test(without_any_report_requests_are_compared),
        cmocka_unit_test(the_only_worker_gets_no_credit),
        cmocka_unit_test(a_shadow_credits_nobody_and_compares_its_own_loads),
        cmocka_unit_test(dp_32_a_report_on_one_side_only_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
