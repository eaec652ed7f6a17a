/* map500to503.wasm -- a response with status 500 becomes one with 503, its body stays */
#include "smg_plugin.h"

static struct smg_action on_response(const struct smg_response *r)
{
    if (r->status != 500)
        return smg_continue();
    struct smg_action a = smg_modify();
    smg_set_status(&a, 503);
    return a;
}

SMG_ON_REQUEST(smg_pass_request)
SMG_ON_RESPONSE(on_response)
