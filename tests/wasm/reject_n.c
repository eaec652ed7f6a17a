/* reject_n.wasm -- rejects a request or a response that has the header x-reject, with that status */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    struct smg_str status = smg_header(r->headers, SMG_STR("x-reject"));
    return status.p ? smg_reject((uint16_t)smg_to_u64(status, 400)) : smg_continue();
}

static struct smg_action on_response(const struct smg_response *r)
{
    struct smg_str status = smg_header(r->headers, SMG_STR("x-reject"));
    return status.p ? smg_reject((uint16_t)smg_to_u64(status, 400)) : smg_continue();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
