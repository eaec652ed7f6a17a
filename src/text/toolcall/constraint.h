/* text/toolcall/constraint.h -- what a request for tool calls lets the model write: guided decoding (spec parsers 7)
 *
 *   tools, tool_choice --constraint_make--> nothing | a structural tag (the format's own markup) | a JSON schema
 *
 * An engine that is told one cannot write a call that the format's parser would not read:
 *   auto, none                        nothing; but auto with a function that says "strict": true has the format's tag, where it has one, with text allowed in front and instead
 *   required, a function,             the format's tag, at least one call; a format without one: the JSON schema of the function's parameters, or of an array of
 *   allowed_tools mode "required"     {"name", "parameters"}
 * The format is the one that is in effect, whether it was configured or found by the model's id (BETTER: SMG asks only the configured one).
 * Who calls it: whoever sends a request to an engine as tokens, of which there is none yet (the gRPC dialects); until then `GET /parse/parsers` and `smg parse list` say which formats have a tag.
 * In the JSON schema mode a reply is no text in the format: it is read by the `json` format, or is the arguments themselves.
 * Pure, no globals, any thread. Linear in the tools.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "json/json.h"

struct toolcall_format;

enum constraint_type { CONSTRAINT_NONE, CONSTRAINT_STRUCTURAL_TAG, CONSTRAINT_JSON_SCHEMA };

struct constraint {
    enum constraint_type type;
    struct str value; /* arena; compact JSON, empty for CONSTRAINT_NONE */
};

/* F: NULL = no format. TOOLS, CHOICE: the members `tools` and `tool_choice` of a request that was checked (api/check.h); what is not understood binds nothing.
 * ERR_INVALID: "Tool definition 'X' has multiple conflicting schemas" (SMG answers 400 invalid_tool_configuration, "Invalid tool configuration: " in front); ERR_NOMEM. */
int constraint_make(const struct toolcall_format *f, struct json tools, struct json choice, struct arena *arena,
                    struct constraint *ret, struct err *err) _must_check_;

/* Does CHOICE bind the model to call? Then *RET_FUNCTION is the function's name; absent: any of them will do. */
bool constraint_must_call(struct json choice, struct json *ret_function);

struct str constraint_type_name(enum constraint_type type); /* as engines call it; "none" */
bool constraint_has_tag(const struct toolcall_format *f);   /* F may be NULL */
