/* text/toolcall/json_calls.h -- private to text/toolcall: calls that are JSON objects, {"name": ..., "arguments": {...}}, under whatever names their members have
 */
#pragma once

#include "text/toolcall/format.h"

struct json_call_keys {
    const char *name[3];      /* the first that the object has, whatever it is, counts; NULL at the end */
    const char *arguments[4]; /* the same; an object with none of them has the arguments {} */
    bool unwrap_strings;      /* arguments that are a string whose text is a JSON object are that object */
    bool arguments_needed;    /* an object with none of them is no call: where lists of named things may be data */
    bool name_is_key;         /* {"F": {...}} instead: the first member is the call, its value the arguments, {} for null */
};
extern const struct json_call_keys JSON_CALL_KEYS; /* name; arguments, parameters */

/* Tells V as a call when it is an object whose name is a string. */
bool json_call_tell(struct toolcall_parser *p, const struct json_call_keys *keys, struct json v);
/* TEXT is one JSON value, an object or an array of them: tells the calls in it and returns how many. 0: also when it is no JSON. */
size_t json_calls_tell(struct toolcall_parser *p, const struct json_call_keys *keys, struct str text);
