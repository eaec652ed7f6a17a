/* text/toolcall/tools.c */
#include "text/toolcall/tools.h"

int toolcall_tools_read(struct json tools, struct arena *arena, struct toolcall_tools *ret)
{
    struct toolcall_tools t = { .arena = arena };
    size_t n = json_count(tools);
    if (n && json_is(tools, JSON_ARRAY)) {
        t.tools = arena_array(arena, n, sizeof(*t.tools));
        if (!t.tools)
            return ERR_NOMEM;
        struct json_iter it = json_iter(tools);
        while (json_next(&it)) {
            struct json function = json_get(it.value, STR("function"));
            struct str name = json_str(json_get(function, STR("name")), arena);
            if (!name.n)
                continue;
            t.tools[t.n++] = (struct toolcall_tool){
                .name = name,
                .parameters = json_get(function, STR("parameters")),
                .strict = json_is(json_get(function, STR("strict")), JSON_TRUE),
            };
        }
    }
    if (arena->failed)
        return ERR_NOMEM;
    *ret = t;
    return 0;
}

const struct toolcall_tool *toolcall_tool_find(const struct toolcall_tools *t, struct str name)
{
    for (size_t i = 0; t && i < t->n; i++)
        if (str_eq(t->tools[i].name, name))
            return &t->tools[i];
    return NULL;
}

enum param_type toolcall_schema_type(struct json schema)
{
    static const struct {
        struct str name;
        enum param_type type;
    } TYPES[] = {
        { STR_INIT("string"), PARAM_STRING },   { STR_INIT("integer"), PARAM_INTEGER }, { STR_INIT("number"), PARAM_NUMBER },
        { STR_INIT("boolean"), PARAM_BOOLEAN }, { STR_INIT("object"), PARAM_OBJECT },   { STR_INIT("array"), PARAM_ARRAY },
    };
    struct json type = json_get(schema, STR("type"));
    if (!json_is(type, JSON_STRING))
        return PARAM_UNKNOWN;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (json_str_eq(type, TYPES[i].name))
            return TYPES[i].type;
    return PARAM_OTHER;
}

enum param_type toolcall_param_type(const struct toolcall_tools *t, struct str function, struct str parameter)
{
    const struct toolcall_tool *tool = toolcall_tool_find(t, function);
    return tool ? toolcall_schema_type(json_get(json_get(tool->parameters, STR("properties")), parameter)) : PARAM_UNKNOWN;
}
