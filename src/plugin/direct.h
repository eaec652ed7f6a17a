/* plugin/direct.h -- calls of plain guests (plain.h): their core module alone, the canonical ABI done here
 *
 *   a call:  instance of the module [--> its initialiser] --> for each argument: the guest's realloc, and a copy to where it says --> the guest's function --> what it returned is read out of its memory
 *
 * Compared with the way over the bridge: one instance instead of five, one memory instead of two, a body copied with memcpy once instead of twice and byte by byte, and no call into the library that is not a call of the guest.
 * Whether a component has the types of the worlds is still for the library to check, on the component itself, before (module.c); on-request and its like then have exactly the flattened types, which are looked at once
 * more here, because calls are not checked one by one.
 * A guest that imports functions (plain.h: asks) finds, for each of them, one that fails. It has changed nothing but its own memory by then, so the call is made once more, from the start and over the bridge, and nobody
 * can tell; so is a call that fails otherwise, for the component's words. A guest that has done so once will do it again: its next DIRECT_PAUSE calls go over the bridge at once. Most plugins in Rust come with a standard
 * library that imports WASI, and never use it.
 * Differences that a guest can see: none; post-return is not called, for the memory that it would free goes away.
 * Source: component-model, design/mvp/CanonicalABI.md (lifting and lowering with memory32, realloc, UTF-8); spec wasm-plugins 3.3, 4.1.
 */
#pragma once

#include "plugin/plain.h"
#include "plugin/runtime_internal.h"
#include "plugin/values.h"

#define DIRECT_PAUSE 1000u

struct direct; /* of a module; immutable, but for a counter */

/* *RET is NULL when P's module cannot be called so after all: the component can. P is copied. ERR_NOMEM. */
int direct_new(struct wasm_module *m, const struct plain *p, struct direct **ret, struct err *err) _must_check_;
void direct_free(struct direct *d, const struct wasmtime_api *api); /* NULL is fine */

bool direct_asks(const struct direct *d); /* its guest may need the component */
/* Whether a call may be tried so, or a pause is not over. direct_turn counts the call, direct_is_due only looks. Any thread. */
bool direct_turn(struct direct *d);
bool direct_is_due(const struct direct *d);

/* One call of M, which has a direct. *RET_AGAIN, with 0, when it is to be made again from the start: ON_LOOP, because its slice is over; or over the bridge, for a guest that asks. Nothing has happened then. On success
 * RET points into ARENA. Errors: wasm.h. */
int direct_call(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
                bool on_loop, struct arena *arena, bool *ret_again, union wasm_result *ret, struct err *err) _must_check_;
