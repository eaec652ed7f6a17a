/* loads.c -- reading what engines say about their load (spec control-plane 15.2, data-plane 10) */
#include "test.h"

#include "worker/loads.h"

#define TWO_RANKS                                                                                                              \
    "{\"timestamp\":\"T\",\"dp_rank_count\":2,\"loads\":[{\"dp_rank\":0,\"num_used_tokens\":10,\"max_total_num_tokens\":100}," \
    "{\"dp_rank\":1,\"num_used_tokens\":5,\"token_usage\":1,\"disagg_mode\":\"decode\",\"kv_transfer_latency_ms\":1.5}]}"

static void ranks_add_up_or_are_picked(void **state)
{
    struct worker_loads *l = loads_read_json(STR(TWO_RANKS));
    struct buf out = { 0 };
    struct json_writer w;

    assert_non_null(l);
    assert_int_equal(loads_tokens(l, -1), 15);
    assert_int_equal(loads_tokens(l, 0), 10);
    assert_int_equal(loads_tokens(l, 1), -1);
    assert_false(loads_have(l, 2));
    json_begin(&w, &out);
    loads_write_json(&w, l, 1);
    buf_put_char(&out, 0);
    assert_string_equal(
        out.p, "{\"timestamp\":\"T\",\"dp_rank_count\":2,\"loads\":[{\"dp_rank\":1,\"num_running_reqs\":0,\"num_waiting_reqs\":0,"
               "\"num_waiting_uncached_tokens\":0,\"num_total_reqs\":0,\"num_used_tokens\":5,\"max_total_num_tokens\":0,"
               "\"token_usage\":1.0,\"gen_throughput\":0.0,\"cache_hit_rate\":0.0,\"utilization\":0.0,\"max_running_requests\":0,"
               "\"kv_transfer_latency_ms\":1.5,\"disagg_mode\":\"decode\"}]}");
    buf_fini(&out);
    loads_free(l);
}

static void a_text_without_loads_is_none(void **state)
{
    assert_null(loads_read_json(STR("")));
    assert_null(loads_read_json(STR("[]")));
    assert_null(loads_read_json(STR("{\"loads\":[]}")));
    assert_null(loads_read_json(STR("{\"loads\":3}")));
}

static void sglangs_gauges_come_with_either_separator(void **state)
{
    struct worker_loads *l = loads_read_metrics(
        STR("sglang_token_usage{r=\"0\"} 0.5\nsglang:token_usage{r=\"1\"} 1\nsglang:num_queue_reqs 2\nsglang:num_running_reqs 3\n"),
        RUNTIME_SGLANG);

    assert_non_null(l);
    assert_true(l->loads[0].token_usage == 0.75 && l->loads[0].waiting == 2 && l->loads[0].total == 5);
    assert_int_equal(loads_tokens(l, -1), -1);
    assert_true(loads_have(l, 3)); /* it has no ranks to pick from */
    loads_free(l);
}

static void without_the_kv_gauge_there_is_no_load(void **state)
{
    assert_null(loads_read_metrics(STR("vllm:num_requests_running 1\n"), RUNTIME_VLLM));
    assert_null(loads_read_metrics(STR("vllm_kv_cache_usage_perc 1\n"), RUNTIME_VLLM));
    assert_null(loads_read_metrics(STR("vllm:kv_cache_usage_perc 1\n"), RUNTIME_SGLANG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_add_up_or_are_picked),
        cmocka_unit_test(a_text_without_loads_is_none),
        cmocka_unit_test(sglangs_gauges_come_with_either_separator),
        cmocka_unit_test(without_the_kv_gauge_there_is_no_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
