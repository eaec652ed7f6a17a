/* request.c -- the bytes of requests: valid heads, valid JSON, shared and unshared text */
#include "test.h"

#include <stdlib.h>

#include "fail_alloc.h"
#include "http/h1.h"
#include "json/json.h"
#include "load/request.h"

static struct load_conf a_conf(void)
{
    return (struct load_conf){ .host = STR("h"),
                               .port = 1,
                               .authority = STR("h:1"),
                               .model = STR("m\"1"),
                               .max_tokens = 8,
                               .prompt_bytes = 400,
                               .concurrency = 4,
                               .seed = 5 };
}

static struct parsed {
    char bytes[16384];
    struct http_field fields[H1_FIELDS_MAX];
    struct http_head head;
    struct str body;
    struct arena arena;
    struct json_doc doc;
} parsed;

/* One whole request as it goes over the wire, number N, with prefix P. */
static struct json parse(const struct load_request *r, uint32_t p, uint64_t n)
{
    size_t scanned = 0, head, total = r->prefixes[p].n + r->tail.n;

    assert_true(total < sizeof parsed.bytes);
    memcpy(parsed.bytes, r->prefixes[p].p, r->prefixes[p].n);
    if (r->tail.n) {
        memcpy(parsed.bytes + r->prefixes[p].n, r->tail.p, r->tail.n);
        load_request_mark(parsed.bytes + r->prefixes[p].n, 5, n);
    }
    head = h1_head_end(parsed.bytes, total, &scanned);
    assert_true(head > 0);
    if (head > sizeof parsed.bytes)
        abort();
    assert_int_equal(h1_parse_request(parsed.bytes, head, parsed.fields, &parsed.head, NULL), 0);
    parsed.body = (struct str){ parsed.bytes + head, total - head };
    if (parsed.head.body == HTTP_BODY_LENGTH)
        assert_int_equal(parsed.head.length, parsed.body.n);
    arena_fini(&parsed.arena);
    arena_init(&parsed.arena, NULL, 0);
    if (parsed.body.n == 0)
        return JSON_NONE;
    assert_int_equal(json_parse(parsed.body, &parsed.arena, &parsed.doc, NULL), 0);
    return json_root(&parsed.doc);
}

static void a_chat_request_is_what_was_asked_for(void **state)
{
    struct load_conf c = a_conf();
    struct load_request r;
    struct json body, messages;

    c.stream = true;
    c.ignore_eos = true;
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    body = parse(&r, 0, 1);
    assert_str(parsed.head.target, "/v1/chat/completions");
    assert_str(parsed.head.host, "h:1");
    assert_int_equal(parsed.head.method, HTTP_POST);
    assert_str(http_value(&parsed.head.fields, HF_CONTENT_TYPE), "application/json");
    assert_true(json_str_eq(json_get(body, STR("model")), STR("m\"1")));
    assert_true(json_is(json_get(body, STR("stream")), JSON_TRUE));
    assert_true(json_is(json_get(body, STR("ignore_eos")), JSON_TRUE));
    assert_str(json_raw(json_get(body, STR("max_tokens"))), "8");
    messages = json_get(body, STR("messages"));
    assert_int_equal(json_count(messages), 1);
    assert_int_equal(json_raw_str(json_get(json_at(messages, 0), STR("content"))).n, 400);
    load_request_fini(&r);
}

static void the_shared_part_is_a_system_message(void **state)
{
    struct load_conf c = a_conf();
    struct load_request r;
    struct json messages;
    struct str first;
    char copy[512];

    c.shared_prefix = 0.75;
    c.prefixes = 3;
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    assert_int_equal(r.prefixes_n, 3);
    messages = json_get(parse(&r, 0, 1), STR("messages"));
    assert_int_equal(json_count(messages), 2);
    assert_true(json_str_eq(json_get(json_at(messages, 0), STR("role")), STR("system")));
    first = json_raw_str(json_get(json_at(messages, 0), STR("content")));
    assert_int_equal(first.n, 300);
    memcpy(copy, first.p, first.n);
    assert_int_equal(json_raw_str(json_get(json_at(messages, 1), STR("content"))).n, 100);
    messages = json_get(parse(&r, 1, 2), STR("messages"));
    first = json_raw_str(json_get(json_at(messages, 0), STR("content")));
    assert_int_equal(first.n, 300);
    assert_memory_not_equal(first.p, copy, 4);
    load_request_fini(&r);
}

static void the_other_endpoints_have_their_own_shape(void **state)
{
    struct load_conf c = a_conf();
    struct load_request r;
    struct json body;

    c.endpoint = LOAD_COMPLETIONS;
    c.shared_prefix = 0.5;
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    body = parse(&r, 0, 1);
    assert_str(parsed.head.target, "/v1/completions");
    assert_int_equal(json_raw_str(json_get(body, STR("prompt"))).n, 400);
    load_request_fini(&r);

    c.endpoint = LOAD_GENERATE;
    c.path = STR("/x?y=1");
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    body = parse(&r, 0, 1);
    assert_str(parsed.head.target, "/x?y=1");
    assert_int_equal(json_raw_str(json_get(body, STR("text"))).n, 400);
    assert_str(json_raw(json_get(json_get(body, STR("sampling_params")), STR("max_new_tokens"))), "8");
    load_request_fini(&r);

    c = a_conf();
    c.endpoint = LOAD_GET;
    c.path = STR("/health");
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    (void)parse(&r, 0, 1);
    assert_int_equal(parsed.head.method, HTTP_GET);
    assert_int_equal(parsed.head.body, HTTP_BODY_NONE);
    load_request_fini(&r);
}

static void a_given_body_goes_out_as_it_is(void **state)
{
    struct load_conf c = a_conf();
    struct load_request r;

    c.body = STR("{\"a\":1}");
    c.prefixes = 7;
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    assert_int_equal(r.prefixes_n, 1);
    assert_int_equal(r.tail.n, 0);
    (void)parse(&r, 0, 1);
    assert_str(parsed.body, "{\"a\":1}");
    load_request_fini(&r);
}

static void headers_and_the_key_are_sent(void **state)
{
    static const struct load_header HEADERS[] = { { STR_INIT("x-smg-routing-key"), STR_INIT("k 1") } };
    struct load_conf c = a_conf();
    struct load_request r;

    c.headers = HEADERS;
    c.headers_n = 1;
    c.api_key = STR("sk-1");
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    (void)parse(&r, 0, 1);
    assert_str(http_value(&parsed.head.fields, HF_AUTHORIZATION), "Bearer sk-1");
    assert_str(http_value(&parsed.head.fields, HF_X_SMG_ROUTING_KEY), "k 1");
    load_request_fini(&r);
}

static void a_request_names_its_prefix_where_that_is_asked_for(void **state)
{
    struct load_conf c = a_conf();
    struct load_request r;
    struct err err = { 0 };

    c.shared_prefix = 0.5;
    c.prefixes = 12;
    c.prefix_header = STR("x-smg-routing-key");
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    (void)parse(&r, 0, 1);
    assert_str(http_value(&parsed.head.fields, HF_X_SMG_ROUTING_KEY), "prefix-0");
    (void)parse(&r, 11, 2);
    assert_str(http_value(&parsed.head.fields, HF_X_SMG_ROUTING_KEY), "prefix-11");
    load_request_fini(&r);

    c.prefix_header = STR("no header");
    assert_int_equal(load_request_init(&r, &c, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "no header"));
}

static void a_header_of_the_user_takes_the_place_of_ours(void **state)
{
    static const struct load_header HEADERS[] = { { STR_INIT("Host"), STR_INIT("elsewhere") },
                                                  { STR_INIT("content-type"), STR_INIT("text/json") } };
    struct load_conf c = a_conf();
    struct load_request r;

    c.headers = HEADERS;
    c.headers_n = 2;
    assert_int_equal(load_request_init(&r, &c, NULL), 0);
    (void)parse(&r, 0, 1); /* two Host fields would be refused */
    assert_str(parsed.head.host, "elsewhere");
    assert_str(http_value(&parsed.head.fields, HF_CONTENT_TYPE), "text/json");
    load_request_fini(&r);
}

static void memory_that_runs_out_is_an_error_and_leaks_nothing(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct load_conf c = a_conf();
        struct load_request r;
        int status;

        c.shared_prefix = 0.5;
        c.prefixes = 3;
        c.popularity = 1;
        c.prefix_header = STR("k");
        c.api_key = STR("k");
        status = load_request_init(&r, &c, NULL);
        assert_true(status == 0 || status == ERR_NOMEM);
        assert_int_equal(status == 0, !fail_alloc_failed());
        if (status == 0)
            load_request_fini(&r);
    }
}

static void what_would_break_the_framing_is_refused_and_a_key_not_repeated(void **state)
{
    static const struct load_header BAD_NAME[] = { { STR_INIT("a b"), STR_INIT("v") } },
                                    BAD_VALUE[] = { { STR_INIT("a"), STR_INIT("v\r\nx: y") } };
    struct load_conf c = a_conf();
    struct load_request r;
    struct err err = { 0 };

    c.headers = BAD_NAME;
    c.headers_n = 1;
    assert_int_equal(load_request_init(&r, &c, &err), ERR_INVALID);
    c.headers = BAD_VALUE;
    assert_int_equal(load_request_init(&r, &c, &err), ERR_INVALID);
    c.headers_n = 0;
    c.api_key = STR("sk-secret\n");
    assert_int_equal(load_request_init(&r, &c, &err), ERR_INVALID);
    assert_null(strstr(err.message, "secret"));
}

static void prompts_that_would_fill_the_memory_are_refused(void **state)
{
    struct load_conf c = a_conf();
    struct load_request r;
    struct err err = { 0 };

    c.prompt_bytes = LOAD_PROMPT_MAX;
    c.concurrency = 1000;
    assert_int_equal(load_request_init(&r, &c, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "MiB"));
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, LOAD_ID_DIGITS);
}

static void no_two_requests_have_the_same_id(void **state)
{
    enum { N = 20000 };
    static char ids[N][LOAD_ID_DIGITS];

    for (uint64_t i = 0; i < N; i++)
        load_request_mark(ids[i], 9, i);
    qsort(ids, N, LOAD_ID_DIGITS, compare_ids);
    for (unsigned i = 1; i < N; i++)
        assert_memory_not_equal(ids[i - 1], ids[i], LOAD_ID_DIGITS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_request_is_what_was_asked_for),
        cmocka_unit_test(the_shared_part_is_a_system_message),
        cmocka_unit_test(the_other_endpoints_have_their_own_shape),
        cmocka_unit_test(a_given_body_goes_out_as_it_is),
        cmocka_unit_test(headers_and_the_key_are_sent),
        cmocka_unit_test(a_request_names_its_prefix_where_that_is_asked_for),
        cmocka_unit_test(a_header_of_the_user_takes_the_place_of_ours),
        cmocka_unit_test(memory_that_runs_out_is_an_error_and_leaks_nothing),
        cmocka_unit_test(what_would_break_the_framing_is_refused_and_a_key_not_repeated),
        cmocka_unit_test(prompts_that_would_fill_the_memory_are_refused),
        cmocka_unit_test(no_two_requests_have_the_same_id),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);

    arena_fini(&parsed.arena);
    return r;
}
