/* slow.wasm -- computes for x-busy-ms milliseconds, then adds x-busy: done
 * world: smg-timing
 */
#include "smg_clock.h"

static struct smg_action busy(struct smg_headers headers)
{
    uint64_t end = smg_now_ns() + smg_to_u64(smg_header(headers, SMG_STR("x-busy-ms")), 0) * 1000000;
    struct smg_action a = smg_modify();
    while (smg_now_ns() < end)
        ;
    smg_set_header(&a, SMG_STR("x-busy"), SMG_STR("done"));
    return a;
}

static struct smg_action on_request(const struct smg_request *r)
{
    return busy(r->headers);
}

static struct smg_action on_response(const struct smg_response *r)
{
    return busy(r->headers);
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
