/* dp_rank.c -- the data-parallel rank with most room (spec data-plane 6.15) */
#include "herd.h"

#include "routing/dp_rank.h"

static struct loop *loop;
static struct dp_ranks *ranks;
static struct timer step;

static void put(size_t worker, const char *json)
{
    struct worker_loads *l = loads_read_json(str_of(json));

    assert_non_null(l);
    dp_ranks_put(ranks, herd.all[worker - 1], l);
    loads_free(l);
}

#define RANK(rank, used) "{\"dp_rank\":" #rank ",\"num_used_tokens\":" #used ",\"max_total_num_tokens\":1000}"

static int choose(size_t worker, uint64_t cost)
{
    return dp_ranks_choose(ranks, loop, herd.all[worker - 1], cost);
}

static void on_step(struct timer *t)
{
    assert_int_equal(choose(1, 1), -1); /* nothing is known yet */
    put(1, "{\"loads\":[" RANK(1, 20) "," RANK(0, 10) "," RANK(2, 20) "]}");
    put(2, "{\"loads\":[{\"dp_rank\":0,\"token_usage\":0.5}]}"); /* shares only */
    put(3, "{\"loads\":[" RANK(0, 7) "]}");
    dp_ranks_publish(ranks);
    assert_int_equal(choose(1, 11), 0);
    assert_int_equal(choose(1, 1), 1); /* of equals the first */
    assert_int_equal(choose(1, 5), 2);
    assert_int_equal(choose(1, 5), 0);
    assert_int_equal(choose(2, 1), -1);
    assert_int_equal(choose(3, 1), 0);
    assert_int_equal(choose(4, 1), -1);
    dp_ranks_publish(ranks); /* a poll that nobody answered changes nothing */
    assert_int_equal(choose(3, 1), 0);
    put(3, "{\"loads\":[" RANK(0, 7) "," RANK(1, 0) "]}");
    dp_ranks_publish(ranks);
    assert_int_equal(choose(3, 1), 1);
    assert_int_equal(choose(1, 1), -1);
    assert_int_equal(dp_ranks_choose(NULL, loop, herd.all[0], 1), -1);
    loop_stop(loop);
}

static void the_rank_with_the_fewest_tokens_is_taken_and_charged(void **state)
{
    herd_make(4);
    assert_int_equal(loop_new("test", 0, &loop, NULL), 0);
    assert_int_equal(dp_ranks_new(&ranks), 0);
    timer_start(loop, &step, 0, on_step);
    loop_run(loop);
    dp_ranks_free(ranks);
    loop_free(loop);
}

static void a_cost_is_estimated_from_words(void **state)
{
    assert_int_equal(dp_rank_cost(STR("")), 1);
    assert_int_equal(dp_rank_cost(STR("one")), 2);
    assert_int_equal(dp_rank_cost(STR("  one\ttwo \n three ")), 4);
    assert_int_equal(dp_rank_cost(STR("a b c d e f g h i j")), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rank_with_the_fewest_tokens_is_taken_and_charged),
        cmocka_unit_test(a_cost_is_estimated_from_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
