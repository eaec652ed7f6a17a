/* plugin/component_engine.h -- the engine for components of the world smg:gateway, on the runtime of wasm.h */
#pragma once

#include "plugin/engine.h"

struct component_engine {
    struct plugin_engine engine;
    struct wasm_runtime *runtime; /* borrowed */
};

void component_engine_init(struct component_engine *e, struct wasm_runtime *runtime);
