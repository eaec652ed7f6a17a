/* error.c -- the error bodies, byte for byte, as clients get them */
#include "served.h"

#include "json/json.h"

#define ROW_1(message, type, code) \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type "\",\"param\":null,\"code\":\"" code "\"}}"

/* The reply to GET PATH whose handler is PROBE. */
static void get(const char *path, void (*probe)(struct exchange *ex))
{
    char request[128];
    int fd = client();

    SET(probe, probe);
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    say(fd, request);
    hear_reply(fd);
    assert_true(heard_field("content-type: application/json"));
    close(fd);
}

static void gateway_error(struct exchange *ex)
{
    http_error_retry_after(ex, 7);
    http_error(ex, 503, STR("no_available_workers"), STR("All workers are \"busy\"\n"));
}

static void row_1_is_openais_form_with_the_code_as_a_header(void **state)
{
    get("/probe", gateway_error);
    assert_int_equal(heard.status, 503);
    assert_string_equal(heard.body, ROW_1("All workers are \\\"busy\\\"\\n", "Service Unavailable", "no_available_workers"));
    assert_true(heard_field("x-smg-error-code: no_available_workers"));
    assert_true(heard_field("retry-after: 7"));
    assert_string_equal(SEEN(code), "no_available_workers");
}

static void a_code_that_is_no_field_value(struct exchange *ex)
{
    http_error(ex, 500, STR("a\r\nb"), STR("m"));
}

static void a_code_that_cannot_be_a_header_is_only_in_the_body(void **state)
{
    get("/probe", a_code_that_is_no_field_value);
    assert_null(strstr(heard.text, "x-smg-error-code"));
    assert_string_equal(heard.body, ROW_1("m", "Internal Server Error", "a\\r\\nb"));
}

static void invalid_with_code(struct exchange *ex)
{
    http_error_invalid(ex, 400, STR("json_parse_error"), STR("messages[0].role"), STR("m"));
}

static void invalid_without_code(struct exchange *ex)
{
    http_error_invalid(ex, 400, STR_NONE, STR_NONE, STR("m"));
}

static void validation_names_the_member_and_has_no_header(void **state)
{
    get("/probe", invalid_with_code);
    assert_int_equal(heard.status, 400);
    assert_string_equal(heard.body,
                        "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":\"messages[0].role\","
                        "\"code\":\"json_parse_error\"}}");
    assert_null(strstr(heard.text, "x-smg-error-code"));
    get("/probe", invalid_without_code);
    assert_string_equal(heard.body,
                        "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":400}}");
}

static void workers_error(struct exchange *ex)
{
    http_error_workers(ex, 404, STR("WORKER_NOT_FOUND"), STR("m"));
}

static void workers_have_the_flat_form(void **state)
{
    get("/probe", workers_error);
    assert_int_equal(heard.status, 404);
    assert_string_equal(heard.body, "{\"error\":\"m\",\"code\":\"WORKER_NOT_FOUND\"}");
}

static void unknown_parser(struct exchange *ex)
{
    http_error_parse(ex, 400, STR("Unknown tool parser: \"x\""), (const struct str[]){ STR("a"), STR("b") }, 2);
}

static void too_much_to_parse(struct exchange *ex)
{
    http_error_parse(ex, 503, STR("m"), NULL, 0);
}

static void parsing_has_a_form_with_what_is_available(void **state)
{
    get("/probe", unknown_parser);
    assert_int_equal(heard.status, 400);
    assert_string_equal(heard.body, "{\"error\":\"Unknown tool parser: \\\"x\\\"\",\"success\":false,\"available\":[\"a\",\"b\"]}");
    get("/probe", too_much_to_parse);
    assert_int_equal(heard.status, 503);
    assert_string_equal(heard.body, "{\"error\":\"m\",\"success\":false}");
}

static unsigned anthropic_status;

static void anthropic_error(struct exchange *ex)
{
    http_error(ex, anthropic_status, STR("c"), STR("m"));
}

static void messages_have_anthropics_form_and_types(void **state)
{
    static const struct {
        unsigned status;
        const char *type;
    } rows[] = {
        { 400, "invalid_request_error" }, { 401, "authentication_error" },  { 403, "permission_error" }, { 404, "not_found_error" },
        { 413, "request_too_large" },     { 429, "rate_limit_error" },      { 500, "api_error" },        { 502, "api_error" },
        { 503, "overloaded_error" },      { 422, "invalid_request_error" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char want[128];

        anthropic_status = rows[i].status;
        snprintf(want, sizeof(want), "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"m\"}}", rows[i].type);
        get("/v1/messages", anthropic_error);
        assert_int_equal(heard.status, rows[i].status);
        assert_string_equal(heard.body, want);
    }
    get("/v1/messages", invalid_with_code);
    assert_string_equal(heard.body, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\"}}");
}

static void unauthorized(struct exchange *ex)
{
    http_error_unauthorized(ex, STR("Bearer realm=\"control-plane\""), STR("Invalid authentication token"));
}

static void unauthorized_carries_its_challenge(void **state)
{
    get("/probe", unauthorized);
    assert_int_equal(heard.status, 401);
    assert_true(heard_field("www-authenticate: Bearer realm=\"control-plane\""));
    assert_string_equal(heard.body, ROW_1("Invalid authentication token", "Unauthorized", "unauthorized"));
}

static void media_type(struct exchange *ex)
{
    http_error_media_type(ex);
}

static void media_type_says_what_is_expected(void **state)
{
    get("/probe", media_type);
    assert_int_equal(heard.status, 415);
    assert_string_equal(heard.body, ROW_1("Expected request with `Content-Type: application/json`", "Unsupported Media Type",
                                          "unsupported_media_type"));
}

static void any_path_gives_valid_json(void **state)
{
    for (int c = 0x21; c < 0x100; c++) {
        struct arena arena;
        struct json_doc doc;
        char path[16];

        if (c == 0x7f)
            continue;
        snprintf(path, sizeof(path), "/no%cwhere", c);
        get(path, NULL);
        if (heard.status == 400)
            continue; /* the codec's verdict; its body is checked below all the same */
        arena_init(&arena, NULL, 0);
        assert_int_equal(json_parse((struct str){ heard.body, heard.body_n }, &arena, &doc, NULL), 0);
        arena_fini(&arena);
    }
}

static void a_parameter_that_is_no_utf8_is_400(void **state)
{
    get("/items/%ff", NULL);
    assert_int_equal(heard.status, 400);
    assert_non_null(strstr(heard.body, "`item_id`"));
    assert_non_null(strstr(heard.body, "\"param\":\"item_id\""));
}

static void without_arena_memory(struct exchange *ex)
{
    ex->arena.max = 1;
    assert_null(arena_alloc(&ex->arena, 100));
    http_error(ex, 503, STR("out_of_memory"), STR("m"));
}

static void an_error_needs_no_arena(void **state)
{
    int fd = client();

    SET(probe, without_arena_memory);
    say(fd, "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_reply(fd);
    assert_int_equal(heard.status, 503);
    assert_string_equal(heard.body, ROW_1("m", "Service Unavailable", "out_of_memory"));
    close(fd);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, default_server, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(row_1_is_openais_form_with_the_code_as_a_header),
        RULE(a_code_that_cannot_be_a_header_is_only_in_the_body),
        RULE(validation_names_the_member_and_has_no_header),
        RULE(workers_have_the_flat_form),
        RULE(parsing_has_a_form_with_what_is_available),
        RULE(messages_have_anthropics_form_and_types),
        RULE(unauthorized_carries_its_challenge),
        RULE(media_type_says_what_is_expected),
        RULE(any_path_gives_valid_json),
        RULE(a_parameter_that_is_no_utf8_is_400),
        RULE(an_error_needs_no_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
