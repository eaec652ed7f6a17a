/* pair.c -- a request on two engines at once: what goes out when, and that one side's end is the other's, on every way */
#include "stage.h"

static const struct route ROUTES[] = {
    { HTTP_POST, "/v1/chat/completions", .body = ROUTE_BODY_BUFFER, .handler = inference_chat, .context = CTX_INFERENCE },
    { HTTP_POST, "/generate", .body = ROUTE_BODY_BUFFER, .handler = inference_generate, .context = CTX_INFERENCE },
};

#define UP .kind = ENGINE_OPEN, .model = "m"
#define P                          \
    {                              \
        UP, .type = WORKER_PREFILL \
    }
#define D                         \
    {                             \
        UP, .type = WORKER_DECODE \
    }
#define VP                                                  \
    {                                                       \
        UP, .type = WORKER_PREFILL, .runtime = RUNTIME_VLLM \
    }
#define VD                                                 \
    {                                                      \
        UP, .type = WORKER_DECODE, .runtime = RUNTIME_VLLM \
    }

#define OK_OF(length, body) "HTTP/1.1 200 OK\r\ncontent-length: " #length "\r\n\r\n" body
#define STREAM              "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

static void open_with(const struct engine *engines, struct retry_conf retry)
{
    stage_open(engines, (struct stage_conf){
                            .routes = ROUTES, .routes_n = ARRAY_LEN(ROUTES), .dispatch = { .pairs = true, .retry = retry } });
}

#define ONCE   ((struct retry_conf){ .attempts_max = 1, .initial_ms = 1, .max_ms = 1, .multiplier = 1 })
#define SLOWLY ((struct retry_conf){ .attempts_max = 2, .initial_ms = 60000, .max_ms = 60000, .multiplier = 1 })

#define OPEN_WITH(retry, ...) open_with((const struct engine[]){ __VA_ARGS__, { 0 } }, retry)
#define OPEN(...)             OPEN_WITH((struct retry_conf){ 0 }, __VA_ARGS__)

static int close_all(void **state)
{
    stage_close();
    return 0;
}

static int ask(const char *members)
{
    char body[512];

    snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]%s}", members);
    return ask_with("POST /v1/chat/completions", "content-type: application/json\r\n", body);
}

static void the_decode_engine_s_reply_is_the_client_s(void **state)
{
    int client, p, d;

    OPEN(P, D);
    client = ask("");
    p = engine_hear(0);
    assert_heard("\"bootstrap_host\":\"127.0.0.1\",\"bootstrap_port\":null,\"bootstrap_room\":");
    d = engine_hear(1);
    assert_heard("\"bootstrap_room\":");
    assert_int_equal(load(0) + load(1), 2);
    say(p, OK_OF(6, "ignore"));
    wait_for_load(0, 0);
    assert_int_equal(load(1), 1);
    say(d, OK_OF(5, "hello"));
    hear_all(client);
    assert_status(200);
    assert_heard("\r\n\r\nhello");
    assert_not_heard("ignore");
    wait_for_load(1, 0);
    close(p);
    close(d);
    assert_counted(
        "smg_router_requests_total{router_type=\"http\",backend_type=\"pd\",connection_mode=\"http\",model=\"m\",endpoint=\"chat\","
        "streaming=\"false\"} 1");
    assert_counted("smg_worker_selection_total{worker_type=\"prefill\",connection_mode=\"http\",model=\"m\",policy=\"first\"} 1");
    assert_counted("smg_worker_selection_total{worker_type=\"decode\",connection_mode=\"http\",model=\"m\",policy=\"first\"} 1");
}

static void a_stream_that_comes_first_waits_for_prefill_s_end(void **state)
{
    int client, p, d;

    OPEN(P, D);
    client = ask(",\"stream\":true");
    p = engine_hear(0);
    d = engine_hear(1);
    say(p, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
    say(d, STREAM "9\r\ndata: 1\n\n\r\n");
    nap_ms(30); /* time for it to go out, were it to */
    say(p, "lf");
    hear_until(client, "data: 1\n\n");
    assert_status(200);
    assert_heard("content-type: text/event-stream");
    say(d, "9\r\ndata: 2\n\n\r\n0\r\n\r\n");
    hear_all(client);
    assert_heard("data: 2\n\n");
    close(p);
    close(d);
}

static void a_reply_that_is_whole_before_prefill_ends_is_kept(void **state)
{
    int client, p, d;

    OPEN(P, D);
    client = ask("");
    p = engine_hear(0);
    d = engine_hear(1);
    say(d, OK_OF(5, "hello"));
    wait_for_load(1, 0);
    say(p, OK_OF(2, "{}"));
    hear_all(client);
    assert_heard("\r\n\r\nhello");
    close(p);
    close(d);
}

static void the_stream_is_over_with_done(void **state)
{
    int client, p, d;

    OPEN(P, D);
    client = ask(",\"stream\":true");
    p = engine_hear(0);
    d = engine_hear(1);
    say(p, OK_OF(2, "{}"));
    say(d, STREAM "17\r\ndata: [DONE]\n\ndata: x\n\n\r\n");
    hear_all(client);
    assert_heard("data: [DONE]\n\n");
    assert_not_heard("data: x");
    hear_all(d); /* the gateway closed it */
    close(p);
}

/* One side fails before a reply began: SAID, then closed if it said nothing. */
static void one_side_ends_the_other(unsigned bad, const char *said, const char *status, const char *code)
{
    int client, legs[2];

    client = ask("");
    legs[0] = engine_hear(0);
    legs[1] = engine_hear(1);
    say(legs[bad], said);
    if (!*said)
        close(legs[bad]);
    hear_all(legs[1 - bad]);
    assert_int_equal(heard_n, 0);
    hear_all(client);
    assert_heard(status);
    assert_heard(code);
    if (*said)
        close(legs[bad]);
}

static void an_error_of_either_side_ends_the_other_at_once(void **state)
{
    OPEN(P, D);
    one_side_ends_the_other(0, "HTTP/1.1 422 X\r\ncontent-length: 3\r\n\r\nbad", "HTTP/1.1 422 ",
                            "x-smg-error-code: prefill_error");
    one_side_ends_the_other(0, "HTTP/1.1 400 X\r\ncontent-length: 3\r\n\r\nbad", "HTTP/1.1 400 ", "prefill_bad_request");
    one_side_ends_the_other(1, "HTTP/1.1 404 X\r\ncontent-length: 3\r\n\r\nbad", "HTTP/1.1 404 ", "decode_not_found");
    one_side_ends_the_other(1, "HTTP/1.1 301 X\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 301 ", "decode_error");
}

static void what_is_no_http_of_either_side_ends_the_other(void **state)
{
    OPEN_WITH(ONCE, P, D);
    one_side_ends_the_other(0, "nonsense\r\n\r\n", "HTTP/1.1 502 ", "pd_transport_error");
    one_side_ends_the_other(1, "nonsense\r\n\r\n", "HTTP/1.1 502 ", "pd_transport_error");
}

static void an_endless_error_is_cut(void **state)
{
    static char block[70000];
    int client, p, d;

    OPEN(P, D);
    memset(block, 'x', sizeof block - 1);
    client = ask("");
    p = engine_hear(0);
    d = engine_hear(1);
    say(d, "HTTP/1.1 422 X\r\ntransfer-encoding: chunked\r\n\r\n11170\r\n");
    say_n(d, block, sizeof block - 1);
    hear_all(client);
    assert_status(422);
    hear_all(p);
    hear_all(d);
}

static void a_side_that_closes_is_replaced_and_the_other_asked_again(void **state)
{
    int client, p, d, p2, d2;

    OPEN(P, P, D);
    client = ask("");
    p = engine_hear(0);
    d = engine_hear(2);
    close(p);
    hear_all(d);
    p2 = engine_hear(1); /* FIRST would take the first again */
    d2 = engine_hear(2);
    say(p2, OK_OF(2, "{}"));
    say(d2, OK_OF(5, "hello"));
    hear_all(client);
    assert_heard("\r\n\r\nhello");
    close(p2);
    close(d2);
    assert_counted("smg_worker_retries_total{worker_type=\"prefill\",endpoint=\"chat\"} 1");
    assert_counted("smg_worker_retries_total{worker_type=\"decode\",endpoint=\"chat\"} 1");
}

static void nothing_is_tried_again_after_the_reply_began(void **state)
{
    int client, p, d;

    OPEN(P, D, D);
    client = ask("");
    p = engine_hear(0);
    d = engine_hear(1);
    say(p, OK_OF(2, "{}"));
    say(d, OK_OF(9, "hello"));
    hear_until(client, "hello");
    close(d);
    hear_all(client);
    engine_is_left_alone(2, 30);
    close(p);
}

static void a_side_that_nobody_can_reach_is_told_of_without_its_address(void **state)
{
    int client;

    OPEN({ .kind = ENGINE_CLOSED, .model = "m", .type = WORKER_PREFILL }, D);
    client = ask("");
    hear_all(client);
    assert_status(502);
    assert_heard("\"code\":\"pd_transport_error\"");
    assert_not_heard("127.0.0.1");
}

static void clients_that_leave_end_both_sides(void **state)
{
    int client, p, d;

    OPEN(P, D);
    for (unsigned phase = 0; phase < 4; phase++) {
        client = ask(",\"stream\":true");
        p = engine_hear(0);
        d = engine_hear(1);
        if (phase >= 1) /* decode waits for prefill */
            say(d, STREAM "9\r\ndata: 1\n\n\r\n");
        if (phase == 2) /* prefill is in the middle of its reply */
            say(p, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
        if (phase == 3) { /* the stream runs */
            say(p, OK_OF(2, "{}"));
            hear_until(client, "data: 1");
        }
        slam(client);
        hear_all(d);
        if (phase < 3)
            hear_all(p);
        else
            close(p);
        wait_for_load(0, 0);
        wait_for_load(1, 0);
    }
}

static void a_client_that_leaves_during_the_pause_is_forgotten(void **state)
{
    int client, p, d;

    OPEN_WITH(SLOWLY, P, D);
    client = ask("");
    p = engine_hear(0);
    d = engine_hear(1);
    say(d, "HTTP/1.1 503 X\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n");
    hear_all(p);
    wait_for_load(1, 0);
    slam(client);
    engine_is_left_alone(0, 50);
    close(d);
}

/* ---- one after the other ---- */

static void vllm_s_decode_is_asked_when_prefill_has_answered(void **state)
{
    static const char ANSWER[] = OK_OF(41, "{\"id\":1,\"kv_transfer_params\":{\"b\":[7]}}\n\n");
    int client, p, d;

    OPEN(VP, VD);
    client = ask(",\"max_tokens\":5");
    p = engine_hear(0);
    assert_heard("\"max_tokens\":1,\"stream\":false,\"kv_transfer_params\":{\"do_remote_decode\":true,");
    assert_int_equal(load(0) + load(1), 2);
    engine_is_left_alone(1, 20);
    say(p, ANSWER);
    d = engine_hear(1);
    assert_heard("\"max_tokens\":5,\"kv_transfer_params\":{\"b\":[7]}}");
    wait_for_load(0, 0);
    say(d, OK_OF(5, "hello"));
    hear_all(client);
    assert_heard("\r\n\r\nhello");
    close(p);
    close(d);
    assert_counted("smg_pd_kv_connector_mode_total{mode=\"passthrough\"} 1");
    assert_not_counted("smg_pd_kv_transfer_failures_total");
}

static void vllm_s_decode_is_not_asked_when_prefill_fails(void **state)
{
    int client, p;

    OPEN(VP, VD);
    client = ask("");
    p = engine_hear(0);
    say(p, "HTTP/1.1 400 X\r\ncontent-length: 3\r\n\r\nbad");
    hear_all(client);
    assert_status(400);
    assert_heard("Prefill server error (400 Bad Request): bad");
    engine_is_left_alone(1, 20);
    close(p);
}

static void vllm_clients_may_leave_in_both_halves(void **state)
{
    int client, p, d;

    OPEN(VP, VD);
    client = ask("");
    p = engine_hear(0);
    slam(client);
    hear_all(p);
    engine_is_left_alone(1, 20);
    client = ask("");
    p = engine_hear(0);
    say(p, OK_OF(2, "{}"));
    d = engine_hear(1);
    slam(client);
    hear_all(d);
    close(p);
    assert_counted("smg_pd_kv_transfer_failures_total 1");
}

/* ---- whom ---- */

static void ask_and_hear(const char *model)
{
    char body[256];

    snprintf(body, sizeof body, "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", model);
    hear_all(ask_with("POST /v1/chat/completions", "content-type: application/json\r\n", body));
}

static void a_missing_side_is_named(void **state)
{
    OPEN(D, { UP, .type = WORKER_REGULAR }, { .kind = ENGINE_OPEN, .model = "n", .type = WORKER_PREFILL },
         { .kind = ENGINE_OPEN, .model = "o", .type = WORKER_PREFILL, .status = WORKER_NOT_READY },
         { .kind = ENGINE_OPEN, .model = "o", .type = WORKER_DECODE },
         { .kind = ENGINE_OPEN, .model = "v", .type = WORKER_PREFILL, .runtime = RUNTIME_VLLM },
         { .kind = ENGINE_OPEN, .model = "v", .type = WORKER_DECODE, .runtime = RUNTIME_SGLANG });
    ask_and_hear("m");
    assert_status(503);
    assert_heard("server_selection_failed");
    assert_heard("No available servers: No prefill workers available. Please check if prefill servers are configured and healthy.");
    ask_and_hear("n");
    assert_heard("No available servers: No decode workers available.");
    ask_and_hear("o");
    assert_heard("No available servers: No available prefill workers (all circuits open or unhealthy)");
    ask_and_hear("v");
    assert_heard("in different ways");
    ask_and_hear("nope");
    assert_status(404);
    assert_heard("No worker available for model 'nope'");
}

static void engines_of_one_kind_are_paired(void **state)
{
    int client, p, d;

    OPEN(P, VP, VD); /* FIRST would take the SGLang engine, which has no partner */
    client = ask("");
    p = engine_hear(1);
    say(p, OK_OF(2, "{}"));
    d = engine_hear(2);
    say(d, OK_OF(5, "hello"));
    hear_all(client);
    assert_status(200);
    engine_is_left_alone(0, 10);
    close(p);
    close(d);
}

static void a_batch_over_the_bound_is_refused(void **state)
{
    struct buf body = { 0 };

    OPEN(P, D);
    buf_puts(&body, "{\"model\":\"m\",\"text\":[\"\"");
    for (unsigned i = 0; i < 16384; i++)
        buf_puts(&body, ",\"\"");
    buf_puts(&body, "]}");
    buf_put_char(&body, 0);
    hear_all(ask_with("POST /generate", "content-type: application/json\r\n", body.p));
    assert_status(400);
    assert_heard("batch_too_large");
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_decode_engine_s_reply_is_the_client_s, close_all),
        cmocka_unit_test_teardown(a_stream_that_comes_first_waits_for_prefill_s_end, close_all),
        cmocka_unit_test_teardown(a_reply_that_is_whole_before_prefill_ends_is_kept, close_all),
        cmocka_unit_test_teardown(the_stream_is_over_with_done, close_all),
        cmocka_unit_test_teardown(an_error_of_either_side_ends_the_other_at_once, close_all),
        cmocka_unit_test_teardown(what_is_no_http_of_either_side_ends_the_other, close_all),
        cmocka_unit_test_teardown(an_endless_error_is_cut, close_all),
        cmocka_unit_test_teardown(a_side_that_closes_is_replaced_and_the_other_asked_again, close_all),
        cmocka_unit_test_teardown(nothing_is_tried_again_after_the_reply_began, close_all),
        cmocka_unit_test_teardown(a_side_that_nobody_can_reach_is_told_of_without_its_address, close_all),
        cmocka_unit_test_teardown(clients_that_leave_end_both_sides, close_all),
        cmocka_unit_test_teardown(a_client_that_leaves_during_the_pause_is_forgotten, close_all),
        cmocka_unit_test_teardown(vllm_s_decode_is_asked_when_prefill_has_answered, close_all),
        cmocka_unit_test_teardown(vllm_s_decode_is_not_asked_when_prefill_fails, close_all),
        cmocka_unit_test_teardown(vllm_clients_may_leave_in_both_halves, close_all),
        cmocka_unit_test_teardown(a_missing_side_is_named, close_all),
        cmocka_unit_test_teardown(engines_of_one_kind_are_paired, close_all),
        cmocka_unit_test_teardown(a_batch_over_the_bound_is_refused, close_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
