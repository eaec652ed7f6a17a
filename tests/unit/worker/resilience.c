/* resilience.c -- who is to blame, and what a worker's own settings say over the gateway's */
#include "test.h"

#include "worker/resilience.h"

static const struct breaker_conf GATEWAY = {
    .failure_threshold = 10, .success_threshold = 3, .timeout_ms = 60000, .window_ms = 120000
};
static const struct worker_resilience NOTHING = WORKER_RESILIENCE_NONE;

static void dp_38_a_4xx_is_never_the_workers_fault(void **state)
{
    struct worker_resilience given = WORKER_RESILIENCE_NONE;
    struct worker_judge j;

    given.has_codes = true;
    for (unsigned status = 400; status < 500; status++)
        if (status != 429)
            status_set_add(&given.codes, status); /* even if somebody says so */
    j = worker_judge_of(&GATEWAY, &given);
    for (unsigned status = 400; status < 500; status++)
        assert_int_equal(worker_judge_status(&j, status), status == 429 ? BREAKER_NOTHING : BREAKER_SUCCESS);
}

static void dp_38_busy_is_not_broken(void **state)
{
    struct worker_judge j = worker_judge_of(&GATEWAY, &NOTHING);

    assert_int_equal(worker_judge_status(&j, 429), BREAKER_NOTHING);
    assert_int_equal(worker_judge_status(&j, 503), BREAKER_NOTHING);
}

static void the_default_failures_are_500_502_and_504(void **state)
{
    struct worker_judge j = worker_judge_of(&GATEWAY, &NOTHING);

    for (unsigned status = 200; status < 700; status++) {
        bool failure = status == 500 || status == 502 || status == 504;

        if (status != 429 && status != 503)
            assert_int_equal(worker_judge_status(&j, status), failure ? BREAKER_FAILURE : BREAKER_SUCCESS);
    }
}

static void a_list_of_codes_takes_the_place_of_the_default(void **state)
{
    struct worker_resilience given = WORKER_RESILIENCE_NONE;
    struct worker_judge j;

    given.has_codes = true;
    status_set_add(&given.codes, 503);
    status_set_add(&given.codes, 429);
    status_set_add(&given.codes, 599);
    status_set_add(&given.codes, 65535);
    j = worker_judge_of(&GATEWAY, &given);
    assert_int_equal(worker_judge_status(&j, 503), BREAKER_FAILURE);
    assert_int_equal(worker_judge_status(&j, 429), BREAKER_FAILURE);
    assert_int_equal(worker_judge_status(&j, 599), BREAKER_FAILURE);
    assert_int_equal(worker_judge_status(&j, 500), BREAKER_SUCCESS);
}

static void what_was_given_stands_over_the_gateways(void **state)
{
    struct worker_resilience given = WORKER_RESILIENCE_NONE;
    struct worker_judge j = worker_judge_of(&GATEWAY, &given);

    assert_true(breaker_conf_eq(&j.breaker, &GATEWAY));
    given.cb_failure_threshold = 2;
    given.cb_success_threshold = 1;
    given.cb_timeout_s = 7;
    given.cb_window_s = 8;
    given.disable_breaker = 1;
    j = worker_judge_of(&GATEWAY, &given);
    assert_int_equal(j.breaker.failure_threshold, 2);
    assert_int_equal(j.breaker.success_threshold, 1);
    assert_int_equal(j.breaker.timeout_ms, 7000);
    assert_int_equal(j.breaker.window_ms, 8000);
    assert_true(j.breaker.disabled);
}

static void a_patch_changes_what_it_names(void **state)
{
    struct worker_resilience older = WORKER_RESILIENCE_NONE, patch = WORKER_RESILIENCE_NONE, r;
    struct worker_pool pool = { 1, 2, 3, 4 }, pool_patch = WORKER_POOL_NONE;

    assert_false(worker_resilience_has_retry(&older));
    older.max_retries = 2;
    older.jitter_factor = 0.5;
    patch.max_retries = 4;
    patch.disable_retry = 0;
    r = worker_resilience_over(&patch, &older);
    assert_int_equal(r.max_retries, 4);
    assert_true(r.jitter_factor > 0.4);
    assert_int_equal(r.disable_retry, 0);
    assert_int_equal(r.cb_window_s, -1);
    assert_true(worker_resilience_has_retry(&r));
    pool_patch.timeout_s = 9;
    pool = worker_pool_over(&pool_patch, &pool);
    assert_int_equal(pool.timeout_s, 9);
    assert_int_equal(pool.connect_s, 4);
}

static void a_pause_is_what_was_asked_for_within_reason(void **state)
{
    assert_int_equal(worker_cooldown_s(200, STR("5")), 0);
    assert_int_equal(worker_cooldown_s(500, STR("5")), 0);
    assert_int_equal(worker_cooldown_s(429, STR("5")), 5);
    assert_int_equal(worker_cooldown_s(503, STR("5")), 5);
    assert_int_equal(worker_cooldown_s(503, STR_NONE), COOLDOWN_S);
    assert_int_equal(worker_cooldown_s(503, STR("Fri, 31 Dec 1999 23:59:59 GMT")), COOLDOWN_S);
    assert_int_equal(worker_cooldown_s(429, STR("999999999999999999999999")), COOLDOWN_S);
    assert_int_equal(worker_cooldown_s(429, STR("86400")), COOLDOWN_S_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_38_a_4xx_is_never_the_workers_fault),
        cmocka_unit_test(dp_38_busy_is_not_broken),
        cmocka_unit_test(the_default_failures_are_500_502_and_504),
        cmocka_unit_test(a_list_of_codes_takes_the_place_of_the_default),
        cmocka_unit_test(what_was_given_stands_over_the_gateways),
        cmocka_unit_test(a_patch_changes_what_it_names),
        cmocka_unit_test(a_pause_is_what_was_asked_for_within_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
