/* api/keys.c -- names of members to enum api_key, by length first: most lengths have one to three names */
#include "api/keys.h"

#define KEY_NAME_MAX 21 /* bytes of the longest name, max_completion_tokens */

static const struct str NAMES[KEY_COUNT] = {
#define X(key, name) [key] = STR_INIT(name),
    API_KEY_LIST(X)
#undef X
};

struct str api_key_name(enum api_key key)
{
    return NAMES[key];
}

/* Compares with a literal of the length that the caller switched on, so that the compiler makes it a load and a compare or two. */
#define IF(literal, key)                              \
    if (memcmp(p, literal, sizeof(literal) - 1) == 0) \
    return key

enum api_key api_key_of(const char *p, size_t n)
{
    switch (n) {
    case 1:
        IF("n", KEY_N);
        break;
    case 2:
        IF("id", KEY_ID);
        break;
    case 3:
        IF("rid", KEY_RID);
        break;
    case 4:
        IF("ebnf", KEY_EBNF);
        IF("mode", KEY_MODE);
        IF("name", KEY_NAME);
        IF("role", KEY_ROLE);
        IF("stop", KEY_STOP);
        IF("text", KEY_TEXT);
        IF("type", KEY_TYPE);
        break;
    case 5:
        IF("index", KEY_INDEX);
        IF("input", KEY_INPUT);
        IF("min_p", KEY_MIN_P);
        IF("model", KEY_MODEL);
        IF("query", KEY_QUERY);
        IF("regex", KEY_REGEX);
        IF("score", KEY_SCORE);
        IF("tools", KEY_TOOLS);
        IF("top_k", KEY_TOP_K);
        IF("top_n", KEY_TOP_N);
        IF("top_p", KEY_TOP_P);
        break;
    case 6:
        IF("prompt", KEY_PROMPT);
        IF("stream", KEY_STREAM);
        IF("system", KEY_SYSTEM);
        break;
    case 7:
        IF("best_of", KEY_BEST_OF);
        IF("content", KEY_CONTENT);
        break;
    case 8:
        IF("function", KEY_FUNCTION);
        IF("logprobs", KEY_LOGPROBS);
        IF("messages", KEY_MESSAGES);
        IF("document", KEY_DOCUMENT);
        break;
    case 9:
        IF("arguments", KEY_ARGUMENTS);
        IF("documents", KEY_DOCUMENTS);
        IF("functions", KEY_FUNCTIONS);
        IF("input_ids", KEY_INPUT_IDS);
        IF("meta_info", KEY_META_INFO);
        break;
    case 10:
        IF("max_tokens", KEY_MAX_TOKENS);
        IF("min_tokens", KEY_MIN_TOKENS);
        IF("tool_calls", KEY_TOOL_CALLS);
        break;
    case 11:
        IF("json_schema", KEY_JSON_SCHEMA);
        IF("mcp_servers", KEY_MCP_SERVERS);
        IF("temperature", KEY_TEMPERATURE);
        IF("tool_choice", KEY_TOOL_CHOICE);
        break;
    case 12:
        IF("conversation", KEY_CONVERSATION);
        IF("tool_call_id", KEY_TOOL_CALL_ID);
        IF("top_logprobs", KEY_TOP_LOGPROBS);
        break;
    case 13:
        IF("allowed_tools", KEY_ALLOWED_TOOLS);
        IF("function_call", KEY_FUNCTION_CALL);
        break;
    case 14:
        IF("max_tool_calls", KEY_MAX_TOOL_CALLS);
        IF("stream_options", KEY_STREAM_OPTIONS);
        break;
    case 15:
        IF("response_format", KEY_RESPONSE_FORMAT);
        break;
    case 16:
        IF("presence_penalty", KEY_PRESENCE_PENALTY);
        IF("reasoning_effort", KEY_REASONING_EFFORT);
        IF("return_documents", KEY_RETURN_DOCUMENTS);
        break;
    case 17:
        IF("frequency_penalty", KEY_FREQUENCY_PENALTY);
        IF("max_output_tokens", KEY_MAX_OUTPUT_TOKENS);
        IF("reasoning_content", KEY_REASONING_CONTENT);
        break;
    case 18:
        IF("repetition_penalty", KEY_REPETITION_PENALTY);
        break;
    case 20:
        IF("previous_response_id", KEY_PREVIOUS_RESPONSE_ID);
        break;
    case 21:
        IF("max_completion_tokens", KEY_MAX_COMPLETION_TOKENS);
        break;
    default:
        break;
    }
    return KEY_UNKNOWN;
}
#undef IF

/* "mod\u0065l" is the member model too: engines undo the escape, so must we. Rare, and bounded by the longest name. */
static enum api_key key_of_escaped(struct json name)
{
    if (json_node(name)->len > 6 * KEY_NAME_MAX)
        return KEY_UNKNOWN;
    for (enum api_key key = KEY_UNKNOWN + 1; key < KEY_COUNT; key++)
        if (json_str_eq(name, NAMES[key]))
            return key;
    return KEY_UNKNOWN;
}

void members_read(const struct json_doc *doc, uint32_t object, struct members *ret)
{
    const struct json_node *nodes = doc->nodes;
    const char *text = doc->text.p;
    uint64_t present = 0, null = 0;

    for (uint32_t i = object + 1, end = nodes[object].next; i < end; i = nodes[i + 1].next) {
        const struct json_node *name = &nodes[i];
        enum api_key key =
            _likely_(!name->escaped) ? api_key_of(text + name->at, name->len) : key_of_escaped((struct json){ doc, i });
        uint64_t bit = KEY_BIT(key);

        present |= bit;
        null = nodes[i + 1].type == JSON_NULL ? null | bit : null & ~bit;
        ret->at[key] = i + 1;
    }
    ret->present = present & ~KEY_BIT(KEY_UNKNOWN);
    ret->given = ret->present & ~null;
}
