/* inference/parse_order.c -- what a chat request wants of the parsers, and which formats its model writes (spec parsers 3.2, 4.3, 9)
 *
 *   tools     a list that is not empty, tool_choice not "none"
 *   thoughts  separate_reasoning not false
 *   a call    tool_choice that binds the model to one: the engine may have bound it by a JSON schema (json_mode.c)
 *
 * Whether the model was told to think stands in the request: chat_template_kwargs.enable_thinking or .thinking (the template's own key is not known here, both count), else reasoning_effort
 * "none" or "minimal". Off: a parser that always begins in a thought begins in text. On, in so many words: the prompt has opened the thought, as templates do whose default is off.
 */
#include "inference/parsed.h"

#include "text/toolcall/constraint.h"

enum preference { UNSPECIFIED, THINKING_OFF, THINKING_ON };

static enum preference preference_of(struct json root)
{
    static const struct str KEYS[] = { STR_INIT("enable_thinking"), STR_INIT("thinking") };
    struct json kwargs = json_get(root, STR("chat_template_kwargs"));
    struct json effort = json_get(root, STR("reasoning_effort"));

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        struct json v = json_get(kwargs, KEYS[i]);

        if (json_is_bool(v))
            return json_is(v, JSON_TRUE) ? THINKING_ON : THINKING_OFF;
    }
    return json_str_eq(effort, STR("none")) || json_str_eq(effort, STR("minimal")) ? THINKING_OFF : UNSPECIFIED;
}

static unsigned calls_so_far(struct json messages)
{
    struct json_iter it = json_iter(messages);
    size_t n = 0;

    while (json_next(&it))
        if (json_str_eq(json_get(it.value, STR("role")), STR("assistant")))
            n += json_count(json_get(it.value, STR("tool_calls")));
    return (unsigned)n;
}

bool parse_order_read(struct json root, struct parse_order *ret)
{
    struct json tools = json_get(root, STR("tools"));
    enum preference thinking = preference_of(root);
    struct json function;

    *ret = (struct parse_order){
        .wants_calls =
            json_is(tools, JSON_ARRAY) && json_count(tools) && !json_str_eq(json_get(root, STR("tool_choice")), STR("none")),
        .wants_thoughts = !json_is(json_get(root, STR("separate_reasoning")), JSON_FALSE),
        .started = thinking == THINKING_ON,
        .content_only = thinking == THINKING_OFF,
        .thoughts_at_once = json_is(json_get(root, STR("stream_reasoning")), JSON_FALSE),
    };
    if (ret->wants_calls) {
        ret->tools = json_raw(tools);
        ret->must_call = constraint_must_call(json_get(root, STR("tool_choice")), &function);
        ret->function = json_raw(function);
        ret->history = calls_so_far(json_get(root, STR("messages")));
    }
    return ret->wants_calls || ret->wants_thoughts;
}

/* Both parsers of that name let all through: the bytes need not come by. */
static bool is_passthrough(struct str name)
{
    return str_eq(name, STR("passthrough"));
}

bool parse_order_choose(struct parse_order *o, const struct reply_parsing *parsing, struct str model)
{
    o->model = model;
    o->calls = NULL;
    o->reasoning = NULL;
    if (o->wants_calls)
        o->calls = parsing->calls ? parsing->calls : toolcall_for_model(model);
    if (o->wants_thoughts)
        o->reasoning = parsing->reasoning ? parsing->reasoning : reasoning_for_model(model);
    if (o->calls && is_passthrough(toolcall_name(o->calls)))
        o->calls = NULL;
    if (o->reasoning && is_passthrough(reasoning_name(o->reasoning)))
        o->reasoning = NULL;
    /* Kimi K3's prompt opens the thought unless thinking is off (spec parsers 9). */
    if (o->reasoning && str_eq(reasoning_name(o->reasoning), STR("kimi_k3")) && !o->content_only)
        o->started = true;
    return o->calls || o->reasoning;
}
