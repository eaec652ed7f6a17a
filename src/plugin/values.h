/* plugin/values.h -- arguments into an image that the bridge understands, and answers out of one (bridge.h draws both)
 *
 * The layouts are those of the canonical ABI for 32-bit memories (spec wasm-plugins 3.3, 4.1). An answer has been checked by the library when it arrives here; it is checked again, because every pointer in it came
 * from a guest in the end: nothing is read outside of it.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "plugin/bridge.h"
#include "plugin/storage_hook.h"
#include "plugin/wasm.h"

#define VALUES_HEADERS_MAX 1000                            /* entries of one list of an answer */
#define VALUES_IMAGE_MAX   ((size_t)1 << BRIDGE_WORD_BITS) /* bytes: an address is a word */
#define VALUES_JOIN_MAX    ((size_t)64 << 10)              /* a body up to this size is copied behind the head: one call less */

/* The arguments of one call: the bytes of HEAD, then those of BODY. */
struct image {
    struct str head, body;
    bool text; /* both are UTF-8 */
};

/* What the guest's function returned: the bridge's memory from BRIDGE_ANSWER on. */
struct answer {
    const uint8_t *p;
    size_t n;
};

/* ERR_NOMEM; ERR_LIMIT past VALUES_IMAGE_MAX. RET points into ARENA and, for a large body, to the caller's. */
int values_of_request(const struct wasm_request *req, struct arena *arena, struct image *ret, struct err *err) _must_check_;
int values_of_response(const struct wasm_response *resp, struct arena *arena, struct image *ret, struct err *err) _must_check_;
int values_of_before(const struct hook_call *c, struct arena *arena, struct image *ret, struct err *err) _must_check_;
int values_of_after(const struct hook_call *c, struct str result_json, struct hook_pairs extra, struct arena *arena,
                    struct image *ret, struct err *err) _must_check_;

/* ERR_INVALID, ERR_LIMIT, ERR_NOMEM. Texts point into the answer, lists into ARENA. */
int values_to_action(struct answer a, struct arena *arena, struct wasm_action *ret, struct err *err) _must_check_;
int values_to_before(struct answer a, struct arena *arena, struct hook_verdict *ret, struct err *err) _must_check_;
int values_to_columns(struct answer a, struct arena *arena, struct hook_pairs *ret, struct err *err) _must_check_;
