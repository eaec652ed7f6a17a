/* The outline of components, and what is built around them: no length, number or name of the bytes leads outside of them. */
#include "plugin/bridge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(buf_fini) struct buf out = { 0 };
    struct str bytes = { (const char *)data, size };
    struct component c;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    if (component_scan(bytes, &arena, &c, NULL) == 0)
        bridge_wrap(bytes, &c, STR("types"), STR("bridge"), &out);
    arena_fini(&arena);
    return 0;
}
