/* grow.wasm -- takes x-grow-pages pages of memory and writes to each; tells in x-pages how many it has then, or rejects with 507 */
#include "smg_plugin.h"

static struct smg_action on_request(const struct smg_request *r)
{
    uint32_t pages = (uint32_t)smg_to_u64(smg_header(r->headers, SMG_STR("x-grow-pages")), 0);
    size_t before = __builtin_wasm_memory_grow(0, pages);
    if (before == (size_t)-1)
        return smg_reject(507);
    for (uint32_t i = 0; i < pages; i++)
        *(volatile char *)((before + i) << 16) = 1;
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-pages"), smg_from_u64(__builtin_wasm_memory_size(0)));
    return a;
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(smg_pass_response)
