/* hook_loop.wasm -- a storage hook that never returns
 * world: storage-hook wit/storage
 */
#include "smg_hook.h"

static volatile uint32_t turns;

static struct smg_before_result before(const struct smg_hook_call *c)
{
    (void)c;
    for (;;)
        turns++;
}

static struct smg_columns after(const struct smg_hook_call *c, struct smg_str result, struct smg_columns extra)
{
    (void)c, (void)result, (void)extra;
    for (;;)
        turns++;
}

SMG_BEFORE(before)
SMG_AFTER(after)
