/* bucket.c -- prefill workers by length of the prompt (spec data-plane 6.10; case 35) */
#include "crew.h"

static char text[8192];

static struct policy *buckets(void)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;

    memset(text, 'x', sizeof text);
    conf.balance_abs_threshold = 300;
    conf.balance_rel_threshold = 1.0001;
    return a_policy_with("bucket", &conf);
}

static void gather_prefill(size_t n)
{
    gather(n);
    for (size_t i = 0; i < n; i++)
        crew[i].spec.type = WORKER_PREFILL;
    hint.leg = POLICY_PREFILL;
}

static int of_size(struct policy *p, size_t n)
{
    hint.text = (struct str){ text, n };
    return chosen(p);
}

static void dp_35_the_first_ranges_share_4096_characters(void **state)
{
    static const struct {
        size_t size;
        int worker;
    } rows[] = { { 0, 1 }, { 1364, 1 }, { 1365, 2 }, { 2729, 2 }, { 2730, 3 }, { 8000, 3 } };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = buckets();

        gather_prefill(3);
        assert_int_equal(of_size(p, rows[i].size), rows[i].worker);
        assert_branch("bucket");
        policy_unref(p);
    }
}

static void send_all(struct policy *p, const size_t *sizes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        of_size(p, sizes[i]);
}

/* Which worker a size belongs to, without its being counted for much. */
static void assert_range(struct policy *p, size_t lower, size_t upper, int worker)
{
    assert_int_equal(of_size(p, lower), worker);
    assert_int_equal(of_size(p, upper), worker);
}

static void dp_35_ranges_follow_what_comes(void **state)
{
    static const size_t FIRST[] = { 5, 10, 15, 20, 24, 26 }, LATER[] = { 10, 20, 30, 40, 45, 57 };
    struct policy *p = buckets();

    gather_prefill(3);
    send_all(p, FIRST, ARRAY_LEN(FIRST));
    p->ops->tick(p, hint.now_us + 5000000);
    assert_range(p, 0, 20, 1);
    assert_range(p, 21, 26, 2);
    assert_range(p, 27, 100, 3);
    policy_unref(p);

    p = buckets();
    send_all(p, FIRST, ARRAY_LEN(FIRST));
    p->ops->tick(p, hint.now_us + 5000000);
    hint.now_us += 60000000; /* all of that has expired when the next comes */
    send_all(p, LATER, ARRAY_LEN(LATER));
    p->ops->tick(p, hint.now_us + 5000000);
    assert_range(p, 0, 40, 1);
    assert_range(p, 41, 57, 2);
    assert_range(p, 58, 100, 3);
    policy_unref(p);
}

static void whoever_got_least_is_next_when_it_is_too_uneven(void **state)
{
    struct policy *p = buckets();

    gather_prefill(3);
    assert_int_equal(of_size(p, 301), 1);
    assert_int_equal(of_size(p, 10), 2);
    assert_branch("least_served");
    assert_int_equal(of_size(p, 10), 3);
    policy_unref(p);
}

static void a_worker_that_is_away_is_replaced(void **state)
{
    struct policy *p = buckets();

    gather_prefill(3);
    leave_out(0);
    assert_int_equal(of_size(p, 5), 2);
    assert_branch("stand_in");
    policy_unref(p);
}

static void ranges_begin_anew_when_the_workers_change(void **state)
{
    static const size_t FIRST[] = { 5, 10, 15, 20, 24, 26 };
    struct policy *p = buckets();

    gather_prefill(4);
    group.n = 3;
    cand_n = 3;
    send_all(p, FIRST, ARRAY_LEN(FIRST));
    p->ops->tick(p, hint.now_us + 5000000);
    group.n = 4;
    cand_n = 4;
    assert_range(p, 0, 1023, 1); /* 4096 / 4, and not nearly all to the first */
    policy_unref(p);
}

static void characters_are_counted_not_bytes(void **state)
{
    struct policy *p = buckets();
    struct buf b = { 0 };

    gather_prefill(3);
    for (unsigned i = 0; i < 1000; i++)
        buf_puts(&b, "\xe6\xbc\xa2");
    hint.text = buf_str(&b);
    assert_int_equal(chosen(p), 1); /* 1000 characters of 3000 bytes */
    buf_fini(&b);
    policy_unref(p);
}

static void workers_that_do_all_by_themselves_have_no_buckets(void **state)
{
    struct policy *p = buckets();

    gather(2);
    chosen(p);
    assert_branch("random");
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_35_the_first_ranges_share_4096_characters),      cmocka_unit_test(dp_35_ranges_follow_what_comes),
        cmocka_unit_test(whoever_got_least_is_next_when_it_is_too_uneven),   cmocka_unit_test(a_worker_that_is_away_is_replaced),
        cmocka_unit_test(ranges_begin_anew_when_the_workers_change),         cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(workers_that_do_all_by_themselves_have_no_buckets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
