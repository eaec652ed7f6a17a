#include "plugin/core_contents.h"

static void read_limits(struct wasm_reader *r)
{
    uint8_t flags = wasm_read_byte(r);

    if (flags > 1)
        wasm_read_wrong(r, "has limits of an unknown kind");
    (void)wasm_read_number(r);
    if (flags == 1)
        (void)wasm_read_number(r);
}

/* One import of a core module: what kind it is, and its end. */
static void read_import(struct wasm_reader *r, struct core_contents *c)
{
    enum { FUNCTION, TABLE, MEMORY, GLOBAL, VALUE_TYPE_MIN = 0x6f };
    struct str from = wasm_read_bytes(r), name = wasm_read_bytes(r);
    uint8_t kind = wasm_read_byte(r);

    if (kind == FUNCTION) {
        (void)wasm_read_number(r);
        if (str_eq(name, STR(CORE_INITIALIZE)))
            c->initialize_from = from;
        return;
    }
    c->more_of_many = c->more_of_many || (c->more && !str_eq(c->more_from, from));
    c->more = true;
    c->more_from = from;
    if (kind == TABLE && wasm_read_byte(r) < VALUE_TYPE_MIN)
        wasm_read_wrong(r, "has a table of an unknown kind");
    if (kind == TABLE || kind == MEMORY) {
        read_limits(r);
    } else if (kind == GLOBAL) {
        (void)wasm_read_byte(r);
        (void)wasm_read_byte(r);
    } else {
        wasm_read_wrong(r, "has an import of an unknown kind");
    }
}

/* False: it cannot be read. */
static bool read_imports(struct str section, struct core_contents *c)
{
    struct wasm_reader r = wasm_reader_of(section);
    uint32_t n = wasm_read_number(&r);

    c->imports = n > 0;
    for (; n > 0 && !r.wrong; n--)
        read_import(&r, c);
    return !r.wrong;
}

bool core_contents_read(struct str bytes, struct core_contents *ret)
{
    enum { SECTION_IMPORT = 2, SECTION_START = 8, SECTION_CODE = 10, SECTION_DATA = 11 };
    static const char HEADER[WASM_HEADER_BYTES] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
    struct wasm_reader r = wasm_reader_of(bytes);
    bool good = bytes.n >= sizeof HEADER && memcmp(bytes.p, HEADER, sizeof HEADER) == 0;

    *ret = (struct core_contents){ .bytes = bytes };
    r.at += MIN(bytes.n, sizeof HEADER);
    while (good && r.at < r.end && !r.wrong) {
        uint8_t id = wasm_read_byte(&r);
        struct str section = wasm_read_bytes(&r);

        if (id == SECTION_IMPORT)
            good = read_imports(section, ret);
        ret->start = ret->start || id == SECTION_START;
        ret->code = ret->code || id == SECTION_CODE;
        ret->data = ret->data || id == SECTION_DATA;
    }
    return good && !r.wrong;
}
