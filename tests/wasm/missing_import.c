/* missing_import.wasm -- needs a function that the gateway does not have
 * world: needy ../tests/wasm/wit/missing_import.wit
 */
#include "smg_plugin.h"

__attribute__((import_module("acme:needy/oracle"), import_name("ask"))) uint32_t ask(uint32_t question);

static struct smg_action on_request(const struct smg_request *r)
{
    return smg_reject((uint16_t)ask(r->path.n));
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(smg_pass_response)
