/* mock/say.h -- `mock_say`: a request tells the engine what to answer, and in which pieces
 *
 *   "mock_say": ["<tool_call>\n{\"na", "me\": ...", ...]        all answers
 *   "mock_say": [["a", "b"], ["c"]]                             answer 0, answer 1, and from the beginning again
 *
 * A piece is a token: one event of a stream (--tokens-per-chunk puts several into one), and what max_tokens counts. For tests of whoever stands in front of the engine; a gateway passes the
 * member on as it does every one that it does not know. Texts stay as they stand in the JSON, escapes not undone.
 */
#pragma once

#include "json/json.h"

struct say {
    struct str text;
    size_t *ends; /* where each piece ends in `text` */
    size_t n;     /* pieces, at least one */
};

/* V: the member, or absent: *RET_N = 0. All memory from ARENA. ERR_INVALID says what is expected; ERR_NOMEM. */
int say_read(struct json v, struct arena *arena, struct say **ret, size_t *ret_n, struct err *err) _must_check_;
