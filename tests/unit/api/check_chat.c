/* check_chat.c -- the rules of /v1/chat/completions (spec data-plane 5.3) */
#include "reading.h"

#define USER           "{'role':'user','content':'x'}"
#define CHAT(more)     "{'model':'m','messages':[" USER "]" more "}"
#define MESSAGE(first) "{'model':'m','messages':[" first "]}"

#define RULE(field, words, value) field ": Validation error: " words " [{\"value\": " value "}]"

static void model_and_messages_are_required(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(""), NULL, NULL },
        { "{'messages':[" USER "]}", SHAPE "missing field `model`", "model" },
        { "{'model':null,'messages':[" USER "]}", SHAPE "model: invalid type: null, expected a string", "model" },
        { "{'model':7,'messages':[" USER "]}", SHAPE "model: invalid type: integer `7`, expected a string", "model" },
        { "{'model':'m'}", SHAPE "missing field `messages`", "messages" },
        { "{'model':'m','messages':null}", SHAPE "messages: invalid type: null, expected a sequence", "messages" },
        { "{'model':'m','messages':'hi'}", SHAPE "messages: invalid type: string \"hi\", expected a sequence", "messages" },
        { "{'model':'m','messages':{}}", SHAPE "messages: invalid type: map, expected a sequence", "messages" },
        { "{'model':'m','messages':[]}", RULE("messages", "messages cannot be empty", "[]"), "messages" },
        { "{'model':'m','messages':['x']}", SHAPE "messages[0]: invalid type: string \"x\", expected a map", "messages[0]" },
        { "[]", SHAPE "invalid type: sequence, expected a map", "" },
        { "null", SHAPE "invalid type: null, expected a map", "" },
        { "1.5", SHAPE "invalid type: floating point `1.5`, expected a map", "" },
        { "true", SHAPE "invalid type: boolean `true`, expected a map", "" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void a_message_has_one_of_six_roles_and_what_the_role_needs(void **state)
{
    static const struct row ROWS[] = {
        { MESSAGE("{'role':'system','content':''}"), NULL, NULL },
        { MESSAGE("{'role':'developer','content':[]}"), NULL, NULL },
        { MESSAGE("{'role':'assistant'}"), NULL, NULL },
        { MESSAGE("{'role':'assistant','content':null}"), NULL, NULL },
        { MESSAGE("{'role':'assistant','content':''}"), NULL, NULL },
        { MESSAGE("{'role':'tool','content':'','tool_call_id':'1'}"), NULL, NULL },
        { MESSAGE("{'role':'function','content':'','name':'f'}"), NULL, NULL },
        { MESSAGE("{'role':'us\\u0065r','content':'x'}"), NULL, NULL },
        { MESSAGE("{'content':'x'}"), SHAPE "messages[0]: missing field `role`", "messages[0].role" },
        { MESSAGE("{'role':1,'content':'x'}"), SHAPE "messages[0].role: invalid type: integer `1`, expected a string",
          "messages[0].role" },
        { MESSAGE(USER ",{'role':'robot','content':'x'}"),
          SHAPE "messages[1].role: unknown variant `robot`, expected one of `system`, `user`, `assistant`, `tool`, `function`, "
                "`developer`",
          "messages[1].role" },
        { MESSAGE("{'role':'user'}"), SHAPE "messages[0]: missing field `content`", "messages[0].content" },
        { MESSAGE("{'role':'user','content':null}"),
          SHAPE "messages[0].content: invalid type: null, expected a string or a sequence of parts", "messages[0].content" },
        { MESSAGE("{'role':'system','content':{}}"),
          SHAPE "messages[0].content: invalid type: map, expected a string or a sequence of parts", "messages[0].content" },
        { MESSAGE("{'role':'assistant','content':5}"),
          SHAPE "messages[0].content: invalid type: integer `5`, expected a string or a sequence of parts", "messages[0].content" },
        { MESSAGE("{'role':'tool','content':'x'}"), SHAPE "messages[0]: missing field `tool_call_id`", "messages[0].tool_call_id" },
        { MESSAGE("{'role':'tool','content':'x','tool_call_id':null}"),
          SHAPE "messages[0].tool_call_id: invalid type: null, expected a string", "messages[0].tool_call_id" },
        { MESSAGE("{'role':'function','content':'x'}"), SHAPE "messages[0]: missing field `name`", "messages[0].name" },
        { MESSAGE("{'role':'function','content':[],'name':'f'}"),
          SHAPE "messages[0].content: invalid type: sequence, expected a string", "messages[0].content" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void a_user_message_is_not_empty(void **state)
{
    static const struct row ROWS[] = {
        { MESSAGE("{'role':'user','content':' '}"), NULL, NULL },
        { MESSAGE("{'role':'user','content':''}"), RULE("messages", "message content cannot be empty", "\"\""),
          "messages[0].content" },
        { MESSAGE(USER ",{'role':'user','content':[]}"), RULE("messages", "message content parts cannot be empty", "[]"),
          "messages[1].content" },
        { MESSAGE("{'role':'user','content':[]},{'role':'user','content':''}"),
          RULE("messages", "message content parts cannot be empty", "[]"), "messages[0].content" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

#define PARTS(parts) MESSAGE("{'role':'user','content':[" parts "]}")

static void parts_have_a_type_and_unknown_types_pass(void **state)
{
    static const struct row ROWS[] = {
        { PARTS("{'type':'text','text':''}"), NULL, NULL },
        { PARTS("{'type':'image_url','image_url':{'url':'data:,x'}}"), NULL, NULL },
        { PARTS("{'type':'file','file':{}},{'type':'refusal','refusal':'no'},{'type':'holo'}"), NULL, NULL },
        { PARTS("{'text':'a'}"), SHAPE "messages[0].content[0]: missing field `type`", "messages[0].content[0].type" },
        { PARTS("{'type':'text'}"), SHAPE "messages[0].content[0]: missing field `text`", "messages[0].content[0].text" },
        { PARTS("{'type':'text','text':'a'},{'type':'text','text':5}"),
          SHAPE "messages[0].content[1].text: invalid type: integer `5`, expected a string", "messages[0].content[1].text" },
        { PARTS("'a'"), SHAPE "messages[0].content[0]: invalid type: string \"a\", expected a map", "messages[0].content[0]" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

#define RANGE(field, min, max, value) field ": Validation error: range [{\"min\": " min ", \"max\": " max ", \"value\": " value "}]"
#define LEAST(field, min, value)      field ": Validation error: range [{\"min\": " min ", \"value\": " value "}]"
#define TOP_P                         "top_p must be in (0, 1] - greater than 0.0 and at most 1.0"
#define TOP_K                         "top_k must be -1 (disabled) or at least 1"

static void numbers_have_ranges(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'temperature':0,'top_p':1,'top_k':-1,'min_p':0,'n':10,'min_tokens':0"), NULL, NULL },
        { CHAT(",'temperature':2.0,'top_p':0.0001,'top_k':1,'min_p':1,'n':1,'repetition_penalty':2"), NULL, NULL },
        { CHAT(",'frequency_penalty':-2,'presence_penalty':2,'max_tokens':1,'max_completion_tokens':4294967295"), NULL, NULL },
        { CHAT(",'temperature':null,'top_p':null,'top_k':null,'n':null,'max_tokens':null,'top_logprobs':null"), NULL, NULL },
        { CHAT(",'logprobs':true,'top_logprobs':20"), NULL, NULL },
        { CHAT(",'temperature':2.1"), RANGE("temperature", "0", "2", "2.1"), "temperature" },
        { CHAT(",'temperature':-1e-9"), RANGE("temperature", "0", "2", "-1e-9"), "temperature" },
        { CHAT(",'frequency_penalty':-2.5"), RANGE("frequency_penalty", "-2", "2", "-2.5"), "frequency_penalty" },
        { CHAT(",'presence_penalty':3"), RANGE("presence_penalty", "-2", "2", "3"), "presence_penalty" },
        { CHAT(",'repetition_penalty':2.01"), RANGE("repetition_penalty", "0", "2", "2.01"), "repetition_penalty" },
        { CHAT(",'min_p':1.5"), RANGE("min_p", "0", "1", "1.5"), "min_p" },
        { CHAT(",'n':11"), RANGE("n", "1", "10", "11"), "n" },
        { CHAT(",'n':0"), RANGE("n", "1", "10", "0"), "n" },
        { CHAT(",'top_logprobs':21"), RANGE("top_logprobs", "0", "20", "21"), "top_logprobs" },
        { CHAT(",'max_tokens':0"), LEAST("max_tokens", "1", "0"), "max_tokens" },
        { CHAT(",'max_completion_tokens':0"), LEAST("max_completion_tokens", "1", "0"), "max_completion_tokens" },
        { CHAT(",'top_p':0"), RULE("top_p", TOP_P, "0"), "top_p" },
        { CHAT(",'top_p':-0.0"), RULE("top_p", TOP_P, "-0.0"), "top_p" },
        { CHAT(",'top_p':1.01"), RULE("top_p", TOP_P, "1.01"), "top_p" },
        { CHAT(",'top_k':0"), RULE("top_k", TOP_K, "0"), "top_k" },
        { CHAT(",'top_k':-2"), RULE("top_k", TOP_K, "-2"), "top_k" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void numbers_have_types(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'temperature':'hot'"), SHAPE "temperature: invalid type: string \"hot\", expected f32", "temperature" },
        { CHAT(",'temperature':1e999"), SHAPE "temperature: invalid value: floating point `1e999`, expected f32", "temperature" },
        { CHAT(",'n':1.0"), SHAPE "n: invalid type: floating point `1.0`, expected u32", "n" },
        { CHAT(",'n':-1"), SHAPE "n: invalid value: integer `-1`, expected u32", "n" },
        { CHAT(",'n':4294967296"), SHAPE "n: invalid value: integer `4294967296`, expected u32", "n" },
        { CHAT(",'min_tokens':-1"), SHAPE "min_tokens: invalid value: integer `-1`, expected u32", "min_tokens" },
        { CHAT(",'top_k':3000000000"), SHAPE "top_k: invalid value: integer `3000000000`, expected i32", "top_k" },
        { CHAT(",'max_tokens':true"), SHAPE "max_tokens: invalid type: boolean `true`, expected u32", "max_tokens" },
        { CHAT(",'max_tokens':[]"), SHAPE "max_tokens: invalid type: sequence, expected u32", "max_tokens" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void stop_is_a_string_or_at_most_four(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'stop':'a'"), NULL, NULL },
        { CHAT(",'stop':[]"), NULL, NULL },
        { CHAT(",'stop':null"), NULL, NULL },
        { CHAT(",'stop':['a','b','c','d']"), NULL, NULL },
        { CHAT(",'stop':['a','b','c','d','e']"),
          RULE("stop", "maximum 4 stop sequences allowed", "[\"a\",\"b\",\"c\",\"d\",\"e\"]"), "stop" },
        { CHAT(",'stop':''"), RULE("stop", "stop sequences cannot be empty", "\"\""), "stop" },
        { CHAT(",'stop':['a','']"), RULE("stop", "stop sequences cannot be empty", "\"\""), "stop[1]" },
        { CHAT(",'stop':['a',1]"), SHAPE "stop[1]: invalid type: integer `1`, expected a string", "stop[1]" },
        { CHAT(",'stop':5"), SHAPE "stop: invalid type: integer `5`, expected a string or a sequence of strings", "stop" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void other_members_have_types(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'reasoning_effort':'xhigh'"), NULL, NULL },
        { CHAT(",'reasoning_effort':3"), NULL, NULL },
        { CHAT(",'reasoning_effort':null,'stream':null,'logprobs':null,'stream_options':null"), NULL, NULL },
        { CHAT(",'whatever':{'deep':[1,2,3]},'user':5"), NULL, NULL },
        { CHAT(",'reasoning_effort':[]"), SHAPE "reasoning_effort: invalid type: sequence, expected a string or a number",
          "reasoning_effort" },
        { CHAT(",'stream':'yes'"), SHAPE "stream: invalid type: string \"yes\", expected a boolean", "stream" },
        { CHAT(",'logprobs':5"), SHAPE "logprobs: invalid type: integer `5`, expected a boolean", "logprobs" },
        { CHAT(",'stream':true,'stream_options':true"), SHAPE "stream_options: invalid type: boolean `true`, expected a map",
          "stream_options" },
        { CHAT(",'regex':1"), SHAPE "regex: invalid type: integer `1`, expected a string", "regex" },
        { CHAT(",'ebnf':{}"), SHAPE "ebnf: invalid type: map, expected a string", "ebnf" },
        { CHAT(",'response_format':'json'"), SHAPE "response_format: invalid type: string \"json\", expected a map",
          "response_format" },
        { CHAT(",'response_format':{}"), SHAPE "response_format: missing field `type`", "response_format.type" },
        { CHAT(",'response_format':{'type':'json_schema'}"), SHAPE "response_format: missing field `json_schema`",
          "response_format.json_schema" },
        { CHAT(",'response_format':{'type':'json_schema','json_schema':{'schema':{}}}"),
          SHAPE "response_format.json_schema: missing field `name`", "response_format.json_schema.name" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

#define LOGPROBS   "__all__: top_logprobs is only allowed when logprobs is enabled"
#define OPTIONS    "__all__: The 'stream_options' parameter is only allowed when 'stream' is enabled"
#define MINIMUM    "__all__: min_tokens cannot exceed max_tokens/max_completion_tokens"
#define REGEX_JSON "__all__: cannot use regex constraint with JSON response format"
#define EBNF_JSON  "__all__: cannot use EBNF constraint with JSON response format"
#define ONLY_ONE   "__all__: only one structured output constraint (regex, ebnf, or json_schema) can be active at a time"
#define SCHEMA     "'response_format':{'type':'json_schema','json_schema':{'name':'s','schema':{}}}"

static void members_must_go_together(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'top_logprobs':2"), LOGPROBS, "top_logprobs" },
        { CHAT(",'top_logprobs':2,'logprobs':false"), LOGPROBS, "top_logprobs" },
        { CHAT(",'stream_options':{}"), OPTIONS, "stream_options" },
        { CHAT(",'stream_options':{'include_usage':true},'stream':false"), OPTIONS, "stream_options" },
        { CHAT(",'stream_options':{'include_usage':true},'stream':true"), NULL, NULL },
        { CHAT(",'min_tokens':5,'max_tokens':5"), NULL, NULL },
        { CHAT(",'min_tokens':6,'max_tokens':5"), MINIMUM, "min_tokens" },
        { CHAT(",'min_tokens':6,'max_tokens':5,'max_completion_tokens':6"), NULL, NULL },
        { CHAT(",'min_tokens':6,'max_tokens':9,'max_completion_tokens':5"), MINIMUM, "min_tokens" },
        { CHAT(",'regex':'a','response_format':{'type':'json_object'}"), REGEX_JSON, "regex" },
        { CHAT(",'ebnf':'a'," SCHEMA), EBNF_JSON, "ebnf" },
        { CHAT(",'regex':'a','response_format':{'type':'text'}"), NULL, NULL },
        { CHAT(",'regex':'a','ebnf':'b'"), ONLY_ONE, "ebnf" },
        { CHAT(",'regex':'a','ebnf':'b','response_format':{'type':'text'}"), ONLY_ONE, "ebnf" },
        { CHAT(",'regex':null,'ebnf':'b'"), NULL, NULL },
        { CHAT("," SCHEMA), NULL, NULL },
        { CHAT(",'response_format':{'type':'structural_tag','format':{}}"), NULL, NULL },
        { CHAT(",'response_format':{'type':'json_schema','json_schema':{'name':''}}"), "__all__: JSON schema name cannot be empty",
          "response_format.json_schema.name" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void the_first_pair_in_order_is_reported(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'tool_choice':'auto','regex':'a','ebnf':'b','min_tokens':2,'max_tokens':1,'stream_options':{},'top_logprobs':1"),
          LOGPROBS, "top_logprobs" },
        { CHAT(",'tool_choice':'auto','regex':'a','ebnf':'b','min_tokens':2,'max_tokens':1,'stream_options':{}"), OPTIONS,
          "stream_options" },
        { CHAT(",'tool_choice':'auto','regex':'a','ebnf':'b','min_tokens':2,'max_tokens':1"), MINIMUM, "min_tokens" },
        { CHAT(",'tool_choice':'auto','regex':'a','ebnf':'b'," SCHEMA), REGEX_JSON, "regex" },
        { CHAT(",'tool_choice':'auto','regex':'a','ebnf':'b'"), ONLY_ONE, "ebnf" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void all_bad_fields_are_named_before_any_pair_and_after_any_wrong_shape(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'n':11,'temperature':3,'stop':'','top_logprobs':2"),
          RANGE("temperature", "0", "2", "3") "\n" RANGE("n", "1", "10", "11") "\n" RULE("stop", "stop sequences cannot be empty",
                                                                                         "\"\""),
          "temperature" },
        { "{'model':'m','messages':[],'top_p':2}",
          RULE("messages", "messages cannot be empty", "[]") "\n" RULE("top_p", TOP_P, "2"), "messages" },
        { CHAT(",'n':11,'regex':5"), SHAPE "regex: invalid type: integer `5`, expected a string", "regex" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_and_messages_are_required),
        cmocka_unit_test(a_message_has_one_of_six_roles_and_what_the_role_needs),
        cmocka_unit_test(a_user_message_is_not_empty),
        cmocka_unit_test(parts_have_a_type_and_unknown_types_pass),
        cmocka_unit_test(numbers_have_ranges),
        cmocka_unit_test(numbers_have_types),
        cmocka_unit_test(stop_is_a_string_or_at_most_four),
        cmocka_unit_test(other_members_have_types),
        cmocka_unit_test(members_must_go_together),
        cmocka_unit_test(the_first_pair_in_order_is_reported),
        cmocka_unit_test(all_bad_fields_are_named_before_any_pair_and_after_any_wrong_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
