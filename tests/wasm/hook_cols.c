/* hook_cols.wasm -- a storage hook that records what it is told: columns OP, PAYLOAD and one CTX_key per context entry; behind the operation RESULT too
 * world: storage-hook wit/storage
 */
#include "smg_hook.h"

static struct smg_before_result before(const struct smg_hook_call *c)
{
    struct smg_before_result r = { 0 };
    smg_add_column(&r.columns, SMG_STR("OP"), smg_from_u64(c->op));
    smg_add_column(&r.columns, SMG_STR("PAYLOAD"), c->payload);
    for (uint32_t i = 0; i < c->context.n; i++)
        smg_add_column(&r.columns, smg_join(SMG_STR("CTX_"), c->context.v[i].name, SMG_STR("")), c->context.v[i].value);
    return r;
}

static struct smg_columns after(const struct smg_hook_call *c, struct smg_str result, struct smg_columns extra)
{
    struct smg_columns r = { 0 };
    (void)c;
    for (uint32_t i = 0; i < extra.n; i++)
        smg_add_column(&r, extra.v[i].name, extra.v[i].value);
    smg_add_column(&r, SMG_STR("RESULT"), result);
    return r;
}

SMG_BEFORE(before)
SMG_AFTER(after)
