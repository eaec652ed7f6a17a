/* garbage.wasm -- results that make no sense; which one, the header x-garbage says (of a response too) */
#include "smg_plugin.h"

static struct smg_action *garbage(struct smg_headers headers)
{
    static struct smg_action a;
    struct smg_str kind = smg_header(headers, SMG_STR("x-garbage"));
    a = smg_modify();
    if (smg_equal(kind, SMG_STR("pointer"))) /* the result lies outside the memory */
        return (struct smg_action *)0xfffffff0u;
    if (smg_equal(kind, SMG_STR("unaligned")))
        return (struct smg_action *)((char *)&a + 1);
    if (smg_equal(kind, SMG_STR("variant")))
        a.tag = 9;
    if (smg_equal(kind, SMG_STR("option")))
        a.modify.status.some = 7;
    if (smg_equal(kind, SMG_STR("count"))) /* two thousand million headers */
        a.modify.set = (struct smg_headers){ (struct smg_header *)1024, 0x7fffffff };
    if (smg_equal(kind, SMG_STR("length")))
        smg_set_body(&a, (struct smg_str){ (const char *)1024, 0xfffffff0u });
    if (smg_equal(kind, SMG_STR("list"))) /* a list that starts inside the memory and ends outside */
        a.modify.remove = (struct smg_strs){ (struct smg_str *)((__builtin_wasm_memory_size(0) << 16) - 8), 2 };
    if (smg_equal(kind, SMG_STR("string")))
        smg_set_header(&a, SMG_STR("x-string"), (struct smg_str){ (const char *)0xffff0000u, 16 });
    if (smg_equal(kind, SMG_STR("utf8")))
        smg_set_header(&a, SMG_STR("x-utf8"), (struct smg_str){ "\xff\xfe\xc0\x80", 4 });
    if (smg_equal(kind, SMG_STR("surrogate")))
        smg_set_header(&a, SMG_STR("x-utf8"), (struct smg_str){ "\xed\xa0\x80", 3 });
    if (smg_equal(kind, SMG_STR("many"))) { /* sound, but much: a million references to one string */
        uint32_t n = (uint32_t)smg_to_u64(smg_header(headers, SMG_STR("x-many")), 1000000);
        struct smg_str *v = smg_alloc(n * sizeof *v), name = SMG_STR("x-many-times-removed");
        for (uint32_t i = 0; i < n; i++)
            v[i] = name;
        a.modify.remove = (struct smg_strs){ v, n };
    }
    return &a;
}

__attribute__((export_name("smg:gateway/middleware-on-request#on-request"))) struct smg_action *on_request(
    const char *method, uint32_t method_n, const char *path, uint32_t path_n, const char *query, uint32_t query_n,
    struct smg_header *headers, uint32_t headers_n, const char *body, uint32_t body_n, const char *id, uint32_t id_n,
    uint64_t now_ms)
{
    (void)method, (void)method_n, (void)path, (void)path_n, (void)query, (void)query_n;
    (void)body, (void)body_n, (void)id, (void)id_n, (void)now_ms;
    return garbage((struct smg_headers){ headers, headers_n });
}

__attribute__((export_name("smg:gateway/middleware-on-response#on-response"))) struct smg_action *on_response(
    uint32_t status, struct smg_header *headers, uint32_t headers_n, const char *body, uint32_t body_n)
{
    (void)status, (void)body, (void)body_n;
    return garbage((struct smg_headers){ headers, headers_n });
}
