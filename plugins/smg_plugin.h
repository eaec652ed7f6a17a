/* smg_plugin.h -- write a plugin of the gateway in C, without a C library
 *
 *   static struct smg_action on_request(const struct smg_request *r) { ... return smg_continue(); }
 *   SMG_ON_REQUEST(on_request)
 *   SMG_ON_RESPONSE(smg_pass_response)          <- every response stays as it is
 *
 * One plugin is one .c file that includes this header once. Every call gets a fresh instance: static variables hold their initial values again, memory needs no freeing.
 * The structs have the layout of the component model's canonical ABI for wasm32, so what the gateway hands over is used in place and what a function returns needs no conversion.
 * Strings are UTF-8, not terminated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct smg_str {
    const char *p;
    uint32_t n; /* bytes */
};
struct smg_header {
    struct smg_str name, value; /* the gateway's names are in lower case */
};
struct smg_headers {
    struct smg_header *v;
    uint32_t n;
};
struct smg_strs {
    struct smg_str *v;
    uint32_t n;
};

struct smg_request {
    struct smg_str method, path, query; /* query without '?' */
    struct smg_headers headers;
    struct smg_str body, request_id;
    uint64_t now_ms; /* since 1970 */
};
struct smg_response {
    uint16_t status;
    struct smg_headers headers;
    struct smg_str body;
};

enum smg_action_tag { SMG_CONTINUE, SMG_REJECT, SMG_MODIFY };
struct smg_modify {
    struct {
        uint8_t some;
        uint16_t value;
    } status;
    struct smg_headers set, add; /* set replaces every value of the name; add appends one */
    struct smg_strs remove;      /* behind set and add */
    struct {
        uint8_t some;
        struct smg_str value;
    } body;
};
struct smg_action {
    uint8_t tag; /* enum smg_action_tag */
    union {
        uint16_t reject;
        struct smg_modify modify;
    };
};
_Static_assert(sizeof(struct smg_header) == 16 && sizeof(struct smg_modify) == 40 && sizeof(struct smg_action) == 44,
               "the canonical ABI");
_Static_assert(offsetof(struct smg_action, reject) == 4 && offsetof(struct smg_modify, status.value) == 2, "the canonical ABI");
_Static_assert(offsetof(struct smg_modify, set) == 4 && offsetof(struct smg_modify, remove) == 20, "the canonical ABI");
_Static_assert(offsetof(struct smg_modify, body) == 28 && offsetof(struct smg_modify, body.value) == 32, "the canonical ABI");

/* ---- memory: taken from behind the program's data, never given back ---- */

extern char __heap_base;
static uintptr_t smg_heap;

/* SIZE bytes, aligned to 8, undefined content. No memory left: the call ends as a trap, which the gateway reports. */
static inline void *smg_alloc(size_t size)
{
    if (!smg_heap)
        smg_heap = ((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7;
    uint64_t end = (uint64_t)smg_heap + ((size + 7) & ~(size_t)7), have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end > have && __builtin_wasm_memory_grow(0, (size_t)((end - have + 0xffff) >> 16)) == (size_t)-1)
        __builtin_trap();
    void *p = (void *)smg_heap;
    smg_heap = (uintptr_t)end;
    return p;
}

static inline void smg_copy(void *to, const void *from, size_t n)
{
    __builtin_memcpy(to, from, n);
}

/* The gateway asks for the memory of a call's arguments here. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size)
{
    (void)align;
    void *p = smg_alloc(size);
    if (old && old_size)
        smg_copy(p, old, old_size < size ? old_size : size);
    return p;
}

/* ---- strings ---- */

#define SMG_STR(literal) ((struct smg_str){ "" literal, sizeof(literal) - 1 })

static inline bool smg_equal(struct smg_str a, struct smg_str b)
{
    if (a.n != b.n)
        return false;
    for (uint32_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i])
            return false;
    return true;
}

/* For secrets: as long for any two strings of the same length. */
static inline bool smg_equal_secret(struct smg_str a, struct smg_str b)
{
    unsigned char differs = 0;
    if (a.n != b.n)
        return false;
    for (uint32_t i = 0; i < a.n; i++)
        differs |= (unsigned char)(a.p[i] ^ b.p[i]);
    return !differs;
}

static inline bool smg_starts(struct smg_str s, struct smg_str prefix)
{
    return s.n >= prefix.n && smg_equal((struct smg_str){ s.p, prefix.n }, prefix);
}

static inline struct smg_str smg_after(struct smg_str s, uint32_t n)
{
    return (struct smg_str){ s.p + n, s.n - n };
}

/* A new string: A, B and C behind one another. */
static inline struct smg_str smg_join(struct smg_str a, struct smg_str b, struct smg_str c)
{
    char *p = smg_alloc(a.n + b.n + c.n);
    smg_copy(p, a.p, a.n);
    smg_copy(p + a.n, b.p, b.n);
    smg_copy(p + a.n + b.n, c.p, c.n);
    return (struct smg_str){ p, a.n + b.n + c.n };
}

static inline struct smg_str smg_from_u64(uint64_t v)
{
    char *end = (char *)smg_alloc(24) + 24, *p = end;
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    return (struct smg_str){ p, (uint32_t)(end - p) };
}

/* The number that S is, or OTHERWISE when it is none or does not fit. */
static inline uint64_t smg_to_u64(struct smg_str s, uint64_t otherwise)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return otherwise;
        v = v * 10 + digit;
    }
    return s.n ? v : otherwise;
}

/* The first value of the header NAME (lower case); p is NULL when there is none. */
static inline struct smg_str smg_header(struct smg_headers h, struct smg_str name)
{
    for (uint32_t i = 0; i < h.n; i++)
        if (smg_equal(h.v[i].name, name))
            return h.v[i].value;
    return (struct smg_str){ 0 };
}

/* ---- actions ---- */

static inline struct smg_action smg_continue(void)
{
    return (struct smg_action){ .tag = SMG_CONTINUE };
}

static inline struct smg_action smg_reject(uint16_t status)
{
    return (struct smg_action){ .tag = SMG_REJECT, .reject = status };
}

/* A modify that changes nothing yet: go on with the functions below. */
static inline struct smg_action smg_modify(void)
{
    return (struct smg_action){ .tag = SMG_MODIFY };
}

static inline void smg_append_(struct smg_headers *h, struct smg_str name, struct smg_str value)
{
    if (!(h->n & (h->n - 1))) { /* full at each power of two */
        struct smg_header *v = smg_alloc((h->n ? h->n * 2 : 1) * sizeof *v);
        smg_copy(v, h->v, h->n * sizeof *v);
        h->v = v;
    }
    h->v[h->n++] = (struct smg_header){ name, value };
}

static inline void smg_set_header(struct smg_action *a, struct smg_str name, struct smg_str value)
{
    smg_append_(&a->modify.set, name, value);
}

static inline void smg_add_header(struct smg_action *a, struct smg_str name, struct smg_str value)
{
    smg_append_(&a->modify.add, name, value);
}

static inline void smg_remove_header(struct smg_action *a, struct smg_str name)
{
    struct smg_strs *s = &a->modify.remove;
    struct smg_str *v = smg_alloc((s->n + 1) * sizeof *v);
    smg_copy(v, s->v, s->n * sizeof *v);
    v[s->n++] = name;
    s->v = v;
}

static inline void smg_set_status(struct smg_action *a, uint16_t status)
{
    a->modify.status.some = 1;
    a->modify.status.value = status;
}

static inline void smg_set_body(struct smg_action *a, struct smg_str body)
{
    a->modify.body.some = 1;
    a->modify.body.value = body;
}

/* For SMG_ON_REQUEST and SMG_ON_RESPONSE of a plugin that has nothing to do there. */
static inline struct smg_action smg_pass_request(const struct smg_request *r)
{
    (void)r;
    return smg_continue();
}

static inline struct smg_action smg_pass_response(const struct smg_response *r)
{
    (void)r;
    return smg_continue();
}

/* ---- the exports ---- */

#define SMG_ON_REQUEST(function)                                                                                          \
    __attribute__((export_name("smg:gateway/middleware-on-request#on-request"))) struct smg_action *smg_on_request_(      \
        const char *method, uint32_t method_n, const char *path, uint32_t path_n, const char *query, uint32_t query_n,    \
        struct smg_header *headers, uint32_t headers_n, const char *body, uint32_t body_n, const char *id, uint32_t id_n, \
        uint64_t now_ms)                                                                                                  \
    {                                                                                                                     \
        static struct smg_action action;                                                                                  \
        action = function(&(struct smg_request){ { method, method_n },                                                    \
                                                 { path, path_n },                                                        \
                                                 { query, query_n },                                                      \
                                                 { headers, headers_n },                                                  \
                                                 { body, body_n },                                                        \
                                                 { id, id_n },                                                            \
                                                 now_ms });                                                               \
        return &action;                                                                                                   \
    }

#define SMG_ON_RESPONSE(function)                                                                                       \
    __attribute__((export_name("smg:gateway/middleware-on-response#on-response"))) struct smg_action *smg_on_response_( \
        uint32_t status, struct smg_header *headers, uint32_t headers_n, const char *body, uint32_t body_n)             \
    {                                                                                                                   \
        static struct smg_action action;                                                                                \
        action = function(&(struct smg_response){ (uint16_t)status, { headers, headers_n }, { body, body_n } });        \
        return &action;                                                                                                 \
    }
