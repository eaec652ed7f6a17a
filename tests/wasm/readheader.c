/* readheader.wasm -- reads one header and goes on: what the benchmark runs */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    return smg_header(r->headers, SMG_STR("x-block")).p ? smg_reject(403) : smg_continue();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(smg_pass_response)
