/* dp_rank.c -- the rank with the fewest tokens (spec data-plane 6.15) */
#include "on_loop.h"

#include "routing/dp_rank.h"

static struct dp_ranks *ranks;

static int set_up(void **state)
{
    assert_int_equal(loop_new("test", 0, &loop, NULL), 0);
    assert_int_equal(dp_ranks_new(&ranks), 0);
    return 0;
}

static int tear_down(void **state)
{
    dp_ranks_free(ranks);
    loop_free(loop);
    return 0;
}

static void the_emptiest_rank_is_chosen_and_grows_by_the_cost(void)
{
    struct dp_ranks_draft *d = dp_ranks_begin();

    assert_int_equal(dp_ranks_choose(ranks, loop, STR("http://a:1"), 1), -1);
    dp_ranks_put(d, STR("http://a:1"), 1, 100);
    dp_ranks_put(d, STR("http://a:1"), 0, 100);
    dp_ranks_put(d, STR("http://a:1"), 2, 130);
    dp_ranks_put(d, STR("http://b:1"), 7, 0);
    dp_ranks_publish(ranks, d);
    assert_int_equal(dp_ranks_choose(ranks, loop, STR("http://a:1"), 10), 0); /* of equals the lowest */
    assert_int_equal(dp_ranks_choose(ranks, loop, STR("http://a:1"), 50), 1);
    assert_int_equal(dp_ranks_choose(ranks, loop, STR("http://a:1"), 50), 0);
    assert_int_equal(dp_ranks_choose(ranks, loop, STR("http://a:1"), 1), 2);
    assert_int_equal(dp_ranks_choose(ranks, loop, STR("http://b:1"), 1), 7);
    assert_int_equal(dp_ranks_choose(ranks, loop, STR("http://c:1"), 1), -1);
}

static void the_next_poll_says_who_is_still_there(void)
{
    struct dp_ranks_draft *d = dp_ranks_begin();

    dp_ranks_put(d, STR("http://a:1"), 0, 5);
    dp_ranks_publish(ranks, d);
    dp_ranks_publish(ranks, dp_ranks_begin());
    assert_int_equal(dp_ranks_choose(ranks, loop, STR("http://a:1"), 1), -1);
    dp_ranks_publish(ranks, NULL); /* memory was out: nothing changes */
}

static void a_request_costs_by_its_words(void)
{
    assert_int_equal(dp_rank_cost(STR_NONE), 1);
    assert_int_equal(dp_rank_cost(STR("   ")), 1);
    assert_int_equal(dp_rank_cost(STR("one")), 2);
    assert_int_equal(dp_rank_cost(STR(" a b\nc\td  e f g h i j ")), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(the_emptiest_rank_is_chosen_and_grows_by_the_cost, set_up, tear_down),
        SCENE(the_next_poll_says_who_is_still_there, set_up, tear_down),
        SCENE(a_request_costs_by_its_words, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
