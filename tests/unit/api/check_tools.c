/* check_tools.c -- tools, tool_choice and tool calls */
#include "reading.h"

#define USER       "{'role':'user','content':'x'}"
#define CHAT(more) "{'model':'m','messages':[" USER "]" more "}"
#define CALLS(c)   "{'model':'m','messages':[" USER ",{'role':'assistant','tool_calls':" c "}]}"
#define TOOL       "{'type':'function','function':{'name':'f'}}"
#define TOOLS      ",'tools':[{'type':'function','function':{'name':'g','parameters':{'name':'h'}}}," TOOL "]"
#define ONLY       "__all__: Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
#define NO_F(f)    "__all__: Invalid value for 'tool_choice': function '" f "' not found in 'tools'."

static void tools_are_functions_with_names(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(TOOLS), NULL, NULL },
        { CHAT(",'tools':[]"), NULL, NULL },
        { CHAT(",'tools':null"), NULL, NULL },
        { CHAT(",'functions':[{'name':'f'}]"), NULL, NULL },
        { CHAT(",'tools':{}"), SHAPE "tools: invalid type: map, expected a sequence", "tools" },
        { CHAT(",'tools':[5]"), SHAPE "tools[0]: invalid type: integer `5`, expected a map", "tools[0]" },
        { CHAT(",'tools':[{'function':{'name':'f'}}]"), SHAPE "tools[0]: missing field `type`", "tools[0].type" },
        { CHAT(",'tools':[" TOOL ",{'type':'web_search'}]"), SHAPE "tools[1]: missing field `function`", "tools[1].function" },
        { CHAT(",'tools':[{'type':'function','function':null}]"), SHAPE "tools[0].function: invalid type: null, expected a map",
          "tools[0].function" },
        { CHAT(",'tools':[{'type':'function','function':{}}]"), SHAPE "tools[0].function: missing field `name`",
          "tools[0].function.name" },
        { CHAT(",'functions':[{}]"), SHAPE "functions[0]: missing field `name`", "functions[0].name" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void tool_calls_have_id_type_name_and_arguments_as_text(void **state)
{
    static const struct row ROWS[] = {
        { CALLS("null"), NULL, NULL },
        { CALLS("[]"), NULL, NULL },
        { CALLS("[{'id':'1','type':'function','function':{'name':'f'}}]"), NULL, NULL },
        { CALLS("[{'id':'1','type':'function','function':{'name':'f','arguments':'{}'}}]"), NULL, NULL },
        { CALLS("[{'id':'1','type':'function','function':{'name':'f','arguments':null}}]"), NULL, NULL },
        { CALLS("[{'type':'function','function':{'name':'f'}}]"), SHAPE "messages[1].tool_calls[0]: missing field `id`",
          "messages[1].tool_calls[0].id" },
        { CALLS("[{'id':'1','function':{'name':'f'}}]"), SHAPE "messages[1].tool_calls[0]: missing field `type`",
          "messages[1].tool_calls[0].type" },
        { CALLS("[{'id':'1','type':'function'}]"), SHAPE "messages[1].tool_calls[0]: missing field `function`",
          "messages[1].tool_calls[0].function" },
        { CALLS("[{'id':'1','type':'function','function':{}}]"), SHAPE "messages[1].tool_calls[0].function: missing field `name`",
          "messages[1].tool_calls[0].function.name" },
        { CALLS("[{'id':'1','type':'function','function':{'name':'f','arguments':{}}}]"),
          SHAPE "messages[1].tool_calls[0].function.arguments: invalid type: map, expected a string",
          "messages[1].tool_calls[0].function.arguments" },
        { CALLS("{}"), SHAPE "messages[1].tool_calls: invalid type: map, expected a sequence", "messages[1].tool_calls" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void a_choice_needs_tools_unless_it_is_none(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'tool_choice':'none'"), NULL, NULL },
        { CHAT(",'tool_choice':null"), NULL, NULL },
        { CHAT(",'tool_choice':'auto'"), ONLY, "tool_choice" },
        { CHAT(",'tool_choice':'required','tools':[]"), ONLY, "tool_choice" },
        { CHAT(",'tool_choice':{'type':'function','function':{'name':'f'}}"), ONLY, "tool_choice" },
        { CHAT(",'tool_choice':'auto'" TOOLS), NULL, NULL },
        { CHAT(",'tool_choice':'required'" TOOLS), NULL, NULL },
        { CHAT(",'tool_choice':5"), SHAPE "tool_choice: invalid type: integer `5`, expected a string or a map", "tool_choice" },
        { CHAT(",'function_call':'auto'"), ONLY, "function_call" },
        { CHAT(",'function_call':'none'"), NULL, NULL },
        { CHAT(",'function_call':'auto','functions':[{'name':'f'}]"), NULL, NULL },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

static void a_named_function_is_among_the_tools(void **state)
{
    static const struct row ROWS[] = {
        { CHAT(",'tool_choice':{'type':'function','function':{'name':'f'}}" TOOLS), NULL, NULL },
        { CHAT(",'tool_choice':{'type':'function','function':{'name':'\\u0066'}}" TOOLS), NULL, NULL },
        { CHAT(",'tool_choice':{'type':'function','function':{'name':'h'}}" TOOLS), NO_F("h"), "tool_choice.function.name" },
        { CHAT(",'tool_choice':{'type':'function'}" TOOLS), SHAPE "tool_choice: missing field `function`", "tool_choice.function" },
        { CHAT(",'tool_choice':{}" TOOLS), SHAPE "tool_choice: missing field `type`", "tool_choice.type" },
        { CHAT(",'tool_choice':{'type':'custom','custom':{'name':'z'}}" TOOLS), NULL, NULL },
        { CHAT(",'function_call':{'name':'f'},'functions':[{'name':'f'}]"), NULL, NULL },
        { CHAT(",'function_call':{'name':'g'},'functions':[{'name':'f'}]"), NO_F("g"), "function_call.name" },
        { CHAT(",'function_call':{'name':'f'}" TOOLS), NULL, NULL },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

#define ALLOWED(mode, tools) CHAT(",'tool_choice':{'type':'allowed_tools','mode':" mode ",'tools':[" tools "]}" TOOLS)
#define NESTED(mode, tools) \
    CHAT(",'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':" mode ",'tools':[" tools "]}}" TOOLS)

static void allowed_tools_are_functions_that_are_offered(void **state)
{
    static const struct row ROWS[] = {
        { ALLOWED("'auto'", "{'type':'function','name':'f'}"), NULL, NULL },
        { ALLOWED("'required'", "{'type':'function','name':'f'},{'type':'function','name':'g'}"), NULL, NULL },
        { NESTED("'auto'", "{'type':'function','function':{'name':'g'}}"), NULL, NULL },
        { ALLOWED("'none'", ""), "__all__: Invalid value for 'tool_choice.mode': must be 'auto' or 'required', got 'none'.",
          "tool_choice.mode" },
        { ALLOWED("'auto'", "{'type':'function','name':'z'}"),
          "__all__: Invalid value for 'tool_choice.tools': tool 'z' not found in 'tools'.", "tool_choice.tools[0].name" },
        { NESTED("'auto'", "{'type':'function','function':{'name':'z'}}"),
          "__all__: Invalid value for 'tool_choice.tools': tool 'z' not found in 'tools'.",
          "tool_choice.allowed_tools.tools[0].function.name" },
        { ALLOWED("'auto'", "{'type':'function','name':'f'},{'type':'mcp','server_label':'s'}"),
          "__all__: Invalid value for 'tool_choice.tools': Chat Completion API only supports function tools, got 'mcp'.",
          "tool_choice.tools[1]" },
        { ALLOWED("5", ""), SHAPE "tool_choice.mode: invalid type: integer `5`, expected a string", "tool_choice.mode" },
        { CHAT(",'tool_choice':{'type':'allowed_tools','mode':'auto'}" TOOLS), SHAPE "tool_choice: missing field `tools`",
          "tool_choice.tools" },
    };
    CHECK_ROWS(API_CHAT, ROWS);
}

#define MESSAGES(more) "{'model':'m','max_tokens':1,'messages':[" USER "]" more "}"

static void messages_have_their_own_tools(void **state)
{
    static const struct row ROWS[] = {
        { MESSAGES(",'tools':[{'name':'t','input_schema':{}}],'tool_choice':{'type':'tool','name':'t'}"), NULL, NULL },
        { MESSAGES(",'tools':[{'name':'t'}],'tool_choice':{'type':'any'}"), NULL, NULL },
        { MESSAGES(",'tool_choice':{'type':'none'}"), NULL, NULL },
        { MESSAGES(",'tool_choice':{'type':'any'}"), ONLY, "tool_choice" },
        { MESSAGES(",'tool_choice':{'type':'auto'},'tools':[]"), ONLY, "tool_choice" },
        { MESSAGES(",'tools':[{'name':'t'}],'tool_choice':{'type':'tool','name':'u'}"),
          "__all__: Invalid value for 'tool_choice': tool 'u' not found in 'tools'.", "tool_choice.name" },
        { MESSAGES(",'tools':[{'name':'t'}],'tool_choice':{'type':'tool'}"), SHAPE "tool_choice: missing field `name`",
          "tool_choice.name" },
        { MESSAGES(",'tool_choice':'auto'"), SHAPE "tool_choice: invalid type: string \"auto\", expected a map", "tool_choice" },
        { MESSAGES(",'tools':[{'type':'mcp_toolset','mcp_server_name':'s'}]"),
          "__all__: mcp_servers is required when mcp_toolset tools are present", "tools" },
        { MESSAGES(",'mcp_servers':[],'tools':[{'type':'mcp_toolset'}]"),
          "__all__: mcp_servers is required when mcp_toolset tools are present", "tools" },
        { MESSAGES(",'mcp_servers':[{}],'tools':[{'type':'mcp_toolset'}],'tool_choice':{'type':'tool','name':'theirs'}"), NULL,
          NULL },
    };
    CHECK_ROWS(API_MESSAGES, ROWS);
}

static void endless_lists_cost_little(void **state)
{
    struct buf body = { 0 };
    struct arena arena;
    struct api_request request;
    struct api_error error;

    arena_init(&arena, NULL, 0);
    buf_puts(&body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[");
    for (unsigned i = 0; i < 20000; i++)
        buf_printf(&body, "%s{\"type\":\"function\",\"function\":{\"name\":\"f%u\"}}", i ? "," : "", i);
    buf_puts(&body, "],\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[");
    for (unsigned i = 0; i < 20000; i++)
        buf_printf(&body, "%s{\"type\":\"function\",\"name\":\"f%u\"}", i ? "," : "", 19999 - i);
    buf_puts(&body, "]}}");
    assert_int_equal(api_request_read(API_CHAT, buf_str(&body), &arena, &request, &error), 0);
    buf_fini(&body);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tools_are_functions_with_names),
        cmocka_unit_test(tool_calls_have_id_type_name_and_arguments_as_text),
        cmocka_unit_test(a_choice_needs_tools_unless_it_is_none),
        cmocka_unit_test(a_named_function_is_among_the_tools),
        cmocka_unit_test(allowed_tools_are_functions_that_are_offered),
        cmocka_unit_test(messages_have_their_own_tools),
        cmocka_unit_test(endless_lists_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
