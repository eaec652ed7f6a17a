/* bucket.c -- prefill workers by the prompt's length (spec data-plane 6.10 and its vectors, case 35) */
#include "herd.h"

#include "fail_alloc.h"

static char text[8192];

static struct policy *a_bucket(void)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;

    conf.balance_abs_threshold = 300;
    herd_make(3);
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 3; i++)
        herd.workers[i].spec.type = WORKER_PREFILL;
    herd.hint.leg = POLICY_PREFILL;
    return herd_policy(&policy_bucket, &conf);
}

static size_t pick_size(struct policy *p, size_t size)
{
    herd.hint.text = (struct str){ text, size };
    return herd_pick(p);
}

static void expect_ranges(struct policy *p, uint64_t a, uint64_t b)
{
    uint64_t last[3];

    for (unsigned i = 0; i < 3; i++)
        assert_true(policy_bucket_range(p, STR("m"), i, &last[i]));
    assert_int_equal(last[0], a);
    assert_int_equal(last[1], b);
    assert_int_equal(last[2], UINT64_MAX);
    assert_false(policy_bucket_range(p, STR("m"), 3, &last[0]));
    assert_false(policy_bucket_range(p, STR("other"), 0, &last[0]));
}

static void dp_35_first_ranges_are_equal_parts(void **state)
{
    struct policy *p = a_bucket();

    assert_int_equal(pick_size(p, 0), 1);
    expect_ranges(p, 1364, 2729);
    assert_int_equal(pick_size(p, 1364), 1);
    policy_unref(p);
    p = a_bucket();
    assert_int_equal(pick_size(p, 1365), 2);
    policy_unref(p);
    p = a_bucket();
    assert_int_equal(pick_size(p, 5000), 3);
    assert_string_equal(herd.choice.branch, "range");
    policy_unref(p);
}

static void send_all(struct policy *p, const size_t *sizes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)pick_size(p, sizes[i]);
}

static void dp_35_ranges_follow_what_came(void **state)
{
    static const size_t FIRST[] = { 5, 10, 15, 20, 24, 26 }, SECOND[] = { 10, 20, 30, 40, 45, 57 };
    struct policy *p = a_bucket();

    send_all(p, FIRST, ARRAY_LEN(FIRST));
    p->ops->tick(p, herd.hint.now_us);
    expect_ranges(p, 20, 26);
    herd.hint.now_us += 6000000;
    send_all(p, SECOND, ARRAY_LEN(SECOND)); /* the first ones have expired */
    p->ops->tick(p, herd.hint.now_us);
    expect_ranges(p, 40, 57);
    p->ops->tick(p, herd.hint.now_us + 6000000); /* about as many as before: they stay */
    expect_ranges(p, 40, 57);
    policy_unref(p);
}

static void dp_35_an_uneven_interval_is_balanced(void **state)
{
    struct policy *p = a_bucket();

    assert_int_equal(pick_size(p, 301), 1);
    assert_int_equal(pick_size(p, 10), 2); /* by range it would be the first's */
    assert_string_equal(herd.choice.branch, "balance");
    assert_int_equal(pick_size(p, 10), 3);
    policy_unref(p);
}

static void dp_35_a_registration_begins_anew(void **state)
{
    static const size_t FIRST[] = { 5, 10, 15, 20, 24, 26 };
    struct policy *p = a_bucket();

    send_all(p, FIRST, ARRAY_LEN(FIRST));
    p->ops->tick(p, herd.hint.now_us);
    herd.hint.table_serial = 2; /* another table with the same workers */
    (void)pick_size(p, 1);
    expect_ranges(p, 20, 26);
    herd.group.n = 2;
    herd.hint.table_serial = 3;
    (void)pick_size(p, 1);
    herd.group.n = 3;
    herd.hint.table_serial = 4;
    (void)pick_size(p, 1);
    expect_ranges(p, 1364, 2729);
    policy_unref(p);
}

static void dp_35_somebody_else_serves_for_one_that_cannot(void **state)
{
    struct policy *p = a_bucket();

    herd.hint.text = (struct str){ text, 10 };
    assert_int_equal(herd_pick_of(p, 6), 2);
    assert_int_equal(herd_pick_of(p, 6), 3);
    policy_unref(p);
}

static void dp_35_elsewhere_any_worker_is_taken(void **state)
{
    struct policy *p = a_bucket();
    size_t hits[4] = { 0 };

    herd.hint.leg = POLICY_REGULAR;
    for (int i = 0; i < 300; i++)
        hits[pick_size(p, 10)]++;
    for (size_t i = 1; i <= 3; i++)
        assert_true(hits[i] > 60);
    assert_string_equal(herd.choice.branch, "random");
    policy_unref(p);
}

static void more_requests_than_it_records_are_no_harm(void **state)
{
    struct policy *p = a_bucket();

    for (int i = 0; i < 20000; i++)
        assert_true(pick_size(p, (size_t)i % 3000) > 0);
    p->ops->tick(p, herd.hint.now_us);
    policy_unref(p);
}

static void without_memory_any_worker_is_taken(void **state)
{
    policy_unref(a_bucket());
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct policy *p = NULL;

        if (policy_new(&policy_bucket, &POLICY_CONF_DEFAULTS, &p, NULL) == 0) {
            assert_true(pick_size(p, 10) > 0);
            p->ops->tick(p, herd.hint.now_us);
        }
        policy_unref(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_35_first_ranges_are_equal_parts),
        cmocka_unit_test(dp_35_ranges_follow_what_came),
        cmocka_unit_test(dp_35_an_uneven_interval_is_balanced),
        cmocka_unit_test(dp_35_a_registration_begins_anew),
        cmocka_unit_test(dp_35_somebody_else_serves_for_one_that_cannot),
        cmocka_unit_test(dp_35_elsewhere_any_worker_is_taken),
        cmocka_unit_test(more_requests_than_it_records_are_no_harm),
        cmocka_unit_test(without_memory_any_worker_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
