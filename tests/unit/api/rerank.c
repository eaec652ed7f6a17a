/* rerank.c -- the gateway's answer to /rerank (spec data-plane 5.7) */
#include "reading.h"

#define TAIL "],'model':'m','usage':null,'object':'rerank',"

struct reply_row {
    const char *request; /* members besides query, documents and model */
    const char *worker;
    const char *reply; /* NULL = ERR_INVALID */
};

static void check_reply(const struct reply_row *row)
{
    struct arena arena;
    struct api_request request;
    struct api_error error;
    struct buf out = { 0 }, body = { 0 };
    int r;

    arena_init(&arena, NULL, 0);
    buf_printf(&body, "{'query':'q','documents':['d'],'model':'m'%s}", row->request);
    buf_put_char(&body, 0);
    assert_int_equal(api_request_read(API_RERANK, quoted(&arena, body.p), &arena, &request, &error), 0);
    buf_puts(&out, "before");
    r = api_rerank_reply(&request, STR("m"), 1700000000, quoted(&arena, row->worker), &arena, &out);
    if ((r == 0) != (row->reply != NULL))
        fail_msg("%s\n  gave %d", row->worker, r);
    if (row->reply)
        assert_str(str_skip(buf_str(&out), 6), quoted(&arena, row->reply).p);
    else
        assert_str(buf_str(&out), "before");
    buf_fini(&body);
    buf_fini(&out);
    arena_fini(&arena);
}

static void results_are_wrapped_in_the_worker_s_order(void **state)
{
    static const struct reply_row ROWS[] = {
        { "", "[{'score':0.9,'document':'d','index':0}]",
          "{'results':[{'score':0.9,'document':'d','index':0}" TAIL "'id':null,'created':1700000000}" },
        { "", "[{'index':1,'score':-0.25},{'index':0,'score':0.75,'document':null}]",
          "{'results':[{'score':-0.25,'index':1},{'score':0.75,'index':0}" TAIL "'id':null,'created':1700000000}" },
        { "", "[]", "{'results':[" TAIL "'id':null,'created':1700000000}" },
        { ",'rid':'r-1'", "[]", "{'results':[" TAIL "'id':'r-1','created':1700000000}" },
        { "", "[{'score':1,'index':0,'document':'\\u00e9\\n','meta_info':{'id':[1, 2]},'more':0}]",
          "{'results':[{'score':1.0,'document':'\\u00e9\\n','index':0,'meta_info':{'id':[1, 2]}}" TAIL
          "'id':null,'created':1700000000}" },
        { "", "[{'score':0.8999999761581421,'index':0}]",
          "{'results':[{'score':0.9,'index':0}" TAIL "'id':null,'created':1700000000}" },
        { "", "[{'score':1,'index':0,'document':{'text':'d'}}]",
          "{'results':[{'score':1.0,'document':{'text':'d'},'index':0}" TAIL "'id':null,'created':1700000000}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        check_reply(&ROWS[i]);
}

static void top_k_cuts_and_documents_are_left_out_on_request(void **state)
{
    static const struct reply_row ROWS[] = {
        { ",'top_k':1", "[{'score':2,'index':0},{'score':1,'index':1}]",
          "{'results':[{'score':2.0,'index':0}" TAIL "'id':null,'created':1700000000}" },
        { ",'top_k':5", "[{'score':2,'index':0}]", "{'results':[{'score':2.0,'index':0}" TAIL "'id':null,'created':1700000000}" },
        { ",'return_documents':false", "[{'score':2,'index':0,'document':'d'}]",
          "{'results':[{'score':2.0,'index':0}" TAIL "'id':null,'created':1700000000}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        check_reply(&ROWS[i]);
}

static void what_is_no_array_of_results_is_refused_and_nothing_is_written(void **state)
{
    static const char *const BAD[] = {
        "{}",
        "null",
        "",
        "[",
        "[1]",
        "[{}]",
        "[{'score':1}]",
        "[{'index':0}]",
        "[{'score':null,'index':0}]",
        "[{'score':'1','index':0}]",
        "[{'score':1,'index':-1}]",
        "[{'score':1,'index':0.5}]",
        "[{'score':1,'index':0,'document':5}]",
        "[{'score':1,'index':0,'meta_info':[]}]",
        "[{'score':1,'index':0},{}]",
    };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        check_reply(&(struct reply_row){ "", BAD[i], NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_wrapped_in_the_worker_s_order),
        cmocka_unit_test(top_k_cuts_and_documents_are_left_out_on_request),
        cmocka_unit_test(what_is_no_array_of_results_is_refused_and_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
