/* plugin/engine.h -- what the registry and the chain ask of a kind of plugin
 *
 *   registry --compile--> code --release
 *   chain    --call--> PLUGIN_ANSWERED, at once
 *                 |--> PLUGIN_SUSPENDED (on a loop only): it takes longer than a loop may be held; call again, on a pool thread
 *                 \--> PLUGIN_PAUSED ... (the thread goes back to its pool) ... call->resume(call), once, on any thread
 *
 * Today there is one engine: components of the world smg:gateway (component_engine.c), which never pause. The paused way is for plugins that ask somebody else first: the
 * proxy-wasm ABI's PAUSE and its callouts fit behind it without a change of the chain (spec wasm-plugins 8.5).
 * Threads: compile: pool threads that may wait. call: likewise, and loops, with on_loop. release, cancel, suspends: any, and they do not wait.
 */
#pragma once

#include "plugin/wasm.h"

enum plugin_point { PLUGIN_ON_REQUEST, PLUGIN_ON_RESPONSE, PLUGIN_ON_ERROR };
#define PLUGIN_POINTS 3

/* "OnRequest" ...: SMG's words in descriptors, lists and labels. */
const char *plugin_point_name(enum plugin_point p);

/* One invocation. In the chain's memory until the call has been answered, cancelled or resumed. */
struct plugin_call {
    /* in: good until the answer */
    void *code;
    enum plugin_point point;
    struct wasm_limits limits;
    struct wasm_request request;   /* PLUGIN_ON_REQUEST */
    struct wasm_response response; /* the other two */
    struct str request_id;
    struct arena *arena; /* for what the answer points to; while the call is PAUSED nobody else touches it */
    bool on_loop;        /* this thread must not be held up */

    /* out */
    int status; /* 0, or why not, with ERR */
    struct wasm_action action;
    struct err err;

    void (*resume)(struct plugin_call *c); /* set by the chain */
    void *engine_data;                     /* the engine's own while it is paused or suspended */
};

enum plugin_progress { PLUGIN_ANSWERED, PLUGIN_PAUSED, PLUGIN_SUSPENDED };

struct plugin_engine {
    /* *RET_POINTS: the attach points that the code can serve, a bit (1 << enum plugin_point) each. ERR_INVALID: no code of this kind, or not one that can run here. */
    int (*compile)(struct plugin_engine *e, struct str name, struct str bytes, void **ret_code, unsigned *ret_points,
                   struct err *err);
    void (*release)(struct plugin_engine *e, void *code); /* behind the last call */
    enum plugin_progress (*call)(struct plugin_engine *e, struct plugin_call *c);
    /* Of a PAUSED call. True: resume has not been called and never will be; false: it has been, or is about to be. Of a SUSPENDED one, always true: nothing of it is left. NULL: calls do neither. */
    bool (*cancel)(struct plugin_engine *e, struct plugin_call *c);
    /* Whether calls of CODE may be made with on_loop. NULL: none may. */
    bool (*suspends)(struct plugin_engine *e, const void *code);
};
