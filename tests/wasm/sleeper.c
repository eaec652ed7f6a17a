/* sleeper.wasm -- waits x-sleep-ms milliseconds inside the host (a minute without the header), where no instruction of the guest runs; with x-echo it replaces the body by a copy
 * world: smg-timing
 */
#include "smg_clock.h"

static struct smg_action on_request(const struct smg_request *r)
{
    struct smg_action a = smg_modify();
    char *copy;

    smg_sleep_ms(smg_to_u64(smg_header(r->headers, SMG_STR("x-sleep-ms")), 60000));
    if (!smg_header(r->headers, SMG_STR("x-echo")).p)
        return smg_continue();
    copy = smg_alloc(r->body.n);
    smg_copy(copy, r->body.p, r->body.n);
    smg_set_body(&a, (struct smg_str){ copy, r->body.n });
    return a;
}

static struct smg_action on_response(const struct smg_response *r)
{
    smg_sleep_ms(smg_to_u64(smg_header(r->headers, SMG_STR("x-sleep-ms")), 0));
    return smg_continue();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
