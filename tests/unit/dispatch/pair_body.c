/* pair_body.c -- what the two engines of a pair are sent (spec data-plane 13.2, grpc-workers 15.3) */
#include "test.h"

#include "dispatch/pair_body.h"
#include "fail_alloc.h"
#include "worker/registry.h"

static struct fixture {
    struct arena arena;
    struct random random;
} t;

static int open_all(void **state)
{
    arena_init(&t.arena, NULL, 0);
    random_init(&t.random, 1);
    return 0;
}

static int close_all(void **state)
{
    arena_fini(&t.arena);
    return 0;
}

static const struct pair_ranks NO_RANKS = { -1, -1 };

static struct worker prefill_at(const char *host, int32_t port)
{
    struct worker w = { .host = str_of(host) };

    worker_spec_defaults(&w.spec);
    w.spec.type = WORKER_PREFILL;
    w.spec.bootstrap_port = port;
    return w;
}

static struct json parsed(struct str text)
{
    struct json_doc *doc = arena_new(&t.arena, struct json_doc);

    assert_int_equal(json_parse(text, &t.arena, doc, NULL), 0);
    return json_root(doc);
}

static uint64_t room_at(struct json rooms, size_t i)
{
    uint64_t room = UINT64_MAX;

    assert_int_equal(json_to_u64(json_at(rooms, i), &room), 0);
    assert_true(room <= INT64_MAX);
    return room;
}

static void dp_44_one_room_for_both(void **state)
{
    struct worker p = prefill_at("p1", 9001);
    struct pair_bodies b;
    uint64_t room;

    assert_int_equal(pair_bodies_at_once(STR("{\"a\":1}"), &p, &NO_RANKS, 0, &t.random, &t.arena, &b), 0);
    assert_ptr_equal(b.prefill.p, b.decode.p);
    assert_true(str_has_prefix(b.prefill, STR("{\"a\":1,\"bootstrap_host\":\"p1\",\"bootstrap_port\":9001,\"bootstrap_room\":")));
    assert_int_equal(json_to_u64(json_get(parsed(b.prefill), STR("bootstrap_room")), &room), 0);
    assert_true(room <= INT64_MAX);
}

static void dp_44_a_batch_has_a_room_for_each_prompt(void **state)
{
    struct worker p = prefill_at("p1", -1);
    struct pair_bodies b;
    struct json rooms;

    assert_int_equal(pair_bodies_at_once(STR("{}"), &p, &NO_RANKS, 3, &t.random, &t.arena, &b), 0);
    assert_true(str_has_prefix(
        b.decode, STR("{\"bootstrap_host\":[\"p1\",\"p1\",\"p1\"],\"bootstrap_port\":[null,null,null],\"bootstrap_room\":[")));
    rooms = json_get(parsed(b.decode), STR("bootstrap_room"));
    assert_int_equal(json_count(rooms), 3);
    assert_true(room_at(rooms, 0) != room_at(rooms, 1) && room_at(rooms, 1) != room_at(rooms, 2));
    assert_int_equal(pair_bodies_at_once(STR("{}"), &p, &NO_RANKS, 1, &t.random, &t.arena, &b), 0);
    assert_int_equal(json_count(json_get(parsed(b.decode), STR("bootstrap_room"))), 1); /* a list of one is a list */
}

static void dp_47_ranks_are_told_to_each_leg(void **state)
{
    struct worker p = prefill_at("p1", 1);
    struct pair_bodies b;

    assert_int_equal(pair_bodies_at_once(STR("{}"), &p, &(struct pair_ranks){ 2, 3 }, 0, &t.random, &t.arena, &b), 0);
    assert_str(json_raw(json_get(parsed(b.prefill), STR("routed_dp_rank"))), "2");
    assert_false(json_exists(json_get(parsed(b.prefill), STR("disagg_prefill_dp_rank"))));
    assert_str(json_raw(json_get(parsed(b.decode), STR("disagg_prefill_dp_rank"))), "2");
    assert_str(json_raw(json_get(parsed(b.decode), STR("routed_dp_rank"))), "3");
    assert_true(str_eq(json_raw(json_get(parsed(b.decode), STR("bootstrap_room"))),
                       json_raw(json_get(parsed(b.prefill), STR("bootstrap_room")))));
}

static void dp_47_one_side_may_have_no_ranks(void **state)
{
    struct worker p = prefill_at("p1", 1);
    struct pair_bodies b;

    assert_int_equal(pair_bodies_at_once(STR("{}"), &p, &(struct pair_ranks){ 2, -1 }, 0, &t.random, &t.arena, &b), 0);
    assert_false(json_exists(json_get(parsed(b.decode), STR("routed_dp_rank"))));
    assert_str(json_raw(json_get(parsed(b.decode), STR("disagg_prefill_dp_rank"))), "2");
    assert_int_equal(pair_bodies_at_once(STR("{}"), &p, &(struct pair_ranks){ -1, 0 }, 0, &t.random, &t.arena, &b), 0);
    assert_false(json_exists(json_get(parsed(b.prefill), STR("routed_dp_rank"))));
    assert_str(json_raw(json_get(parsed(b.decode), STR("routed_dp_rank"))), "0");
}

static void a_body_that_is_no_object_is_refused(void **state)
{
    struct worker p = prefill_at("p1", 1);
    struct pair_bodies b;
    struct str body;

    assert_int_equal(pair_bodies_at_once(STR("[]"), &p, &NO_RANKS, 0, &t.random, &t.arena, &b), ERR_INVALID);
    assert_int_equal(pair_body_first(STR("7"), STR("{}"), -1, &t.arena, &body), ERR_INVALID);
}

/* ---- vLLM ---- */

static void vllm_s_prefill_makes_one_token(void **state)
{
    struct str body;

    assert_int_equal(pair_body_first(STR("{\"max_tokens\":9,\"stream\":true,\"min_tokens\":4,\"stream_options\":{}}"),
                                     STR("{\"k\":1}"), -1, &t.arena, &body),
                     0);
    assert_str(body,
               "{\"max_tokens\":1,\"stream\":false,\"min_tokens\":0,\"stream_options\":null,\"kv_transfer_params\":{\"k\":1}}");
    assert_int_equal(pair_body_first(STR("{\"max_completion_tokens\":9}"), STR("{}"), 2, &t.arena, &body), 0);
    assert_str(
        body, "{\"max_completion_tokens\":1,\"max_tokens\":1,\"stream\":false,\"kv_transfer_params\":{},\"data_parallel_rank\":2}");
}

static void vllm_s_decode_gets_the_client_s_request_and_the_params(void **state)
{
    struct str body, same = STR("{\"stream\":true}");

    assert_int_equal(pair_body_second(same, STR("{\"k\":1}"), 0, &t.arena, &body), 0);
    assert_str(body, "{\"stream\":true,\"kv_transfer_params\":{\"k\":1},\"data_parallel_rank\":0}");
    assert_int_equal(pair_body_second(same, STR_NONE, -1, &t.arena, &body), 0);
    assert_ptr_equal(body.p, same.p);
}

static void params_are_taken_from_the_reply_as_they_are(void **state)
{
    assert_str(pair_kv_answer(STR("{\"id\":1,\"kv_transfer_params\":{ \"a\" : [1e0] }}"), &t.arena), "{ \"a\" : [1e0] }");
    assert_str(pair_kv_answer(STR("{\"kv_transfer_params\":null}"), &t.arena), "");
    assert_str(pair_kv_answer(STR("{}"), &t.arena), "");
    assert_str(pair_kv_answer(STR("data: x"), &t.arena), "");
}

static void the_connector_decides_what_both_are_told(void **state)
{
    struct worker p = prefill_at("p1", 7000);
    struct kv_params kv;

    pair_kv_params(&p, &NO_RANKS, &t.arena, &kv);
    assert_string_equal(kv.mode, "passthrough");
    assert_true(str_has_prefix(kv.prefill, STR("{\"do_remote_decode\":true,\"do_remote_prefill\":false,")));
    assert_int_equal(kv.decode.n + kv.when_none.n, 0);

    p.spec.kv_connector = STR("NixlConnector");
    pair_kv_params(&p, &NO_RANKS, &t.arena, &kv);
    assert_string_equal(kv.mode, "nixl");

    p.spec.kv_connector = STR("MooncakeConnector");
    pair_kv_params(&p, &NO_RANKS, &t.arena, &kv); /* its id is not known */
    assert_string_equal(kv.mode, "mooncake");
    assert_str(kv.when_none, "{\"remote_host\":\"p1\",\"remote_port\":7000}");
    assert_int_equal(kv.decode.n, 0);

    p.spec.kv_engine_id = STR("e");
    pair_kv_params(&p, &NO_RANKS, &t.arena, &kv);
    assert_true(str_has_prefix(kv.prefill, STR("{\"do_remote_decode\":true,\"do_remote_prefill\":false,\"transfer_id\":\"xfer-")));
    assert_true(str_has_prefix(kv.decode, STR("{\"do_remote_decode\":false,\"do_remote_prefill\":true,\"transfer_id\":\"xfer-")));
    assert_true(str_has_suffix(kv.decode, STR(",\"remote_engine_id\":\"e\",\"remote_bootstrap_addr\":\"http://p1:7000\"}")));
}

static void an_engine_of_ranks_is_known_by_rank(void **state)
{
    struct worker p = prefill_at("::1", -1);
    struct kv_params kv;

    p.spec.kv_connector = STR("MooncakeConnector");
    p.spec.kv_engine_id = STR("e");
    p.spec.dp_size = 2;
    pair_kv_params(&p, &(struct pair_ranks){ 1, -1 }, &t.arena, &kv);
    assert_true(str_has_suffix(kv.decode, STR(",\"remote_engine_id\":\"e_dp1\",\"remote_bootstrap_addr\":\"http://[::1]:8998\"}")));
    pair_kv_params(&p, &NO_RANKS, &t.arena, &kv);
    assert_int_equal(kv.decode.n, 0);
    assert_true(kv.when_none.n > 0);
}

static void vllm_and_engines_with_a_connector_hand_over_in_sequence(void **state)
{
    struct worker w = prefill_at("h", -1);

    assert_int_equal(pair_handover(&w), HANDOVER_AT_ONCE);
    w.spec.runtime = RUNTIME_SGLANG;
    assert_int_equal(pair_handover(&w), HANDOVER_AT_ONCE);
    w.spec.runtime = RUNTIME_VLLM;
    assert_int_equal(pair_handover(&w), HANDOVER_IN_SEQUENCE);
    w.spec.runtime = RUNTIME_UNSPECIFIED;
    w.spec.kv_connector = STR("NixlConnector");
    assert_int_equal(pair_handover(&w), HANDOVER_IN_SEQUENCE);
}

static void memory_that_runs_out_is_told(void **state)
{
    struct worker p = prefill_at("p1", 9001);

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena arena;
        struct pair_bodies b;
        struct str body;
        int r;

        arena_init(&arena, NULL, 0);
        r = pair_bodies_at_once(STR("{\"a\":1}"), &p, &(struct pair_ranks){ 1, 2 }, 0, &t.random, &arena, &b);
        if (r == 0)
            r = pair_body_first(STR("{}"), STR("{}"), 1, &arena, &body);
        if (r == 0)
            r = pair_body_second(STR("{}"), STR("{}"), 1, &arena, &body);
        assert_true(r == 0 || (r == ERR_NOMEM && fail_alloc_failed()));
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dp_44_one_room_for_both, open_all, close_all),
        cmocka_unit_test_setup_teardown(dp_44_a_batch_has_a_room_for_each_prompt, open_all, close_all),
        cmocka_unit_test_setup_teardown(dp_47_ranks_are_told_to_each_leg, open_all, close_all),
        cmocka_unit_test_setup_teardown(dp_47_one_side_may_have_no_ranks, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_body_that_is_no_object_is_refused, open_all, close_all),
        cmocka_unit_test_setup_teardown(vllm_s_prefill_makes_one_token, open_all, close_all),
        cmocka_unit_test_setup_teardown(vllm_s_decode_gets_the_client_s_request_and_the_params, open_all, close_all),
        cmocka_unit_test_setup_teardown(params_are_taken_from_the_reply_as_they_are, open_all, close_all),
        cmocka_unit_test_setup_teardown(the_connector_decides_what_both_are_told, open_all, close_all),
        cmocka_unit_test_setup_teardown(an_engine_of_ranks_is_known_by_rank, open_all, close_all),
        cmocka_unit_test_setup_teardown(vllm_and_engines_with_a_connector_hand_over_in_sequence, open_all, close_all),
        cmocka_unit_test_setup_teardown(memory_that_runs_out_is_told, open_all, close_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
