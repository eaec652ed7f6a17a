#include "plugin/wasm_reader.h"

struct wasm_reader wasm_reader_of(struct str bytes)
{
    const uint8_t *p = (const uint8_t *)(bytes.n ? bytes.p : ""); /* what is empty may have no address */

    return (struct wasm_reader){ .start = p, .at = p, .end = p + bytes.n };
}

void wasm_read_wrong(struct wasm_reader *r, const char *what)
{
    if (!r->wrong)
        r->wrong = what;
}

uint8_t wasm_read_byte(struct wasm_reader *r)
{
    if (r->wrong || r->at == r->end) {
        wasm_read_wrong(r, "is cut short");
        return 0;
    }
    return *r->at++;
}

uint32_t wasm_read_number(struct wasm_reader *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t b = wasm_read_byte(r);

        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            if (v > UINT32_MAX)
                break;
            return (uint32_t)v;
        }
    }
    wasm_read_wrong(r, "has a number of more than 32 bits");
    return 0;
}

struct str wasm_read_bytes(struct wasm_reader *r)
{
    uint32_t n = wasm_read_number(r);
    struct str s;

    if (r->wrong || n > (size_t)(r->end - r->at)) {
        wasm_read_wrong(r, "is cut short");
        return STR_NONE;
    }
    s = (struct str){ (const char *)r->at, n };
    r->at += n;
    return s;
}

struct str wasm_read_extern_name(struct wasm_reader *r)
{
    if (wasm_read_byte(r) > 1)
        wasm_read_wrong(r, "has a name of an unknown kind");
    return wasm_read_bytes(r);
}

enum component_sort wasm_read_sort(struct wasm_reader *r, uint8_t *ret_core)
{
    uint8_t s = wasm_read_byte(r), core = s == COMPONENT_CORE ? wasm_read_byte(r) : 0;

    if (s > COMPONENT_INSTANCE)
        wasm_read_wrong(r, "has an entity of an unknown sort");
    if (ret_core)
        *ret_core = core;
    if (r->wrong)
        return COMPONENT_CORE;
    return s == COMPONENT_CORE && core == WASM_CORE_MODULE ? COMPONENT_CORE_MODULE : s;
}

enum component_sort wasm_read_extern_type(struct wasm_reader *r)
{
    enum component_sort s = wasm_read_sort(r, NULL);

    switch (s) {
    case COMPONENT_TYPE:
        if (wasm_read_byte(r) == 0) /* equal to a type; 1: any resource */
            (void)wasm_read_number(r);
        break;
    case COMPONENT_CORE:
    case COMPONENT_VALUE:
        wasm_read_wrong(r, "has an import or export of an unknown sort");
        break;
    default:
        (void)wasm_read_number(r);
    }
    return s;
}
