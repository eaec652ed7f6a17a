/* carry.c -- what is refused before a worker is asked, and what a worker gets */
#include "scene.h"

static void refused(int client)
{
    hear_all(client);
    engine_is_left_alone(0, 0);
    assert_int_equal(picks(0), 0);
}

static void a_validated_endpoint_without_a_json_type_is_400(void **state)
{
    static const char *const PATHS[] = { "POST /v1/chat/completions", "POST /v1/completions", "POST /rerank",
                                         "POST /v1/responses" };

    OPEN(UP);
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        refused(ask_with(PATHS[i], "content-type: text/plain\r\n", CHAT_BODY));
        assert_status(400);
        assert_heard("{\"error\":{\"message\":\"Missing Content-Type: application/json "
                     "header\",\"type\":\"invalid_request_error\",\"param\":null,"
                     "\"code\":\"json_parse_error\"}}");
    }
}

static void a_plain_endpoint_without_a_json_type_is_415(void **state)
{
    static const char *const PATHS[] = { "POST /generate", "POST /v1/embeddings", "POST /v1/classify", "POST /v1/rerank" };

    OPEN(UP);
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        refused(ask_with(PATHS[i], "", "{\"model\":\"m\",\"input\":\"x\"}"));
        assert_status(415);
        assert_heard("{\"error\":{\"message\":");
    }
}

static void messages_are_refused_in_anthropics_words(void **state)
{
    OPEN(UP);
    refused(ask_with("POST /v1/messages", "", "{}"));
    assert_status(400);
    assert_heard("{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Missing Content-Type");
    refused(post("/v1/messages", "{}"));
    assert_status(400);
    assert_heard("{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":");
}

static void a_json_type_may_have_parameters_and_any_case(void **state)
{
    static const char *const TYPES[] = { "content-type: application/json; charset=utf-8\r\n",
                                         "content-type: Application/JSON\r\n" };

    OPEN(UP);
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        int client = ask_with("POST /v1/chat/completions", TYPES[i], CHAT_BODY), e = engine_hear(0);

        reply_with_length(e, "200 OK", "", "{}");
        hear_all(client);
        assert_status(200);
        close(e);
    }
}

static void what_the_checks_say_reaches_the_client(void **state)
{
    OPEN(UP);
    refused(post("/v1/chat/completions", "{\"model\":\"m\""));
    assert_status(400);
    assert_heard("JSON syntax error: Failed to parse the request body as JSON: ");
    assert_heard("\"code\":\"json_parse_error\"}}");
    refused(post("/v1/chat/completions", "{\"model\":\"m\",\"messages\":[]}"));
    assert_status(400);
    assert_heard("\"param\":\"messages\",\"code\":400}}");
    assert_not_heard("x-smg-error-code");
}

static void an_empty_body_is_400(void **state)
{
    OPEN(UP);
    refused(post("/v1/chat/completions", ""));
    assert_status(400);
}

static void the_worker_gets_the_clients_bytes(void **state)
{
    const char *body = "{ \"messages\" : [{\"content\":\"\\u00e4\",\"role\":\"user\"}],\r\n \"model\":\"m\", \"zzz\": 1e0 }";
    int client, e;

    OPEN(UP);
    client = post("/v1/chat/completions", body);
    e = engine_hear(0);
    assert_string_equal(strstr(heard, "\r\n\r\n") + 4, body);
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    close(e);
}

static void only_the_name_of_an_alias_is_replaced(void **state)
{
    int client, e;

    OPEN({ .kind = ENGINE_OPEN, .model = "org/long-name", .alias = "short" });
    client = post("/v1/chat/completions", "{ \"model\" : \"short\" , \"messages\":[{\"role\":\"user\",\"content\":\"short\"}] }");
    e = engine_hear(0);
    assert_string_equal(strstr(heard, "\r\n\r\n") + 4,
                        "{ \"model\" : \"org/long-name\" , \"messages\":[{\"role\":\"user\",\"content\":\"short\"}] }");
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    close(e);
}

static void an_aliass_body_survives_a_retry(void **state)
{
    int client, e;

    OPEN({ .kind = ENGINE_OPEN, .model = "canonical", .alias = "a" }, { .kind = ENGINE_OPEN, .model = "canonical" });
    client = post("/generate", "{\"model\":\"a\",\"text\":\"t\"}");
    slam(engine_hear(0));
    e = engine_hear(1);
    assert_heard("\r\n\r\n{\"model\":\"canonical\",\"text\":\"t\"}");
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    assert_status(200);
    close(e);
}

static void a_request_without_a_model_goes_to_any_worker_as_it_is(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/generate", "{\"text\":\"t\"}");
    e = engine_hear(0);
    assert_heard("\r\n\r\n{\"text\":\"t\"}");
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    assert_status(200);
    close(e);
    client = post("/generate", "{\"model\":\"unknown\",\"text\":\"t\"}");
    e = engine_hear(0);
    assert_heard("\r\n\r\n{\"model\":\"unknown\",\"text\":\"t\"}");
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    close(e);
}

static void a_worker_without_models_gets_the_name_that_the_client_wrote(void **state)
{
    int client, e;

    OPEN({ .kind = ENGINE_OPEN });
    client = post("/generate", "{\"model\":\"anything\",\"text\":\"t\"}");
    e = engine_hear(0);
    assert_heard("\r\n\r\n{\"model\":\"anything\",\"text\":\"t\"}");
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    close(e);
}

static void the_workers_own_key_replaces_the_clients(void **state)
{
    int client, e;

    OPEN({ .kind = ENGINE_OPEN, .model = "m", .key = "worker-key" });
    client =
        ask_with("POST /v1/chat/completions", "content-type: application/json\r\nauthorization: Bearer client-key\r\n", CHAT_BODY);
    e = engine_hear(0);
    assert_heard("authorization: Bearer worker-key\r\n");
    assert_not_heard("client-key");
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    close(e);
}

static void an_unknown_model_and_no_ready_worker_are_told_apart(void **state)
{
    OPEN({ .kind = ENGINE_OPEN, .model = "m", .status = WORKER_NOT_READY });
    refused(post("/v1/chat/completions", CHAT_BODY));
    assert_status(503);
    assert_heard("retry-after: 1\r\n");
    assert_heard("\"code\":\"no_available_workers\"");
    refused(post("/generate", "{\"model\":\"nope\",\"text\":\"t\"}"));
    assert_status(404);
    assert_heard("\"code\":\"model_not_found\"");
}

static void info_is_asked_of_a_worker_without_a_body(void **state)
{
    int client, e;

    OPEN(UP);
    client = ask_with("GET /get_server_info?x=1", "", "");
    e = engine_hear(0);
    assert_heard("GET /get_server_info HTTP/1.1\r\n");
    assert_not_heard("content-length");
    reply_with_length(e, "200 OK", "content-type: application/json\r\n", "{\"version\":\"1\"}");
    hear_all(client);
    assert_status(200);
    assert_heard("\r\n\r\n{\"version\":\"1\"}");
    close(e);
}

static void info_without_a_ready_worker_is_503_no_workers(void **state)
{
    OPEN({ .kind = ENGINE_OPEN, .model = "m", .status = WORKER_FAILED });
    refused(ask_with("GET /get_server_info", "", ""));
    assert_status(503);
    assert_heard("x-smg-error-code: no_workers\r\n");
    assert_heard("retry-after: 1\r\n");
}

static void info_without_any_worker_is_503_no_workers(void **state)
{
    open_scene(NULL);
    hear_all(ask_with("GET /get_server_info", "", ""));
    assert_status(503);
    assert_heard("x-smg-error-code: no_workers\r\n");
}

static void info_of_workers_that_refuse_is_502(void **state)
{
    OPEN({ .kind = ENGINE_CLOSED, .model = "m" });
    hear_all(ask_with("GET /get_server_info", "", ""));
    assert_status(502);
    assert_heard("x-smg-error-code: call_upstream_connection_failed\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_validated_endpoint_without_a_json_type_is_400),
        RULE(a_plain_endpoint_without_a_json_type_is_415),
        RULE(messages_are_refused_in_anthropics_words),
        RULE(a_json_type_may_have_parameters_and_any_case),
        RULE(what_the_checks_say_reaches_the_client),
        RULE(an_empty_body_is_400),
        RULE(the_worker_gets_the_clients_bytes),
        RULE(only_the_name_of_an_alias_is_replaced),
        RULE(an_aliass_body_survives_a_retry),
        RULE(a_request_without_a_model_goes_to_any_worker_as_it_is),
        RULE(a_worker_without_models_gets_the_name_that_the_client_wrote),
        RULE(the_workers_own_key_replaces_the_clients),
        RULE(an_unknown_model_and_no_ready_worker_are_told_apart),
        RULE(info_is_asked_of_a_worker_without_a_body),
        RULE(info_without_a_ready_worker_is_503_no_workers),
        RULE(info_without_any_worker_is_503_no_workers),
        RULE(info_of_workers_that_refuse_is_502),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
