/* plugin/component_engine.c -- components as plugins: OnError runs through the on-response export, as OnResponse does (spec wasm-plugins 9.6) */
#include "plugin/component_engine.h"

const char *plugin_point_name(enum plugin_point p)
{
    static const char *const NAMES[] = { "OnRequest", "OnResponse", "OnError" };

    return NAMES[p];
}

static int compile(struct plugin_engine *e, struct str name, struct str bytes, void **ret_code, unsigned *ret_points,
                   struct err *err)
{
    struct component_engine *c = CONTAINER_OF(e, struct component_engine, engine);
    struct wasm_module *m = NULL;
    int r = wasm_module_compile(c->runtime, name, bytes, &m, err);
    unsigned exports;

    if (r < 0)
        return r;
    exports = wasm_module_exports(m);
    *ret_code = m;
    *ret_points = (exports & WASM_ON_REQUEST ? 1u << PLUGIN_ON_REQUEST : 0) |
                  (exports & WASM_ON_RESPONSE ? 1u << PLUGIN_ON_RESPONSE | 1u << PLUGIN_ON_ERROR : 0);
    return 0;
}

static void release(struct plugin_engine *e, void *code)
{
    (void)e;
    wasm_module_unref(code);
}

/* On a loop: the answer, or the rest of the call for a thread that may wait. */
static enum plugin_progress begin(struct plugin_call *c)
{
    struct wasm_call *rest = NULL;

    if (c->point == PLUGIN_ON_REQUEST)
        c->status = wasm_begin_on_request(c->code, &c->limits, &c->request, c->arena, &rest, &c->action, &c->err);
    else
        c->status = wasm_begin_on_response(c->code, &c->limits, &c->response, c->request_id, c->arena, &rest, &c->action, &c->err);
    c->engine_data = rest;
    return rest ? PLUGIN_SUSPENDED : PLUGIN_ANSWERED;
}

static enum plugin_progress call(struct plugin_engine *e, struct plugin_call *c)
{
    (void)e;
    if (c->on_loop)
        return begin(c);
    if (c->engine_data)
        c->status = wasm_call_finish(STEAL(c->engine_data), &c->action, &c->err);
    else if (c->point == PLUGIN_ON_REQUEST)
        c->status = wasm_call_on_request(c->code, &c->limits, &c->request, c->arena, &c->action, &c->err);
    else
        c->status = wasm_call_on_response(c->code, &c->limits, &c->response, c->request_id, c->arena, &c->action, &c->err);
    return PLUGIN_ANSWERED;
}

static bool cancel(struct plugin_engine *e, struct plugin_call *c)
{
    (void)e;
    wasm_call_abandon(STEAL(c->engine_data));
    return true;
}

static bool suspends(struct plugin_engine *e, const void *code)
{
    (void)e;
    return wasm_module_suspends(code);
}

void component_engine_init(struct component_engine *e, struct wasm_runtime *runtime)
{
    *e = (struct component_engine){
        .engine = { .compile = compile, .release = release, .call = call, .cancel = cancel, .suspends = suspends },
        .runtime = runtime
    };
}
