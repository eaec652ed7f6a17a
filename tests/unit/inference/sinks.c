/* sinks.c -- the reply on its way back: relayed as it comes, or gathered and reshaped for rerank */
#include "scene.h"

#define RERANK_BODY "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\",\"e\"]}"

/* One chat whose worker answers with FIELDS. */
static void relayed(const char *status, const char *fields, const char *body)
{
    int client, e;

    OPEN(UP);
    client = post("/v1/chat/completions", CHAT_BODY);
    e = engine_hear(0);
    reply_with_length(e, status, fields, body);
    hear_all(client);
    close(e);
}

/* ---- relay: fields ---- */

static void a_workers_fields_are_passed_on(void **state)
{
    relayed("200 OK", "Content-Type: application/json\r\nX-Engine: one\r\nRetry-After: 7\r\n", "{}");
    assert_status(200);
    assert_heard("content-type: application/json\r\n");
    assert_heard("x-engine: one\r\n");
    assert_heard("retry-after: 7\r\n");
    assert_heard("content-length: 2\r\n");
}

static void repeated_fields_are_all_kept(void **state)
{
    relayed("200 OK", "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-More: 1\r\nX-More: 2\r\n", "{}");
    assert_heard("a=1\r\n");
    assert_heard("b=2\r\n");
    assert_heard("x-more: 1\r\n");
    assert_heard("x-more: 2\r\n");
}

static void fields_of_one_connection_are_not_passed_on(void **state)
{
    relayed("200 OK", "Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nTrailer: X-T\r\nUpgrade: h2c\r\n", "{}");
    assert_status(200);
    assert_not_heard("timeout=5");
    assert_not_heard("Basic");
    assert_not_heard("X-T");
    assert_not_heard("h2c");
}

static void fields_that_connection_names_are_not_passed_on(void **state)
{
    relayed(
        "200 OK",
        "Connection: X-Private, keep-alive\r\nX-Private: secret\r\nConnection: x-other\r\nX-Other: hidden\r\nX-Public: open\r\n",
        "{}");
    assert_status(200);
    assert_not_heard("secret");
    assert_not_heard("hidden");
    assert_heard("x-public: open\r\n");
}

static void what_is_the_gateways_to_say_is_withheld(void **state)
{
    relayed("200 OK", "Access-Control-Allow-Origin: *\r\nDate: yesterday\r\nX-Request-Id: the-engines\r\n", "{}");
    assert_status(200);
    assert_not_heard("llow-");
    assert_not_heard("*");
    assert_not_heard("yesterday");
    assert_not_heard("the-engines");
}

/* ---- relay: bodies ---- */

static void a_workers_error_is_passed_on_as_it_is(void **state)
{
    relayed("422 Unprocessable Entity", "Content-Type: text/plain\r\n", "no such thing");
    assert_status(422);
    assert_heard("content-type: text/plain\r\n");
    assert_heard("\r\n\r\nno such thing");
    assert_not_heard("x-smg-error-code");
}

static void a_reply_without_a_body_stays_one(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/v1/chat/completions", CHAT_BODY);
    e = engine_hear(0);
    say(e, "HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n");
    hear_all(client);
    assert_status(204);
    assert_heard("x-a: b\r\n");
    assert_true(str_has_suffix((struct str){ heard, heard_n }, STR("\r\n\r\n")));
    close(e);
}

static void a_stream_reaches_the_client_part_by_part(void **state)
{
    int client, e;

    OPEN(UP);
    client =
        post("/v1/chat/completions", "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    hear_until(client, "\r\n\r\n"); /* before there is any event */
    assert_heard("content-type: text/event-stream\r\n");
    say(e, "9\r\ndata: a\n\n\r\n");
    hear_until(client, "data: a\n\n");
    say(e, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    hear_all(client);
    assert_heard("data: [DONE]\n\n");
    assert_true(str_has_suffix((struct str){ heard, heard_n }, STR("0\r\n\r\n")));
    close(e);
}

static void a_cut_stream_is_cut_for_the_client_too(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/v1/chat/completions", CHAT_BODY);
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n");
    hear_until(client, "data: a\n\n");
    slam(e);
    hear_all(client);
    assert_not_heard("0\r\n\r\n");
}

static void head_of_an_info_page_has_no_body(void **state)
{
    int client, e;

    OPEN(UP);
    client = ask_with("HEAD /get_server_info", "", "");
    e = engine_hear(0);
    reply_with_length(e, "200 OK", "", "{\"a\":1}");
    hear_all(client);
    assert_status(200);
    assert_heard("content-length: 7\r\n");
    assert_true(str_has_suffix((struct str){ heard, heard_n }, STR("\r\n\r\n")));
    close(e);
}

static void a_client_that_leaves_ends_the_relay(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/v1/chat/completions", CHAT_BODY);
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
    hear_until(client, "\r\na\r\n");
    slam(client);
    hear_all(e);
    wait_for_load(0, 0);
}

/* ---- rerank ---- */

static void rerank_is_reshaped(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/rerank", RERANK_BODY);
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n"); /* in pieces: it is gathered */
    nap_ms(20);
    say(e, "3c\r\n{\"score\":0.5,\"index\":1,\"document\":\"e\",\"meta_info\":{\"id\":1}}]\r\n0\r\n\r\n");
    hear_all(client);
    close(e);
    if (!strstr(heard, "HTTP/1.1 200 "))
        fail_msg("%s", heard);
    assert_heard("content-type: application/json\r\n");
    assert_heard("{\"results\":[{\"score\":0.5,\"document\":\"e\",\"index\":1");
    assert_heard("\"model\":\"m\"");
    assert_heard("\"object\":\"rerank\"");
}

static void rerank_names_the_canonical_model(void **state)
{
    int client, e;

    OPEN({ .kind = ENGINE_OPEN, .model = "canonical", .alias = "short" });
    client = post("/rerank", "{\"model\":\"short\",\"query\":\"q\",\"documents\":[\"d\"]}");
    e = engine_hear(0);
    reply_with_length(e, "200 OK", "", "[]");
    hear_all(client);
    close(e);
    assert_heard("{\"results\":[],\"model\":\"canonical\"");
}

static void a_rerank_reply_that_is_no_array_is_500(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/rerank", RERANK_BODY);
    e = engine_hear(0);
    reply_with_length(e, "200 OK", "", "{\"data\":1}");
    hear_all(client);
    close(e);
    assert_status(500);
    assert_heard("x-smg-error-code: rerank_response_build_failed\r\n");
}

static void a_workers_rerank_error_is_passed_on_as_it_is(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/rerank", RERANK_BODY);
    e = engine_hear(0);
    reply_with_length(e, "400 Bad Request", "content-type: text/plain\r\n", "no");
    hear_all(client);
    close(e);
    assert_status(400);
    assert_heard("content-type: text/plain\r\n");
    assert_heard("\r\n\r\nno");
}

static void a_rerank_without_a_worker_answers_like_the_others(void **state)
{
    OPEN({ .kind = ENGINE_CLOSED, .model = "m" });
    hear_all(post("/rerank", RERANK_BODY));
    assert_status(502);
    assert_heard("x-smg-error-code: call_upstream_connection_failed\r\n");
    hear_all(post("/rerank", "{\"model\":\"x\",\"query\":\"q\",\"documents\":[\"d\"]}"));
    assert_status(404);
}

static void a_cut_rerank_reply_is_a_whole_error_because_nothing_went_out(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/rerank", RERANK_BODY);
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[");
    slam(e);
    hear_all(client);
    assert_status(502);
    assert_heard("x-smg-error-code: call_upstream_request_failed\r\n");
}

static void a_client_that_leaves_gives_back_what_was_gathered(void **state)
{
    static char block[100000];
    int client, e;

    memset(block, ' ', sizeof block);
    OPEN(UP);
    client = post("/rerank", RERANK_BODY);
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n");
    say_n(e, block, sizeof block);
    for (unsigned i = 0; budget_used() < sizeof block && i < 1000; i++)
        nap_ms(2);
    assert_true(budget_used() >= sizeof block);
    slam(client);
    hear_all(e);
    wait_for_load(0, 0); /* and stage_close() finds the budget untouched */
}

/* A reply that would never end: what counts is that the gateway hangs up. */
static void say_on_until_nobody_listens(int e)
{
    static char block[1 << 20];

    memset(block, ' ', sizeof block);
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n");
    while (send(e, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    assert_true(errno == EPIPE || errno == ECONNRESET);
}

static void a_rerank_reply_over_the_bound_is_502_at_once(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/rerank", RERANK_BODY);
    e = engine_hear(0);
    say_on_until_nobody_listens(e);
    hear_all(client);
    close(e);
    assert_status(502);
    assert_heard("x-smg-error-code: read_response_body_failed\r\n");
}

static void a_rerank_reply_over_the_memory_budget_is_502_at_once(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/rerank", RERANK_BODY);
    e = engine_hear(0);
    budget_set_limit(budget_used() + (1 << 20));
    say_on_until_nobody_listens(e);
    hear_all(client);
    close(e);
    budget_set_limit(0);
    assert_status(502);
    assert_heard("x-smg-error-code: read_response_body_failed\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_workers_fields_are_passed_on),
        RULE(repeated_fields_are_all_kept),
        RULE(fields_of_one_connection_are_not_passed_on),
        RULE(fields_that_connection_names_are_not_passed_on),
        RULE(what_is_the_gateways_to_say_is_withheld),
        RULE(a_workers_error_is_passed_on_as_it_is),
        RULE(a_reply_without_a_body_stays_one),
        RULE(a_stream_reaches_the_client_part_by_part),
        RULE(a_cut_stream_is_cut_for_the_client_too),
        RULE(head_of_an_info_page_has_no_body),
        RULE(a_client_that_leaves_ends_the_relay),
        RULE(rerank_is_reshaped),
        RULE(rerank_names_the_canonical_model),
        RULE(a_rerank_reply_that_is_no_array_is_500),
        RULE(a_workers_rerank_error_is_passed_on_as_it_is),
        RULE(a_rerank_without_a_worker_answers_like_the_others),
        RULE(a_cut_rerank_reply_is_a_whole_error_because_nothing_went_out),
        RULE(a_client_that_leaves_gives_back_what_was_gathered),
        RULE(a_rerank_reply_over_the_bound_is_502_at_once),
        RULE(a_rerank_reply_over_the_memory_budget_is_502_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
