/* onlyreq.wasm -- exports on-request only
 * world: smg-request
 */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-only"), SMG_STR("request"));
    return a;
}

SMG_ON_REQUEST(on_request)
