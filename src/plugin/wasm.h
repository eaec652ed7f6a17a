/* plugin/wasm.h -- runs WebAssembly components: the runtime under plugins and storage hooks
 *
 *   wasm_runtime_open (dlopen of wasmtime's library, one engine, one ticker) --> wasm_module_compile --> wasm_call_...: a new store and instance per call, thrown away behind it
 *
 * What is not said to be for loops is synchronous and may take its time: call it on a thread that may wait (loop/pool.h, the plugin pool), never on a loop. A runtime and a module may be used
 * by many threads at once; a module is immutable once it is compiled.
 * Nothing a guest does ends the process: traps, deadlines, memory and stack limits, results that make no sense are errors of the call.
 * Source of behaviour: spec wasm-plugins 3 (middleware), 4 (storage hooks), 5.6 (limits), 7 (the library).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* A line that a guest wrote to its stdout or stderr, without the line's end, at most 4 KiB; told on the thread of the call. */
typedef void wasm_output(void *owner, struct str module, struct str request_id, bool is_stderr, struct str line);

struct wasm_runtime_config {
    const char *library; /* --wasm-runtime-lib; NULL = the search order of spec 9.3 */
    size_t max_stack_bytes;
    unsigned threads; /* calls at the same time, for the pools of the library */
    unsigned loops;   /* those that may begin calls beside that; 0 = none does */
    bool bridge_only; /* for comparisons: call plain guests (plugin/plain.h) through their components, too */
    wasm_output *output;
    void *owner;
};
struct wasm_runtime;

/* ERR_NOT_FOUND: there is no library (the message names the package to install); ERR_UNSUPPORTED: it is too old or lacks a function. */
int wasm_runtime_open(const struct wasm_runtime_config *c, struct wasm_runtime **ret, struct err *err) _must_check_;
/* The process ends: calls in flight, and those that are still begun, end at the next tick of the runtime's clock, whatever their limits are (ERR_BUSY). Any thread; NULL is fine. */
void wasm_runtime_stop(struct wasm_runtime *r);
void wasm_runtime_close(struct wasm_runtime *r); /* behind the last call and the last module; NULL is fine */
/* Where the library was found, and what is known of its version, for the log. */
struct str wasm_runtime_library(const struct wasm_runtime *r);

/* What a component exports of the worlds that we know. */
enum wasm_export { WASM_ON_REQUEST = 1, WASM_ON_RESPONSE = 2, WASM_STORAGE_BEFORE = 4, WASM_STORAGE_AFTER = 8 };
struct wasm_module;

/* Checks, compiles and links: a missing import or an export of another type is an error here (ERR_INVALID, in words that say what is wrong), not at the first call. NAME is copied. */
int wasm_module_compile(struct wasm_runtime *r, struct str name, struct str bytes, struct wasm_module **ret,
                        struct err *err) _must_check_;
struct wasm_module *wasm_module_ref(struct wasm_module *m);
void wasm_module_unref(struct wasm_module *m);             /* NULL is fine */
unsigned wasm_module_exports(const struct wasm_module *m); /* enum wasm_export, or-ed */
/* Called without the component around it (plugin/plain.h): always, or until it calls what it imports (plugin/direct.h). */
enum wasm_way { WASM_THROUGH_COMPONENT, WASM_DIRECT_UNTIL_IT_ASKS, WASM_DIRECT };
enum wasm_way wasm_module_way(const struct wasm_module *m);

/* ---- the middleware world (smg:gateway) ---- */

struct wasm_header {
    struct str name, value;
};
struct wasm_headers {
    const struct wasm_header *v;
    size_t n;
};
struct wasm_request {
    struct str method, path, query; /* query without '?'; empty = none */
    struct wasm_headers headers;    /* names in lower case */
    struct str body, request_id;
    uint64_t now_ms; /* since the epoch */
};
struct wasm_response {
    uint16_t status;
    struct wasm_headers headers;
    struct str body;
};
enum wasm_action_type { WASM_CONTINUE, WASM_REJECT, WASM_MODIFY };
struct wasm_action {
    enum wasm_action_type type;
    uint16_t status; /* of a reject; of a modify when has_status */
    bool has_status, has_body;
    struct wasm_headers set, add; /* as the guest gave them: names and values are not checked here */
    const struct str *remove;
    size_t remove_n;
    struct str body;
};
struct wasm_limits {
    uint32_t timeout_ms;       /* instantiation and call; 10 ms grain */
    uint32_t max_memory_pages; /* of 64 KiB */
};

/* RET points into ARENA. ERR_TIMEOUT: the deadline passed; ERR_LIMIT: stack, the memory that it begins with, or more than 1000 entries in a list;
 * ERR_INVALID: a trap (also of a guest that was refused more memory: it is told so, and gives up by itself), or a result that makes no sense; ERR_BUSY: too many calls sleep past their deadlines; ERR_NOMEM. */
int wasm_call_on_request(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_request *req, struct arena *arena,
                         struct wasm_action *ret, struct err *err) _must_check_;
/* REQUEST_ID is for the log of the guest's output only: the world does not carry it. */
int wasm_call_on_response(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_response *resp,
                          struct str request_id, struct arena *arena, struct wasm_action *ret, struct err *err) _must_check_;

/* ---- calls that a loop begins ----
 *
 *   wasm_begin_on_request, on the loop --the guest answers within WASM_SLICE_US--> the answer
 *                                       \--it does not--> *RET_REST: wasm_call_finish, on a thread that may wait, or wasm_call_abandon, anywhere
 *
 * Most plugins take some microseconds: less than it takes to hand a request to another thread and back. A guest that is called directly can ask nobody and change nothing but itself, so it is stopped and begun again
 * from the start; another one runs on a stack of its own, is stopped where it is and carried on by another thread. Time is looked at with every tick of the runtime's clock (2 ms): a loop is held for WASM_SLICE_US of its
 * own processor time and two ticks at most.
 */
#define WASM_SLICE_US      1000
#define WASM_SUSPENDED_MAX 2u /* calls per loop that may be suspended at a time, by whoever begins them */

struct wasm_call; /* a suspended call, in the arena that it was given */

/* Whether a call of M can be begun so now: it is called directly; or the library can suspend calls, and M uses nothing of WASI, which could wait in the host. */
bool wasm_module_suspends(const struct wasm_module *m);

/* As wasm_call_on_request when *RET_REST is NULL. Else 0, and everything that was given, but L and ERR, must stay where it is until the call is finished or abandoned; time that it was suspended does not count. */
int wasm_begin_on_request(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_request *req, struct arena *arena,
                          struct wasm_call **ret_rest, struct wasm_action *ret, struct err *err) _must_check_;
int wasm_begin_on_response(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_response *resp,
                           struct str request_id, struct arena *arena, struct wasm_call **ret_rest, struct wasm_action *ret,
                           struct err *err) _must_check_;
int wasm_call_finish(struct wasm_call *c, struct wasm_action *ret, struct err *err) _must_check_;
void wasm_call_abandon(struct wasm_call *c);
