/* sleeper.wasm -- waits x-sleep-ms milliseconds inside the host (a minute without the header), where no instruction of the guest runs
 * world: smg-timing
 */
#include "smg_clock.h"

static struct smg_action on_request(const struct smg_request *r)
{
    smg_sleep_ms(smg_to_u64(smg_header(r->headers, SMG_STR("x-sleep-ms")), 60000));
    return smg_continue();
}

static struct smg_action on_response(const struct smg_response *r)
{
    smg_sleep_ms(smg_to_u64(smg_header(r->headers, SMG_STR("x-sleep-ms")), 0));
    return smg_continue();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
