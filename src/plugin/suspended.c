/* plugin/suspended.c -- calls that begin on a loop, and may go on elsewhere
 *
 *   INSTANTIATING --> RUNNING --> over
 *        |               |
 *        +---------------+--- the slice is over: suspended, with the future's stack in the middle of the guest; finished or abandoned later
 *
 * Only guests' own code is waited for: what the bridge does between those two (copying the image in and the answer out) is short, and is done in one go.
 * Deleting a future that has not ended makes the guest's stack unwind, in some microseconds.
 */
#include "plugin/call.h"

#include "base/clock.h"

enum state { INSTANTIATING, RUNNING, OVER };

struct wasm_call {
    struct call call;
    enum component_interface f;
    struct image in; /* the bytes are the caller's */
    struct arena *arena;
    enum state state;
    wasmtime_future *future; /* owned; of the state. It points to what follows, to call.instance and to call.context */
    struct wasmtime_func function;
    struct wasmtime_val piece;
    wasmtime_error *error;
    uint64_t suspended_us; /* clock */
};

bool wasm_module_suspends(const struct wasm_module *m)
{
    return m->runtime->suspends && !m->uses_wasi;
}

static void instantiate(struct wasm_call *w)
{
    struct call *c = &w->call;

    w->state = INSTANTIATING;
    w->future = c->api->wasmtime_component_linker_instantiate_async(c->m->runtime->linker, c->context, c->m->component,
                                                                    &c->instance, &w->error);
}

static int run(struct wasm_call *w)
{
    struct call *c = &w->call;
    int r = call_put(c, &w->in);

    if (r == 0)
        r = call_export_of(c, c->m->functions[w->f], &w->function);
    if (r < 0)
        return r;
    w->state = RUNNING;
    w->future = c->api->wasmtime_component_func_call_async(&w->function, c->context, NULL, 0, &w->piece, 1, &w->error);
    return 0;
}

/* True: the future has ended; an error of the guest's is in *RET. */
static bool poll(struct wasm_call *w, int *ret)
{
    const struct wasmtime_api *api = w->call.api;

    if (!api->wasmtime_call_future_poll(w->future))
        return false;
    api->wasmtime_call_future_delete(STEAL(w->future));
    if (!w->error && w->state == RUNNING)
        w->error = api->wasmtime_component_func_post_return(&w->function, w->call.context);
    if (w->error)
        *ret = call_failed(&w->call, STEAL(w->error),
                           w->state == RUNNING ? "the plugin failed" : "the plugin could not be instantiated");
    return true;
}

/* What follows on the state at hand. */
static int next(struct wasm_call *w, struct answer *ret)
{
    if (w->state == INSTANTIATING)
        return run(w);
    w->state = OVER;
    return call_get(&w->call, &w->piece, w->arena, ret);
}

/* As far as it goes; then w->state is OVER, or the guest has been suspended. */
static int go_on(struct wasm_call *w, bool may_suspend, struct answer *ret)
{
    int r = 0;

    do {
        w->call.may_suspend = may_suspend;
        while (!poll(w, &r))
            if (may_suspend)
                return 0;
        w->call.may_suspend = false; /* the bridge's turn */
        if (r == 0)
            r = next(w, ret);
    } while (r == 0 && w->state != OVER);
    w->state = OVER;
    call_end(&w->call);
    return r;
}

int call_begun(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct image *in,
               struct arena *arena, struct wasm_call **ret_rest, struct answer *ret, struct err *err)
{
    struct wasm_call *w = arena_new(arena, struct wasm_call);
    int r;

    *ret_rest = NULL;
    if (!w)
        return err_set(err, ERR_NOMEM, "no memory for a plugin's call");
    if (!m->functions[f])
        return err_set(err, ERR_INVALID, "the plugin does not export %.*s", STR_FMT(component_interface_name(f)));
    *w = (struct wasm_call){ .call = { .m = m, .limits = *l, .err = err }, .f = f, .in = *in, .arena = arena };
    r = call_begin(&w->call);
    if (r < 0) {
        call_end(&w->call);
        return r;
    }
    instantiate(w);
    r = go_on(w, /* may_suspend= */ true, ret);
    if (w->state != OVER) {
        w->suspended_us = clock_now_us();
        *ret_rest = w;
    }
    return r;
}

int call_finished(struct wasm_call *w, struct arena **ret_arena, struct answer *ret, struct err *err)
{
    *ret_arena = w->arena;
    w->call.err = err;
    w->call.deadline_us += clock_now_us() - w->suspended_us;
    return go_on(w, /* may_suspend= */ false, ret);
}

void wasm_call_abandon(struct wasm_call *w)
{
    w->call.api->wasmtime_call_future_delete(STEAL(w->future));
    call_end(&w->call);
}
