/* onlyresp.wasm -- exports on-response only
 * world: smg-response
 */
#include "smg_plugin.h"

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-only"), SMG_STR("response"));
    return a;
}

SMG_ON_RESPONSE(on_response)
