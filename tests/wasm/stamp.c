/* stamp.wasm -- sets x-seen-id and traceparent on a request, x-stamped on a response */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-seen-id"), r->request_id);
    smg_set_header(&a, SMG_STR("traceparent"), SMG_STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    return a;
}

static struct smg_action on_response(const struct smg_response *r)
{
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-stamped"), smg_from_u64(r->status));
    return a;
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
