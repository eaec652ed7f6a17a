/* kv_events.c -- what engines say about their caches (spec data-plane 6.14, 16.30) */
#include "test.h"

#include "base/budget.h"
#include "routing/kv_events.h"

#define SIZE 4 /* tokens of a block */

static struct kv_events *kv;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(kv_events_new(&kv), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kv_events_free(kv);
    assert_int_equal(budget_used(), 0);
    return 0;
}

/* Block I of the one prompt that all have in common. */
static uint32_t tokens[512 * SIZE];

static void fill_tokens(void)
{
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        tokens[i] = (uint32_t)(i + 1);
}

static uint64_t name_of(uint16_t worker, size_t block)
{
    return (uint64_t)worker << 32 | block;
}

/* WORKER stores the blocks FROM .. TO of the prompt, behind FROM - 1. */
static void store(uint16_t worker, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct kv_block b = { name_of(worker, i), tokens + i * SIZE, SIZE };
        uint64_t parent = name_of(worker, i - 1);

        kv_events_stored(kv, worker, &b, 1, i ? &parent : NULL, SIZE, 0);
    }
}

static uint32_t score_of(uint16_t worker, size_t blocks)
{
    struct kv_score scores[PREFIX_EVERY_MAX];
    unsigned n = kv_events_scores(kv, tokens, blocks * SIZE, SIZE, scores);

    for (unsigned i = 0; i < n; i++)
        if (scores[i].worker == worker)
            return scores[i].blocks;
    return 0;
}

static void dp_30_hashes_are_those_of_engines(void **state)
{
    uint32_t t[32];
    uint64_t a, b;

    for (uint32_t i = 0; i < 32; i++)
        t[i] = i + 1;
    a = kv_content_hash(t, 16);
    b = kv_content_hash(t + 16, 16);
    assert_true(a == 0xea06fc71a5ee6e88);
    assert_true(b == 0x1fbf39bd106be0b5);
    assert_true(kv_prefix_hash(a, b) == 0xad01835a37dd294c);
    assert_true(kv_content_hash(t, 4) == 0xcb38e4d7fb2dca5c);
    assert_true(kv_content_hash(t, 1) == 0xc8355da0879e060d);
}

static void dp_30_workers_score_their_common_blocks(void **state)
{
    store(1, 0, 3);
    store(2, 0, 2);
    assert_int_equal(score_of(1, 3), 3);
    assert_int_equal(score_of(2, 3), 2);
    assert_int_equal(score_of(3, 3), 0);
    assert_int_equal(kv_events_count(kv), 5);
    assert_int_equal(kv_events_blocks(kv, 1), 3);
    assert_int_equal(kv_events_block_size(kv), SIZE);
}

static void dp_30_a_jump_finds_where_each_worker_drops_out(void **state)
{
    store(1, 0, 4);
    store(2, 0, 7);
    store(3, 0, 12);
    store(4, 0, 20);
    assert_int_equal(score_of(1, 20), 4);
    assert_int_equal(score_of(2, 20), 7);
    assert_int_equal(score_of(3, 20), 12);
    assert_int_equal(score_of(4, 20), 20);
}

static void long_prompts_are_passed_over_in_jumps(void **state)
{
    store(1, 0, 130);
    store(2, 0, 300);
    assert_int_equal(score_of(1, 400), 130);
    assert_int_equal(score_of(2, 400), 300);
    assert_int_equal(score_of(2, 200), 200);
}

static void dp_30_storing_twice_counts_once(void **state)
{
    store(1, 0, 3);
    store(1, 0, 3);
    assert_int_equal(kv_events_count(kv), 3);
    kv_events_removed(kv, 1, (uint64_t[]){ name_of(1, 2) }, 1);
    assert_int_equal(score_of(1, 3), 2);
    assert_int_equal(kv_events_count(kv), 2);
}

static void dp_30_removing_does_not_cascade(void **state)
{
    store(1, 0, 4);
    kv_events_removed(kv, 1, (uint64_t[]){ name_of(1, 1), 999 }, 2);
    assert_int_equal(kv_events_blocks(kv, 1), 3);
    assert_int_equal(score_of(1, 2), 1); /* engines take away ends first: a gap inside is passed over, as SMG does */
    store(1, 1, 2);
    assert_int_equal(score_of(1, 4), 4);
}

static void dp_30_clearing_is_of_one_worker(void **state)
{
    store(1, 0, 3);
    store(2, 0, 3);
    kv_events_cleared(kv, 1);
    kv_events_cleared(kv, 9);
    assert_int_equal(score_of(1, 3), 0);
    assert_int_equal(score_of(2, 3), 3);
    assert_int_equal(kv_events_count(kv), 3);
    store(1, 0, 1);
    assert_int_equal(score_of(1, 3), 1);
}

static void an_unknown_parent_means_the_start_of_a_prompt(void **state)
{
    struct kv_block b[] = { { 50, tokens, SIZE }, { 51, tokens + SIZE, SIZE } };
    uint64_t nobody = 12345;

    kv_events_stored(kv, 1, b, 2, &nobody, SIZE, 0);
    assert_int_equal(score_of(1, 2), 2);
}

static void a_name_may_be_given_to_another_block(void **state)
{
    struct kv_block first = { 50, tokens, SIZE }, other = { 50, tokens + SIZE, SIZE };

    kv_events_stored(kv, 1, &first, 1, NULL, SIZE, 0);
    kv_events_stored(kv, 1, &other, 1, NULL, SIZE, 0);
    assert_int_equal(score_of(1, 1), 0);
    assert_int_equal(kv_events_count(kv), 1);
}

static void a_tail_is_not_looked_at(void **state)
{
    struct kv_score scores[PREFIX_EVERY_MAX];

    store(1, 0, 2);
    assert_int_equal(kv_events_scores(kv, tokens, 2 * SIZE - 1, SIZE, scores), 1);
    assert_int_equal(scores[0].blocks, 1);
    assert_int_equal(kv_events_scores(kv, tokens, SIZE - 1, SIZE, scores), 0);
}

static void without_events_the_callers_block_size_holds(void **state)
{
    struct kv_score scores[PREFIX_EVERY_MAX];

    assert_int_equal(kv_events_scores(kv, tokens, 64, 16, scores), 0);
    assert_int_equal(kv_events_scores(kv, tokens, 64, 0, scores), 0);
    kv_events_stored(kv, 0, NULL, 0, NULL, 16, 0); /* a worker without a number */
    assert_int_equal(kv_events_count(kv), 0);
}

static void a_worker_may_hold_hundreds_of_thousands(void **state)
{
    uint32_t t[SIZE] = { 0 };

    for (uint64_t i = 0; i < 200000; i++) {
        struct kv_block b = { i << 20, t, SIZE };

        t[0] = (uint32_t)i;
        kv_events_stored(kv, 1, &b, 1, NULL, SIZE, 0);
        if (i % 10000 == 0)
            kv_events_tick(kv, i / 10000);
    }
    assert_int_equal(kv_events_blocks(kv, 1), 200000);
    for (uint64_t i = 0; i < 200000; i += 2)
        kv_events_removed(kv, 1, (uint64_t[]){ i << 20 }, 1);
    assert_int_equal(kv_events_blocks(kv, 1), 100000);
    for (uint64_t i = 1; i < 200000; i += 2)
        kv_events_removed(kv, 1, (uint64_t[]){ i << 20 }, 1);
    assert_int_equal(kv_events_blocks(kv, 1), 0);
}

static void what_the_budget_refuses_is_not_known(void **state)
{
    budget_set_limit(budget_used() + 64 * 24);
    store(1, 0, 64);
    assert_true(kv_events_blocks(kv, 1) < 64);
    budget_set_limit(0);
    assert_true(score_of(1, 64) < 64);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(dp_30_hashes_are_those_of_engines),
        RULE(dp_30_workers_score_their_common_blocks),
        RULE(dp_30_a_jump_finds_where_each_worker_drops_out),
        RULE(long_prompts_are_passed_over_in_jumps),
        RULE(dp_30_storing_twice_counts_once),
        RULE(dp_30_removing_does_not_cascade),
        RULE(dp_30_clearing_is_of_one_worker),
        RULE(an_unknown_parent_means_the_start_of_a_prompt),
        RULE(a_name_may_be_given_to_another_block),
        RULE(a_tail_is_not_looked_at),
        RULE(without_events_the_callers_block_size_holds),
        RULE(a_worker_may_hold_hundreds_of_thousands),
        RULE(what_the_budget_refuses_is_not_known),
    };

    fill_tokens();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
