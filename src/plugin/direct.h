/* plugin/direct.h -- calls of plain guests (plain.h): their core module alone, the canonical ABI done here
 *
 *   a call:  instance of the module --> for each argument: the guest's realloc, and a copy to where it says --> the guest's function --> what it returned is read out of its memory
 *
 * Compared with the way over the bridge: one instance instead of five, one memory instead of two, a body copied with memcpy once instead of twice and byte by byte, and no call into the library that is not a call of the guest.
 * Whether a component has the types of the worlds is still for the library to check, on the component itself, before (module.c); on-request and its like then have exactly the flattened types, which are looked at once
 * more here, because calls are not checked one by one.
 * Differences that a guest can see: none; post-return is not called, for the memory that it would free goes away.
 * Source: component-model, design/mvp/CanonicalABI.md (lifting and lowering with memory32, realloc, UTF-8); spec wasm-plugins 3.3, 4.1.
 */
#pragma once

#include "plugin/plain.h"
#include "plugin/runtime_internal.h"
#include "plugin/values.h"

struct direct; /* of a module; immutable */

/* *RET is NULL when P's module cannot be called so after all: the component can. P is copied. ERR_NOMEM. */
int direct_new(struct wasm_module *m, const struct plain *p, struct direct **ret, struct err *err) _must_check_;
void direct_free(struct direct *d, const struct wasmtime_api *api); /* NULL is fine */

/* One call of M, which has a direct. ON_LOOP: it ends with *RET_AGAIN set, and 0, when its slice is over; nothing has happened then. On success RET points into ARENA. Errors: wasm.h. */
int direct_call(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
                bool on_loop, struct arena *arena, bool *ret_again, union wasm_result *ret, struct err *err) _must_check_;
