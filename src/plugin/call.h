/* plugin/call.h -- one call into a guest: a store, an instance, arguments in, the answer out, and everything thrown away
 *
 * Plain guests (plain.h) are called as direct.h says. All others, and those that then ask for what they import, go over the bridge:
 *
 *   begin (store, limits, deadline, WASI) --> instantiate --> put (pieces of the image) --> ask --> get (pieces of the answer) --> end
 *
 * A failure at any step goes to end. The deadline covers all of it. A call that a loop began (suspended.c) may stop in instantiate or in ask, and go on on another thread.
 */
#pragma once

#include "plugin/image.h"
#include "plugin/output.h"
#include "plugin/runtime_internal.h"
#include "plugin/values.h"

struct call {
    struct wasm_module *m; /* borrowed */
    const struct wasmtime_api *api;
    struct wasm_limits limits;
    struct output *output;             /* borrowed; NULL = the guest's output is dropped */
    wasmtime_store *store;             /* owned */
    wasmtime_context *context;         /* of the store */
    struct wasmtime_instance instance; /* valid once it is instantiated */
    uint64_t deadline_us;              /* clock */
    bool late;                         /* the deadline ended it */
    struct err *err;

    bool is_direct; /* without its component (direct.h) */
    bool
        may_suspend; /* the guest runs on a loop: it is suspended, or, when it is called directly, given up, when its slice is over */
    bool given_up;
    uint64_t slice_cpu_us; /* what this thread had used at the first tick of the slice; 0 = there was none yet */
};

/* The steps, for whoever makes a call. Errors are in *c->err, and call_end follows all the same. */
int call_begin(struct call *c) _must_check_;
int call_instantiate(struct call *c) _must_check_;
int call_put(struct call *c, const struct image *in) _must_check_;
int call_ask(struct call *c, enum component_interface f, struct arena *arena, union wasm_result *ret) _must_check_;
void call_end(struct call *c);

/* The parts of call_ask, for one that may be suspended between them: PIECE is what the bridge's function returned (consumed). */
int call_export_of(struct call *c, const wasmtime_export *export, struct wasmtime_func *ret) _must_check_;
int call_get(struct call *c, enum component_interface f, struct wasmtime_val *piece, struct arena *arena,
             union wasm_result *ret) _must_check_;

/* Which of the documented outcomes E, or T, (consumed) was, said in *c->err. */
int call_failed(struct call *c, wasmtime_error *e, const char *what);
int call_trapped(struct call *c, wasmtime_trap *t, const char *what);

/* Calls function F of M. On success RET points into ARENA. M's output is told before this returns. Errors: wasm.h. */
int call_run(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
             struct str request_id, struct arena *arena, union wasm_result *ret, struct err *err) _must_check_;

/* Over the bridge, on a thread of its own, which is left behind when the guest sleeps past the deadline (sleeper.c). OUTPUT may be NULL (dropped) and is not told. */
int call_elsewhere(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
                   struct output *output, struct arena *arena, union wasm_result *ret, struct err *err) _must_check_;

/* Begun on a loop (suspended.c). *RET_REST is NULL when it is over; else the guest has been stopped. What VALUES point to stays until then. */
int call_begun(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
               struct str request_id, struct arena *arena, struct wasm_call **ret_rest, union wasm_result *ret,
               struct err *err) _must_check_;
int call_finished(struct wasm_call *c, union wasm_result *ret, struct err *err) _must_check_;

/* Instantiates M once: are all its imports there? */
int call_try(struct wasm_module *m, struct err *err) _must_check_;
