/* plugin/edits.h -- what a plugin sees of a message, and what its action makes of it (spec wasm-plugins 5.3, 5.4, 5.5). Pure; any thread */
#pragma once

#include "http/message.h"
#include "plugin/engine.h"

enum plugin_side { PLUGIN_REQUEST, PLUGIN_REPLY };

/* A request or a reply as it goes from plugin to plugin. Everything in `arena`, or good for as long. */
struct plugin_message {
    enum plugin_side side;
    struct arena *arena;
    struct http_fields fields; /* names in lowercase */
    struct str body;
    unsigned status; /* of a reply */
    bool fields_changed, body_changed;
};

/* The fields of FROM, copied. On failure arena->failed is set. */
void plugin_message_take_fields(struct plugin_message *m, const struct http_fields *from);

/* The headers as a plugin gets them: values that are not visible ASCII stay on the message and out of its sight. */
struct wasm_headers plugin_message_headers(const struct plugin_message *m, struct arena *arena);

/* Set, add, remove, in this order, then body and status. What cannot be a field, or is about the connection, the framing or (in a reply) the request's id, is skipped.
 * A new body brings its Content-Length and takes a Content-Encoding away that the same action does not set. ERR_LIMIT: the new body is longer than MAX_BODY; nothing is changed then.
 * ERR_NOMEM. */
int plugin_message_modify(struct plugin_message *m, const struct wasm_action *a, size_t max_body, struct err *err) _must_check_;

/* The status of a plugin's reject: what is no final status of HTTP is 400 (SMG: below 100 and over 999; a reply of 1xx would never end). */
unsigned plugin_reject_status(unsigned status);
