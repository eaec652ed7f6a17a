/* hook_trap.wasm -- a storage hook that traps, before and after
 * world: storage-hook wit/storage
 */
#include "smg_hook.h"

static volatile uint32_t turns;

static struct smg_before_result before(const struct smg_hook_call *c)
{
    (void)c;
    turns++;
    __builtin_trap();
}

static struct smg_columns after(const struct smg_hook_call *c, struct smg_str result, struct smg_columns extra)
{
    (void)c, (void)result, (void)extra;
    turns++;
    __builtin_trap();
}

SMG_BEFORE(before)
SMG_AFTER(after)
