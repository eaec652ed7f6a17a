/* The import smg:gateway/shared-counter: what a guest calls to count beyond its own call (plugins/wit/gateway/smg.wit, counters.h).
 *
 * The linker knows a function of the host by its name only; what a component that imports it takes its type for is looked at in each call.
 */
#include "plugin/runtime_internal.h"

#include "base/clock.h"

#define INTERFACE STR("smg:gateway/shared-counter")
#define INCREMENT STR("increment")

static wasmtime_error *increment(void *data, wasmtime_context *context, const wasmtime_func_type *type, struct wasmtime_val *args,
                                 size_t args_n, struct wasmtime_val *results, size_t results_n)
{
    struct wasm_runtime *r = data;
    const struct wasm_module *m = r->api->wasmtime_context_get_data(context);

    (void)type;
    if (args_n != 3 || args[0].kind != WASMTIME_STRING || args[1].kind != WASMTIME_U64 || args[2].kind != WASMTIME_U64 ||
        results_n != 1)
        return r->api->wasmtime_error_new("smg:gateway/shared-counter: increment is a func(string, u64, u64) -> u64");
    results[0] = (struct wasmtime_val){
        .kind = WASMTIME_U64,
        .of.u64 = counters_add(r->counters, str_of(m->name), (struct str){ args[0].of.string.p, args[0].of.string.n },
                               args[1].of.u64, args[2].of.u64, clock_now_us() / 1000),
    };
    return NULL;
}

int counter_import_add(struct wasm_runtime *r, struct err *err)
{
    const struct wasmtime_api *a = r->api;
    wasmtime_linker_instance *root, *interface = NULL;
    wasmtime_error *e;

    root = a->wasmtime_component_linker_root(r->linker);
    e = a->wasmtime_component_linker_instance_add_instance(root, INTERFACE.p, INTERFACE.n, &interface);
    if (!e) {
        e = a->wasmtime_component_linker_instance_add_func(interface, INCREMENT.p, INCREMENT.n, increment, r, NULL);
        a->wasmtime_component_linker_instance_delete(interface);
    }
    a->wasmtime_component_linker_instance_delete(root);
    return e ? runtime_error(r, e, err, ERR_UNSUPPORTED, "the WASM runtime takes no functions of ours") : 0;
}
