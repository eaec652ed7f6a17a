/* plugin/suspended.c -- calls that begin on a loop, and may go on elsewhere
 *
 * A plain guest (plain.h):  BEGUN --> over
 *                             \--- the slice is over, or it calls what it imports: nothing is left of it; finished from the start
 *
 * Others, over the bridge:  INSTANTIATING --> RUNNING --> over
 *                                |               |
 *                                +---------------+--- the slice is over: suspended, with the future's stack in the middle of the guest; finished or abandoned later
 *
 * Only guests' own code is waited for: what the bridge does between those two (copying the image in and the answer out) is short, and is done in one go.
 * Deleting a future that has not ended makes the guest's stack unwind, in some microseconds.
 */
#include "plugin/call.h"

#include "base/clock.h"
#include "plugin/direct.h"

enum state { BEGUN, INSTANTIATING, RUNNING, OVER };

struct wasm_call {
    struct call call;
    enum component_interface f;
    struct wasm_values values; /* in state BEGUN; what they point to is the caller's */
    struct str request_id;     /* likewise */
    struct image in;           /* in the others; the body's bytes are the caller's */
    struct arena *arena;
    enum state state;
    wasmtime_future *future; /* owned; of the state. It points to what follows, to call.instance and to call.context */
    struct wasmtime_func function;
    struct wasmtime_val piece;
    wasmtime_error *error;
    uint64_t suspended_us; /* clock */
};

static bool bridge_suspends(const struct wasm_module *m)
{
    return m->runtime->suspends && !m->uses_wasi;
}

bool wasm_module_suspends(const struct wasm_module *m)
{
    return (m->direct && direct_is_due(m->direct)) || bridge_suspends(m);
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
static int next(struct wasm_call *w, union wasm_result *ret)
{
    if (w->state == INSTANTIATING)
        return run(w);
    w->state = OVER;
    return call_get(&w->call, w->f, &w->piece, w->arena, ret);
}

/* As far as it goes; then w->state is OVER, or the guest has been suspended. */
static int go_on(struct wasm_call *w, bool may_suspend, union wasm_result *ret)
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

/* W is to be gone on with, elsewhere. */
static int bridge_begun(struct wasm_call *w, const struct wasm_values *values, bool *ret_again, union wasm_result *ret)
{
    int r = image_write(values, w->arena, &w->in, w->call.err);

    if (r < 0)
        return r;
    r = call_begin(&w->call);
    if (r < 0) {
        call_end(&w->call);
        return r;
    }
    instantiate(w);
    r = go_on(w, /* may_suspend= */ true, ret);
    w->suspended_us = clock_now_us();
    *ret_again = w->state != OVER;
    return r;
}

static int direct_begun(struct wasm_call *w, const struct wasm_values *values, bool *ret_again, union wasm_result *ret)
{
    struct call *c = &w->call;

    return direct_call(c->m, w->f, &c->limits, values, /* on_loop= */ true, w->arena, ret_again, ret, c->err);
}

int call_begun(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
               struct str request_id, struct arena *arena, struct wasm_call **ret_rest, union wasm_result *ret, struct err *err)
{
    struct wasm_call *w = arena_new(arena, struct wasm_call);
    bool again = false;
    int r = 0;

    *ret_rest = NULL;
    if (!w)
        return err_set(err, ERR_NOMEM, "no memory for a plugin's call");
    if (!(m->exports & 1u << f))
        return err_set(err, ERR_INVALID, "the plugin does not export %.*s", STR_FMT(component_interface_name(f)));
    w->call = (struct call){ .m = m, .limits = *l, .err = err };
    w->f = f;
    w->values = *values;
    w->request_id = request_id;
    w->arena = arena;
    if (m->direct && direct_turn(m->direct))
        r = direct_begun(w, values, &again, ret);
    else if (bridge_suspends(m))
        r = bridge_begun(w, values, &again, ret);
    else
        again = true; /* another call has found meanwhile that M asks */
    if (again)
        *ret_rest = w;
    return r;
}

int call_finished(struct wasm_call *w, union wasm_result *ret, struct err *err)
{
    struct call *c = &w->call;

    if (w->state == BEGUN)
        return call_run(c->m, w->f, &c->limits, &w->values, w->request_id, w->arena, ret, err);
    c->err = err;
    c->deadline_us += clock_now_us() - w->suspended_us;
    return go_on(w, /* may_suspend= */ false, ret);
}

void wasm_call_abandon(struct wasm_call *w)
{
    if (w->state == BEGUN)
        return;
    w->call.api->wasmtime_call_future_delete(STEAL(w->future));
    call_end(&w->call);
}
