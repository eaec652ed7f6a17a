/* hog.wasm -- begins with two pages of memory, grows it until that fails, then traps */
#include "smg_plugin.h"

static volatile char page[65536];

static struct smg_action hog(void)
{
    page[0] = 1;
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
