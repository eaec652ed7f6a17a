/* shares.c -- how many prompts and answers a request has (spec data-plane 13.2, 13.5) */
#include "reading.h"

struct shares_row {
    enum api_kind kind;
    const char *body;
    unsigned batch, answers;
    bool logprobs;
};

#define MESSAGES "'model':'m','messages':[{'role':'user','content':'x'}]"

static void dp_44_lists_of_prompts_and_several_answers_make_a_batch(void **state)
{
    static const struct shares_row ROWS[] = {
        { API_CHAT, "{" MESSAGES "}", 0, 1 },
        { API_CHAT, "{" MESSAGES ",'n':1}", 0, 1 },
        { API_CHAT, "{" MESSAGES ",'n':2,'logprobs':true}", 2, 2 },
        { API_COMPLETIONS, "{'model':'m','prompt':'x'}", 0, 1 },
        { API_COMPLETIONS, "{'model':'m','prompt':'x','n':3}", 0, 3 },
        { API_COMPLETIONS, "{'model':'m','prompt':['x']}", 1, 1 },
        { API_COMPLETIONS, "{'model':'m','prompt':['x','y','z'],'n':2}", 3, 6 },
        { API_COMPLETIONS, "{'model':'m','prompt':[1,2,3]}", 0, 1 },
        { API_COMPLETIONS, "{'model':'m','prompt':[[1,2],[3]]}", 2, 2 },
        { API_GENERATE, "{'text':'x'}", 0, 1 },
        { API_GENERATE, "{'text':['x','y']}", 2, 2 },
        { API_GENERATE, "{'input_ids':[1,2]}", 0, 1 },
        { API_GENERATE, "{'input_ids':[[1,2],[3]],'sampling_params':{'n':2}}", 2, 4 },
        { API_GENERATE, "{'text':'x','return_logprob':true}", 0, 1, true },
        { API_GENERATE, "{'text':'x','return_logprob':false}", 0, 1 },
        { API_GENERATE, "{'text':['x','y'],'return_logprob':[true,false]}", 2, 2, true },
        { API_GENERATE, "{'text':'x','sampling_params':{'n':18446744073709551615}}", 0, 1000000 },
        { API_RERANK, "{'query':'q','documents':['d'],'model':'m'}", 0, 1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct arena arena;
        struct api_request request;
        struct api_error error;
        struct api_shares s;

        arena_init(&arena, NULL, 0);
        if (api_request_read(ROWS[i].kind, quoted(&arena, ROWS[i].body), &arena, &request, &error) < 0)
            fail_msg("%s: refused", ROWS[i].body);
        s = api_shares(&request);
        if (s.batch != ROWS[i].batch || s.answers != ROWS[i].answers || s.logprobs != ROWS[i].logprobs)
            fail_msg("%s: batch %u, answers %u, logprobs %d", ROWS[i].body, s.batch, s.answers, s.logprobs);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(dp_44_lists_of_prompts_and_several_answers_make_a_batch) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
