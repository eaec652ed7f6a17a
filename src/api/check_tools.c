/* api/check_tools.c -- tools, tool_choice and tool calls (spec data-plane 5.3, chat pair rule 7; spec agentic-apis 4.1 for /v1/messages)
 *
 * A chat request offers tools as [{"type":"function","function":{"name":F,...}}] or, in the old form, functions as [{"name":F,...}]; the old one
 * counts when there are no tools. tool_choice (old: function_call) may be none, auto, required, a function, or a list of allowed tools, which
 * OpenAI nests in a member "allowed_tools" and SMG writes flat: both are read. Other kinds of choice pass: the engine may know them.
 */
#include "api/check.h"

/* An allowed list and the tools are compared each with each; beyond this many pairs the engine judges. About two milliseconds. */
#define ALLOWED_PAIRS_MAX 65536

#define CHOICE_IN   "Invalid value for 'tool_choice"
#define CHOICE_ONLY CHOICE_IN "': 'tool_choice' is only allowed when 'tools' are specified."

/* What the request offers. */
struct offer {
    uint32_t list; /* node of the array; 0 = no tools */
    bool bare;     /* elements of `functions`: the name stands in the element itself */
};

static struct offer offered(const struct check *c)
{
    uint32_t tools = member(&c->root, KEY_TOOLS);

    if (tools)
        return (struct offer){ tools, false };
    return (struct offer){ member(&c->root, KEY_FUNCTIONS), true };
}

/* --- shapes --- */

/* VALUE, an element of an array, must be an object; *RET is filled. */
static int read_object(struct check *c, uint32_t value, struct members *ret)
{
    if (node_type(c->doc, value) != JSON_OBJECT)
        return api_wrong_type(c, value, "a map");
    members_read(c->doc, value, ret);
    return 0;
}

/* The member "function" of OBJECT, whose members are M: an object with a name. */
static int need_function(struct check *c, const struct members *m, uint32_t object, struct members *ret)
{
    uint32_t function;
    int r;

    if (!(m->present & KEY_BIT(KEY_FUNCTION)))
        return api_missing(c, object, KEY_FUNCTION);
    function = m->at[KEY_FUNCTION];
    r = read_object(c, function, ret);
    return r < 0 ? r : api_need_string_in(c, ret, function, KEY_NAME);
}

static int check_tool(struct check *c, uint32_t tool, bool bare)
{
    struct members m, function;
    int r;

    r = read_object(c, tool, &m);
    if (r < 0)
        return r;
    if (bare)
        return api_need_string_in(c, &m, tool, KEY_NAME);
    r = api_need_string_in(c, &m, tool, KEY_TYPE);
    return r < 0 ? r : need_function(c, &m, tool, &function);
}

static int check_choice_shape(struct check *c, enum api_key key)
{
    uint32_t choice = member(&c->root, key);

    if (!choice || node_type(c->doc, choice) == JSON_STRING || node_type(c->doc, choice) == JSON_OBJECT)
        return 0;
    return api_wrong_type(c, choice, "a string or a map");
}

static int check_tool_list(struct check *c, enum api_key key, bool bare)
{
    const struct json_doc *doc = c->doc;
    uint32_t list = member(&c->root, key);

    if (!list)
        return 0;
    if (node_type(doc, list) != JSON_ARRAY)
        return api_wrong_type(c, list, "a sequence");
    for (uint32_t i = element_first(list); i < element_end(doc, list); i = element_next(doc, i)) {
        int r = check_tool(c, i, bare);
        if (r < 0)
            return r;
    }
    return 0;
}

int api_check_tools(struct check *c)
{
    int r;

    if ((r = check_tool_list(c, KEY_TOOLS, /* bare= */ false)) < 0 ||
        (r = check_tool_list(c, KEY_FUNCTIONS, /* bare= */ true)) < 0 || (r = check_choice_shape(c, KEY_TOOL_CHOICE)) < 0)
        return r;
    return check_choice_shape(c, KEY_FUNCTION_CALL);
}

int api_check_tool_calls(struct check *c, uint32_t tool_calls)
{
    const struct json_doc *doc = c->doc;

    if (node_type(doc, tool_calls) != JSON_ARRAY)
        return api_wrong_type(c, tool_calls, "a sequence");
    for (uint32_t i = element_first(tool_calls); i < element_end(doc, tool_calls); i = element_next(doc, i)) {
        struct members m, function;
        uint32_t arguments;
        int r;

        if ((r = read_object(c, i, &m)) < 0 || (r = api_need_string_in(c, &m, i, KEY_ID)) < 0 ||
            (r = api_need_string_in(c, &m, i, KEY_TYPE)) < 0 || (r = need_function(c, &m, i, &function)) < 0)
            return r;
        arguments = member(&function, KEY_ARGUMENTS);
        if (arguments && node_type(doc, arguments) != JSON_STRING)
            return api_wrong_type(c, arguments, "a string");
    }
    return 0;
}

/* --- the choice --- */

/* Is the tool named by the string at NAME among those offered? Shapes were checked. */
static bool is_offered(const struct check *c, struct offer offer, uint32_t name)
{
    const struct json_doc *doc = c->doc;
    struct str wanted = json_str((struct json){ doc, name }, c->arena);

    for (uint32_t i = element_first(offer.list); i < element_end(doc, offer.list); i = element_next(doc, i)) {
        struct members m;

        members_read(doc, i, &m);
        if (!offer.bare)
            members_read(doc, m.at[KEY_FUNCTION], &m);
        if (node_says(doc, m.at[KEY_NAME], wanted))
            return true;
    }
    return false;
}

static int check_named(struct check *c, struct offer offer, uint32_t name)
{
    if (is_offered(c, offer, name))
        return 0;
    return api_bad_pair(c, name, CHOICE_IN "': function '%.*s' not found in 'tools'.", STR_FMT(api_text(c, name)));
}

/* One element of the allowed list: {"type":"function","name":F} or {"type":"function","function":{"name":F}}. */
static int check_allowed(struct check *c, struct offer offer, uint32_t ref)
{
    const struct json_doc *doc = c->doc;
    struct members m, function;
    uint32_t name;
    int r;

    if ((r = read_object(c, ref, &m)) < 0 || (r = api_need_string_in(c, &m, ref, KEY_TYPE)) < 0)
        return r;
    if (!node_says(doc, m.at[KEY_TYPE], STR("function")))
        return api_bad_pair(c, ref, CHOICE_IN ".tools': Chat Completion API only supports function tools, got '%.*s'.",
                            STR_FMT(api_text(c, m.at[KEY_TYPE])));
    if (m.present & KEY_BIT(KEY_FUNCTION)) {
        r = need_function(c, &m, ref, &function);
        name = function.at[KEY_NAME];
    } else {
        r = api_need_string_in(c, &m, ref, KEY_NAME);
        name = m.at[KEY_NAME];
    }
    if (r < 0 || is_offered(c, offer, name))
        return r;
    return api_bad_pair(c, name, CHOICE_IN ".tools': tool '%.*s' not found in 'tools'.", STR_FMT(api_text(c, name)));
}

/* OBJECT holds mode and tools; M are its members. */
static int check_allowed_tools(struct check *c, struct offer offer, uint32_t object, const struct members *m)
{
    const struct json_doc *doc = c->doc;
    uint32_t mode, tools;
    int r;

    r = api_need_string_in(c, m, object, KEY_MODE);
    if (r < 0)
        return r;
    mode = m->at[KEY_MODE];
    if (!node_says(doc, mode, STR("auto")) && !node_says(doc, mode, STR("required")))
        return api_bad_pair(c, mode, CHOICE_IN ".mode': must be 'auto' or 'required', got '%.*s'.", STR_FMT(api_text(c, mode)));
    if (!(m->present & KEY_BIT(KEY_TOOLS)))
        return api_missing(c, object, KEY_TOOLS);
    tools = m->at[KEY_TOOLS];
    if (node_type(doc, tools) != JSON_ARRAY)
        return api_wrong_type(c, tools, "a sequence");
    if ((uint64_t)doc->nodes[tools].count * doc->nodes[offer.list].count > ALLOWED_PAIRS_MAX)
        return 0;
    for (uint32_t i = element_first(tools); i < element_end(doc, tools); i = element_next(doc, i)) {
        r = check_allowed(c, offer, i);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A choice that is an object; BARE: function_call, {"name":F}. */
static int check_choice_object(struct check *c, struct offer offer, uint32_t choice, bool bare)
{
    struct members m, inner;
    int r;

    members_read(c->doc, choice, &m);
    if (bare) {
        r = api_need_string_in(c, &m, choice, KEY_NAME);
        return r < 0 ? r : check_named(c, offer, m.at[KEY_NAME]);
    }
    r = api_need_string_in(c, &m, choice, KEY_TYPE);
    if (r < 0)
        return r;
    if (node_says(c->doc, m.at[KEY_TYPE], STR("function"))) {
        r = need_function(c, &m, choice, &inner);
        return r < 0 ? r : check_named(c, offer, inner.at[KEY_NAME]);
    }
    if (!node_says(c->doc, m.at[KEY_TYPE], STR("allowed_tools")))
        return 0;
    if (!(m.present & KEY_BIT(KEY_ALLOWED_TOOLS)))
        return check_allowed_tools(c, offer, choice, &m);
    r = read_object(c, m.at[KEY_ALLOWED_TOOLS], &inner);
    return r < 0 ? r : check_allowed_tools(c, offer, m.at[KEY_ALLOWED_TOOLS], &inner);
}

int api_check_tool_choice(struct check *c)
{
    struct offer offer = offered(c);
    uint32_t choice = member(&c->root, KEY_TOOL_CHOICE);
    bool bare = !choice;

    if (bare)
        choice = member(&c->root, KEY_FUNCTION_CALL);
    if (!choice || node_says(c->doc, choice, STR("none")))
        return 0;
    if (!offer.list || c->doc->nodes[offer.list].count == 0)
        return api_bad_pair(c, choice, CHOICE_ONLY);
    return node_type(c->doc, choice) == JSON_OBJECT ? check_choice_object(c, offer, choice, bare) : 0;
}

/* --- /v1/messages: tools are [{"name":T,...}], or a toolset of an MCP server, whose names only that server knows --- */

/* Is there a tool named by the string at NAME (0 = none is asked for)? *RET_TOOLSET: is there an mcp_toolset? */
static bool find_messages_tool(const struct check *c, uint32_t tools, uint32_t name, bool *ret_toolset)
{
    const struct json_doc *doc = c->doc;
    struct str wanted = name ? json_str((struct json){ doc, name }, c->arena) : STR_NONE;
    bool found = false;

    *ret_toolset = false;
    for (uint32_t i = element_first(tools); i < element_end(doc, tools); i = element_next(doc, i)) {
        struct members m;

        if (node_type(doc, i) != JSON_OBJECT)
            continue;
        members_read(doc, i, &m);
        found |= name && member(&m, KEY_NAME) && node_says(doc, m.at[KEY_NAME], wanted);
        *ret_toolset |= member(&m, KEY_TYPE) && node_says(doc, m.at[KEY_TYPE], STR("mcp_toolset"));
    }
    return found;
}

int api_check_messages_tool_choice(struct check *c)
{
    uint32_t tools = member(&c->root, KEY_TOOLS), choice = member(&c->root, KEY_TOOL_CHOICE), name = 0;
    uint32_t servers = member(&c->root, KEY_MCP_SERVERS);
    bool toolset = false, found = false;
    struct members m;
    int r;

    if (choice) {
        members_read(c->doc, choice, &m);
        if ((r = api_need_string_in(c, &m, choice, KEY_TYPE)) < 0)
            return r;
        if (node_says(c->doc, m.at[KEY_TYPE], STR("tool"))) {
            if ((r = api_need_string_in(c, &m, choice, KEY_NAME)) < 0)
                return r;
            name = m.at[KEY_NAME];
        }
    }
    if (tools)
        found = find_messages_tool(c, tools, name, &toolset);
    if (toolset && (!servers || c->doc->nodes[servers].count == 0))
        return api_bad_pair(c, tools, "mcp_servers is required when mcp_toolset tools are present");
    if (!choice || node_says(c->doc, m.at[KEY_TYPE], STR("none")))
        return 0;
    if (!tools || c->doc->nodes[tools].count == 0)
        return api_bad_pair(c, choice, CHOICE_ONLY);
    if (name && !found && !toolset)
        return api_bad_pair(c, name, CHOICE_IN "': tool '%.*s' not found in 'tools'.", STR_FMT(api_text(c, name)));
    return 0;
}
