/* printer.wasm -- writes lines: one of path and id, one without an end to stderr, x-lines lines more, one of x-long bytes
 * world: smg-logging
 */
#include "smg_log.h"

static struct smg_action on_request(const struct smg_request *r)
{
    uint64_t lines = smg_to_u64(smg_header(r->headers, SMG_STR("x-lines")), 0);
    uint32_t n = (uint32_t)smg_to_u64(smg_header(r->headers, SMG_STR("x-long")), 0);
    char *p = smg_alloc(n);
    smg_log(r->path, SMG_STR(" of "), r->request_id);
    smg_write(true, SMG_STR("to stderr, without an end"));
    for (uint64_t i = 0; i < lines; i++)
        smg_log(SMG_STR("line "), smg_from_u64(i), SMG_STR(""));
    __builtin_memset(p, 'x', n);
    if (n)
        smg_log((struct smg_str){ p, n }, SMG_STR(""), SMG_STR(""));
    if (smg_header(r->headers, SMG_STR("x-binary")).p)
        smg_write(false, SMG_STR("\x1b[31mred\0\xff\xfe\rback\n"));
    return smg_continue();
}

static struct smg_action on_response(const struct smg_response *r)
{
    smg_log(SMG_STR("answered "), smg_from_u64(r->status), SMG_STR(""));
    return smg_continue();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
