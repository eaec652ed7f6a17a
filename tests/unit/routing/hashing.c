/* hashing.c -- consistent_hashing and prefix_hash (spec data-plane 6.6, 6.8; cases 9, 10, 36) */
#include "crew.h"

static struct hash_ring *ring;

static int set_up(void **state)
{
    gather(3);
    ring = hash_ring_new(NULL, everybody, 3);
    assert_non_null(ring);
    hint.ring = ring;
    return 0;
}

static int tear_down(void **state)
{
    free(ring);
    return 0;
}

static void dp_10_the_routing_key_decides_then_the_implicit_key(void **state)
{
    struct policy *p = a_policy("consistent_hashing");

    hint.implicit_key = STR("user-2");
    assert_int_equal(chosen(p), 2);
    hint.routing_key = STR("session-abc");
    assert_int_equal(chosen(p), 1);
    assert_branch("routing_key_hit");
    leave_out(0);
    assert_int_equal(chosen(p), 3);
    policy_unref(p);
}

static void without_a_key_anybody_may_be_chosen(void **state)
{
    struct policy *p = a_policy("consistent_hashing");
    unsigned seen = 0;

    for (unsigned i = 0; i < 64; i++) {
        seen |= 1u << chosen(p);
        assert_branch("random_fallback");
    }
    assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 3);
    hint.implicit_key = STR("\x01 no text");
    chosen(p);
    assert_branch("random_fallback");
    policy_unref(p);
}

static void dp_9_a_target_is_a_number_an_id_or_a_url(void **state)
{
    static const struct {
        const char *target;
        int worker;
    } rows[] = {
        { "0", 1 },
        { "1", 2 },
        { "2", 3 },
        { "3", 0 },
        { "7", 0 },
        { "abc", 0 },
        { "-1", 0 },
        { "http://w2:8000", 2 },
        { "http://w2:8000/", 2 },
        { "http://w9:8000", 0 },
        { "00000000-0000-4000-8000-000000000003", 3 },
    };
    struct policy *p = a_policy("consistent_hashing");

    hint.routing_key = STR("session-abc");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        hint.target_worker = str_of(rows[i].target);
        if (chosen(p) != rows[i].worker)
            fail_msg("%s", rows[i].target);
        assert_branch(rows[i].worker ? "target_worker_hit" : "target_worker_miss");
    }
    leave_out(0); /* the numbers move, names do not */
    hint.target_worker = STR("1");
    assert_int_equal(chosen(p), 3);
    hint.target_worker = STR("http://w2:8000");
    assert_int_equal(chosen(p), 2);
    hint.target_worker = STR("http://w1:8000");
    assert_int_equal(chosen(p), 0);
    policy_unref(p);
}

static void until_there_is_a_ring_the_same_workers_are_found(void **state)
{
    struct policy *p = a_policy("consistent_hashing");

    hint.ring = NULL;
    hint.routing_key = STR("tenant-42");
    assert_int_equal(chosen(p), 1);
    hint.routing_key = STR("user-2");
    assert_int_equal(chosen(p), 2);
    policy_unref(p);
}

static void tokens_are_hashed_as_in_the_specification(void **state)
{
    static uint32_t tokens[256];
    struct policy *p = a_policy("prefix_hash");

    for (uint32_t i = 0; i < 256; i++)
        tokens[i] = i + 1;
    hint.tokens = tokens;
    hint.tokens_n = 4;
    assert_int_equal(chosen(p), 3);
    assert_branch("ring_hit");
    hint.tokens_n = 16;
    assert_int_equal(chosen(p), 1);
    policy_unref(p);
}

/* 36: SMG answers 503 over HTTP */
static void dp_36_over_http_the_beginning_of_the_text_decides(void **state)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;
    struct policy *p;
    int home;

    conf.prefix_token_count = 2; /* 8 bytes */
    p = a_policy_with("prefix_hash", &conf);
    hint.text = STR("the same beginning");
    home = chosen(p);
    assert_branch("ring_hit");
    hint.text = STR("the same start, and more");
    assert_int_equal(chosen(p), home);
    hint.text = STR_NONE;
    give_load(0, 5);
    give_load(1, 1);
    give_load(2, 5);
    assert_int_equal(chosen(p), 2);
    assert_branch("no_tokens");
    policy_unref(p);
}

static void a_loaded_home_is_left_for_the_least_loaded(void **state)
{
    static const uint32_t TOKENS[] = { 1, 2, 3, 4 }; /* at home on w3 */
    struct policy *p = a_policy("prefix_hash");

    hint.tokens = TOKENS;
    hint.tokens_n = 4;
    give_load(2, 4); /* 5 / 3 * 1.25 = 2.08 */
    assert_int_equal(chosen(p), 1);
    assert_branch("load_balance_walk");
    give_load(2, 1); /* (1 + 1) / 3 * 1.25 = 0.83: one is too much */
    assert_int_equal(chosen(p), 1);
    give_load(0, 1);
    give_load(1, 1); /* 4 / 3 * 1.25 = 1.67 */
    assert_int_equal(chosen(p), 3);
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dp_10_the_routing_key_decides_then_the_implicit_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_key_anybody_may_be_chosen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dp_9_a_target_is_a_number_an_id_or_a_url, set_up, tear_down),
        cmocka_unit_test_setup_teardown(until_there_is_a_ring_the_same_workers_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tokens_are_hashed_as_in_the_specification, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dp_36_over_http_the_beginning_of_the_text_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loaded_home_is_left_for_the_least_loaded, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
