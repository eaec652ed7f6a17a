/* spin.wasm -- counts to x-spin (a number, in thousands), then adds x-spun: done. It imports nothing: a loop may run it */
#include "smg_plugin.h"

static volatile uint32_t turns;

static struct smg_action spin(struct smg_headers headers)
{
    uint64_t n = smg_to_u64(smg_header(headers, SMG_STR("x-spin")), 0);
    struct smg_action a = smg_modify();

    for (; n > 0; n--)
        for (turns = 0; turns < 1000; turns++)
            ;
    smg_set_header(&a, SMG_STR("x-spun"), SMG_STR("done"));
    return a;
}

static struct smg_action on_request(const struct smg_request *r)
{
    return spin(r->headers);
}

static struct smg_action on_response(const struct smg_response *r)
{
    return spin(r->headers);
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
