/* request.c -- reading a request: what is noted of it, syntax errors, positions, content types, splicing the model */
#include "reading.h"

static struct arena arena;
static struct api_request request;
static struct api_error error;

static int set_up(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

static int read_as(enum api_kind kind, const char *body)
{
    return api_request_read(kind, quoted(&arena, body), &arena, &request, &error);
}

#define CHAT(more) "{'model':'m','messages':[{'role':'user','content':'x'}]" more "}"

static void what_is_not_json_is_a_syntax_error_with_a_position(void **state)
{
    static const struct {
        const char *body, *message;
    } ROWS[] = {
        { "", "JSON syntax error: Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0" },
        { "{bad", "JSON syntax error: Failed to parse the request body as JSON: key must be a string at line 1 column 2" },
        { "{'model':'m'} x",
          "JSON syntax error: Failed to parse the request body as JSON: trailing characters at line 1 column 15" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        for (enum api_kind kind = API_CHAT; kind <= API_RESPONSES; kind++) {
            assert_int_equal(read_as(kind, ROWS[i].body), ERR_INVALID);
            assert_int_equal(error.status, 400);
            assert_str(error.code, "json_parse_error");
            assert_str(error.param, "");
            assert_str(error.message, ROWS[i].message);
        }
}

static void a_wrong_shape_tells_where_it_stands(void **state)
{
    assert_int_equal(read_as(API_CHAT, "{}"), ERR_INVALID);
    assert_str(error.message, SHAPE "missing field `messages` at line 1 column 2");
    assert_int_equal(read_as(API_GENERATE, "{'model':5}"), ERR_INVALID);
    assert_str(error.message, SHAPE "model: invalid type: integer `5`, expected a string at line 1 column 10");
    assert_int_equal(read_as(API_GENERATE, "{\n'stream':'no'}"), ERR_INVALID);
    assert_str(error.message, SHAPE "stream: invalid type: string \"no\", expected a boolean at line 2 column 13");
    assert_int_equal(read_as(API_GENERATE, "{\n  'model': {'a': 1}}"), ERR_INVALID);
    assert_str(error.message, SHAPE "model: invalid type: map, expected a string at line 2 column 12");
}

static void a_huge_value_gives_a_short_message(void **state)
{
    struct buf body = { 0 };

    buf_puts(&body, "{\"stream\":\"");
    for (unsigned i = 0; i < 5000; i++)
        buf_puts(&body, "\xc3\xa9");
    buf_puts(&body, "\"}");
    assert_int_equal(api_request_read(API_GENERATE, buf_str(&body), &arena, &request, &error), ERR_INVALID);
    assert_true(error.message.n < 300);
    assert_true(str_find(error.message, STR("\xc3\xa9..., expected a boolean")) != STR_NPOS);
    buf_fini(&body);
}

static void model_and_stream_are_noted(void **state)
{
    assert_int_equal(read_as(API_CHAT, CHAT("")), 0);
    assert_str(request.model, "m");
    assert_false(request.stream);
    assert_true(json_is(request.root, JSON_OBJECT));
    assert_int_equal(read_as(API_CHAT, CHAT(",'stream':true")), 0);
    assert_true(request.stream);
    assert_int_equal(read_as(API_COMPLETIONS, "{'model':'a\\u002fb','prompt':'','stream':true,'stream':false}"), 0);
    assert_str(request.model, "a/b");
    assert_false(request.stream);
    assert_int_equal(read_as(API_GENERATE, "{'model':null}"), 0);
    assert_int_equal(request.model.n, 0);
    assert_false(json_exists(request.model_node));
    assert_int_equal(read_as(API_EMBEDDINGS, "{'model':'m','input':'x','stream':true}"), 0);
    assert_false(request.stream); /* there is no such thing as streamed embeddings */
}

static void rerank_members_are_noted(void **state)
{
    assert_int_equal(read_as(API_RERANK, "{'query':'q','documents':['d'],'model':'m'}"), 0);
    assert_int_equal(request.top_k, 0);
    assert_true(request.return_documents);
    assert_int_equal(request.rid.n, 0);
    assert_int_equal(
        read_as(API_RERANK, "{'query':'q','documents':['d'],'model':'m','rid':'r1','top_k':2,'top_n':3,'return_documents':false}"),
        0);
    assert_int_equal(request.top_k, 2);
    assert_false(request.return_documents);
    assert_str(request.rid, "\"r1\"");
    assert_int_equal(read_as(API_V1_RERANK, "{'query':'q','documents':['d'],'top_n':3,'rid':null}"), 0);
    assert_int_equal(request.top_k, 3);
    assert_int_equal(request.rid.n, 0);
    assert_int_equal(request.model.n, 0);
}

static void failure_leaves_the_request_alone_and_success_the_error_empty(void **state)
{
    assert_int_equal(read_as(API_CHAT, CHAT("")), 0);
    assert_int_equal(error.message.n, 0);
    assert_int_equal(read_as(API_CHAT, "{'model':'other'}"), ERR_INVALID);
    assert_str(request.model, "m");
}

static void a_body_cut_anywhere_is_refused(void **state)
{
    struct str body = quoted(&arena, CHAT(",'stop':['a','b'],'temperature':0.5,'tools':[]"));

    for (size_t n = 0; n < body.n; n++)
        assert_int_equal(api_request_read(API_CHAT, str_first(body, n), &arena, &request, &error), ERR_INVALID);
    assert_int_equal(api_request_read(API_CHAT, body, &arena, &request, &error), 0);
}

static void a_full_arena_is_out_of_memory_not_a_refusal(void **state)
{
    const struct str good = quoted(&arena, CHAT(",'stream':true")), bad = quoted(&arena, CHAT(",'n':0,'stop':'','top_k':0"));
    bool good_done = false, bad_done = false;

    for (size_t max = 16; max < 4096; max += 16) {
        struct arena small;
        int r;

        arena_init(&small, NULL, max);
        r = api_request_read(API_CHAT, good, &small, &request, &error);
        assert_true(r == 0 || r == ERR_NOMEM);
        good_done |= r == 0;
        arena_fini(&small);
        arena_init(&small, NULL, max);
        r = api_request_read(API_CHAT, bad, &small, &request, &error);
        assert_true(r == ERR_INVALID || r == ERR_NOMEM);
        bad_done |= r == ERR_INVALID;
        arena_fini(&small);
    }
    assert_true(good_done && bad_done);
}

static void json_types_are_application_json_and_its_relatives(void **state)
{
    static const char *const YES[] = { "application/json",     "Application/JSON",    "application/json; charset=utf-8",
                                       " application/json ;x", "application/ld+json", "application/vnd.api+JSON;v=1" };
    static const char *const NO[] = { "",
                                      "text/plain",
                                      "text/json",
                                      "application/jsonx",
                                      "application/+json",
                                      "json",
                                      "application/x-ndjson",
                                      "multipart/form-data; a=application/json" };

    for (size_t i = 0; i < ARRAY_LEN(YES); i++)
        assert_true(api_is_json_type(str_of(YES[i])));
    for (size_t i = 0; i < ARRAY_LEN(NO); i++)
        assert_false(api_is_json_type(str_of(NO[i])));
}

static void splicing_replaces_the_name_and_nothing_else(void **state)
{
    static const struct {
        const char *body, *canonical, *out;
    } ROWS[] = {
        { "{'model':'alias'}", "real", "{'model':'real'}" },
        { "{ 'text' : 'alias',\n 'model' :\t'alias' , 'n':1.50 }\n", "org/real",
          "{ 'text' : 'alias',\n 'model' :\t'org/real' , 'n':1.50 }\n" },
        { "{'model':'a\\u002fb','z':'\\u00e9'}", "x", "{'model':'x','z':'\\u00e9'}" },
        { "{'mod\\u0065l':'a'}", "x", "{'mod\\u0065l':'x'}" },
        { "{'model':'a'}", "q\\t", "{'model':'q\\\\t'}" },
        { "{'model':''}", "x", "{'model':'x'}" },
        { "{'model':'first','model':'last'}", "x", "{'model':'first','model':'x'}" },
        { "{'a':{'model':'inner'},'model':'outer'}", "x", "{'a':{'model':'inner'},'model':'x'}" },
        { "{'a':{'model':'inner'}}", "x", "{'a':{'model':'inner'}}" },
        { "{'model':null}", "x", "{'model':null}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct str body = quoted(&arena, ROWS[i].body);
        struct buf out = { 0 };

        assert_int_equal(api_request_read(API_GENERATE, body, &arena, &request, &error), 0);
        api_splice_model(&request, body, str_of(ROWS[i].canonical), &out);
        assert_str(buf_str(&out), quoted(&arena, ROWS[i].out).p);
        buf_fini(&out);
    }
}

static void a_spliced_name_is_escaped(void **state)
{
    struct str body = STR("{\"model\":\"a\"}");
    struct buf out = { 0 };

    assert_int_equal(api_request_read(API_GENERATE, body, &arena, &request, &error), 0);
    api_splice_model(&request, body, STR("q\"\n"), &out);
    assert_str(buf_str(&out), "{\"model\":\"q\\\"\\n\"}");
    buf_fini(&out);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_json_is_a_syntax_error_with_a_position),
        TEST(a_wrong_shape_tells_where_it_stands),
        TEST(a_huge_value_gives_a_short_message),
        TEST(model_and_stream_are_noted),
        TEST(rerank_members_are_noted),
        TEST(failure_leaves_the_request_alone_and_success_the_error_empty),
        TEST(a_body_cut_anywhere_is_refused),
        TEST(a_full_arena_is_out_of_memory_not_a_refusal),
        TEST(json_types_are_application_json_and_its_relatives),
        TEST(splicing_replaces_the_name_and_nothing_else),
        TEST(a_spliced_name_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
