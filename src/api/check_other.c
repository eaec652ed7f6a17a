/* api/check_other.c -- the rules of the endpoints that have few
 *
 *   generate                no checks (spec data-plane 5.3): an object whose model and stream, when given, can be read
 *   embeddings, classify    model and input
 *   rerank, v1 rerank       spec data-plane 5.3; the latter takes model, top_k, top_n and return_documents too, all optional
 *   messages                spec agentic-apis 4.1: what every engine needs, and the pair rules
 *   responses               spec agentic-apis 2.1: model, input, ranges; items are the engine's to judge
 */
#include "api/check.h"

static int finish(const struct check *c)
{
    return check_failed(c) ? ERR_INVALID : 0;
}

int api_check_generate(struct check *c)
{
    int r;

    if ((r = api_check_string(c, KEY_MODEL)) < 0)
        return r;
    return api_check_bool(c, KEY_STREAM);
}

int api_check_embeddings(struct check *c)
{
    int r;

    if ((r = api_need_string(c, KEY_MODEL)) < 0)
        return r;
    return api_need(c, KEY_INPUT);
}

/* --- rerank --- */

static const struct number_rule RERANK_NUMBERS[] = {
    { KEY_TOP_K, NUMBER_U64, false, 1, NUMBER_ANY, NULL },
    { KEY_TOP_N, NUMBER_U64, false, 1, NUMBER_ANY, NULL },
};

/* query: a string; documents: strings, or objects for engines that rerank more than text. */
static int check_query_and_documents(struct check *c, uint32_t *ret_documents)
{
    const struct json_doc *doc = c->doc;
    uint32_t documents;
    int r;

    if ((r = api_need_string(c, KEY_QUERY)) < 0 || (r = api_need_array(c, KEY_DOCUMENTS, &documents)) < 0)
        return r;
    for (uint32_t i = element_first(documents); i < element_end(doc, documents); i = element_next(doc, i))
        if (node_type(doc, i) != JSON_STRING && node_type(doc, i) != JSON_OBJECT)
            return api_wrong_type(c, i, "a string");
    *ret_documents = documents;
    if ((r = api_check_bool(c, KEY_RETURN_DOCUMENTS)) < 0)
        return r;
    return api_check_numbers(c, RERANK_NUMBERS, ARRAY_LEN(RERANK_NUMBERS));
}

int api_check_rerank(struct check *c)
{
    uint32_t documents;
    int r;

    if ((r = check_query_and_documents(c, &documents)) < 0 || (r = api_need_string(c, KEY_MODEL)) < 0)
        return r;
    if (str_trim(json_str((struct json){ c->doc, c->root.at[KEY_QUERY] }, c->arena)).n == 0)
        api_bad_rule(c, KEY_QUERY, c->root.at[KEY_QUERY], "query cannot be empty");
    if (c->doc->nodes[documents].count == 0)
        api_bad_rule(c, KEY_DOCUMENTS, documents, "documents list cannot be empty");
    return finish(c);
}

int api_check_v1_rerank(struct check *c)
{
    uint32_t documents;
    int r;

    if ((r = check_query_and_documents(c, &documents)) < 0 || (r = api_check_string(c, KEY_MODEL)) < 0)
        return r;
    return finish(c);
}

/* --- messages --- */

static int check_message(struct check *c, uint32_t message)
{
    const struct json_doc *doc = c->doc;
    struct members m;
    uint32_t content;
    int r;

    if (node_type(doc, message) != JSON_OBJECT)
        return api_wrong_type(c, message, "a map");
    members_read(doc, message, &m);
    if ((r = api_need_string_in(c, &m, message, KEY_ROLE)) < 0)
        return r;
    if (!node_says(doc, m.at[KEY_ROLE], STR("user")) && !node_says(doc, m.at[KEY_ROLE], STR("assistant")) &&
        !node_says(doc, m.at[KEY_ROLE], STR("system")))
        return api_wrong_variant(c, m.at[KEY_ROLE], "`user`, `assistant`, `system`");
    if (!(m.present & KEY_BIT(KEY_CONTENT)))
        return api_missing(c, message, KEY_CONTENT);
    content = m.at[KEY_CONTENT];
    if (node_type(doc, content) != JSON_STRING && node_type(doc, content) != JSON_ARRAY)
        return api_wrong_type(c, content, "a string or a sequence of blocks");
    return 0;
}

static int check_messages_tools(struct check *c)
{
    const struct json_doc *doc = c->doc;
    uint32_t tools = member(&c->root, KEY_TOOLS);

    if (!tools)
        return 0;
    if (node_type(doc, tools) != JSON_ARRAY)
        return api_wrong_type(c, tools, "a sequence");
    for (uint32_t i = element_first(tools); i < element_end(doc, tools); i = element_next(doc, i))
        if (node_type(doc, i) != JSON_OBJECT)
            return api_wrong_type(c, i, "a map");
    return 0;
}

int api_check_messages(struct check *c)
{
    static const struct number_rule MAX_TOKENS[] = { { KEY_MAX_TOKENS, NUMBER_U32, false, 0, NUMBER_ANY, NULL } };
    const struct json_doc *doc = c->doc;
    uint32_t messages;
    int r;

    if ((r = api_need_string(c, KEY_MODEL)) < 0 || (r = api_need_array(c, KEY_MESSAGES, &messages)) < 0 ||
        (r = api_need(c, KEY_MAX_TOKENS)) < 0 || (r = api_check_numbers(c, MAX_TOKENS, ARRAY_LEN(MAX_TOKENS))) < 0 ||
        (r = api_check_bool(c, KEY_STREAM)) < 0 || (r = check_messages_tools(c)) < 0 ||
        (r = api_check_object(c, KEY_TOOL_CHOICE)) < 0)
        return r;
    for (uint32_t i = element_first(messages); i < element_end(doc, messages); i = element_next(doc, i)) {
        r = check_message(c, i);
        if (r < 0)
            return r;
    }
    if (doc->nodes[c->root.at[KEY_MODEL]].len == 0)
        api_bad_field(c, KEY_MODEL, c->root.at[KEY_MODEL], "model field is required and cannot be empty");
    if (doc->nodes[messages].count == 0)
        api_bad_field(c, KEY_MESSAGES, messages, "messages array is required and cannot be empty");
    if (member_u64(c, KEY_MAX_TOKENS) == 0)
        api_bad_field(c, KEY_MAX_TOKENS, c->root.at[KEY_MAX_TOKENS], "max_tokens must be greater than 0");
    return check_failed(c) ? ERR_INVALID : api_check_messages_tool_choice(c);
}

/* --- responses --- */

static const struct number_rule RESPONSES_NUMBERS[] = {
    { KEY_MAX_OUTPUT_TOKENS, NUMBER_U32, false, 1, NUMBER_ANY, NULL },
    { KEY_MAX_TOOL_CALLS, NUMBER_U32, false, 1, NUMBER_ANY, NULL },
    { KEY_TOP_LOGPROBS, NUMBER_U32, false, 0, 20, NULL },
};

int api_check_responses(struct check *c)
{
    uint32_t input, previous = member(&c->root, KEY_PREVIOUS_RESPONSE_ID);
    int r;

    if ((r = api_need_string(c, KEY_MODEL)) < 0 || (r = api_need(c, KEY_INPUT)) < 0 || (r = api_check_bool(c, KEY_STREAM)) < 0 ||
        (r = api_check_sampling(c)) < 0 || (r = api_check_numbers(c, RESPONSES_NUMBERS, ARRAY_LEN(RESPONSES_NUMBERS))) < 0 ||
        (r = api_check_stop(c)) < 0)
        return r;
    input = c->root.at[KEY_INPUT];
    if (node_type(c->doc, input) != JSON_STRING && node_type(c->doc, input) != JSON_ARRAY)
        return api_wrong_type(c, input, "a string or a sequence of items");
    if (node_type(c->doc, input) == JSON_STRING && c->doc->nodes[input].len == 0)
        api_bad_field(c, KEY_INPUT, input, "Input text cannot be empty");
    if (node_type(c->doc, input) == JSON_ARRAY && c->doc->nodes[input].count == 0)
        api_bad_field(c, KEY_INPUT, input, "Input items cannot be empty");
    if (check_failed(c))
        return ERR_INVALID;
    if (previous && member(&c->root, KEY_CONVERSATION))
        return api_bad_pair(
            c, previous,
            "Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or 'conversation'.");
    return 0;
}
