/* realloc.wasm -- an allocator that makes no sense; what it does is in the length that it is asked for: 60001 a place outside of the memory, 60002 one that ends outside, 60003 it never returns, 60004 it traps; 60005 the
 * next lists are not aligned. Whoever gets through has the first byte of the body for a status. It stands without smg_plugin.h, which has a sound one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern char __heap_base;
static uintptr_t heap;
static bool askew;

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size)
{
    uintptr_t have = __builtin_wasm_memory_size(0) << 16, p;

    (void)old, (void)old_size;
    if (size == 60001)
        return (void *)0xfffffff0u;
    if (size == 60002)
        return (void *)(have - 1);
    for (volatile bool forever = size == 60003; forever;)
        continue;
    if (size == 60004)
        __builtin_trap();
    askew = askew || size == 60005;
    p = heap ? heap : ((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7;
    heap = p + ((size + 15) & ~(size_t)7);
    if (heap > have && __builtin_wasm_memory_grow(0, 2) == (size_t)-1)
        __builtin_trap();
    return (void *)(askew && align > 1 ? p + 1 : p);
}

static struct {
    uint8_t tag, padding[3];
    uint16_t status;
    uint8_t rest[38];
} reject = { .tag = 1 };

__attribute__((export_name("smg:gateway/middleware-on-request#on-request"))) void *on_request(
    const char *method, uint32_t method_n, const char *path, uint32_t path_n, const char *query, uint32_t query_n,
    const void *headers, uint32_t headers_n, const unsigned char *body, uint32_t body_n, const char *id, uint32_t id_n,
    uint64_t now_ms)
{
    (void)method, (void)method_n, (void)path, (void)path_n, (void)query, (void)query_n;
    (void)headers, (void)headers_n, (void)id, (void)id_n, (void)now_ms;
    reject.status = body_n ? body[0] : 0;
    return &reject;
}

__attribute__((export_name("smg:gateway/middleware-on-response#on-response"))) void *on_response(
    uint32_t status, const void *headers, uint32_t headers_n, const unsigned char *body, uint32_t body_n)
{
    (void)status, (void)headers, (void)headers_n;
    reject.status = body_n ? body[0] : 0;
    return &reject;
}
