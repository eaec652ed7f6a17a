/* The outline of components, and what is built around them: no length, number or name of the bytes leads outside of them. */
#include <stdlib.h>

#include "plugin/bridge.h"
#include "plugin/plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(buf_fini) struct buf out = { 0 };
    struct str bytes = { (const char *)data, size };
    struct component c;
    struct plain p;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    if (component_scan(bytes, &arena, &c, NULL) == 0) {
        bridge_wrap(bytes, &c, STR("types"), STR("bridge"), &out);
        if (plain_find(bytes, c.interfaces, &arena, &p) && (p.module.p < bytes.p || p.module.p + p.module.n > bytes.p + bytes.n))
            abort();
    }
    arena_fini(&arena);
    return 0;
}
