/* bodyecho.wasm -- replaces a body by a copy of itself whose first byte x is an X, then one of x-pad bytes more: what body rewriting costs */
#include "smg_plugin.h"

static struct smg_action rewrite(struct smg_headers headers, struct smg_str body)
{
    uint32_t pad = (uint32_t)smg_to_u64(smg_header(headers, SMG_STR("x-pad")), 0);
    char *p = smg_alloc(body.n + pad);
    struct smg_action a = smg_modify();
    smg_copy(p, body.p, body.n);
    __builtin_memset(p + body.n, ' ', pad);
    if (body.n && p[0] == 'x')
        p[0] = 'X';
    smg_set_body(&a, (struct smg_str){ p, body.n + pad });
    return a;
}

static struct smg_action on_request(const struct smg_request *r)
{
    return rewrite(r->headers, r->body);
}

static struct smg_action on_response(const struct smg_response *r)
{
    return rewrite(r->headers, r->body);
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
