/* guard.c -- who passes (spec control-plane 4.1, 4.2, 4.4), and whose credential the worker must not see */
#include "dispatch/stage.h"

#include "auth/auth.h"

#define K1_HEX "6ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd0"

static struct auth *auth;
static struct auth_thread key;

/* Tells what a handler would see. */
static void handle(struct exchange *ex, void *context)
{
    char text[256];
    int n = snprintf(text, sizeof text, "id=%.*s admin=%d ours=%d secret=%d", STR_FMT(ex->principal.id), ex->principal.admin,
                     ex->principal.credential_is_ours, ex->principal.sent_secret);

    exchange_reply(ex, 200, TYPE_TEXT, (struct str){ text, (size_t)n });
}

static const struct route ROUTES[] = {
    { .method = HTTP_GET, .path = "/public", .auth = ROUTE_PUBLIC, .handler = handle },
    { .method = HTTP_GET, .path = "/data", .auth = ROUTE_DATA, .handler = handle },
    { .method = HTTP_GET, .path = "/admin", .auth = ROUTE_ADMIN, .handler = handle },
    { .method = HTTP_POST,
      .path = "/v1/messages",
      .auth = ROUTE_DATA,
      .body = ROUTE_BODY_BUFFER,
      .errors = ROUTE_ERRORS_ANTHROPIC,
      .handler = handle },
    { .method = HTTP_POST,
      .path = "/v1/chat/completions",
      .auth = ROUTE_DATA,
      .body = ROUTE_BODY_BUFFER,
      .handler = inference_chat,
      .context = CTX_INFERENCE },
    { .method = HTTP_GET,
      .path = "/get_model_info",
      .auth = ROUTE_PUBLIC,
      .handler = inference_model_info,
      .context = CTX_INFERENCE },
};

static const struct filter FILTERS[] = {
    { .name = "API key", .on_head = auth_on_head, .on_end = auth_on_end, .context = CTX_TEST }
};

static void open_conf(const struct auth_conf *conf)
{
    static const struct engine engines[] = { { .kind = ENGINE_OPEN, .model = "m" }, { 0 } };

    assert_int_equal(auth_new(conf, &auth, NULL), 0);
    stage_open(engines, (struct stage_conf){
                            .routes = ROUTES, .routes_n = ARRAY_LEN(ROUTES), .filters = FILTERS, .filters_n = 1, .test = &key });
    assert_int_equal(auth_thread_init(&key, auth, stage.loop), 0); /* before the first request */
}

static void open_with(struct str k)
{
    open_conf(&(struct auth_conf){ .api_key = k });
}

static int close_stage(void **state)
{
    stage_close();
    auth_thread_fini(&key);
    auth_free(auth);
    return 0;
}

static void get(const char *path, const char *authorization)
{
    char line[64], fields[128] = "";

    snprintf(line, sizeof line, "GET %s", path);
    if (authorization)
        snprintf(fields, sizeof fields, "authorization: %s\r\n", authorization);
    hear_all(ask_with(line, fields, ""));
}

static void without_a_key_all_is_open(void **state)
{
    open_with(STR_NONE);
    get("/admin", NULL);
    assert_status(200);
    assert_heard("id= admin=0 ours=0");
    get("/data", "Bearer whatever"); /* it may be for the worker */
    assert_heard("id= admin=0 ours=0");
}

static void the_key_opens_data_and_admin_and_is_marked_as_ours(void **state)
{
    open_with(STR("k1"));
    get("/data", "Bearer k1");
    assert_status(200);
    assert_heard("id=auth:" K1_HEX " admin=1 ours=1");
    get("/admin", "Bearer k1");
    assert_status(200);
}

static void a_public_route_asks_nobody(void **state)
{
    open_with(STR("k1"));
    get("/public", NULL);
    assert_status(200);
    get("/public", "Bearer wrong");
    assert_status(200);
    assert_heard("id= admin=0 ours=1");
}

static void anything_but_the_exact_key_is_401(void **state)
{
    static const char *const WRONG[] = { "Bearer k2",  "Bearer k",   "Bearer k11", "Bearer  k1", "bearer k1",   "BEARER k1",
                                         "Bearer\tk1", "Basic azE=", "Bearer",     "k1",         "Bearer k1,x", "Bearerk1" };

    open_with(STR("k1"));
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        get("/data", WRONG[i]);
        if (!strstr(heard, "HTTP/1.1 401 "))
            fail_msg("%s passed: %s", WRONG[i], heard);
        assert_heard("www-authenticate: Bearer realm=\"smg\"\r\n");
        assert_heard("\"message\":\"Invalid API key\"");
        assert_not_heard("k1"); /* neither theirs nor ours */
    }
}

static void no_key_at_all_is_told_what_to_send(void **state)
{
    open_with(STR("k1"));
    get("/admin", NULL);
    assert_status(401);
    assert_heard("Missing Authorization header; send Authorization: Bearer <key>");
    hear_all(ask_with("GET /data", "x-api-key: k1\r\n", "")); /* not looked at (4.2) */
    assert_status(401);
}

static void messages_refuse_in_anthropics_words(void **state)
{
    open_with(STR("k1"));
    hear_all(ask_with("POST /v1/messages", "content-type: application/json\r\n", "{}"));
    assert_status(401);
    assert_heard("{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":");
}

static void a_path_that_is_unknown_needs_no_key(void **state)
{
    open_with(STR("k1"));
    get("/nowhere", NULL);
    assert_status(404);
}

static int chat(const char *fields)
{
    char all[256];

    snprintf(all, sizeof all, "content-type: application/json\r\n%s", fields);
    return ask_with("POST /v1/chat/completions", all, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
}

static void the_gateways_key_never_reaches_a_worker(void **state)
{
    int client, e;

    open_with(STR("k1"));
    client = chat("authorization: Bearer k1\r\n");
    e = engine_hear(0);
    assert_not_heard("uthorization");
    assert_not_heard("k1");
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    hear_all(client);
    assert_status(200);
    close(e);
}

static void not_from_a_public_route_either(void **state)
{
    static const char *const CREDENTIALS[] = { "authorization: Bearer k1\r\n", "authorization: bearer k1\r\n" };

    open_with(STR("k1"));
    for (size_t i = 0; i < ARRAY_LEN(CREDENTIALS); i++) {
        int client = ask_with("GET /get_model_info", CREDENTIALS[i], ""), e = engine_hear(0);

        assert_not_heard("uthorization");
        assert_not_heard("k1");
        say(e, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
        hear_all(client);
        assert_status(200);
        close(e);
    }
}

static void without_a_key_the_clients_credential_goes_along(void **state)
{
    int client, e;

    open_with(STR_NONE);
    client = chat("authorization: Bearer theirs\r\n");
    e = engine_hear(0);
    assert_heard("authorization: Bearer theirs\r\n");
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    hear_all(client);
    close(e);
}

/* ---- tenants ---- */

static const struct str TENANTS[] = { STR_INIT("red: r1 "), STR_INIT("red:r2"), STR_INIT("blue:b:1") };

static void a_tenants_key_opens_the_data_plane_only(void **state)
{
    open_conf(&(struct auth_conf){ .api_key = STR("k1"), .tenant_keys = TENANTS, .tenant_keys_n = ARRAY_LEN(TENANTS) });
    get("/data", "Bearer r1");
    assert_heard("id=auth:red admin=0 ours=1");
    get("/data", "Bearer r2");
    assert_heard("id=auth:red admin=0 ours=1");
    get("/data", "Bearer b:1");
    assert_heard("id=auth:blue admin=0 ours=1");
    get("/data", "Bearer k1");
    assert_heard("admin=1");
    get("/data", "Bearer r3");
    assert_status(401);
    get("/admin", "Bearer r1");
    assert_status(401);
    get("/admin", "Bearer k1");
    assert_status(200);
}

static void with_tenant_keys_only_nobody_reaches_the_control_plane(void **state)
{
    static const char *const ANY[] = { "Bearer r1", "Bearer k1", NULL };

    open_conf(&(struct auth_conf){ .tenant_keys = TENANTS, .tenant_keys_n = ARRAY_LEN(TENANTS) });
    for (size_t i = 0; i < ARRAY_LEN(ANY); i++) {
        get("/admin", ANY[i]);
        assert_status(401);
        assert_heard("www-authenticate: Bearer realm=\"control-plane\"\r\n");
        assert_heard("The control plane is closed");
    }
    get("/data", "Bearer r1");
    assert_status(200);
}

/* ---- control-plane keys ---- */

static const struct str CONTROL[] = { STR_INIT("a1:Ann:Admin:k:1"), STR_INIT("u1::user:a.b.c") };

static void open_control(struct str api_key)
{
    open_conf(
        &(struct auth_conf){ .api_key = api_key, .control_keys = CONTROL, .control_keys_n = ARRAY_LEN(CONTROL), .audit = true });
}

static void an_admin_key_opens_the_control_plane(void **state)
{
    open_control(STR_NONE);
    get("/admin", "Bearer k:1");
    assert_heard("id=a1 admin=1 ours=1");
}

static void a_user_key_is_403(void **state)
{
    open_control(STR_NONE);
    get("/admin", "Bearer a.b.c"); /* two dots are no harm while no issuer is set */
    assert_status(403);
    assert_heard("\"message\":\"Admin role required for control plane access\"");
    assert_not_heard("www-authenticate");
}

static void the_rest_is_401_in_smgs_words(void **state)
{
    static const struct {
        const char *given, *message;
    } CASES[] = {
        { NULL, "Missing or invalid Authorization header" },
        { "bearer k:1", "Missing or invalid Authorization header" },
        { "Basic azE=", "Missing or invalid Authorization header" },
        { "Bearer", "Missing or invalid Authorization header" },
        { "Bearer k1", "Invalid authentication token" },
        { "Bearer  k:1", "Invalid authentication token" },
    };

    open_control(STR("k1")); /* the serving key does not count here */
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        get("/admin", CASES[i].given);
        assert_status(401);
        assert_heard("www-authenticate: Bearer realm=\"control-plane\"\r\n");
        assert_heard(CASES[i].message);
    }
}

static void a_wrong_method_is_asked_for_its_key_first(void **state)
{
    open_control(STR_NONE);
    hear_all(ask_with("PUT /admin", "", ""));
    assert_status(401);
    hear_all(ask_with("PUT /admin", "authorization: Bearer k:1\r\n", ""));
    assert_status(405);
    hear_all(ask_with("PUT /public", "", ""));
    assert_status(405);
}

static void on_an_open_data_plane_control_keys_are_still_ours(void **state)
{
    static const char *const OURS[] = { "Bearer k:1", "bearer  k:1 ", "k:1", "Bearer a.b.c" };

    open_control(STR_NONE);
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++) {
        get("/data", OURS[i]);
        assert_heard("id= admin=0 ours=1");
        get("/public", OURS[i]);
        assert_heard("ours=1");
    }
    get("/data", "Bearer the-workers");
    assert_heard("id= admin=0 ours=0");
}

/* ---- the secrets that nobody is sent (spec control-plane 16.2, BETTER) ---- */

static bool sends_secret(const char *fields)
{
    hear_all(ask_with("GET /public", fields, ""));
    assert_status(200);
    return strstr(heard, "secret=1") != NULL;
}

static void only_what_equals_one_of_our_keys_is_a_secret_of_ours(void **state)
{
    static const char *const OURS[] = { "authorization: Bearer k1\r\n",
                                        "authorization: bearer   k1 \r\n",
                                        "authorization: k1\r\n",
                                        "authorization: Bearer Bearer k1\r\n",
                                        "x-api-key: k1\r\n",
                                        "x-api-key: Bearer k1\r\n",
                                        "x-api-key: r2\r\n",
                                        "x-api-key: k:1\r\n",
                                        "x-api-key: a.b.c\r\n",
                                        "authorization: Bearer sk-theirs\r\nx-api-key: k1\r\n",
                                        "authorization: Bearer sk-theirs\r\nauthorization: Bearer k1\r\n" };
    static const char *const THEIRS[] = { "", "authorization: Bearer sk-theirs\r\n", "x-api-key: sk-theirs\r\n",
                                          "authorization: Bearer k1x\r\n", "authorization:\r\n" };

    open_conf(&(struct auth_conf){ .api_key = STR("k1"),
                                   .tenant_keys = TENANTS,
                                   .tenant_keys_n = ARRAY_LEN(TENANTS),
                                   .control_keys = CONTROL,
                                   .control_keys_n = ARRAY_LEN(CONTROL) });
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        if (!sends_secret(OURS[i]))
            fail_msg("passed for theirs: %s", OURS[i]);
    for (size_t i = 0; i < ARRAY_LEN(THEIRS); i++)
        if (sends_secret(THEIRS[i]))
            fail_msg("taken for ours: %s", THEIRS[i]);
    assert_heard("ours=1"); /* all the same: with a serving key no Authorization goes to a worker */
}

static void on_an_open_gateway_there_are_no_secrets(void **state)
{
    open_with(STR_NONE);
    assert_false(sends_secret("authorization: Bearer k1\r\n"));
    assert_heard("ours=0");
}

#define RULE(f) cmocka_unit_test_teardown(f, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(without_a_key_all_is_open),
        RULE(the_key_opens_data_and_admin_and_is_marked_as_ours),
        RULE(a_public_route_asks_nobody),
        RULE(anything_but_the_exact_key_is_401),
        RULE(no_key_at_all_is_told_what_to_send),
        RULE(messages_refuse_in_anthropics_words),
        RULE(a_path_that_is_unknown_needs_no_key),
        RULE(the_gateways_key_never_reaches_a_worker),
        RULE(not_from_a_public_route_either),
        RULE(without_a_key_the_clients_credential_goes_along),
        RULE(a_tenants_key_opens_the_data_plane_only),
        RULE(with_tenant_keys_only_nobody_reaches_the_control_plane),
        RULE(only_what_equals_one_of_our_keys_is_a_secret_of_ours),
        RULE(on_an_open_gateway_there_are_no_secrets),
        RULE(an_admin_key_opens_the_control_plane),
        RULE(a_user_key_is_403),
        RULE(the_rest_is_401_in_smgs_words),
        RULE(a_wrong_method_is_asked_for_its_key_first),
        RULE(on_an_open_data_plane_control_keys_are_still_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
