/* edits.wasm -- every kind of header change in one action: see the tests for what is left */
#include "smg_plugin.h"

static struct smg_action edits(void)
{
    struct smg_action a = smg_modify();
    smg_set_header(&a, SMG_STR("x-all"), SMG_STR("set"));
    smg_add_header(&a, SMG_STR("x-all"), SMG_STR("added"));
    smg_remove_header(&a, SMG_STR("x-all"));
    smg_set_header(&a, SMG_STR("X-Repeat"), SMG_STR("one"));
    smg_set_header(&a, SMG_STR("x-more"), SMG_STR("first"));
    smg_add_header(&a, SMG_STR("x-more"), SMG_STR("second"));
    smg_set_header(&a, SMG_STR("bad name"), SMG_STR("v"));
    smg_set_header(&a, SMG_STR("x-bad-value"), SMG_STR("a\r\nx-injected: b"));
    smg_add_header(&a, SMG_STR(""), SMG_STR("v"));
    smg_remove_header(&a, SMG_STR("X-Gone"));
    smg_remove_header(&a, SMG_STR("not a name"));
    return a;
}

static struct smg_action on_request(const struct smg_request *r)
{
    (void)r;
    return edits();
}

static struct smg_action on_response(const struct smg_response *r)
{
    (void)r;
    return edits();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
