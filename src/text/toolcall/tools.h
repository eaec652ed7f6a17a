/* text/toolcall/tools.h -- the functions that a request offers: their names and the declared types of their parameters
 *
 * Built once per request from the JSON of `tools`, whose text must outlive it. Immutable: any thread.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "json/json.h"

enum param_type { PARAM_UNKNOWN, PARAM_STRING, PARAM_INTEGER, PARAM_NUMBER, PARAM_BOOLEAN, PARAM_OBJECT, PARAM_ARRAY, PARAM_OTHER };

struct toolcall_tool {
    struct str name;
    struct json parameters; /* the schema; absent = {} */
    bool strict;
};
struct toolcall_tools {
    struct toolcall_tool *tools;
    size_t n;
    struct arena *arena; /* borrowed; where strings are unescaped */
};

/* TOOLS: an array of {type, function: {name, parameters?, strict?}}, or absent. Elements without a name are left out. All memory from ARENA. ERR_NOMEM. */
int toolcall_tools_read(struct json tools, struct arena *arena, struct toolcall_tools *ret) _must_check_;
const struct toolcall_tool *toolcall_tool_find(const struct toolcall_tools *t,
                                               struct str name); /* NULL = not offered; T may be NULL */
/* The declared type of a parameter, when it is a single string (spec 5.4); PARAM_UNKNOWN: not declared, or a union; PARAM_OTHER: a string that is no type we know. */
enum param_type toolcall_schema_type(struct json schema); /* the same of any schema */
enum param_type toolcall_param_type(const struct toolcall_tools *t, struct str function, struct str parameter);
