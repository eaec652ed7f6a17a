/* The loader as a whole, with the real library: whatever a file holds, compiling it is refused or succeeds, and calling what was compiled fails or succeeds.
 *
 * The library ends the process when it panics; that this does not happen is what the target is for. It must open the library behind libFuzzer's signal handlers: a guest's traps are signals.
 */
#include <stdio.h>
#include <stdlib.h>

#include "plugin/wasm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wasm_runtime *runtime;

static void call(struct wasm_module *m)
{
    static const struct wasm_limits LIMITS = { 20, 64 };
    static const struct wasm_header H = { STR_INIT("x-garbage"), STR_INIT("utf8") };
    struct wasm_request q = { STR("POST"), STR("/"), STR(""), { &H, 1 }, STR("{}"), STR("r"), 1 };
    struct wasm_response p = { 500, { &H, 1 }, STR("{}") };
    struct wasm_action action;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    if (wasm_module_exports(m) & WASM_ON_REQUEST && wasm_call_on_request(m, &LIMITS, &q, &arena, &action, NULL) == 0 &&
        action.type > WASM_MODIFY)
        abort();
    if (wasm_module_exports(m) & WASM_ON_RESPONSE && wasm_call_on_response(m, &LIMITS, &p, STR("r"), &arena, &action, NULL) == 0 &&
        action.type > WASM_MODIFY)
        abort();
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wasm_runtime_config CONFIG = { .threads = 1, .max_stack_bytes = (size_t)256 << 10 };
    struct wasm_module *m;
    struct err err = { 0 };

    if (!runtime && wasm_runtime_open(&CONFIG, &runtime, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    if (wasm_module_compile(runtime, STR("fuzz"), (struct str){ (const char *)data, size }, &m, &err) == 0) {
        call(m);
        wasm_module_unref(m);
    }
    return 0;
}
