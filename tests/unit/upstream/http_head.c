/* http_head.c -- what a worker is told, and what it is not (spec data-plane 5.5, decision 3) */
#include "test.h"

#include "upstream/upstream.h"

struct fixture {
    struct arena arena;
    struct http_fields client;
    struct upstream_target to;
    struct upstream_request request;
};

static struct fixture a_request(void)
{
    struct fixture f = { .to = { .authority = STR("w1:8000") } };

    arena_init(&f.arena, NULL, 0);
    f.request = (struct upstream_request){ .method = HTTP_POST,
                                           .path = STR("/v1/chat/completions"),
                                           .request_id = STR("r-1"),
                                           .forward_authorization = true,
                                           .body_bytes = 66 };
    return f;
}

static struct str head(struct fixture *f)
{
    f->request.client = &f->client;
    return upstream_http_head(&f->arena, &f->to, &f->request);
}

static void client_sent(struct fixture *f, const char *name, const char *value)
{
    http_add_name(&f->client, &f->arena, str_of(name), str_of(value));
    f->client.v[f->client.n - 1].id = http_field_id(str_of(name));
}

static void only_the_allow_list_goes_along(void **state)
{
    struct fixture f = a_request();

    (void)state;
    client_sent(&f, "cookie", "a=b");
    client_sent(&f, "traceparent", "t");
    client_sent(&f, "x-request-id", "other");
    client_sent(&f, "X-Request-Id-Extra", "e");
    client_sent(&f, "x-smg-routing-key", "k");
    client_sent(&f, "connection", "x-smg-routing-key");
    client_sent(&f, "content-length", "9999");
    client_sent(&f, "authorization", "Bearer sk-user");
    assert_str(head(&f), "POST /v1/chat/completions HTTP/1.1\r\nhost: w1:8000\r\naccept: */*\r\ncontent-type: "
                         "application/json\r\ncontent-length: 66\r\n"
                         "authorization: Bearer sk-user\r\nx-request-id: r-1\r\ntraceparent: t\r\nX-Request-Id-Extra: "
                         "e\r\nx-smg-routing-key: k\r\n\r\n");
    arena_fini(&f.arena);
}

static void a_workers_key_replaces_the_clients_credential(void **state)
{
    struct fixture f = a_request();

    (void)state;
    client_sent(&f, "authorization", "Bearer sk-user");
    f.to.api_key = STR("wk");
    assert_str(head(&f), "POST /v1/chat/completions HTTP/1.1\r\nhost: w1:8000\r\naccept: */*\r\ncontent-type: "
                         "application/json\r\ncontent-length: 66\r\n"
                         "authorization: Bearer wk\r\nx-request-id: r-1\r\n\r\n");
    arena_fini(&f.arena);
}

static void a_credential_of_the_gateway_stays_here(void **state)
{
    struct fixture f = a_request();

    (void)state;
    client_sent(&f, "authorization", "Bearer gateway");
    f.request.forward_authorization = false;
    assert_int_equal(str_find(head(&f), STR("gateway")), STR_NPOS);
    arena_fini(&f.arena);
}

static void anthropic_takes_its_key_in_its_own_way(void **state)
{
    struct fixture f = a_request();

    (void)state;
    f.request.path = STR("/v1/messages");
    f.to.anthropic = true;
    f.to.api_key = STR("wk");
    client_sent(&f, "x-api-key", "sk-user");
    client_sent(&f, "authorization", "Bearer sk-user");
    assert_str(head(&f), "POST /v1/messages HTTP/1.1\r\nhost: w1:8000\r\naccept: */*\r\ncontent-type: application/json\r\n"
                         "content-length: 66\r\nx-api-key: wk\r\nanthropic-version: 2023-06-01\r\nx-request-id: r-1\r\n\r\n");
    client_sent(&f, "Anthropic-Version", "2024-01-01");
    client_sent(&f, "anthropic-beta", "b1");
    assert_str(head(&f), "POST /v1/messages HTTP/1.1\r\nhost: w1:8000\r\naccept: */*\r\ncontent-type: application/json\r\n"
                         "content-length: 66\r\nx-api-key: wk\r\nAnthropic-Version: 2024-01-01\r\nanthropic-beta: b1\r\n"
                         "x-request-id: r-1\r\n\r\n");
    f.request.path = STR("/v1/chat/completions"); /* its OpenAI dialect takes a bearer token */
    assert_int_not_equal(str_find(head(&f), STR("authorization: Bearer wk")), STR_NPOS);
    assert_int_equal(str_find(head(&f), STR("x-api-key")), STR_NPOS);
    arena_fini(&f.arena);
}

static void anthropic_gets_the_clients_own_key_where_it_may(void **state)
{
    struct fixture f = a_request();

    (void)state;
    f.request.path = STR("/v1/messages");
    f.to.anthropic = true;
    client_sent(&f, "x-api-key", "sk-user");
    assert_int_not_equal(str_find(head(&f), STR("x-api-key: sk-user")), STR_NPOS);
    f.request.forward_authorization = false;
    assert_int_equal(str_find(head(&f), STR("sk-user")), STR_NPOS);
    f.request.forward_authorization = true;
    f.to.anthropic = false;
    assert_int_equal(str_find(head(&f), STR("sk-user")), STR_NPOS);
    arena_fini(&f.arena);
}

static void a_get_has_no_body_fields_and_a_base_path_comes_first(void **state)
{
    struct fixture f = a_request();

    (void)state;
    f.request.method = HTTP_GET;
    f.request.path = STR("/get_model_info");
    f.request.body_bytes = 0;
    f.to.base_path = STR("/engine");
    assert_str(head(&f), "GET /engine/get_model_info HTTP/1.1\r\nhost: w1:8000\r\naccept: */*\r\nx-request-id: r-1\r\n\r\n");
    arena_fini(&f.arena);
}

static void no_memory_is_told(void **state)
{
    struct fixture f = a_request();

    (void)state;
    f.arena.max = 16;
    assert_null(head(&f).p);
    arena_fini(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_allow_list_goes_along),
        cmocka_unit_test(a_workers_key_replaces_the_clients_credential),
        cmocka_unit_test(a_credential_of_the_gateway_stays_here),
        cmocka_unit_test(anthropic_takes_its_key_in_its_own_way),
        cmocka_unit_test(anthropic_gets_the_clients_own_key_where_it_may),
        cmocka_unit_test(a_get_has_no_body_fields_and_a_base_path_comes_first),
        cmocka_unit_test(no_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
