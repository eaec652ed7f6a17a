/* recurse.wasm -- calls itself four thousand million times, through a volatile pointer so that no compiler makes a loop of it
 *
 * Its locals need no linear memory: what runs out is the stack of the host.
 */
#include "smg_plugin.h"

static uint32_t deeper(uint32_t left);
static uint32_t (*volatile next)(uint32_t) = deeper;

static uint32_t deeper(uint32_t left)
{
    return left ? next(left - 1) + left : 0;
}

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    return smg_reject((uint16_t)deeper(UINT32_MAX));
}

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    return smg_reject((uint16_t)deeper(UINT32_MAX));
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
