/* check_completions.c -- the rules of /v1/completions (spec data-plane 5.3) */
#include "reading.h"

#define WITH(more) "{'model':'m','prompt':'p'" more "}"

static void model_and_prompt_are_required(void **state)
{
    static const struct row ROWS[] = {
        { WITH(""), NULL, NULL },
        { "{'model':'m','prompt':''}", NULL, NULL },
        { "{'model':'m','prompt':['a','b']}", NULL, NULL },
        { "{'model':'m','prompt':[1,2]}", NULL, NULL },
        { "{'model':'m','prompt':[[1],[2,3]]}", NULL, NULL },
        { "{'prompt':'p'}", SHAPE "missing field `model`", "model" },
        { "{'model':'m'}", SHAPE "missing field `prompt`", "prompt" },
        { "{'model':'m','prompt':null}", SHAPE "missing field `prompt`", "prompt" },
        { "{'model':'m','prompt':5}", SHAPE "prompt: invalid type: integer `5`, expected a string or a sequence", "prompt" },
        { "{'model':'m','prompt':['a',{}]}",
          SHAPE "prompt[1]: invalid type: map, expected a string, a token id or a sequence of token ids", "prompt[1]" },
        { "{'model':'m','prompt':[]}", "prompt: prompt array cannot be empty", "prompt" },
    };
    CHECK_ROWS(API_COMPLETIONS, ROWS);
}

#define RANGE(field, min, max, value) field ": Validation error: range [{\"min\": " min ", \"max\": " max ", \"value\": " value "}]"

static void numbers_have_ranges(void **state)
{
    static const struct row ROWS[] = {
        { WITH(",'n':128,'best_of':null,'logprobs':5,'temperature':2,'top_p':1,'top_k':-1,'max_tokens':0"), NULL, NULL },
        { WITH(",'best_of':20,'logprobs':0,'stop':['a','b','c','d']"), NULL, NULL },
        { WITH(",'n':129"), RANGE("n", "1", "128", "129"), "n" },
        { WITH(",'best_of':21"), RANGE("best_of", "0", "20", "21"), "best_of" },
        { WITH(",'logprobs':6"), RANGE("logprobs", "0", "5", "6"), "logprobs" },
        { WITH(",'temperature':2.1"), RANGE("temperature", "0", "2", "2.1"), "temperature" },
        { WITH(",'logprobs':true"), SHAPE "logprobs: invalid type: boolean `true`, expected u32", "logprobs" },
        { WITH(",'stop':['a','b','c','d','e']"),
          "stop: Validation error: maximum 4 stop sequences allowed [{\"value\": [\"a\",\"b\",\"c\",\"d\",\"e\"]}]", "stop" },
    };
    CHECK_ROWS(API_COMPLETIONS, ROWS);
}

#define OPTIONS  "__all__: The 'stream_options' parameter is only allowed when 'stream' is enabled"
#define MINIMUM  "__all__: min_tokens cannot exceed max_tokens"
#define ONLY_ONE "__all__: only one structured output constraint (regex, ebnf, or json_schema) can be active at a time"
#define BEST     "__all__: best_of must be greater than n or equal to it"
#define STREAMED "__all__: best_of is not supported when stream is enabled"

static void members_must_go_together(void **state)
{
    static const struct row ROWS[] = {
        { WITH(",'best_of':2,'n':2"), NULL, NULL }, /* as OpenAI, unlike SMG */
        { WITH(",'best_of':3,'n':2"), NULL, NULL },
        { WITH(",'best_of':1,'n':2"), BEST, "best_of" },
        { WITH(",'best_of':2,'stream':true"), STREAMED, "best_of" },
        { WITH(",'stream_options':{}"), OPTIONS, "stream_options" },
        { WITH(",'stream_options':{},'stream':true"), NULL, NULL },
        { WITH(",'min_tokens':3,'max_tokens':2"), MINIMUM, "min_tokens" },
        { WITH(",'min_tokens':3"), NULL, NULL },
        { WITH(",'regex':'a','ebnf':'b'"), ONLY_ONE, "ebnf" },
        { WITH(",'regex':'a','json_schema':'{}'"), ONLY_ONE, "json_schema" },
        { WITH(",'json_schema':'{}'"), NULL, NULL },
        { WITH(",'best_of':1,'n':2,'stream':true,'regex':'a','ebnf':'b','min_tokens':3,'max_tokens':2"), MINIMUM, "min_tokens" },
        { WITH(",'best_of':1,'n':2,'stream':true,'regex':'a','ebnf':'b'"), ONLY_ONE, "ebnf" },
        { WITH(",'best_of':1,'n':2,'stream':true"), BEST, "best_of" },
    };
    CHECK_ROWS(API_COMPLETIONS, ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_and_prompt_are_required),
        cmocka_unit_test(numbers_have_ranges),
        cmocka_unit_test(members_must_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
