/* reject429.wasm -- rejects every request with 429, and every response with the status in its header x-reject */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    return smg_reject(429);
}

static struct smg_action on_response(const struct smg_response *r)
{
    struct smg_str status = smg_header(r->headers, SMG_STR("x-reject"));
    return status.p ? smg_reject((uint16_t)smg_to_u64(status, 418)) : smg_continue();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
