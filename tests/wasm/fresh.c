/* fresh.wasm -- tells in x-count how often this instance was called: always 1 */
#include "smg_plugin.h"

static uint32_t calls;

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-count"), smg_from_u64(++calls));
    return a;
}

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-count"), smg_from_u64(++calls));
    return a;
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
