/* bodyswap.wasm -- replaces a request's body by a fixed chat request, a response's by a fixed object */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    struct smg_action a = smg_modify();
    smg_set_body(&a, SMG_STR("{\"model\":\"mock\",\"messages\":[{\"role\":\"user\",\"content\":\"swapped\"}]}"));
    return a;
}

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    struct smg_action a = smg_modify();
    smg_set_body(&a, SMG_STR("{\"swapped\":true}"));
    return a;
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
