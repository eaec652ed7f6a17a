/* routing_text.c -- which text of a request the policies see (spec data-plane 5.11) */
#include "reading.h"

static void check_text(enum api_kind kind, const char *body, size_t max, const char *expected)
{
    struct arena arena;
    struct api_request request;
    struct api_error error;
    struct buf out = { 0 };

    arena_init(&arena, NULL, 0);
    if (api_request_read(kind, quoted(&arena, body), &arena, &request, &error) != 0)
        fail_msg("%s\n  was refused: %.*s", body, STR_FMT(error.message));
    api_routing_text(&request, &arena, &out, max);
    assert_str(buf_str(&out), expected);
    assert_true(out.n <= max);
    buf_fini(&out);
    arena_fini(&arena);
}

static void each_kind_has_its_text(void **state)
{
    static const struct {
        enum api_kind kind;
        const char *body, *text;
    } ROWS[] = {
        { API_CHAT,
          "{'model':'m','messages':[{'role':'system','content':'a'},{'role':'user','content':[{'type':'text','text':'b'},{'type':'"
          "image_url',"
          "'image_url':{'url':'data:,x'}},{'type':'text','text':'c'}]},{'role':'assistant','content':'d'}]}",
          "a b c d" },
        { API_CHAT,
          "{'model':'m','messages':[{'role':'assistant','content':'a','reasoning_content':'b','tool_calls':[{'id':'1','type':'"
          "function',"
          "'function':{'name':'f','arguments':'z'}}]},{'role':'user','content':'c','reasoning_content':'not mine'}]}",
          "a b c" },
        { API_CHAT, "{'model':'m','messages':[{'role':'system','content':''},{'role':'user','content':'x\\ty'}]}", "x\ty" },
        { API_COMPLETIONS, "{'model':'m','prompt':'p q'}", "p q" },
        { API_COMPLETIONS, "{'model':'m','prompt':['p','','q']}", "p q" },
        { API_COMPLETIONS, "{'model':'m','prompt':[1,22,333]}", "1 22 333" },
        { API_GENERATE, "{'text':'t','input_ids':[1]}", "t" },
        { API_GENERATE, "{'input_ids':[1,2,3]}", "1 2 3" },
        { API_GENERATE, "{'input_ids':[[1,2],[3]]}", "1 2 3" },
        { API_GENERATE, "{}", "" },
        { API_EMBEDDINGS, "{'model':'m','input':'x'}", "x" },
        { API_EMBEDDINGS, "{'model':'m','input':['x','y',{'text':'z'}]}", "x y" },
        { API_CLASSIFY, "{'model':'m','input':['x','y']}", "x y" },
        { API_RERANK, "{'model':'m','query':'q','documents':['d']}", "q" },
        { API_V1_RERANK, "{'query':'q','documents':['d']}", "q" },
        { API_MESSAGES, "{'model':'m','max_tokens':1,'system':'s','messages':[{'role':'user','content':'a'}]}", "s a" },
        { API_MESSAGES,
          "{'model':'m','max_tokens':1,'system':[{'type':'text','text':'s'},{'type':'text','text':'t'}],'messages':[{'role':'user',"
          "'content':"
          "[{'type':'text','text':'a'},{'type':'image'},'odd']}]}",
          "s t a" },
        { API_RESPONSES, "{'model':'m','input':'x'}", "x" },
        { API_RESPONSES,
          "{'model':'m','input':[{'role':'user','content':'a'},{'type':'message','role':'user','content':[{'type':'input_text','"
          "text':'b'}]},"
          "{'type':'function_call','name':'f'},5]}",
          "a b" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        check_text(ROWS[i].kind, ROWS[i].body, 1000, ROWS[i].text);
}

static void the_text_ends_at_the_bound_between_characters(void **state)
{
    const char *body = "{'text':['ab','c\xc3\xa9']}";

    check_text(API_GENERATE, body, 0, "");
    check_text(API_GENERATE, body, 1, "a");
    check_text(API_GENERATE, body, 2, "ab");
    check_text(API_GENERATE, body, 3, "ab");
    check_text(API_GENERATE, body, 4, "ab c");
    check_text(API_GENERATE, body, 5, "ab c");
    check_text(API_GENERATE, body, 6, "ab c\xc3\xa9");
    check_text(API_GENERATE, body, 7, "ab c\xc3\xa9");
}

static void the_text_goes_behind_what_the_buf_holds(void **state)
{
    struct arena arena;
    struct api_request request;
    struct api_error error;
    struct buf out = { 0 };

    arena_init(&arena, NULL, 0);
    buf_puts(&out, "before:");
    assert_int_equal(api_request_read(API_GENERATE, STR("{\"text\":\"after\"}"), &arena, &request, &error), 0);
    api_routing_text(&request, &arena, &out, 3);
    assert_str(buf_str(&out), "before:aft");
    buf_fini(&out);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_text),
        cmocka_unit_test(the_text_ends_at_the_bound_between_characters),
        cmocka_unit_test(the_text_goes_behind_what_the_buf_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
