/* handover.c -- what the halves of a pair are told, and that a decode engine waits for its prefill engine */
#include "serving.h"

#include "mock/handover.h"

/* ---- what a request says ---- */

static struct reading {
    struct arena arena;
    struct json_doc doc;
    struct handover_order order;
    struct err err;
} t;

static int open_all(void **state)
{
    memset(&t, 0, sizeof t);
    arena_init(&t.arena, NULL, 0);
    return 0;
}

static int close_all(void **state)
{
    arena_fini(&t.arena);
    return 0;
}

static int read_as(enum mock_role role, enum mock_runtime runtime, const char *text)
{
    assert_int_equal(json_parse(str_of(text), &t.arena, &t.doc, NULL), 0);
    return handover_read(role, runtime, json_root(&t.doc), 8998, 77, &t.order, &t.err);
}

static void one_room_or_a_list_of_them(void **state)
{
    assert_int_equal(read_as(MOCK_ROLE_DECODE, MOCK_SGLANG,
                             "{\"bootstrap_host\":\"h\",\"bootstrap_port\":9,\"bootstrap_room\":9223372036854775807}"),
                     0);
    assert_true(t.order.any);
    assert_int_equal(t.order.n, 1);
    assert_str(t.order.rooms[0].host, "h");
    assert_int_equal(t.order.rooms[0].port, 9);
    assert_true(t.order.rooms[0].room == INT64_MAX);
    assert_int_equal(read_as(MOCK_ROLE_PREFILL, MOCK_TOKENSPEED,
                             "{\"bootstrap_host\":[\"h\",\"i\"],\"bootstrap_port\":[null,8],\"bootstrap_room\":[0,1]}"),
                     0);
    assert_int_equal(t.order.n, 2);
    assert_int_equal(t.order.rooms[0].port, 8998);
    assert_str(t.order.rooms[1].host, "i");
    assert_int_equal(t.order.rooms[1].port, 8);
}

static void a_half_without_its_room_is_refused(void **state)
{
    static const char *const BODIES[] = {
        "{}",
        "{\"bootstrap_room\":null}",
        "{\"bootstrap_room\":[]}",
        "{\"bootstrap_room\":1}",
        "{\"bootstrap_host\":\"h\",\"bootstrap_room\":-1}",
        "{\"bootstrap_host\":\"h\",\"bootstrap_room\":9223372036854775808}",
        "{\"bootstrap_host\":\"h\",\"bootstrap_room\":1,\"bootstrap_port\":0}",
        "{\"bootstrap_host\":\"h\",\"bootstrap_room\":1,\"bootstrap_port\":70000}",
        "{\"bootstrap_host\":[\"h\"],\"bootstrap_room\":[1,2]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++)
        assert_int_equal(read_as(MOCK_ROLE_DECODE, MOCK_SGLANG, BODIES[i]), ERR_INVALID);
    assert_int_equal(read_as(MOCK_ROLE_BOTH, MOCK_SGLANG, "{}"), 0); /* an engine without a role does not look */
    assert_false(t.order.any);
}

static void vllm_s_params_say_who_does_what(void **state)
{
    assert_int_equal(read_as(MOCK_ROLE_PREFILL, MOCK_VLLM, "{\"kv_transfer_params\":{\"do_remote_decode\":true}}"), 0);
    assert_true(t.order.any && t.order.answer);
    assert_int_equal(t.order.rooms[0].room, 77);
    assert_int_equal(read_as(MOCK_ROLE_PREFILL, MOCK_VLLM, "{}"), 0);
    assert_false(t.order.any);
    assert_int_equal(read_as(MOCK_ROLE_DECODE, MOCK_VLLM, "{\"kv_transfer_params\":{\"do_remote_prefill\":false}}"), 0);
    assert_false(t.order.any);
    assert_int_equal(read_as(MOCK_ROLE_DECODE, MOCK_VLLM,
                             "{\"kv_transfer_params\":{\"do_remote_prefill\":true,\"remote_host\":\"h\",\"remote_port\":9,\"remote_"
                             "block_ids\":[5]}}"),
                     0);
    assert_str(t.order.rooms[0].host, "h");
    assert_int_equal(t.order.rooms[0].room, 5);
    assert_int_equal(read_as(MOCK_ROLE_DECODE, MOCK_VLLM, "{\"kv_transfer_params\":{\"do_remote_prefill\":true}}"), ERR_INVALID);
}

static void a_transfer_id_is_the_same_room_for_both(void **state)
{
    uint64_t room;

    assert_int_equal(
        read_as(MOCK_ROLE_PREFILL, MOCK_VLLM, "{\"kv_transfer_params\":{\"do_remote_decode\":true,\"transfer_id\":\"x\"}}"), 0);
    assert_false(t.order.answer);
    room = t.order.rooms[0].room;
    assert_int_equal(read_as(MOCK_ROLE_DECODE, MOCK_VLLM,
                             "{\"kv_transfer_params\":{\"do_remote_prefill\":true,\"transfer_id\":\"x\",\"remote_bootstrap_addr\":"
                             "\"http://[::1]:9\"}}"),
                     0);
    assert_true(t.order.rooms[0].room == room);
    assert_str(t.order.rooms[0].host, "::1");
    assert_int_equal(t.order.rooms[0].port, 9);
    assert_int_equal(
        read_as(MOCK_ROLE_DECODE, MOCK_VLLM, "{\"kv_transfer_params\":{\"do_remote_prefill\":true,\"transfer_id\":\"x\"}}"),
        ERR_INVALID);
}

/* ---- a prefill engine and who asks it ---- */

static uint16_t bootstrap_port;

static int start_prefill(void **state)
{
    struct mock_conf conf = MOCK_DEFAULTS;

    conf.role = MOCK_ROLE_PREFILL;
    conf.bootstrap_port = 0; /* any */
    start(conf);
    bootstrap_port = mock_engine_bootstrap_port(engine.mock);
    return 0;
}

static void ask_for(uint16_t port, const char *method, const char *path, const char *body, struct answer *a)
{
    uint16_t before = engine.port;

    engine.port = port;
    hear(say(method, path, NULL, body), a);
    engine.port = before;
}

#define HALF "{\"text\":\"hi\",\"bootstrap_host\":\"127.0.0.1\",\"bootstrap_port\":1,\"bootstrap_room\":12}"

static void a_computed_prompt_opens_its_room_once(void **state)
{
    struct answer a, b;

    ask_for(engine.port, "POST", "/generate", HALF, &a);
    assert_int_equal(a.status, 200);
    assert_true(str_find(buf_str(&a.body), STR("\"completion_tokens\":1,")) != STR_NPOS);
    ask_for(bootstrap_port, "GET", "/kv/12", NULL, &b);
    assert_int_equal(b.status, 200);
    forget(&a);
    forget(&b);
}

static void who_asks_early_waits(void **state)
{
    uint16_t port = engine.port;
    struct answer a, b;
    int early;

    engine.port = bootstrap_port;
    early = say("GET", "/kv/12", NULL, NULL);
    engine.port = port;
    ask_for(engine.port, "POST", "/generate", HALF, &a);
    hear(early, &b);
    assert_int_equal(b.status, 200);
    forget(&a);
    forget(&b);
}

static void a_room_that_is_no_number_is_refused(void **state)
{
    struct answer a;

    ask_for(bootstrap_port, "GET", "/kv/x", NULL, &a);
    assert_int_equal(a.status, 400);
    forget(&a);
    ask_for(engine.port, "POST", "/generate", "{\"text\":\"hi\"}", &a);
    assert_int_equal(a.status, 400);
    forget(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_room_or_a_list_of_them, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_half_without_its_room_is_refused, open_all, close_all),
        cmocka_unit_test_setup_teardown(vllm_s_params_say_who_does_what, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_transfer_id_is_the_same_room_for_both, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_computed_prompt_opens_its_room_once, start_prefill, stop_default),
        cmocka_unit_test_setup_teardown(who_asks_early_waits, start_prefill, stop_default),
        cmocka_unit_test_setup_teardown(a_room_that_is_no_number_is_refused, start_prefill, stop_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
