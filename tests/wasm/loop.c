/* loop.wasm -- never returns */
#include "smg_plugin.h"

static volatile uint32_t turns;

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    for (;;)
        turns++;
}

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    for (;;)
        turns++;
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
