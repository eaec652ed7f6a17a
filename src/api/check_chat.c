/* api/check_chat.c -- the rules of /v1/chat/completions (spec data-plane 5.3, chat checks)
 *
 * Shapes are checked as far as the gateway or every engine depends on them: messages by role, parts that have a type (unknown types pass: newer
 * engines know more of them than we do), tools that are functions. What the gateway does not look at is the engine's to judge.
 * SMG rewrites old names before it checks (max_tokens, functions, function_call); here the checks look at either name and the body stays.
 */
#include "api/check.h"

/* The roles, as an enum and as a list for messages. */
enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_FUNCTION, ROLE_DEVELOPER, ROLE_COUNT };

static const struct str ROLES[ROLE_COUNT] = {
    [ROLE_SYSTEM] = STR_INIT("system"), [ROLE_USER] = STR_INIT("user"),         [ROLE_ASSISTANT] = STR_INIT("assistant"),
    [ROLE_TOOL] = STR_INIT("tool"),     [ROLE_FUNCTION] = STR_INIT("function"), [ROLE_DEVELOPER] = STR_INIT("developer"),
};
#define ROLE_NAMES "`system`, `user`, `assistant`, `tool`, `function`, `developer`"

static int check_messages(struct check *c);
static int check_message(struct check *c, uint32_t message, uint32_t *ret_empty);
static int check_content(struct check *c, uint32_t content);
static int check_reasoning_effort(struct check *c);
static int check_response_format(struct check *c);
static int check_pairs(struct check *c);
static int check_constraints(struct check *c);

static const struct number_rule NUMBERS[] = {
    { KEY_MAX_TOKENS, NUMBER_U32, false, 1, NUMBER_ANY, NULL },
    { KEY_MAX_COMPLETION_TOKENS, NUMBER_U32, false, 1, NUMBER_ANY, NULL },
    { KEY_N, NUMBER_U32, false, 1, 10, NULL },
    { KEY_MIN_TOKENS, NUMBER_U32, false, 0, NUMBER_ANY, NULL },
    { KEY_TOP_LOGPROBS, NUMBER_U32, false, 0, 20, NULL },
};

int api_check_chat(struct check *c)
{
    int r;

    if ((r = check_messages(c)) < 0 || (r = api_need_string(c, KEY_MODEL)) < 0 || (r = api_check_bool(c, KEY_STREAM)) < 0 ||
        (r = api_check_object(c, KEY_STREAM_OPTIONS)) < 0 || (r = api_check_bool(c, KEY_LOGPROBS)) < 0 ||
        (r = api_check_sampling(c)) < 0 || (r = api_check_numbers(c, NUMBERS, ARRAY_LEN(NUMBERS))) < 0 ||
        (r = api_check_stop(c)) < 0 || (r = check_reasoning_effort(c)) < 0 || (r = check_response_format(c)) < 0 ||
        (r = api_check_string(c, KEY_REGEX)) < 0 || (r = api_check_string(c, KEY_EBNF)) < 0 || (r = api_check_tools(c)) < 0)
        return r;
    return check_failed(c) ? ERR_INVALID : check_pairs(c);
}

/* --- messages --- */

static int check_messages(struct check *c)
{
    const struct json_doc *doc = c->doc;
    uint32_t messages, empty = 0;
    int r;

    r = api_need_array(c, KEY_MESSAGES, &messages);
    if (r < 0)
        return r;
    for (uint32_t i = element_first(messages); i < element_end(doc, messages); i = element_next(doc, i)) {
        r = check_message(c, i, &empty);
        if (r < 0)
            return r;
    }
    if (doc->nodes[messages].count == 0)
        api_bad_rule(c, KEY_MESSAGES, messages, "messages cannot be empty");
    else if (empty)
        api_bad_rule(c, KEY_MESSAGES, empty,
                     node_type(doc, empty) == JSON_STRING ? "message content cannot be empty"
                                                          : "message content parts cannot be empty");
    return 0;
}

static int read_role(struct check *c, const struct members *m, uint32_t message, enum role *ret)
{
    if (!(m->present & KEY_BIT(KEY_ROLE)))
        return api_missing(c, message, KEY_ROLE);
    if (node_type(c->doc, m->at[KEY_ROLE]) != JSON_STRING)
        return api_wrong_type(c, m->at[KEY_ROLE], "a string");
    for (enum role role = 0; role < ROLE_COUNT; role++)
        if (node_says(c->doc, m->at[KEY_ROLE], ROLES[role])) {
            *ret = role;
            return 0;
        }
    return api_wrong_variant(c, m->at[KEY_ROLE], ROLE_NAMES);
}

/* *RET_EMPTY: set to the content of a user message that has none, when it is the first such. */
static int check_message(struct check *c, uint32_t message, uint32_t *ret_empty)
{
    const struct json_doc *doc = c->doc;
    struct members m;
    enum role role = ROLE_COUNT;
    int r;

    if (node_type(doc, message) != JSON_OBJECT)
        return api_wrong_type(c, message, "a map");
    members_read(doc, message, &m);
    r = read_role(c, &m, message, &role);
    if (r < 0)
        return r;

    if (role == ROLE_FUNCTION) {
        r = api_need_string_in(c, &m, message, KEY_CONTENT);
        return r < 0 ? r : api_need_string_in(c, &m, message, KEY_NAME);
    }
    if (m.present & KEY_BIT(KEY_CONTENT) && !(role == ROLE_ASSISTANT && !member(&m, KEY_CONTENT)))
        r = check_content(c, m.at[KEY_CONTENT]);
    else if (role != ROLE_ASSISTANT)
        r = api_missing(c, message, KEY_CONTENT);
    if (r < 0)
        return r;

    switch (role) {
    case ROLE_USER: {
        const struct json_node *content = &doc->nodes[m.at[KEY_CONTENT]];
        if (!*ret_empty && (content->type == JSON_STRING ? content->len == 0 : content->count == 0))
            *ret_empty = m.at[KEY_CONTENT];
        return 0;
    }
    case ROLE_ASSISTANT:
        return member(&m, KEY_TOOL_CALLS) ? api_check_tool_calls(c, m.at[KEY_TOOL_CALLS]) : 0;
    case ROLE_TOOL:
        return api_need_string_in(c, &m, message, KEY_TOOL_CALL_ID);
    default:
        return 0;
    }
}

/* A string or parts, each with a type; a text part has a text. */
static int check_content(struct check *c, uint32_t content)
{
    const struct json_doc *doc = c->doc;

    if (node_type(doc, content) == JSON_STRING)
        return 0;
    if (node_type(doc, content) != JSON_ARRAY)
        return api_wrong_type(c, content, "a string or a sequence of parts");
    for (uint32_t i = element_first(content); i < element_end(doc, content); i = element_next(doc, i)) {
        struct members m;
        int r;

        if (node_type(doc, i) != JSON_OBJECT)
            return api_wrong_type(c, i, "a map");
        members_read(doc, i, &m);
        r = api_need_string_in(c, &m, i, KEY_TYPE);
        if (r == 0 && node_says(doc, m.at[KEY_TYPE], STR("text")))
            r = api_need_string_in(c, &m, i, KEY_TEXT);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- other members --- */

static int check_reasoning_effort(struct check *c)
{
    uint32_t i = member(&c->root, KEY_REASONING_EFFORT);

    if (!i || node_type(c->doc, i) == JSON_STRING || node_type(c->doc, i) == JSON_NUMBER)
        return 0;
    return api_wrong_type(c, i, "a string or a number");
}

static int check_response_format(struct check *c)
{
    uint32_t i = member(&c->root, KEY_RESPONSE_FORMAT), schema;
    struct members m, inner;
    int r;

    if (!i)
        return 0;
    if (node_type(c->doc, i) != JSON_OBJECT)
        return api_wrong_type(c, i, "a map");
    members_read(c->doc, i, &m);
    r = api_need_string_in(c, &m, i, KEY_TYPE);
    if (r < 0 || !node_says(c->doc, m.at[KEY_TYPE], STR("json_schema")))
        return r;
    schema = member(&m, KEY_JSON_SCHEMA);
    if (!schema)
        return api_missing(c, i, KEY_JSON_SCHEMA);
    if (node_type(c->doc, schema) != JSON_OBJECT)
        return api_wrong_type(c, schema, "a map");
    members_read(c->doc, schema, &inner);
    return api_need_string_in(c, &inner, schema, KEY_NAME);
}

/* --- pairs, in SMG's order --- */

static int check_pairs(struct check *c)
{
    const struct members *root = &c->root;
    enum api_key limit_key = member(root, KEY_MAX_COMPLETION_TOKENS) ? KEY_MAX_COMPLETION_TOKENS : KEY_MAX_TOKENS;
    uint32_t limit = member(root, limit_key), least = member(root, KEY_MIN_TOKENS);
    int r;

    if (member(root, KEY_TOP_LOGPROBS) && !member_true(c, KEY_LOGPROBS))
        return api_bad_pair(c, root->at[KEY_TOP_LOGPROBS], "top_logprobs is only allowed when logprobs is enabled");
    if ((r = api_check_stream_options(c)) < 0)
        return r;
    if (least && limit && member_u64(c, KEY_MIN_TOKENS) > member_u64(c, limit_key))
        return api_bad_pair(c, least, "min_tokens cannot exceed max_tokens/max_completion_tokens");
    r = check_constraints(c);
    return r < 0 ? r : api_check_tool_choice(c);
}

/* At most one of regex, ebnf and a JSON format decides the shape of the answer. */
static int check_constraints(struct check *c)
{
    const struct json_doc *doc = c->doc;
    uint32_t format = member(&c->root, KEY_RESPONSE_FORMAT), regex = member(&c->root, KEY_REGEX), ebnf = member(&c->root, KEY_EBNF);
    struct members m, schema;
    bool json;

    if (!format && !(regex && ebnf))
        return 0;
    if (regex && ebnf && !format)
        return api_bad_pair(c, ebnf, API_ONE_CONSTRAINT);
    members_read(doc, format, &m);
    json = node_says(doc, m.at[KEY_TYPE], STR("json_object")) || node_says(doc, m.at[KEY_TYPE], STR("json_schema"));
    if (json && regex)
        return api_bad_pair(c, regex, "cannot use regex constraint with JSON response format");
    if (json && ebnf)
        return api_bad_pair(c, ebnf, "cannot use EBNF constraint with JSON response format");
    if (regex && ebnf)
        return api_bad_pair(c, ebnf, API_ONE_CONSTRAINT);
    if (!node_says(doc, m.at[KEY_TYPE], STR("json_schema")))
        return 0;
    members_read(doc, m.at[KEY_JSON_SCHEMA], &schema);
    if (doc->nodes[schema.at[KEY_NAME]].len == 0)
        return api_bad_pair(c, schema.at[KEY_NAME], "JSON schema name cannot be empty");
    return 0;
}
