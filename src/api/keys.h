/* api/keys.h -- private to api/: the member names that the gateway looks at, and one walk over an object that files them
 *
 *   object --members_read--> for each known name: was it there, was it null, where is its value (the last one, when a name is repeated)
 *
 * This runs over every message of every request, so a name is found by its length and a compare or two, and a struct members costs nothing to
 * set up: `at` is read only where `present` says so. Unknown names are stepped over.
 */
#pragma once

#include "json/json.h"

/* X(enumerator, name). At most 63, as they index the bits of a word; tests/unit/api/keys.c checks that api_key_of knows them all. */
#define API_KEY_LIST(X)                                   \
    X(KEY_ALLOWED_TOOLS, "allowed_tools")                 \
    X(KEY_ARGUMENTS, "arguments")                         \
    X(KEY_BEST_OF, "best_of")                             \
    X(KEY_CONTENT, "content")                             \
    X(KEY_CONVERSATION, "conversation")                   \
    X(KEY_DOCUMENTS, "documents")                         \
    X(KEY_EBNF, "ebnf")                                   \
    X(KEY_FREQUENCY_PENALTY, "frequency_penalty")         \
    X(KEY_FUNCTION, "function")                           \
    X(KEY_FUNCTION_CALL, "function_call")                 \
    X(KEY_FUNCTIONS, "functions")                         \
    X(KEY_ID, "id")                                       \
    X(KEY_INDEX, "index")                                 \
    X(KEY_INPUT, "input")                                 \
    X(KEY_INPUT_IDS, "input_ids")                         \
    X(KEY_JSON_SCHEMA, "json_schema")                     \
    X(KEY_LOGPROBS, "logprobs")                           \
    X(KEY_MAX_COMPLETION_TOKENS, "max_completion_tokens") \
    X(KEY_MAX_OUTPUT_TOKENS, "max_output_tokens")         \
    X(KEY_MAX_TOKENS, "max_tokens")                       \
    X(KEY_MAX_TOOL_CALLS, "max_tool_calls")               \
    X(KEY_MCP_SERVERS, "mcp_servers")                     \
    X(KEY_MESSAGES, "messages")                           \
    X(KEY_META_INFO, "meta_info")                         \
    X(KEY_MIN_P, "min_p")                                 \
    X(KEY_MIN_TOKENS, "min_tokens")                       \
    X(KEY_MODE, "mode")                                   \
    X(KEY_MODEL, "model")                                 \
    X(KEY_N, "n")                                         \
    X(KEY_NAME, "name")                                   \
    X(KEY_PRESENCE_PENALTY, "presence_penalty")           \
    X(KEY_PREVIOUS_RESPONSE_ID, "previous_response_id")   \
    X(KEY_PROMPT, "prompt")                               \
    X(KEY_QUERY, "query")                                 \
    X(KEY_REASONING_CONTENT, "reasoning_content")         \
    X(KEY_REASONING_EFFORT, "reasoning_effort")           \
    X(KEY_REGEX, "regex")                                 \
    X(KEY_REPETITION_PENALTY, "repetition_penalty")       \
    X(KEY_RESPONSE_FORMAT, "response_format")             \
    X(KEY_RETURN_DOCUMENTS, "return_documents")           \
    X(KEY_RID, "rid")                                     \
    X(KEY_ROLE, "role")                                   \
    X(KEY_SCORE, "score")                                 \
    X(KEY_DOCUMENT, "document")                           \
    X(KEY_STOP, "stop")                                   \
    X(KEY_STREAM, "stream")                               \
    X(KEY_STREAM_OPTIONS, "stream_options")               \
    X(KEY_SYSTEM, "system")                               \
    X(KEY_TEMPERATURE, "temperature")                     \
    X(KEY_TEXT, "text")                                   \
    X(KEY_TOOL_CALL_ID, "tool_call_id")                   \
    X(KEY_TOOL_CALLS, "tool_calls")                       \
    X(KEY_TOOL_CHOICE, "tool_choice")                     \
    X(KEY_TOOLS, "tools")                                 \
    X(KEY_TOP_K, "top_k")                                 \
    X(KEY_TOP_LOGPROBS, "top_logprobs")                   \
    X(KEY_TOP_N, "top_n")                                 \
    X(KEY_TOP_P, "top_p")                                 \
    X(KEY_TYPE, "type")

enum api_key {
    KEY_UNKNOWN,
#define X(key, name) key,
    API_KEY_LIST(X)
#undef X
        KEY_COUNT
};
_Static_assert(KEY_COUNT <= 64, "members.present has a bit for each key");

#define KEY_BIT(key) ((uint64_t)1 << (key))

/* The known members of one object. */
struct members {
    uint64_t present;       /* bit per enum api_key: the member is there */
    uint64_t given;         /* ... and is not null */
    uint32_t at[KEY_COUNT]; /* index of the value's node; only where present */
};

/* The name of a key, static. */
struct str api_key_name(enum api_key key);

/* Which key is spelled by the N bytes at P (no escapes)? KEY_UNKNOWN when none. */
enum api_key api_key_of(const char *p, size_t n);

/* OBJECT is the index of an object's node in DOC. */
void members_read(const struct json_doc *doc, uint32_t object, struct members *ret);

/* Index of the value, 0 (the root, which is no member) when it is absent or null. */
static inline uint32_t member(const struct members *m, enum api_key key)
{
    return m->given & KEY_BIT(key) ? m->at[key] : 0;
}

/* The first MAX bytes of S or a few less, so that no UTF-8 character is cut in two. */
static inline struct str api_cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && ((unsigned char)s.p[max] & 0xC0) == 0x80)
        max--;
    return (struct str){ s.p, max };
}

/* Walks the elements of an array: for (uint32_t i = element_first(a); i < element_end(doc, a); i = element_next(doc, i)). */
static inline uint32_t element_first(uint32_t array)
{
    return array + 1;
}

static inline uint32_t element_end(const struct json_doc *doc, uint32_t array)
{
    return doc->nodes[array].next;
}

static inline uint32_t element_next(const struct json_doc *doc, uint32_t i)
{
    return doc->nodes[i].next;
}

static inline enum json_type node_type(const struct json_doc *doc, uint32_t i)
{
    return (enum json_type)doc->nodes[i].type;
}

/* Does the string at I say TEXT? */
static inline bool node_says(const struct json_doc *doc, uint32_t i, struct str text)
{
    const struct json_node *node = &doc->nodes[i];

    if (_likely_(!node->escaped))
        return node->type == JSON_STRING && node->len == text.n &&
               (text.n == 0 || memcmp(doc->text.p + node->at, text.p, text.n) == 0);
    return json_str_eq((struct json){ doc, i }, text);
}
