/* hog.wasm -- grows its memory until that fails, then traps */
#include "smg_plugin.h"

static struct smg_action hog(void)
{
    while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1)
        ;
    __builtin_trap();
}

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    return hog();
}

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    return hog();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
