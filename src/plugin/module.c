#include "plugin/call.h"
#include "plugin/direct.h"

#include <stdlib.h>

static void free_component(struct wasm_module *m)
{
    const struct wasmtime_api *a = m->runtime->api;
    wasmtime_export **all[COMPONENT_INTERFACES + 3] = { &m->put_text, &m->put_bytes, &m->get };

    for (size_t i = 0; i < COMPONENT_INTERFACES; i++)
        all[3 + i] = &m->functions[i];
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (*all[i])
            a->wasmtime_component_export_index_delete(STEAL(*all[i]));
    }
    if (m->component)
        a->wasmtime_component_delete(STEAL(m->component));
}

static void module_free(struct wasm_module *m)
{
    free_component(m);
    direct_free(m->direct, m->runtime->api);
    free(m->name);
    free(m);
}

static void module_freep(struct wasm_module **m)
{
    if (*m)
        module_free(*m);
}

struct wasm_module *wasm_module_ref(struct wasm_module *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void wasm_module_unref(struct wasm_module *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        module_free(m);
}

unsigned wasm_module_exports(const struct wasm_module *m)
{
    return m->exports;
}

enum wasm_way wasm_module_way(const struct wasm_module *m)
{
    if (!m->direct)
        return WASM_THROUGH_COMPONENT;
    return direct_asks(m->direct) ? WASM_DIRECT_UNTIL_IT_ASKS : WASM_DIRECT;
}

/* ---- what it must export ---- */

static int check_exports(const struct component *c, struct err *err)
{
    _cleanup_(buf_fini) struct buf names = { .max = 300 };

    if (c->interfaces)
        return 0;
    for (size_t i = 0; i < c->exports_n; i++)
        buf_printf(&names, "%s%.*s", i ? ", " : "", STR_FMT(c->exports[i]));
    return err_set(err, ERR_INVALID,
                   "the component exports none of smg:gateway/middleware-on-request, smg:gateway/middleware-on-response, "
                   "smg:storage/storage-hook-before, smg:storage/storage-hook-after; "
                   "it exports %.*s",
                   (int)names.n, names.n ? names.p : "");
}

static void note_imports(struct wasm_module *m, const struct component *c)
{
    for (size_t i = 0; i < c->imports_n; i++) {
        m->uses_wasi = m->uses_wasi || str_has_prefix(c->imports[i].name, STR("wasi:"));
        m->can_sleep = m->can_sleep || str_has_prefix(c->imports[i].name, STR("wasi:io/poll@"));
    }
}

/* ---- compiling ---- */

static int assemble(struct wasm_runtime *r, const struct buf *text, struct wasmtime_bytes *ret, struct err *err)
{
    wasmtime_error *e;

    if (text->failed)
        return err_set(err, ERR_NOMEM, "no memory for the plugin's bridge");
    e = r->api->wasmtime_wat2wasm(text->p, text->n, ret);
    return e ? runtime_error(r, e, err, ERR_UNSUPPORTED, "the WASM runtime does not take the gateway's bridge") : 0;
}

static int write_component(struct wasm_runtime *r, struct str bytes, const struct component *c, struct buf *out, struct err *err)
{
    _cleanup_(buf_fini) struct buf types_text = { 0 }, bridge_text = { 0 };
    struct wasmtime_bytes types = { 0 }, bridge = { 0 };
    int e;

    bridge_write_types(c->interfaces, &types_text);
    bridge_write_text(c->interfaces, &bridge_text);
    e = assemble(r, &types_text, &types, err);
    if (e == 0) {
        e = assemble(r, &bridge_text, &bridge, err);
        if (e == 0) {
            bridge_wrap(bytes, c, (struct str){ types.p, types.n }, (struct str){ bridge.p, bridge.n }, out);
            r->api->wasm_byte_vec_delete(&bridge);
        }
        r->api->wasm_byte_vec_delete(&types);
    }
    if (e == 0 && out->failed)
        e = err_set(err, ERR_NOMEM, "no memory to compile the component");
    return e;
}

/* The words of the library for bytes that are wrong in themselves are better than those for what we made of them. */
static int compile_alone(struct wasm_runtime *r, struct str bytes, struct err *err)
{
    wasmtime_component *alone = NULL;
    wasmtime_error *e = r->api->wasmtime_component_new(r->engine, bytes.p, bytes.n, &alone);

    if (e)
        return runtime_error(r, e, err, ERR_INVALID, "the component is not valid");
    r->api->wasmtime_component_delete(alone);
    return 0;
}

static int compile(struct wasm_module *m, struct str user, const struct buf *bytes, struct err *err)
{
    struct wasm_runtime *r = m->runtime;
    wasmtime_error *e = r->api->wasmtime_component_new(r->engine, bytes->p, bytes->n, &m->component);
    int code;

    if (!e)
        return 0;
    m->component = NULL;
    code = compile_alone(r, user, err);
    if (code == 0)
        return runtime_error(r, e, err, ERR_INVALID,
                             "the component's exports do not have the types of the world smg:gateway or smg:storage");
    r->api->wasmtime_error_delete(e);
    return code;
}

static wasmtime_export *export_of(struct wasm_module *m, const wasmtime_export *of, struct str name)
{
    return m->runtime->api->wasmtime_component_get_export_index(m->component, of, name.p, name.n);
}

static int find_exports(struct wasm_module *m, struct err *err)
{
    wasmtime_export *bridge = export_of(m, NULL, STR(BRIDGE_INSTANCE));
    bool found = bridge != NULL;

    if (found) {
        m->put_text = export_of(m, bridge, STR("put-text"));
        m->put_bytes = export_of(m, bridge, STR("put-bytes"));
        m->get = export_of(m, bridge, STR("get"));
        found = m->put_text && m->put_bytes && m->get;
        for (int i = 0; i < COMPONENT_INTERFACES; i++) {
            if (!(m->exports & 1u << i))
                continue;
            m->functions[i] = export_of(m, bridge, component_function_name(i));
            found = found && m->functions[i];
        }
        m->runtime->api->wasmtime_component_export_index_delete(bridge);
    }
    return found ? 0 : err_set(err, ERR_UNSUPPORTED, "the WASM runtime does not show the functions of the gateway's bridge");
}

/* A plain guest is called without the component, which has been checked by now; it is kept for one that may ask. */
static int go_direct(struct wasm_module *m, struct str bytes, struct arena *scratch, struct err *err)
{
    struct plain plain;
    int r;

    if (m->runtime->bridge_only)
        return 0;
    if (!plain_find(bytes, m->exports, scratch, &plain))
        return scratch->failed ? err_set(err, ERR_NOMEM, "no memory for the module") : 0;
    r = direct_new(m, &plain, &m->direct, err);
    if (r < 0 || wasm_module_way(m) != WASM_DIRECT)
        return r;
    free_component(m);
    m->uses_wasi = m->can_sleep = false; /* whatever the component imports: its guest imports nothing */
    return 0;
}

int wasm_module_compile(struct wasm_runtime *r, struct str name, struct str bytes, struct wasm_module **ret, struct err *err)
{
    _cleanup_(module_freep) struct wasm_module *m = calloc(1, sizeof *m);
    _cleanup_(buf_fini) struct buf whole = { 0 };
    _cleanup_(arena_fini) struct arena arena;
    struct component outline;
    int e;

    arena_init(&arena, NULL, 0);
    if (!m)
        return err_set(err, ERR_NOMEM, "no memory for the module");
    m->runtime = r;
    atomic_init(&m->refs, 1);
    m->name = str_dup(name);
    if (!m->name)
        return err_set(err, ERR_NOMEM, "no memory for the module");
    e = component_scan(bytes, &arena, &outline, err);
    if (e < 0)
        return e;
    e = check_exports(&outline, err);
    if (e < 0)
        return e;
    m->exports = outline.interfaces;
    note_imports(m, &outline);
    e = write_component(r, bytes, &outline, &whole, err);
    if (e < 0)
        return e;
    e = compile(m, bytes, &whole, err);
    if (e < 0)
        return e;
    e = find_exports(m, err);
    if (e < 0)
        return e;
    e = call_try(m, err);
    if (e < 0)
        return e;
    e = go_direct(m, bytes, &arena, err);
    if (e < 0)
        return e;
    *ret = STEAL(m);
    return 0;
}
