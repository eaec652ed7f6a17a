/* admin/wasm.h -- plugins over HTTP (spec wasm-plugins 2, control-plane 17)
 *
 *   POST /wasm                   registers modules, one after another; the answer comes when the last one is through
 *   GET /wasm                    lists them in the order of their registration, with what they did
 *   DELETE /wasm/{module_uuid}
 *
 * BETTER than SMG: the id in add_result is the one that was made for that module; errors that SMG sends as plain text or without a body have the body of decision 2's first row.
 * Statuses are SMG's, 500 while plugins are off and 400 for an id that is not there included.
 * Threads: each handler on its exchange's loop.
 */
#pragma once

#include "http/exchange.h"
#include "plugin/registry.h"

/* What the handlers get as their context. */
struct admin_wasm {
    struct plugin_registry *registry;      /* borrowed; NULL: plugins are off */
    uint32_t timeout_ms, max_memory_pages; /* of modules that say nothing */
};

void admin_add_wasm(struct exchange *ex, void *context);
void admin_list_wasm(struct exchange *ex, void *context);
void admin_remove_wasm(struct exchange *ex, void *context);
