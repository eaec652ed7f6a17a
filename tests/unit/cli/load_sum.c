/* load_sum.c -- an engine's ranks as one line */
#include "test.h"

#include "cli/load_sum.h"

static struct load_sum sum(const char *text)
{
    struct load_sum s;
    struct json_doc doc;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    assert_int_equal(json_parse(str_of(text), &arena, &doc, NULL), 0);
    load_sum_read(json_root(&doc), &s);
    arena_fini(&arena);
    return s;
}

static void ranks_are_added_up_and_their_use_is_weighed_by_tokens(void **state)
{
    struct load_sum s = sum("{\"worker\":\"w\",\"load\":300,\"details\":{\"dp_rank_count\":2,\"loads\":["
                            "{\"num_running_reqs\":5,\"num_waiting_reqs\":2,\"num_used_tokens\":100,\"max_total_num_tokens\":1000,"
                            "\"token_usage\":0.1,\"gen_throughput\":10.5,\"cache_hit_rate\":0.5},"
                            "{\"num_running_reqs\":1,\"num_waiting_reqs\":0,\"num_used_tokens\":200,\"max_total_num_tokens\":3000,"
                            "\"token_usage\":0.9,\"gen_throughput\":4.5,\"cache_hit_rate\":0.7}]}}");

    assert_true(s.known);
    assert_int_equal(s.tokens, 300);
    assert_int_equal(s.running, 6);
    assert_int_equal(s.waiting, 2);
    assert_float_equal(s.kv_use, 300.0 / 4000, 1e-9);
    assert_float_equal(s.tokens_s, 15, 1e-9);
    assert_float_equal(s.hit_rate, 0.6, 1e-9);
}

static void without_token_counts_the_ratios_are_averaged(void **state)
{
    struct load_sum s = sum("{\"load\":-1,\"details\":{\"loads\":[{\"token_usage\":0.2},{\"token_usage\":0.4},{}]}}");

    assert_true(s.known);
    assert_int_equal(s.tokens, -1);
    assert_float_equal(s.kv_use, 0.3, 1e-9);
    assert_true(s.tokens_s < 0 && s.hit_rate < 0);
}

static void an_engine_that_did_not_answer_is_unknown(void **state)
{
    struct load_sum s = sum("{\"worker\":\"w\",\"load\":-1}");

    assert_false(s.known);
    assert_true(s.kv_use < 0);
    assert_false(sum("{\"load\":\"many\",\"details\":{\"loads\":[]}}").known);
    assert_false(sum("[]").known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_are_added_up_and_their_use_is_weighed_by_tokens),
        cmocka_unit_test(without_token_counts_the_ratios_are_averaged),
        cmocka_unit_test(an_engine_that_did_not_answer_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
