/* policy.c -- which of the candidates (spec data-plane 6.3, 6.4, case 25) */
#include <stdlib.h>

#include "test.h"

#include "base/random.h"
#include "routing/policies.h"

#define N 5

static struct worker workers[N];
static struct worker_live lives[N];
static const struct worker *candidates[N];
static struct random random_state;
static struct policy_choice choice;
static struct policy_hint hint = { .random = &random_state };

static int set_up(void **state)
{
    random_init(&random_state, 42);
    for (size_t i = 0; i < N; i++) {
        atomic_store(&lives[i].load, 0);
        workers[i].live = &lives[i];
        candidates[i] = &workers[i];
    }
    return 0;
}

static struct policy *a_policy(const char *name)
{
    struct policy *p;

    assert_non_null(policy_find(str_of(name)));
    assert_int_equal(policy_new(policy_find(str_of(name)), &POLICY_CONF_DEFAULTS, &p, NULL), 0);
    return p;
}

static void policies_are_found_by_their_names(void **state)
{
    assert_ptr_equal(policy_find(STR("round_robin")), &policy_round_robin);
    assert_ptr_equal(policy_find(STR("random")), &policy_random);
    assert_ptr_equal(policy_find(STR("power_of_two")), &policy_power_of_two);
    assert_ptr_equal(policy_find(STR("RoundRobin")), &policy_round_robin);
    assert_ptr_equal(policy_find(STR("powerOfTwo")), &policy_power_of_two);
    assert_null(policy_find(STR("roundrobins")));
    assert_null(policy_find(STR("round")));
    assert_null(policy_find(STR("")));
    policy_unref(NULL);
}

/* 25 */
static void round_robin_takes_one_after_the_other(void **state)
{
    struct policy *p = a_policy("round_robin");
    static const int ABCA[] = { 0, 1, 2, 0 };

    for (size_t i = 0; i < ARRAY_LEN(ABCA); i++)
        assert_int_equal(policy_pick(p, candidates, 3, &hint, &choice), ABCA[i]);
    policy_unref(p);
}

/* 25: B is unhealthy, so dispatch offers A and C */
static void round_robin_alternates_between_those_that_are_left(void **state)
{
    struct policy *p = a_policy("round_robin");
    const struct worker *left[] = { &workers[0], &workers[2] };
    const struct worker *before = NULL;

    (void)policy_pick(p, candidates, 3, &hint, &choice);
    for (int i = 0; i < 6; i++) {
        const struct worker *picked = left[policy_pick(p, left, 2, &hint, &choice)];

        assert_ptr_not_equal(picked, before);
        before = picked;
    }
    policy_unref(p);
}

static void nobody_is_picked_out_of_none(void **state)
{
    for (size_t i = 0; POLICIES[i]; i++) {
        struct policy *p = a_policy(POLICIES[i]->name);

        assert_int_equal(policy_pick(p, candidates, 0, &hint, &choice), -1);
        policy_unref(p);
    }
}

static void every_policy_stays_among_its_candidates(void **state)
{
    for (size_t i = 0; POLICIES[i]; i++) {
        struct policy *p = a_policy(POLICIES[i]->name);

        for (size_t n = 1; n <= N; n++)
            for (int k = 0; k < 1000; k++) {
                int at = policy_pick(p, candidates, n, &hint, &choice);

                assert_true(at >= 0 && (size_t)at < n);
            }
        policy_unref(p);
    }
}

/* Chi-squared with 4 degrees of freedom is below 23.5 in all but one of 10,000 cases; the seed is fixed. */
static void expect_even(const char *name)
{
    struct policy *p = a_policy(name);
    double hits[N] = { 0 }, chi = 0;
    const double expected = 10000;

    for (int i = 0; i < (int)(N * expected); i++)
        hits[policy_pick(p, candidates, N, &hint, &choice)]++;
    for (size_t i = 0; i < N; i++)
        chi += (hits[i] - expected) * (hits[i] - expected) / expected;
    assert_true(chi < 23.5);
    policy_unref(p);
}

static void random_is_even(void **state)
{
    expect_even("random");
}

static void power_of_two_is_even_among_idle_workers(void **state)
{
    expect_even("power_of_two");
}

static void power_of_two_takes_the_less_loaded_of_two(void **state)
{
    struct policy *p = a_policy("power_of_two");

    worker_load_begin(&workers[0]);
    for (int i = 0; i < 100; i++)
        assert_int_equal(policy_pick(p, candidates, 2, &hint, &choice), 1);
    worker_load_begin(&workers[1]);
    worker_load_begin(&workers[1]);
    for (int i = 0; i < 100; i++)
        assert_int_equal(policy_pick(p, candidates, 2, &hint, &choice), 0);
    policy_unref(p);
}

static void power_of_two_never_takes_the_most_loaded(void **state)
{
    struct policy *p = a_policy("power_of_two");

    for (int i = 0; i < 3; i++)
        worker_load_begin(&workers[3]);
    for (int i = 0; i < 1000; i++)
        assert_int_not_equal(policy_pick(p, candidates, N, &hint, &choice), 3);
    policy_unref(p);
}

static void power_of_two_takes_the_only_one(void **state)
{
    struct policy *p = a_policy("power_of_two");

    worker_load_begin(&workers[0]);
    assert_int_equal(policy_pick(p, candidates, 1, &hint, &choice), 0);
    policy_unref(p);
}

#define RULE(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(policies_are_found_by_their_names),
        RULE(round_robin_takes_one_after_the_other),
        RULE(round_robin_alternates_between_those_that_are_left),
        RULE(nobody_is_picked_out_of_none),
        RULE(every_policy_stays_among_its_candidates),
        RULE(random_is_even),
        RULE(power_of_two_is_even_among_idle_workers),
        RULE(power_of_two_takes_the_less_loaded_of_two),
        RULE(power_of_two_never_takes_the_most_loaded),
        RULE(power_of_two_takes_the_only_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
