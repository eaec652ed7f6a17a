/* plugin/call.h -- one call into a guest: a store, an instance, the image in, the answer out, and everything thrown away
 *
 *   begin (store, limits, deadline, WASI) --> instantiate --> put (pieces of the image) --> run --> get (pieces of the answer) --> end
 *
 * A failure at any step goes to end. The deadline covers all of it.
 */
#pragma once

#include "plugin/output.h"
#include "plugin/runtime_internal.h"
#include "plugin/values.h"

/* Calls function F of M. On success RET points into ARENA. M's output is told before this returns. Errors: wasm.h. */
int call_run(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct image *in,
             struct str request_id, struct arena *arena, struct answer *ret, struct err *err) _must_check_;

/* The same on this thread, whatever the guest may do in it; OUTPUT may be NULL (dropped) and is not told. */
int call_here(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct image *in,
              struct output *output, struct arena *arena, struct answer *ret, struct err *err) _must_check_;

/* The same on a thread of its own, which is left behind when the guest sleeps past the deadline (sleeper.c). */
int call_elsewhere(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct image *in,
                   struct output *output, struct arena *arena, struct answer *ret, struct err *err) _must_check_;

/* Instantiates M once: are all its imports there? */
int call_try(struct wasm_module *m, struct err *err) _must_check_;
