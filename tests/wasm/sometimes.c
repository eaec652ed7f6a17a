/* sometimes.wasm -- calls what it imports, the log, only for a request with x-say, whose value it writes; adds x-said. With x-trap it ends there
 * world: smg-logging
 */
#include "smg_log.h"

static struct smg_action on_request(const struct smg_request *r)
{
    struct smg_action a = smg_modify();
    struct smg_str say = smg_header(r->headers, SMG_STR("x-say"));

    if (smg_header(r->headers, SMG_STR("x-trap")).p)
        __builtin_trap();
    if (say.p)
        smg_log(say, SMG_STR(""), SMG_STR(""));
    smg_set_header(&a, SMG_STR("x-said"), say.p ? say : SMG_STR("nothing"));
    return a;
}

static struct smg_action on_response(const struct smg_response *r)
{
    struct smg_str say = smg_header(r->headers, SMG_STR("x-say"));

    if (say.p)
        smg_log(say, SMG_STR(""), SMG_STR(""));
    return smg_continue();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
