/* check_other.c -- the rules of generate, embeddings, classify, rerank, messages and responses */
#include "reading.h"

static void generate_takes_any_object(void **state)
{
    static const struct row ROWS[] = {
        { "{}", NULL, NULL },
        { "{'text':'a','input_ids':[1],'sampling_params':{'n':500}}", NULL, NULL },
        { "{'model':null,'stream':null}", NULL, NULL },
        { "{'model':5}", SHAPE "model: invalid type: integer `5`, expected a string", "model" },
        { "{'stream':1}", SHAPE "stream: invalid type: integer `1`, expected a boolean", "stream" },
        { "'x'", SHAPE "invalid type: string \"x\", expected a map", "" },
    };
    CHECK_ROWS(API_GENERATE, ROWS);
}

static void embeddings_and_classify_need_model_and_input(void **state)
{
    static const struct row ROWS[] = {
        { "{'model':'m','input':'x'}", NULL, NULL },
        { "{'model':'m','input':['x',[1,2]],'foo':1}", NULL, NULL },
        { "{'model':'m','input':''}", NULL, NULL },
        { "{'input':'x'}", SHAPE "missing field `model`", "model" },
        { "{'model':'m'}", SHAPE "missing field `input`", "input" },
        { "{'model':'m','input':null}", SHAPE "missing field `input`", "input" },
    };
    CHECK_ROWS(API_EMBEDDINGS, ROWS);
    CHECK_ROWS(API_CLASSIFY, ROWS);
}

#define RERANK(more) "{'query':'q','documents':['d'],'model':'m'" more "}"

static void rerank_needs_a_query_documents_and_a_model(void **state)
{
    static const struct row ROWS[] = {
        { RERANK(""), NULL, NULL },
        { RERANK(",'top_k':1,'return_documents':false,'rid':['a'],'user':null"), NULL, NULL },
        { RERANK(",'top_k':18446744073709551615"), NULL, NULL },
        { "{'query':'q','documents':['d',{'text':'e'}],'model':'m'}", NULL, NULL },
        { "{'query':'q','documents':['d']}", SHAPE "missing field `model`", "model" },
        { "{'documents':['d'],'model':'m'}", SHAPE "missing field `query`", "query" },
        { "{'query':'q','model':'m'}", SHAPE "missing field `documents`", "documents" },
        { "{'query':'q','documents':'d','model':'m'}", SHAPE "documents: invalid type: string \"d\", expected a sequence",
          "documents" },
        { "{'query':'q','documents':['d',1],'model':'m'}", SHAPE "documents[1]: invalid type: integer `1`, expected a string",
          "documents[1]" },
        { RERANK(",'return_documents':1"), SHAPE "return_documents: invalid type: integer `1`, expected a boolean",
          "return_documents" },
        { RERANK(",'top_k':-1"), SHAPE "top_k: invalid value: integer `-1`, expected usize", "top_k" },
        { RERANK(",'top_k':0"), "top_k: Validation error: range [{\"min\": 1, \"value\": 0}]", "top_k" },
        { "{'query':'   ','documents':['d'],'model':'m'}", "query: Validation error: query cannot be empty [{\"value\": \"   \"}]",
          "query" },
        { "{'query':'\\n\\t','documents':['d'],'model':'m'}",
          "query: Validation error: query cannot be empty [{\"value\": \"\\n\\t\"}]", "query" },
        { "{'query':'q','documents':[],'model':'m'}",
          "documents: Validation error: documents list cannot be empty [{\"value\": []}]", "documents" },
        { "{'query':'','documents':[],'model':'m'}",
          "query: Validation error: query cannot be empty [{\"value\": \"\"}]\n"
          "documents: Validation error: documents list cannot be empty [{\"value\": []}]",
          "query" },
    };
    CHECK_ROWS(API_RERANK, ROWS);
}

static void v1_rerank_needs_only_query_and_documents(void **state)
{
    static const struct row ROWS[] = {
        { "{'query':'q','documents':['d']}", NULL, NULL },
        { "{'query':' ','documents':[]}", NULL, NULL },
        { "{'query':'q','documents':['d'],'model':null,'top_n':3,'return_documents':true}", NULL, NULL },
        { "{'query':'q'}", SHAPE "missing field `documents`", "documents" },
        { "{'documents':[]}", SHAPE "missing field `query`", "query" },
        { "{'query':'q','documents':['d'],'top_n':0}", "top_n: Validation error: range [{\"min\": 1, \"value\": 0}]", "top_n" },
        { "{'query':'q','documents':['d'],'model':[]}", SHAPE "model: invalid type: sequence, expected a string", "model" },
    };
    CHECK_ROWS(API_V1_RERANK, ROWS);
}

#define USER "{'role':'user','content':'x'}"

static void messages_need_model_max_tokens_and_messages(void **state)
{
    static const struct row ROWS[] = {
        { "{'model':'m','max_tokens':1,'messages':[" USER "]}", NULL, NULL },
        { "{'model':'m','max_tokens':1,'messages':[{'role':'system','content':[{'type':'new_block'}]}],'temperature':9}", NULL,
          NULL },
        { "{'model':'m','max_tokens':1,'messages':[" USER "],'stream':true,'system':[{'type':'text','text':'s'}]}", NULL, NULL },
        { "{'max_tokens':1,'messages':[" USER "]}", SHAPE "missing field `model`", "model" },
        { "{'model':'m','messages':[" USER "]}", SHAPE "missing field `max_tokens`", "max_tokens" },
        { "{'model':'m','max_tokens':1}", SHAPE "missing field `messages`", "messages" },
        { "{'model':'m','max_tokens':-1,'messages':[" USER "]}", SHAPE "max_tokens: invalid value: integer `-1`, expected u32",
          "max_tokens" },
        { "{'model':'m','max_tokens':1,'messages':[{'role':'tool','content':'x'}]}",
          SHAPE "messages[0].role: unknown variant `tool`, expected one of `user`, `assistant`, `system`", "messages[0].role" },
        { "{'model':'m','max_tokens':1,'messages':[{'role':'user'}]}", SHAPE "messages[0]: missing field `content`",
          "messages[0].content" },
        { "{'model':'m','max_tokens':1,'messages':[{'role':'user','content':1}]}",
          SHAPE "messages[0].content: invalid type: integer `1`, expected a string or a sequence of blocks",
          "messages[0].content" },
        { "{'model':'m','max_tokens':1,'messages':[" USER "],'tools':{}}", SHAPE "tools: invalid type: map, expected a sequence",
          "tools" },
        { "{'model':'m','max_tokens':0,'messages':[" USER "]}", "max_tokens: max_tokens must be greater than 0", "max_tokens" },
        { "{'model':'m','max_tokens':1,'messages':[]}", "messages: messages array is required and cannot be empty", "messages" },
        { "{'model':'','max_tokens':0,'messages':[]}",
          "model: model field is required and cannot be empty\n"
          "messages: messages array is required and cannot be empty\n"
          "max_tokens: max_tokens must be greater than 0",
          "model" },
    };
    CHECK_ROWS(API_MESSAGES, ROWS);
}

static void responses_need_model_and_input(void **state)
{
    static const struct row ROWS[] = {
        { "{'model':'m','input':'x'}", NULL, NULL },
        { "{'model':'m','input':[{'role':'user','content':'x'},{'type':'anything'}],'tool_choice':'auto'}", NULL, NULL },
        { "{'model':'m','input':[{'type':'function_call_output'}],'previous_response_id':'resp_1'}", NULL, NULL },
        { "{'input':'x'}", SHAPE "missing field `model`", "model" },
        { "{'model':'m'}", SHAPE "missing field `input`", "input" },
        { "{'model':'m','input':5}", SHAPE "input: invalid type: integer `5`, expected a string or a sequence of items", "input" },
        { "{'model':'m','input':''}", "input: Input text cannot be empty", "input" },
        { "{'model':'m','input':[]}", "input: Input items cannot be empty", "input" },
        { "{'model':'m','input':'x','temperature':3}",
          "temperature: Validation error: range [{\"min\": 0, \"max\": 2, \"value\": 3}]", "temperature" },
        { "{'model':'m','input':'x','max_output_tokens':0}",
          "max_output_tokens: Validation error: range [{\"min\": 1, \"value\": 0}]", "max_output_tokens" },
        { "{'model':'m','input':'x','previous_response_id':'r','conversation':'c'}",
          "__all__: Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or 'conversation'.",
          "previous_response_id" },
    };
    CHECK_ROWS(API_RESPONSES, ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generate_takes_any_object),
        cmocka_unit_test(embeddings_and_classify_need_model_and_input),
        cmocka_unit_test(rerank_needs_a_query_documents_and_a_model),
        cmocka_unit_test(v1_rerank_needs_only_query_and_documents),
        cmocka_unit_test(messages_need_model_max_tokens_and_messages),
        cmocka_unit_test(responses_need_model_and_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
