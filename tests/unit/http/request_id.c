/* request_id.c -- where a request's id comes from (spec operations 10.5). No server: the filter needs an exchange's head and a random source. */
#include "test.h"

#include <ctype.h>

#include "http/request_id.h"

static struct loop loop;
static struct exchange ex;
static struct http_field fields[4];
static char long_id[300];

static const struct str OWN_HEADERS[] = { STR_INIT("x-trace"), STR_INIT("x-other") };

static void given(const char *path, unsigned n)
{
    random_init(&loop.random, 1);
    ex = (struct exchange){ .loop = &loop };
    arena_init(&ex.arena, NULL, 0);
    ex.req.path = str_of(path);
    ex.req.fields = (struct http_fields){ .v = fields, .n = n, .cap = n };
}

static struct http_field field(const char *name, const char *value)
{
    return (struct http_field){ .name = str_of(name), .value = str_of(value), .id = http_field_id(str_of(name)) };
}

static void run(const struct request_id_conf *conf)
{
    assert_int_equal(request_id_on_head(&ex, (void *)conf), FILTER_GO_ON);
}

static void takes_the_first_usable_header_of_the_list(void **state)
{
    static const struct request_id_conf conf = { 0 };

    given("/x", 2);
    fields[0] = field("X-Correlation-Id", "second");
    fields[1] = field("X-Request-Id", "first");
    run(&conf);
    assert_str(ex.request_id, "first");
    arena_fini(&ex.arena);
}

static void passes_over_what_is_empty_overlong_or_not_visible(void **state)
{
    static const struct request_id_conf conf = { 0 };
    static const char *const bad[] = { "", "a b", "a\tb", "caf\xc3\xa9", long_id };

    memset(long_id, 'i', 257);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        given("/x", 2);
        fields[0] = field("x-request-id", bad[i]);
        fields[1] = field("request-id", "good");
        run(&conf);
        assert_str(ex.request_id, "good");
        arena_fini(&ex.arena);
    }
    long_id[256] = 0;
    given("/x", 1);
    fields[0] = field("x-request-id", long_id);
    run(&conf);
    assert_int_equal(ex.request_id.n, 256);
    arena_fini(&ex.arena);
}

static void a_list_of_ones_own_replaces_the_default(void **state)
{
    static const struct request_id_conf conf = { OWN_HEADERS, 2 };

    given("/x", 2);
    fields[0] = field("X-Request-Id", "default");
    fields[1] = field("X-Other", "own");
    run(&conf);
    assert_str(ex.request_id, "own");
    arena_fini(&ex.arena);
}

static void makes_one_with_the_prefix_of_the_path(void **state)
{
    static const struct request_id_conf conf = { 0 };
    static const struct {
        const char *path, *prefix;
    } rows[] = {
        { "/v1/chat/completions", "chatcmpl-" },
        { "/v1/completions", "cmpl-" },
        { "/generate", "gnt-" },
        { "/v1/responses", "resp-" },
        { "/v1/messages", "msg_" },
        { "/v1/tokenizers", "req-" },
        { "", "req-" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str prefix = str_of(rows[i].prefix);

        given(rows[i].path, 0);
        run(&conf);
        assert_true(str_has_prefix(ex.request_id, prefix));
        assert_int_equal(ex.request_id.n, prefix.n + 24);
        for (size_t j = prefix.n; j < ex.request_id.n; j++)
            assert_true(isalnum((unsigned char)ex.request_id.p[j]));
        arena_fini(&ex.arena);
    }
}

static void the_reply_has_ours_and_only_ours(void **state)
{
    static const struct request_id_conf conf = { 0 };

    given("/x", 1);
    fields[0] = field("x-trace-id", "t1");
    run(&conf);
    exchange_add(&ex, HF_X_REQUEST_ID, STR("the worker's"));
    exchange_add(&ex, HF_VARY, STR("origin"));
    request_id_on_reply(&ex, (void *)&conf);
    assert_int_equal(ex.reply.n, 2);
    assert_str(http_value(&ex.reply, HF_X_REQUEST_ID), "t1");
    arena_fini(&ex.arena);
}

static void a_request_without_on_head_gets_its_id_with_the_reply(void **state)
{
    static const struct request_id_conf conf = { 0 };

    given("", 0);
    request_id_on_reply(&ex, (void *)&conf);
    assert_true(str_has_prefix(ex.request_id, STR("req-")));
    assert_true(str_eq(http_value(&ex.reply, HF_X_REQUEST_ID), ex.request_id));
    arena_fini(&ex.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_first_usable_header_of_the_list),
        cmocka_unit_test(passes_over_what_is_empty_overlong_or_not_visible),
        cmocka_unit_test(a_list_of_ones_own_replaces_the_default),
        cmocka_unit_test(makes_one_with_the_prefix_of_the_path),
        cmocka_unit_test(the_reply_has_ours_and_only_ours),
        cmocka_unit_test(a_request_without_on_head_gets_its_id_with_the_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
