/* cli/wasm_message.h -- a request or a response out of a file, for `smg wasm run`
 *
 * Two forms; a file that begins with '{' is the second.
 *
 *   POST /v1/chat/completions?x=1 HTTP/1.1        {"method":"POST","path":"/v1/chat/completions?x=1","headers":{"x-a":"1","x-b":["2","3"]},"body":{"model":"m"}}
 *   x-a: 1
 *                                                 HTTP/1.1 200 OK
 *   {"model":"m"}                                 ...                                   {"status":200,"headers":{},"body":"text"}
 *
 * Lines may end in LF alone. Header names are folded to lower case, as a plugin sees them. A JSON body that is no string is its compact text as it stands in the file.
 * Everything points into the text and the arena.
 */
#pragma once

#include "plugin/wasm.h"

/* ERR_SYNTAX, ERR_INVALID (a member of another type), ERR_LIMIT, ERR_NOMEM; the message says where. */
int wasm_message_request(struct str text, struct arena *arena, struct wasm_request *ret, struct err *err) _must_check_;
int wasm_message_response(struct str text, struct arena *arena, struct wasm_response *ret, struct err *err) _must_check_;
