/* initialized.wasm -- has an initialiser, which other languages' plugins often have: it must have run, once, before anything else. Sets x-initialized to how often */
#include "smg_plugin.h"

static volatile uint32_t times;

__attribute__((export_name("_initialize"))) void initialize(void)
{
    times++;
}

static struct smg_action on_request(const struct smg_request *r)
{
    struct smg_action a = smg_modify();

    (void)r;
    smg_set_header(&a, SMG_STR("x-initialized"), smg_from_u64(times));
    return a;
}

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    return times == 1 ? smg_continue() : smg_reject(500);
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
