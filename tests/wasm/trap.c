/* trap.wasm -- executes unreachable */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    __builtin_trap();
}

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    __builtin_trap();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
