/* wrong_counter.wasm -- imports the gateway's counters as a function of another type
 * world: wrong-counter ../tests/wasm/wit/wrong_counter.wit
 */
#include "smg_plugin.h"

__attribute__((import_module("smg:gateway/shared-counter"), import_name("increment"))) uint32_t increment(const char *key,
                                                                                                          uint32_t n);

static struct smg_action on_request(const struct smg_request *r)
{
    return smg_reject((uint16_t)increment(r->path.p, r->path.n));
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(smg_pass_response)
