#include "plugin/component.h"

#include "plugin/wasm_reader.h"

struct scan {
    struct wasm_reader in;
    struct component out;
    size_t sections_n;                /* of the front part, whether an import follows or not */
    uint32_t counts[COMPONENT_SORTS]; /* so far */
    bool code;                        /* a section came that cannot be copied */
};

struct str component_interface_name(enum component_interface i)
{
    static const struct str NAMES[COMPONENT_INTERFACES] = {
        [COMPONENT_ON_REQUEST] = STR_INIT("smg:gateway/middleware-on-request"),
        [COMPONENT_ON_RESPONSE] = STR_INIT("smg:gateway/middleware-on-response"),
        [COMPONENT_BEFORE] = STR_INIT("smg:storage/storage-hook-before"),
        [COMPONENT_AFTER] = STR_INIT("smg:storage/storage-hook-after"),
    };

    return NAMES[i];
}

struct str component_function_name(enum component_interface i)
{
    static const struct str NAMES[COMPONENT_INTERFACES] = {
        [COMPONENT_ON_REQUEST] = STR_INIT("on-request"),
        [COMPONENT_ON_RESPONSE] = STR_INIT("on-response"),
        [COMPONENT_BEFORE] = STR_INIT("before"),
        [COMPONENT_AFTER] = STR_INIT("after"),
    };

    return NAMES[i];
}

/* ---- sections ---- */

static bool room(struct wasm_reader *r, size_t n)
{
    if (n >= COMPONENT_NAMES_MAX)
        wasm_read_wrong(r, "has more than 1024 imports, exports or sections of types");
    return !r->wrong;
}

static void scan_import(struct scan *s)
{
    struct component_import i = { .name = wasm_read_extern_name(&s->in) };

    i.sort = wasm_read_extern_type(&s->in);
    i.number = s->counts[i.sort]++;
    if (room(&s->in, s->out.imports_n))
        s->out.imports[s->out.imports_n++] = i;
}

static void scan_export(struct scan *s)
{
    struct str n = wasm_read_extern_name(&s->in);
    enum component_sort what = wasm_read_sort(&s->in, NULL);

    (void)wasm_read_number(&s->in);
    if (wasm_read_byte(&s->in) == 1)
        (void)wasm_read_extern_type(&s->in);
    for (int i = 0; what == COMPONENT_INSTANCE && i < COMPONENT_INTERFACES; i++) {
        if (str_eq(n, component_interface_name(i)))
            s->out.interfaces |= 1u << i;
    }
    if (room(&s->in, s->out.exports_n))
        s->out.exports[s->out.exports_n++] = n;
}

static void scan_alias(struct scan *s)
{
    struct wasm_reader *r = &s->in;
    enum component_sort what = wasm_read_sort(r, NULL);

    switch (wasm_read_byte(r)) {
    case 0: /* an export of an instance */
    case 1: /* an export of a core instance */
        (void)wasm_read_number(r);
        (void)wasm_read_bytes(r);
        break;
    case 2: /* of a component around this one: how far out, which one */
        (void)wasm_read_number(r);
        (void)wasm_read_number(r);
        break;
    default:
        wasm_read_wrong(r, "has an alias of an unknown kind");
    }
    s->counts[what]++;
}

static void scan_each(struct scan *s, void (*one)(struct scan *))
{
    for (uint32_t n = wasm_read_number(&s->in); n > 0 && !s->in.wrong; n--)
        one(s);
    if (s->in.at != s->in.end)
        wasm_read_wrong(&s->in, "has a section with bytes left over");
}

/* Everything up to here belongs to the front part: an import has come. */
static void close_front(struct scan *s)
{
    if (s->code)
        wasm_read_wrong(&s->in, "imports something behind its own code; encoders write imports first");
    s->out.front_n = s->sections_n;
    memcpy(s->out.counts, s->counts, sizeof s->counts);
}

static void keep_section(struct scan *s, struct str whole)
{
    if (room(&s->in, s->sections_n))
        s->out.front[s->sections_n++] = whole;
}

/* S->in is the section's contents, WHOLE the section. */
static void scan_section(struct scan *s, uint8_t id, struct str whole)
{
    switch (id) {
    case WASM_SECTION_CUSTOM:
        return;
    case WASM_SECTION_EXPORT:
        scan_each(s, scan_export);
        s->code = true;
        return;
    case WASM_SECTION_IMPORT:
        scan_each(s, scan_import);
        keep_section(s, whole);
        close_front(s);
        return;
    }
    if (s->code)
        return;
    switch (id) {
    case WASM_SECTION_TYPE:
        s->counts[COMPONENT_TYPE] += wasm_read_number(&s->in);
        break;
    case WASM_SECTION_ALIAS:
        scan_each(s, scan_alias);
        break;
    case WASM_SECTION_CORE_TYPE:
        break;
    default: /* what follows, but for exports and the imports that must not come, is of no interest */
        s->code = true;
        return;
    }
    keep_section(s, whole);
}

static void scan_sections(struct scan *s)
{
    struct wasm_reader *r = &s->in;
    const uint8_t *end = r->end;

    while (r->at < end && !r->wrong) {
        const uint8_t *from = r->at;
        uint8_t id = wasm_read_byte(r);
        uint32_t n = wasm_read_number(r);

        if (!r->wrong && id >= WASM_SECTIONS)
            wasm_read_wrong(r, "has a section of an unknown kind");
        if (!r->wrong && n > (size_t)(end - r->at))
            wasm_read_wrong(r, "is cut short");
        if (r->wrong)
            return;
        r->end = r->at + n;
        scan_section(s, id, str_range((const char *)from, (const char *)r->end));
        if (r->wrong)
            return;
        r->at = r->end;
        r->end = end;
    }
}

int component_scan(struct str bytes, struct arena *arena, struct component *ret, struct err *err)
{
    static const char HEADER[8] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
    struct scan s = { 0 };

    if (bytes.n < sizeof HEADER || memcmp(bytes.p, HEADER, 4) != 0)
        return err_set(err, ERR_INVALID, "not a WebAssembly file (it does not begin with 00 61 73 6d)");
    if (memcmp(bytes.p + 4, (const char[4]){ 1, 0, 0, 0 }, 4) == 0)
        return err_set(err, ERR_INVALID, "a core module, not a component");
    if (memcmp(bytes.p, HEADER, sizeof HEADER) != 0)
        return err_set(err, ERR_INVALID, "WebAssembly of an unknown version (a component has 0d 00 01 00)");
    s.out.imports = arena_array(arena, COMPONENT_NAMES_MAX, sizeof *s.out.imports);
    s.out.exports = arena_array(arena, COMPONENT_NAMES_MAX, sizeof *s.out.exports);
    s.out.front = arena_array(arena, COMPONENT_NAMES_MAX, sizeof *s.out.front);
    if (arena->failed)
        return err_set(err, ERR_NOMEM, "no memory to read the component");
    s.in = wasm_reader_of(bytes);
    s.in.at += sizeof HEADER;
    scan_sections(&s);
    if (s.in.wrong)
        return err_set(err, ERR_INVALID, "the component %s (at offset 0x%zx)", s.in.wrong, (size_t)(s.in.at - s.in.start));
    *ret = s.out;
    return 0;
}
