/* keyed.c -- consistent_hashing and prefix_hash (spec data-plane 6.6, 6.8, cases 9, 10, 36) */
#include "herd.h"

#include "routing/hash_ring.h"

static void target(const char *text)
{
    herd.hint.target_worker = str_of(text);
}

static void dp_9_a_target_is_hit_or_missed(void **state)
{
    struct policy *p;

    herd_make(3);
    p = herd_policy(&policy_consistent_hashing, NULL);
    target("0");
    assert_int_equal(herd_pick(p), 1);
    assert_string_equal(herd.choice.branch, "target_worker_hit");
    target("1");
    assert_int_equal(herd_pick(p), 2);
    target("7");
    assert_int_equal(herd_pick(p), 0);
    assert_string_equal(herd.choice.branch, "target_worker_miss");
    target("abc");
    assert_int_equal(herd_pick(p), 0);
    target("");
    herd.hint.routing_key = STR("user-2");
    assert_int_equal(herd_pick(p), 2);
    assert_string_equal(herd.choice.branch, "routing_key_hit");
    policy_unref(p);
}

static void dp_9_numbers_count_available_workers_tried_ones_too(void **state)
{
    struct policy *p;

    herd_make(4);
    p = herd_policy(&policy_consistent_hashing, NULL);
    atomic_store(&herd.lives[0].status, WORKER_NOT_READY);
    target("1");
    assert_int_equal(herd_pick_of(p, 14), 3);
    assert_int_equal(herd_pick_of(p, 10), 0); /* it was tried: no other one takes its number */
    policy_unref(p);
}

static void dp_9_ids_and_urls_name_a_worker_for_good(void **state)
{
    struct policy *p;

    herd_make(4);
    p = herd_policy(&policy_consistent_hashing, NULL);
    target("http://w3:8000");
    assert_int_equal(herd_pick(p), 3);
    assert_int_equal(herd_pick_of(p, 12), 3);
    assert_int_equal(herd_pick_of(p, 8), 0);
    target("http://w3:8000/");
    assert_int_equal(herd_pick(p), 3);
    target("0000-2");
    assert_int_equal(herd_pick(p), 2);
    herd.workers[1].spec.type = WORKER_DECODE; /* the other side of a pair has it */
    herd.hint.routing_key = STR("k");
    assert_true(herd_pick_of(p, 13) > 0);
    assert_string_equal(herd.choice.branch, "routing_key_hit");
    policy_unref(p);
}

static void dp_10_the_ring_decides_by_keys(void **state)
{
    struct hash_ring *ring;
    struct policy *p;

    herd_make(3);
    p = herd_policy(&policy_consistent_hashing, NULL);
    ring = hash_ring_new(NULL, herd.all, 3);
    for (int with = 0; with < 2; with++) { /* a ring that is not made yet gives the same answers */
        herd.hint.ring = with ? ring : NULL;
        herd.hint.routing_key = STR("tenant-42");
        assert_int_equal(herd_pick(p), 1);
        assert_int_equal(herd_pick_of(p, 6), 2);
        herd.hint.routing_key = STR("session-abc");
        assert_int_equal(herd_pick_of(p, 6), 3);
        herd.hint.routing_key = STR_NONE;
        herd.hint.implicit_key = STR("Bearer sk-test");
        assert_int_equal(herd_pick(p), 3);
        assert_string_equal(herd.choice.branch, "routing_key_hit");
    }
    herd.hint.implicit_key = STR("not\1text");
    assert_true(herd_pick(p) > 0);
    assert_string_equal(herd.choice.branch, "random_fallback");
    herd.hint.implicit_key = STR_NONE;
    assert_true(herd_pick(p) > 0);
    assert_string_equal(herd.choice.branch, "random_fallback");
    free(ring);
    policy_unref(p);
}

static void many_workers_without_a_ring_share_the_keys(void **state)
{
    struct policy *p;

    herd_make(64);
    p = herd_policy(&policy_consistent_hashing, NULL);
    herd.hint.routing_key = STR("a");
    assert_int_equal(herd_pick(p), herd_pick(p));
    policy_unref(p);
}

static uint32_t tokens[256];

static void some_tokens(uint32_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tokens[i] = first + (uint32_t)i;
    herd.hint.tokens = tokens;
    herd.hint.tokens_n = n;
}

static void prefix_hash_knows_the_vectors_of_the_spec(void **state)
{
    struct policy *p;

    herd_make(3);
    p = herd_policy(&policy_prefix_hash, NULL);
    some_tokens(1, 4);
    assert_int_equal(herd_pick(p), 3);
    assert_string_equal(herd.choice.branch, "ring_hit");
    some_tokens(1, 16);
    assert_int_equal(herd_pick(p), 1);
    policy_unref(p);
}

static void prefix_hash_looks_at_the_beginning_only(void **state)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;
    struct policy *p;
    size_t at;

    conf.prefix_token_count = 4;
    herd_make(50);
    p = herd_policy(&policy_prefix_hash, &conf);
    some_tokens(1, 4);
    at = herd_pick(p);
    some_tokens(1, 16);
    assert_int_equal(herd_pick(p), at);
    policy_unref(p);
}

static void dp_36_prefix_hash_routes_by_text(void **state)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;
    struct policy *p;
    size_t same, others = 0;
    char text[32];

    conf.prefix_token_count = 4; /* 16 bytes */
    herd_make(20);
    p = herd_policy(&policy_prefix_hash, &conf);
    herd.hint.text = STR("0123456789abcdef and so on");
    same = herd_pick(p);
    assert_true(same > 0);
    herd.hint.text = STR("0123456789abcdef, but otherwise");
    assert_int_equal(herd_pick(p), same);
    for (int i = 0; i < 40; i++) {
        herd.hint.text = (struct str){ text, (size_t)snprintf(text, sizeof text, "text number %d is another", i) };
        others += herd_pick(p) != same;
    }
    assert_true(others > 20);
    herd.hint.text = STR_NONE;
    assert_int_equal(herd_pick(p), 1);
    assert_string_equal(herd.choice.branch, "no_tokens");
    policy_unref(p);
}

static void prefix_hash_leaves_a_worker_that_has_too_much_to_do(void **state)
{
    struct policy *p;

    herd_make(3);
    p = herd_policy(&policy_prefix_hash, NULL);
    some_tokens(1, 4); /* of worker 3 */
    atomic_store(&herd.lives[2].load, 5);
    atomic_store(&herd.lives[0].load, 1);
    assert_int_equal(herd_pick(p), 2); /* limit (6 + 1) / 3 * 1.25 = 2.9 */
    assert_string_equal(herd.choice.branch, "load_balance_walk");
    atomic_store(&herd.lives[2].load, 2);
    atomic_store(&herd.lives[0].load, 2);
    atomic_store(&herd.lives[1].load, 2); /* limit 2.9 */
    assert_int_equal(herd_pick(p), 3);
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_9_a_target_is_hit_or_missed),
        cmocka_unit_test(dp_9_numbers_count_available_workers_tried_ones_too),
        cmocka_unit_test(dp_9_ids_and_urls_name_a_worker_for_good),
        cmocka_unit_test(dp_10_the_ring_decides_by_keys),
        cmocka_unit_test(many_workers_without_a_ring_share_the_keys),
        cmocka_unit_test(prefix_hash_knows_the_vectors_of_the_spec),
        cmocka_unit_test(prefix_hash_looks_at_the_beginning_only),
        cmocka_unit_test(dp_36_prefix_hash_routes_by_text),
        cmocka_unit_test(prefix_hash_leaves_a_worker_that_has_too_much_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
