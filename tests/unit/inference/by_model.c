/* by_model.c -- the handlers where models are told apart (--enable-igw): what pairs do not serve, requests without a model, questions to the fleet */
#include "scene.h"

static void open_by_model(const struct engine *engines)
{
    stage_open(engines, (struct stage_conf){ .routes = INFERENCE_ROUTES,
                                             .routes_n = ARRAY_LEN(INFERENCE_ROUTES),
                                             .dispatch = { .by_model = true } });
}

#define OPEN_BY_MODEL(...) open_by_model((const struct engine[]){ __VA_ARGS__, { 0 } })
#define IS                 .kind = ENGINE_OPEN, .model = "m"
#define P                  IS, .type = WORKER_PREFILL
#define D                  IS, .type = WORKER_DECODE
#define PROVIDER           IS, .runtime = RUNTIME_EXTERNAL

static void dp_6_generate_wants_a_model(void **state)
{
    static const char *const BODIES[] = { "{\"text\":\"x\"}", "{\"text\":\"x\",\"model\":\"\"}", "{\"text\":\"x\",\"model\":\" \"}",
                                          "{\"text\":\"x\",\"model\":\"unknown\"}" };

    OPEN_BY_MODEL({ IS });
    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
        hear_all(post("/generate", BODIES[i]));
        assert_status(400);
        assert_heard("x-smg-error-code: missing_model\r\n");
        assert_heard("/generate requests must include a model when IGW routing is enabled");
    }
}

static void dp_6_generate_needs_no_model_where_they_are_not_told_apart(void **state)
{
    int client, e;

    OPEN(UP);
    client = post("/generate", "{\"text\":\"x\"}");
    e = engine_hear(0);
    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    assert_status(200);
    close(e);
}

/* Engine E answers what CLIENT asked. */
static void answered_by(int client, unsigned engine)
{
    int e = engine_hear(engine);

    reply_with_length(e, "200 OK", "", "{}");
    hear_all(client);
    assert_status(200);
    close(e);
}

static void what_pairs_do_not_serve_goes_to_the_others(void **state)
{
    OPEN_BY_MODEL({ P }, { D }, { IS });
    for (unsigned i = 0; i < 4; i++) /* nothing is drawn */
        answered_by(post("/v1/embeddings", "{\"model\":\"m\",\"input\":\"x\"}"), 2);
    answered_by(post("/v1/messages", "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"), 2);
}

static void what_pairs_do_not_serve_has_nobody_where_only_they_are(void **state)
{
    OPEN_BY_MODEL({ P }, { D });
    hear_all(post("/v1/embeddings", "{\"model\":\"m\",\"input\":\"x\"}"));
    assert_status(503);
}

static void dp_8_a_provider_is_asked_before_an_engine(void **state)
{
    OPEN_BY_MODEL({ IS }, { P }, { D }, { PROVIDER });
    answered_by(post("/v1/chat/completions", CHAT_BODY), 3);
}

static void an_unknown_model_is_not_found(void **state)
{
    OPEN_BY_MODEL({ P }, { D }, { IS });
    hear_all(post("/generate", "{\"text\":\"x\",\"model\":\"n\"}"));
    assert_status(404);
    assert_heard("x-smg-error-code: model_not_found\r\n");
}

static void the_model_s_information_is_asked_of_an_engine_that_does_everything(void **state)
{
    OPEN_BY_MODEL({ P }, { D }, { IS });
    for (unsigned i = 0; i < 4; i++)
        answered_by(ask_with("GET /get_model_info", "", ""), 2);
}

static void where_there_are_only_pairs_a_prefill_engine_knows(void **state)
{
    OPEN_BY_MODEL({ P }, { D }, { .kind = ENGINE_OPEN, .model = "x", .runtime = RUNTIME_EXTERNAL });
    answered_by(ask_with("GET /get_model_info", "", ""), 0);
    answered_by(ask_with("GET /get_server_info", "", ""), 0);
}

static void where_there_are_only_pairs_their_health_is_asked(void **state)
{
    int client, p, d;

    OPEN_BY_MODEL({ P }, { D });
    client = ask_with("GET /health_generate", "", "");
    p = engine_hear(0);
    d = engine_hear(1);
    reply_with_length(p, "200 OK", "", "");
    reply_with_length(d, "200 OK", "", "");
    hear_all(client);
    assert_status(200);
    assert_heard("Health generate passed on selected pair");
    close(p);
    close(d);
}

static void an_engine_s_health_is_asked_where_nobody_is_apart(void **state)
{
    OPEN_BY_MODEL({ IS });
    answered_by(ask_with("GET /health_generate", "", ""), 0);
    answered_by(ask_with("GET /get_server_info", "", ""), 0);
}

static void providers_alone_are_told_of_by_the_gateway(void **state)
{
    OPEN_BY_MODEL({ PROVIDER });
    hear_all(ask_with("GET /health_generate", "", ""));
    assert_status(200);
    assert_heard("OK - 1 workers healthy");
}

static void without_workers_nobody_can_be_asked(void **state)
{
    open_by_model(NULL);
    hear_all(ask_with("GET /health_generate", "", ""));
    assert_status(503);
    assert_heard("x-smg-error-code: no_workers\r\n");
    hear_all(ask_with("GET /get_model_info", "", ""));
    assert_status(503);
    assert_heard("x-smg-error-code: no_workers\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(dp_6_generate_wants_a_model),
        RULE(dp_6_generate_needs_no_model_where_they_are_not_told_apart),
        RULE(what_pairs_do_not_serve_goes_to_the_others),
        RULE(what_pairs_do_not_serve_has_nobody_where_only_they_are),
        RULE(dp_8_a_provider_is_asked_before_an_engine),
        RULE(an_unknown_model_is_not_found),
        RULE(the_model_s_information_is_asked_of_an_engine_that_does_everything),
        RULE(where_there_are_only_pairs_a_prefill_engine_knows),
        RULE(where_there_are_only_pairs_their_health_is_asked),
        RULE(an_engine_s_health_is_asked_where_nobody_is_apart),
        RULE(providers_alone_are_told_of_by_the_gateway),
        RULE(without_workers_nobody_can_be_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
