/* reported.c -- least_load and power_of_two, which go by the engines' reports (spec data-plane 6.4, 6.5, cases 31, 32) */
#include "herd.h"

static void dp_31_the_shorter_queue_wins(void **state)
{
    struct policy *p;

    herd_make(2);
    p = herd_policy(&policy_least_load, NULL);
    herd_report(1, 0.2, 100, 8000);
    herd_report(2, 0.2, 100, 1000);
    assert_int_equal(herd_pick(p), 2);
    assert_string_equal(herd.choice.branch, "reports");
    policy_unref(p);
}

static void dp_31_a_full_cache_is_a_barrier(void **state)
{
    double scores[2];
    struct policy *p;

    herd_make(2);
    p = herd_policy(&policy_least_load, NULL);
    herd_report(1, 0.98, 100, 0);
    herd_report(2, 0, 100, 0);
    herd.choice.scores = scores;
    assert_int_equal(herd_pick(p), 2);
    assert_true(scores[0] > 7.34 && scores[0] < 7.36);
    assert_string_equal(herd.choice.score_name, "seconds");
    policy_unref(p);
}

static void dp_31_what_was_sent_counts_until_the_next_report(void **state)
{
    struct policy *p;

    herd_make(2);
    p = herd_policy(&policy_least_load, NULL);
    herd_report(1, 0, 100, 0);
    herd_report(2, 0, 100, 0);
    assert_int_equal(herd_pick(p), 1);
    assert_int_equal(atomic_load(&herd.lives[0].credited_tokens), 1024);
    assert_int_equal(herd_pick(p), 2);
    assert_int_equal(herd_pick(p), 1);
    assert_int_equal(herd_pick_of(p, 2), 2); /* alone: no credit */
    assert_int_equal(atomic_load(&herd.lives[1].credited_tokens), 1024);
    herd.hint.shadow = true;
    assert_int_equal(herd_pick(p), 2);
    assert_int_equal(atomic_load(&herd.lives[1].credited_tokens), 1024);
    policy_unref(p);
}

static void dp_31_a_worker_without_a_report_is_judged_by_its_requests(void **state)
{
    struct policy *p;

    herd_make(2);
    p = herd_policy(&policy_least_load, NULL);
    atomic_store(&herd.lives[0].load, 5); /* 5 * 1024 / 100 = 51.2 s */
    herd_report(2, 0, 100, 4000);         /* 40 s */
    assert_int_equal(herd_pick(p), 2);
    atomic_store(&herd.lives[0].load, 3); /* 30.7 s; the other one 40 + 10.24 */
    assert_int_equal(herd_pick(p), 1);
    policy_unref(p);
}

static void dp_31_without_any_report_requests_are_compared(void **state)
{
    struct policy *p;

    herd_make(3);
    p = herd_policy(&policy_least_load, NULL);
    assert_int_equal(herd_pick(p), 1);
    atomic_store(&herd.lives[0].load, 2);
    atomic_store(&herd.lives[1].load, 1);
    assert_int_equal(herd_pick(p), 3);
    assert_string_equal(herd.choice.branch, "request_counts");
    policy_unref(p);
}

static void dp_31_an_engine_that_tells_no_throughput_has_the_default(void **state)
{
    struct policy *p;

    herd_make(2);
    p = herd_policy(&policy_least_load, NULL);
    herd_report(1, 0, 0, 4000); /* 2 s at 2000 */
    herd_report(2, 0, 1000, 3000);
    assert_int_equal(herd_pick(p), 1);
    policy_unref(p);
}

static void a_queue_at_the_report_shrinks_with_each_request_that_ended_since(void **state)
{
    struct policy *p;

    herd_make(2);
    p = herd_policy(&policy_least_load, NULL);
    herd.hint.body_bytes = 3996; /* 1000 tokens */
    herd_report(1, 0, 100, 4000);
    herd_report(2, 0, 100, 3000);
    assert_int_equal(herd_pick(p), 2); /* and 2 has 4000, too */
    assert_int_equal(atomic_load(&herd.lives[1].credited_tokens), 1000);
    atomic_store(&herd.lives[0].processed, 2); /* two have come and gone */
    assert_int_equal(herd_pick(p), 1);
    atomic_store(&herd.lives[0].processed, 102);
    atomic_store(&herd.lives[0].load, 6); /* nothing waits, but these are at work: 6000 */
    assert_int_equal(herd_pick(p), 2);
    policy_unref(p);
}

static void power_of_two_counts_what_was_sent_since_the_reports(void **state)
{
    struct policy *p;

    herd_make(2);
    p = herd_policy(&policy_power_of_two, NULL);
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&herd.lives[i].load, 10);
        atomic_store(&herd.lives[i].report.load, 10);
    }
    herd_report(1, 0.45, 100, 0); /* 4 % of the cache per request on average */
    herd_report(2, 0.35, 100, 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(herd_pick(p), 2);
    atomic_store(&herd.lives[1].load, 13); /* 0.35 + 3 * 0.04 */
    for (int i = 0; i < 50; i++)
        assert_int_equal(herd_pick(p), 1);
    atomic_store(&herd.lives[0].load, 14);
    for (int i = 0; i < 50; i++)
        assert_int_equal(herd_pick(p), 2);
    assert_string_equal(herd.choice.branch, "kv_usage");
    policy_unref(p);
}

static void dp_32_reports_are_compared_when_both_have_one(void **state)
{
    struct policy *p;

    herd_make(2);
    p = herd_policy(&policy_power_of_two, NULL);
    atomic_store(&herd.lives[1].load, 9);
    herd_report(1, 0.9, 100, 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(herd_pick(p), 1); /* a report on one side only: request counts */
    assert_string_equal(herd.choice.branch, "request_counts");
    herd_report(2, 0.1, 100, 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(herd_pick(p), 2);
    assert_string_equal(herd.choice.branch, "kv_usage");
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_31_the_shorter_queue_wins),
        cmocka_unit_test(dp_31_a_full_cache_is_a_barrier),
        cmocka_unit_test(dp_31_what_was_sent_counts_until_the_next_report),
        cmocka_unit_test(dp_31_a_worker_without_a_report_is_judged_by_its_requests),
        cmocka_unit_test(dp_31_without_any_report_requests_are_compared),
        cmocka_unit_test(dp_31_an_engine_that_tells_no_throughput_has_the_default),
        cmocka_unit_test(dp_32_reports_are_compared_when_both_have_one),
        cmocka_unit_test(a_queue_at_the_report_shrinks_with_each_request_that_ended_since),
        cmocka_unit_test(power_of_two_counts_what_was_sent_since_the_reports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
