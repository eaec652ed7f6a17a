/* info.c -- /health_generate, /get_server_info, /get_model_info: of engines, and of fleets of providers (spec control-plane 16.3) */
#include "scene.h"

#define PROVIDER(of)                                                  \
    {                                                                 \
        .kind = ENGINE_OPEN, .model = of, .runtime = RUNTIME_EXTERNAL \
    }
#define SICK_PROVIDER(of)                                                                         \
    {                                                                                             \
        .kind = ENGINE_OPEN, .model = of, .runtime = RUNTIME_EXTERNAL, .status = WORKER_NOT_READY \
    }

static void get(const char *path)
{
    char line[64];

    snprintf(line, sizeof line, "GET %s", path);
    hear_all(ask_with(line, "", ""));
}

static void an_engine_is_asked_with_its_own_key(void **state)
{
    static const char *const PATHS[] = { "/health_generate", "/get_server_info", "/get_model_info" };

    OPEN({ .kind = ENGINE_OPEN, .model = "m", .key = "the-engines" });
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        char line[64];
        int client, e;

        snprintf(line, sizeof line, "GET %s", PATHS[i]);
        client = ask_with(line, "authorization: Bearer the-clients\r\n", "");
        e = engine_hear(0);
        assert_heard(line);
        assert_heard("authorization: Bearer the-engines\r\n");
        assert_not_heard("the-clients");
        say(e, "HTTP/1.1 200 OK\r\nconnection: close\r\nx-engine: 1\r\ncontent-length: 3\r\n\r\nyes");
        hear_all(client);
        assert_status(200);
        assert_heard("x-engine: 1\r\n");
        assert_heard("\r\n\r\nyes");
        close(e);
    }
}

static void in_a_mixed_fleet_only_engines_are_asked(void **state)
{
    int client, e;

    OPEN(PROVIDER("gpt"), UP);
    client = ask_with("GET /get_server_info", "", "");
    e = engine_hear(1);
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    assert_status(200);
    engine_is_left_alone(0, 0);
    close(e);
}

static void providers_do_not_stand_in_for_engines_that_are_down(void **state)
{
    OPEN(PROVIDER("gpt"), { .kind = ENGINE_OPEN, .model = "m", .status = WORKER_FAILED });
    get("/health_generate");
    assert_status(503);
    assert_heard("x-smg-error-code: no_workers\r\n");
}

static void a_fleet_of_providers_is_healthy_when_all_are(void **state)
{
    OPEN(PROVIDER("gpt"), PROVIDER("o5"));
    get("/health_generate");
    assert_status(200);
    assert_heard("content-type: text/plain");
    assert_heard("\r\n\r\nOK - 2 workers healthy");
}

static void sick_providers_are_named_by_their_models(void **state)
{
    OPEN(PROVIDER("gpt"), SICK_PROVIDER("o5"), SICK_PROVIDER(NULL));
    get("/health_generate");
    assert_status(503);
    assert_heard("retry-after: 1\r\n");
    assert_heard("x-smg-error-code: service_unavailable\r\n");
    assert_heard("\"message\":\"2/3 workers unhealthy: o5, any model\"");
    assert_not_heard("127.0.0.1");
}

static void a_fleet_of_providers_tells_of_itself(void **state)
{
    char want[256];

    OPEN(PROVIDER("gpt"), SICK_PROVIDER("o5"));
    get("/get_server_info");
    assert_status(200);
    snprintf(
        want, sizeof want,
        "\r\n\r\n{\"router_type\":\"openai\",\"total_workers\":2,\"external_workers\":2,\"healthy_workers\":1,\"total_models\":2,"
        "\"worker_urls\":[\"http://127.0.0.1:%u\",\"http://127.0.0.1:%u\"]}",
        stage.engines[0].port, stage.engines[1].port);
    assert_heard(want);
}

static void providers_have_no_model_info(void **state)
{
    OPEN(PROVIDER("gpt"));
    get("/get_model_info");
    assert_status(501);
    assert_heard("content-type: application/json\r\n");
    assert_heard("\"code\":\"not_implemented\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(an_engine_is_asked_with_its_own_key),
        RULE(in_a_mixed_fleet_only_engines_are_asked),
        RULE(providers_do_not_stand_in_for_engines_that_are_down),
        RULE(a_fleet_of_providers_is_healthy_when_all_are),
        RULE(sick_providers_are_named_by_their_models),
        RULE(a_fleet_of_providers_tells_of_itself),
        RULE(providers_have_no_model_info),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
