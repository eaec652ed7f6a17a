/* cache_aware.c -- who has seen most of the prompt, unless loads are out of balance (spec data-plane 6.11, 16.26 - 16.28) */
#include "fleet.h"
#include "test.h"

#include "base/random.h"
#include "routing/cache_aware.h"

static struct policy *p;
static struct policy_choice choice;
static struct policy_board board;
static struct random random_state;
static struct policy_hint hint = { .model = STR_INIT("m"), .random = &random_state };

static int set_up(void **state)
{
    (void)state;
    fleet_reset();
    hint.now_us = 1000000;
    hint.board = &board;
    hint.tokens = NULL;
    hint.tokens_n = 0;
    hint.shadow = false;
    hint.leg = POLICY_REGULAR;
    hint.model = STR("m");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    policy_unref(p);
    p = NULL;
    board_fini(&board);
    return 0;
}

#define POLICY(...)                                                             \
    do {                                                                        \
        struct policy_conf conf_ = POLICY_CONF_DEFAULTS;                        \
        const struct policy_conf changes_ = { __VA_ARGS__ };                    \
                                                                                \
        change(&conf_, &changes_);                                              \
        assert_int_equal(policy_new(&policy_cache_aware, &conf_, &p, NULL), 0); \
    } while (0)

/* What is not 0 in CHANGES. */
static void change(struct policy_conf *conf, const struct policy_conf *changes)
{
    if (changes->cache_threshold > 0)
        conf->cache_threshold = changes->cache_threshold;
    if (changes->balance_abs_threshold)
        conf->balance_abs_threshold = changes->balance_abs_threshold;
    if (changes->balance_rel_threshold > 0)
        conf->balance_rel_threshold = changes->balance_rel_threshold;
    if (changes->balance_token_usage_threshold > 0)
        conf->balance_token_usage_threshold = changes->balance_token_usage_threshold;
    if (changes->overload_token_usage_threshold > 0)
        conf->overload_token_usage_threshold = changes->overload_token_usage_threshold;
}

/* The choice among the first N, counted as dispatch does. */
static int ask_list(const struct worker *const *list, size_t n, const char *text)
{
    int at;

    hint.text = str_of(text);
    at = policy_pick(p, list, n, &hint, &choice);
    assert_in_range(at, 0, n - 1);
    atomic_fetch_add(&list[at]->live->processed, 1);
    return at;
}

static int ask(size_t n, const char *text)
{
    return ask_list(fleet, n, text);
}

static void dp_26_a_prompt_goes_where_it_went(void **state)
{
    int first;

    POLICY();
    first = ask(2, "hello world");
    assert_string_equal(choice.branch, "cache_miss");
    assert_int_equal(ask(2, "hello world"), first);
    assert_string_equal(choice.branch, "cache_hit");
    assert_int_equal(choice.matched, 11);
    assert_int_equal(choice.total, 11);
    assert_int_equal(ask(2, "hello"), first);
}

static void dp_26_imbalance_sends_all_to_the_least_loaded(void **state)
{
    POLICY(.balance_abs_threshold = 5, .balance_rel_threshold = 2);
    assert_int_equal(ask(2, "hello world"), 0);
    fleet_load(0, 20);
    hint.now_us += 1000000;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(2, "hello world"), 1);
        assert_string_equal(choice.branch, "imbalanced");
    }
    fleet_load(0, 0);
    assert_int_equal(ask(2, "hello world"), 1); /* it was inserted for him, last */
}

static void both_thresholds_must_be_passed(void **state)
{
    POLICY(.balance_abs_threshold = 5, .balance_rel_threshold = 2);
    assert_int_equal(ask(2, "hello world"), 0);
    fleet_load(0, 15); /* 15 > 5 + 8, but not 15 > 2 * 8 */
    fleet_load(1, 8);
    assert_int_equal(ask(2, "hello world"), 0);
    fleet_load(0, 5); /* a difference of exactly 5 */
    fleet_load(1, 0);
    assert_int_equal(ask(2, "hello world"), 0);
    fleet_load(0, 6);
    assert_int_equal(ask(2, "hello world"), 1);
}

static void dp_26_new_prompts_alternate_between_equals(void **state)
{
    static const char *const TEXTS[] = { "a first one", "the second", "whatever", "nothing new", "xyz", "last" };

    POLICY();
    for (int i = 0; i < 6; i++)
        assert_int_equal(ask(2, TEXTS[i]), i % 2);
}

static void the_threshold_is_strict(void **state)
{
    POLICY(.cache_threshold = 0.5);
    assert_int_equal(ask(2, "abcdefgh"), 0);
    hint.now_us += 1000000;
    assert_int_equal(ask(2, "abcdefghABCDEFGH"), 1); /* exactly a half */
    assert_int_equal(ask(2, "abcdefgh"), 1);         /* both hold it; he was chosen last */

    policy_unref(p);
    p = NULL;
    fleet_reset();
    POLICY(.cache_threshold = 0.5);
    assert_int_equal(ask(2, "abcdefgh"), 0);
    assert_int_equal(ask(2, "abcdefghABCDEFG"), 0); /* eight of fifteen */
}

static void shares_are_counted_in_characters(void **state)
{
    POLICY(.cache_threshold = 0.5);
    assert_int_equal(ask(2, "abcd"), 0);
    /* four of seven characters, but of thirteen bytes */
    assert_int_equal(ask(2, "abcd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xb8\x96"), 0);
    /* four of nine characters */
    assert_int_equal(ask(2, "abcd\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6"), 1);
}

static void dp_27_an_unavailable_holder_is_replaced_by_the_least_loaded(void **state)
{
    const struct worker *left[] = { fleet[1], fleet[2] };

    POLICY();
    assert_int_equal(ask(3, "hello world"), 0);
    fleet_load(1, 3);
    board_reset(&board);
    assert_int_equal(ask_list(left, 2, "hello world"), 1); /* fleet[2] */
    assert_string_equal(choice.branch, "holder_unavailable");
    fleet_load(1, 0);
    assert_int_equal(ask_list(left, 2, "hello world"), 1); /* it was inserted */
    assert_string_equal(choice.branch, "cache_hit");
}

static void a_holder_of_less_is_better_than_none(void **state)
{
    const struct worker *left[] = { fleet[1], fleet[2] };
    char first[600] = { 0 }, second[600] = { 0 };

    POLICY();
    hint.board = NULL;
    memset(first, 'a', sizeof first - 1);
    memset(second, 'a', 512);
    memset(second + 512, 'b', sizeof second - 1 - 512);
    assert_int_equal(ask_list(&fleet[0], 1, second), 0);
    assert_int_equal(ask_list(&fleet[1], 1, first), 0);
    fleet_load(1, 9);
    assert_int_equal(ask_list(left, 2, second), 0); /* fleet[1], though fleet[2] has less to do */
    assert_string_equal(choice.branch, "cache_hit");
}

static void among_holders_the_least_loaded_is_taken(void **state)
{
    POLICY(.balance_abs_threshold = 2);
    assert_int_equal(ask(3, "hello world"), 0);
    fleet_load(0, 10);
    fleet_load(2, 1);
    assert_int_equal(ask(3, "hello world"), 1);
    fleet_load(0, 1);
    fleet_load(1, 3);
    assert_int_equal(ask(3, "hello world"), 0);
    fleet_load(0, 3);
    assert_int_equal(ask(3, "hello world"), 0);
}

static void a_wide_prompt_goes_to_the_least_loaded_of_all(void **state)
{
    POLICY();
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(ask_list(&fleet[i], 1, "You are a helpful assistant."), 0);
    board_reset(&board);
    for (size_t i = 0; i < 8; i++)
        fleet_load(i, 4);
    fleet_load(6, 3);
    assert_int_equal(ask(8, "You are a helpful assistant."), 6);
    fleet_load(6, 4);
    assert_true(ask(8, "You are a helpful assistant.") < 3);
}

static void dp_28_usage_of_the_kv_cache_triggers_balance(void **state)
{
    POLICY(.balance_token_usage_threshold = 0.5);
    assert_int_equal(ask(2, "hello world"), 0);
    fleet_usage(0, 0.95);
    fleet_usage(1, 0.95);
    assert_int_equal(ask(2, "hello world"), 0);
    fleet_usage(0, 0.9);
    fleet_usage(1, 0.1);
    (void)ask(2, "hello world");
    assert_string_equal(choice.branch, "imbalanced");
    policy_unref(p);
    POLICY(.overload_token_usage_threshold = 0.9);
    (void)ask(2, "hello world");
    assert_string_equal(choice.branch, "cache_miss");
    fleet_usage(0, 0.95);
    (void)ask(2, "hello world");
    assert_string_equal(choice.branch, "imbalanced");
}

static void dp_28_default_thresholds_never_fire(void **state)
{
    POLICY();
    fleet_usage(0, 1.0);
    fleet_usage(1, 0.0);
    assert_int_equal(ask(2, "hello world"), 0);
    assert_int_equal(ask(2, "hello world"), 0);
    assert_string_equal(choice.branch, "cache_hit");
}

static void a_removed_worker_is_forgotten(void **state)
{
    const struct worker *left[] = { fleet[1] };

    POLICY();
    assert_int_equal(ask(2, "hello world"), 0);
    p->ops->forget(p, fleet[0]);
    board_reset(&board);
    assert_int_equal(ask_list(left, 1, "hello world"), 0);
    fleet_lives[0].born_us = 5000000; /* his number has another owner now */
    hint.now_us = 6000000;
    board_reset(&board);
    assert_int_equal(ask(2, "hello world"), 1);
}

static void a_number_of_a_former_worker_does_not_lead_to_its_new_owner(void **state)
{
    POLICY();
    assert_int_equal(ask(1, "hello world"), 0);
    fleet_lives[0].born_us = 5000000;
    hint.now_us = 6000000;
    assert_int_equal(ask(1, "hello world"), 0);
    assert_string_equal(choice.branch, "holder_unavailable");
}

static void a_worker_that_returns_gets_only_what_he_alone_knows(void **state)
{
    const struct worker *left[] = { fleet[1] };

    POLICY();
    fleet_load(1, 1);
    assert_int_equal(ask(2, "first conversation"), 0);
    assert_int_equal(ask(2, "other conversation"), 0);
    fleet_load(1, 0);
    board_reset(&board);
    hint.now_us += 5000000;
    assert_int_equal(ask_list(left, 1, "first conversation, second turn"), 0);
    board_reset(&board);
    assert_int_equal(ask(2, "first conversation, second turn and third"), 1);
    assert_int_equal(ask(2, "other conversation"), 0);
}

static void models_and_legs_are_told_apart(void **state)
{
    POLICY();
    assert_int_equal(ask(2, "hello world"), 0);
    hint.model = STR("other");
    assert_int_equal(ask(2, "hello world"), 1);
    hint.model = STR("m");
    hint.leg = POLICY_DECODE;
    assert_int_equal(ask(2, "hello world"), 0);
    assert_string_equal(choice.branch, "cache_miss");
}

static void a_shadow_sees_its_own_loads(void **state)
{
    POLICY(.balance_abs_threshold = 5);
    hint.shadow = true;
    assert_int_equal(ask(2, "hello world"), 0);
    fleet_load(0, 50);
    assert_int_equal(ask(2, "hello world"), 0);
    atomic_store(&fleet_lives[0].shadow_load, 50);
    assert_int_equal(ask(2, "hello world"), 1);
}

static void without_a_prompt_the_least_loaded_is_taken(void **state)
{
    POLICY();
    fleet_load(0, 2);
    assert_int_equal(ask(2, ""), 1);
    assert_int_equal(choice.total, 0);
}

static void who_asks_is_told_all_loads(void **state)
{
    double scores[3];

    POLICY();
    fleet_load(1, 7);
    choice.scores = scores;
    (void)ask(3, "hello world");
    assert_string_equal(choice.score_name, "load");
    assert_true(scores[0] == 0 && scores[1] == 7 && scores[2] == 0);
    choice.scores = NULL;
}

static void a_list_of_a_thousand_has_the_same_rules(void **state)
{
    int first, second;

    POLICY();
    first = ask(1000, "hello world");
    second = ask(1000, "something else");
    assert_int_not_equal(first, second);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(1000, "hello world"), first);
        assert_int_equal(ask(1000, "something else"), second);
    }
    fleet_load((size_t)first, 200); /* seen at once, for it is about to be chosen */
    assert_int_not_equal(ask(1000, "hello world"), first);
    assert_string_equal(choice.branch, "imbalanced");
}

/* ---- engines' events ---- */

static const uint32_t TOKENS[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

static void dp_30_the_worker_with_most_blocks_is_taken(void **state)
{
    struct kv_block blocks[] = { { 1, TOKENS, 4 }, { 2, TOKENS + 4, 4 } };
    struct kv_events *kv;

    POLICY();
    kv = cache_aware_events(p, STR("m"));
    assert_non_null(kv);
    assert_ptr_equal(cache_aware_events(p, STR("m")), kv);
    assert_ptr_not_equal(cache_aware_events(p, STR("n")), kv);
    hint.tokens = TOKENS;
    hint.tokens_n = ARRAY_LEN(TOKENS);
    assert_int_equal(ask(3, ""), 0); /* no event yet: by what was routed */
    assert_string_equal(choice.branch, "cache_miss");
    kv_events_stored(kv, fleet_lives[1].number, blocks, 1, NULL, 4, 0);
    kv_events_stored(kv, fleet_lives[2].number, blocks, 2, NULL, 4, 0);
    assert_int_equal(ask(3, ""), 2);
    assert_string_equal(choice.branch, "event_hit");
    assert_int_equal(choice.matched, 8);
    assert_int_equal(choice.total, 9);
    kv_events_stored(kv, fleet_lives[1].number, blocks, 2, NULL, 4, 0);
    fleet_load(2, 1);
    assert_int_equal(ask(3, ""), 1); /* as many blocks, less load */
    fleet_load(2, 0);
    assert_int_equal(ask(3, ""), 2); /* full tie: the last one */
    p->ops->forget(p, fleet[2]);
    assert_int_equal(ask(3, ""), 1);
    hint.tokens = TOKENS + 1;
    hint.tokens_n = 8;
    fleet_load(0, 1);
    fleet_load(1, 1);
    assert_int_equal(ask(3, ""), 2); /* nobody has any: the least loaded */
    assert_string_equal(choice.branch, "event_miss");
    p->ops->tick(p, 5000000);
}

static void the_counts_say_what_the_index_is_good_for(void **state)
{
    struct prefix_index_stats s;

    POLICY();
    (void)ask(2, "hello world");
    (void)ask(2, "hello world");
    (void)ask(2, "hello world");
    cache_aware_stats(p, &s);
    assert_true(policy_is_cache_aware(p));
    assert_int_equal(s.lookups, 3);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.entries, 11);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(dp_26_a_prompt_goes_where_it_went),
        RULE(dp_26_imbalance_sends_all_to_the_least_loaded),
        RULE(both_thresholds_must_be_passed),
        RULE(dp_26_new_prompts_alternate_between_equals),
        RULE(the_threshold_is_strict),
        RULE(shares_are_counted_in_characters),
        RULE(dp_27_an_unavailable_holder_is_replaced_by_the_least_loaded),
        RULE(a_holder_of_less_is_better_than_none),
        RULE(among_holders_the_least_loaded_is_taken),
        RULE(a_wide_prompt_goes_to_the_least_loaded_of_all),
        RULE(dp_28_usage_of_the_kv_cache_triggers_balance),
        RULE(dp_28_default_thresholds_never_fire),
        RULE(a_removed_worker_is_forgotten),
        RULE(a_number_of_a_former_worker_does_not_lead_to_its_new_owner),
        RULE(a_worker_that_returns_gets_only_what_he_alone_knows),
        RULE(models_and_legs_are_told_apart),
        RULE(a_shadow_sees_its_own_loads),
        RULE(without_a_prompt_the_least_loaded_is_taken),
        RULE(who_asks_is_told_all_loads),
        RULE(a_list_of_a_thousand_has_the_same_rules),
        RULE(dp_30_the_worker_with_most_blocks_is_taken),
        RULE(the_counts_say_what_the_index_is_good_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
