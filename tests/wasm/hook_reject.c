/* hook_reject.wasm -- a storage hook that refuses new conversations and responses, and lets everything else be
 * world: storage-hook wit/storage
 */
#include "smg_hook.h"

static struct smg_before_result before(const struct smg_hook_call *c)
{
    if (c->op == SMG_CREATE_CONVERSATION || c->op == SMG_STORE_RESPONSE)
        return (struct smg_before_result){ .rejected = 1, .message = SMG_STR("denied") };
    return (struct smg_before_result){ 0 };
}

static struct smg_columns after(const struct smg_hook_call *c, struct smg_str result, struct smg_columns extra)
{
    (void)c, (void)result, (void)extra;
    return (struct smg_columns){ 0 };
}

SMG_BEFORE(before)
SMG_AFTER(after)
