/* order_a.wasm -- sets x-o: a, and appends a to x-order */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-o"), SMG_STR("a"));
    smg_set_header(&a, SMG_STR("x-order"), smg_join(smg_header(r->headers, SMG_STR("x-order")), SMG_STR("a"), SMG_STR("")));
    return a;
}

static struct smg_action on_response(const struct smg_response *r)
{
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-o"), SMG_STR("a"));
    smg_set_header(&a, SMG_STR("x-order"), smg_join(smg_header(r->headers, SMG_STR("x-order")), SMG_STR("a"), SMG_STR("")));
    return a;
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
