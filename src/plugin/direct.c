#include "plugin/direct.h"

#include <stdlib.h>

#include "plugin/call.h"

#define FLAT_MAX 16 /* arguments of a core function, by the canonical ABI */

struct direct {
    wasmtime_core *module;  /* owned */
    wasmtime_core_pre *pre; /* owned */
    struct str memory, realloc, initialize, functions[COMPONENT_INTERFACES];
    bool asks;
    atomic_uint pause;  /* calls that go over the bridge before one is tried so again */
    struct arena arena; /* the names */
};

/* The guest of one call. */
struct guest {
    struct call *call;
    const struct wasmtime_api *api;
    struct wasmtime_memory memory;
    struct wasmtime_core_func realloc, function;
};

/* ---- the guest ---- */

static int trapped(struct call *c, wasmtime_error *e, wasmtime_trap *t, const char *what)
{
    return e ? call_failed(c, e, what) : call_trapped(c, t, what);
}

/* False: the instance has no such export of that kind. What is of another kind belongs to us. */
static bool export_of(struct call *c, const struct wasmtime_core_instance *i, struct str name, enum wasmtime_extern_kind kind,
                      struct wasmtime_extern *ret)
{
    if (!c->api->wasmtime_instance_export_get(c->context, i, name.p, name.n, ret))
        return false;
    if (ret->kind == kind)
        return true;
    c->api->wasmtime_extern_delete(ret);
    return false;
}

static bool is_of(const struct wasmtime_api *a, const struct wasmtime_value_types *t, const char *kinds)
{
    bool same = t->n == strlen(kinds);

    for (size_t i = 0; same && i < t->n; i++)
        same = a->wasm_valtype_kind(t->v[i]) == (kinds[i] == 'l' ? WASMTIME_I64 : WASMTIME_I32);
    return same;
}

/* Whether F takes, and returns, the core values of those kinds: i for 32 bits and l for 64. */
static bool has_type(const struct call *c, const struct wasmtime_core_func *f, const char *takes, const char *returns)
{
    wasmtime_core_type *t = c->api->wasmtime_func_type(c->context, f);
    bool is = is_of(c->api, c->api->wasm_functype_params(t), takes) && is_of(c->api, c->api->wasm_functype_results(t), returns);

    c->api->wasm_functype_delete(t);
    return is;
}

static int call_guest(struct guest *g, const struct wasmtime_core_func *f, union wasmtime_raw *values, size_t n)
{
    wasmtime_trap *t = NULL;
    wasmtime_error *e = g->api->wasmtime_func_call_unchecked(g->call->context, f, values, n, &t);

    return e || t ? trapped(g->call, e, t, "the plugin failed") : 0;
}

/* Its initialiser is called before anything else of it. */
static int initialize(struct guest *g, const struct direct *d, const struct wasmtime_core_instance *instance)
{
    struct wasmtime_extern f;
    union wasmtime_raw none[1] = { { 0 } };

    if (d->initialize.n == 0)
        return 0;
    if (!export_of(g->call, instance, d->initialize, WASMTIME_FUNC, &f) || !has_type(g->call, &f.of.func, "", ""))
        return err_set(g->call->err, ERR_INVALID, "the plugin's module has lost its initialiser");
    return call_guest(g, &f.of.func, none, 0);
}

static int instantiate(struct call *c, const struct direct *d, enum component_interface f, struct guest *ret)
{
    struct wasmtime_core_instance instance;
    struct wasmtime_extern memory, realloc, function;
    wasmtime_trap *t = NULL;
    wasmtime_error *e = c->api->wasmtime_instance_pre_instantiate(d->pre, c->context, &instance, &t);

    if (e || t)
        return trapped(c, e, t, "the plugin could not be instantiated");
    if (!export_of(c, &instance, d->memory, WASMTIME_MEMORY, &memory) ||
        !export_of(c, &instance, d->realloc, WASMTIME_FUNC, &realloc) ||
        !export_of(c, &instance, d->functions[f], WASMTIME_FUNC, &function))
        return err_set(c->err, ERR_INVALID, "the plugin's module has lost an export");
    *ret = (struct guest){ c, c->api, memory.of.memory, realloc.of.func, function.of.func };
    return initialize(ret, d, &instance);
}

/* ---- arguments into its memory ---- */

/* Room of N bytes where the guest's allocator says; *RET_P is good until the guest runs again. */
static int room(struct guest *g, size_t n, uint32_t alignment, uint32_t *ret_address, uint8_t **ret_p)
{
    union wasmtime_raw v[4] = { { 0 }, { 0 }, { .i32 = alignment }, { .i32 = (uint32_t)n } };
    size_t size;
    int r = call_guest(g, &g->realloc, v, 4);

    if (r < 0)
        return r;
    size = g->api->wasmtime_memory_data_size(g->call->context, &g->memory);
    if (v[0].i32 > size || n > size - v[0].i32)
        return err_set(g->call->err, ERR_INVALID, "the plugin failed: realloc return: beyond end of memory");
    if (v[0].i32 % alignment != 0)
        return err_set(g->call->err, ERR_INVALID, "the plugin failed: realloc return: result not aligned");
    *ret_address = v[0].i32;
    *ret_p = g->api->wasmtime_memory_data(g->call->context, &g->memory) + v[0].i32;
    return 0;
}

static int lower_bytes(struct guest *g, struct str s, uint32_t *ret_address)
{
    uint8_t *p;
    int r = room(g, s.n, 1, ret_address, &p);

    if (r == 0 && s.n > 0)
        memcpy(p, s.p, s.n);
    return r;
}

static void put_32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v); /* the guest's memory is little-endian, as the processors are that the library runs on */
}

static int lower_entry(struct guest *g, uint32_t at, struct str s)
{
    uint32_t address;
    uint8_t *p;
    int r = lower_bytes(g, s, &address);

    if (r < 0)
        return r;
    p = g->api->wasmtime_memory_data(g->call->context, &g->memory) + at;
    put_32(p, address);
    put_32(p + 4, (uint32_t)s.n);
    return 0;
}

static int lower_pairs(struct guest *g, const struct wasm_headers *pairs, uint32_t *ret_address)
{
    uint8_t *p;
    int r = room(g, VALUES_PAIR_BYTES * pairs->n, VALUES_ALIGNMENT, ret_address, &p);

    for (size_t i = 0; r == 0 && i < pairs->n; i++) {
        uint32_t at = *ret_address + (uint32_t)(VALUES_PAIR_BYTES * i);

        r = lower_entry(g, at, pairs->v[i].name);
        if (r == 0)
            r = lower_entry(g, at + 8, pairs->v[i].value);
    }
    return r;
}

/* One argument: a core value, or two. */
static int lower(struct guest *g, const struct wasm_value *v, union wasmtime_raw *flat, size_t *n)
{
    size_t count = v->kind == VALUE_PAIRS ? v->pairs.n : v->bytes.n;
    uint32_t address = 0;
    int r;

    if (v->kind == VALUE_WORD || v->kind == VALUE_LONG) {
        flat[(*n)++].i64 = v->number;
        return 0;
    }
    r = v->kind == VALUE_PAIRS ? lower_pairs(g, &v->pairs, &address) : lower_bytes(g, v->bytes, &address);
    flat[(*n)++].i64 = address;
    flat[(*n)++].i64 = count;
    return r;
}

static int ask(struct guest *g, const struct wasm_values *values, uint32_t *ret_address)
{
    union wasmtime_raw flat[FLAT_MAX] = { 0 };
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < values->n; i++)
        r = lower(g, &values->v[i], flat, &n);
    if (r == 0)
        r = call_guest(g, &g->function, flat, n);
    *ret_address = flat[0].i32;
    return r;
}

/* The guest failed, maybe because it called what it imports: the component will tell. A deadline has passed for both. */
static bool needs_component(const struct call *c, struct direct *d)
{
    if (!d->asks || c->late || c->given_up)
        return false;
    atomic_store_explicit(&d->pause, DIRECT_PAUSE, memory_order_relaxed);
    return true;
}

int direct_call(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
                bool on_loop, struct arena *arena, bool *ret_again, union wasm_result *ret, struct err *err)
{
    struct call c = { .m = m, .limits = *l, .err = err, .is_direct = true, .may_suspend = on_loop };
    struct answer answer = { .passing = true, .room = (size_t)l->max_memory_pages << 16 };
    struct guest g;
    int r = call_begin(&c);

    if (r == 0)
        r = instantiate(&c, m->direct, f, &g);
    if (r == 0)
        r = ask(&g, values, &answer.returned);
    if (r == 0) {
        answer.p = c.api->wasmtime_memory_data(c.context, &g.memory);
        answer.n = c.api->wasmtime_memory_data_size(c.context, &g.memory);
        r = values_to_result(f, answer, arena, ret, err);
    }
    call_end(&c);
    *ret_again = c.given_up || (r < 0 && needs_component(&c, m->direct));
    if (*ret_again && err)
        *err = (struct err){ 0 };
    return *ret_again ? 0 : r;
}

bool direct_asks(const struct direct *d)
{
    return d->asks;
}

bool direct_is_due(const struct direct *d)
{
    return atomic_load_explicit(&d->pause, memory_order_relaxed) == 0;
}

bool direct_turn(struct direct *d)
{
    unsigned left = atomic_load_explicit(&d->pause, memory_order_relaxed);

    while (left > 0)
        if (atomic_compare_exchange_weak_explicit(&d->pause, &left, left - 1, memory_order_relaxed, memory_order_relaxed))
            return false;
    return true;
}

/* ---- making one ---- */

static bool can_call(struct wasm_module *m, const struct direct *d, enum component_interface f)
{
    static const char *const FLAT[COMPONENT_INTERFACES] = { [COMPONENT_ON_REQUEST] = "iiiiiiiiiiiil",
                                                            [COMPONENT_ON_RESPONSE] = "iiiii",
                                                            [COMPONENT_BEFORE] = "iiiii",
                                                            [COMPONENT_AFTER] = "iiiiiiiii" };
    struct call c = { .m = m, .limits = { TRIAL_MS, 65536 }, .is_direct = true };
    struct guest g;
    bool can = call_begin(&c) == 0 && instantiate(&c, d, f, &g) == 0 && has_type(&c, &g.function, FLAT[f], "i") &&
               has_type(&c, &g.realloc, "iiii", "i");

    call_end(&c);
    return can;
}

static bool compile(struct direct *d, struct wasm_runtime *r, struct str bytes)
{
    wasmtime_core_linker *linker = NULL;
    wasmtime_error *e = r->api->wasmtime_module_new(r->engine, bytes.p, bytes.n, &d->module);

    if (!e) {
        linker = r->api->wasmtime_linker_new(r->engine);
        if (d->asks)
            e = r->api->wasmtime_linker_define_unknown_imports_as_traps(linker, d->module);
        if (!e)
            e = r->api->wasmtime_linker_instantiate_pre(linker, d->module, &d->pre);
        r->api->wasmtime_linker_delete(linker);
    }
    if (e)
        r->api->wasmtime_error_delete(e);
    return !e;
}

int direct_new(struct wasm_module *m, const struct plain *p, struct direct **ret, struct err *err)
{
    struct direct *d = calloc(1, sizeof *d);
    bool can;

    *ret = NULL;
    if (!d)
        return err_set(err, ERR_NOMEM, "no memory for the module");
    arena_init(&d->arena, NULL, 0);
    d->memory = arena_str(&d->arena, p->memory);
    d->realloc = arena_str(&d->arena, p->realloc);
    d->initialize = arena_str(&d->arena, p->initialize);
    d->asks = p->asks;
    atomic_init(&d->pause, 0);
    for (int i = 0; i < COMPONENT_INTERFACES; i++)
        d->functions[i] = arena_str(&d->arena, p->functions[i]);
    if (d->arena.failed) {
        direct_free(d, m->runtime->api);
        return err_set(err, ERR_NOMEM, "no memory for the module");
    }
    can = compile(d, m->runtime, p->module);
    for (int i = 0; can && i < COMPONENT_INTERFACES; i++)
        can = !(m->exports & 1u << i) || can_call(m, d, i);
    if (can)
        *ret = d;
    else
        direct_free(d, m->runtime->api);
    return 0;
}

void direct_free(struct direct *d, const struct wasmtime_api *api)
{
    if (!d)
        return;
    if (d->pre)
        api->wasmtime_instance_pre_delete(d->pre);
    if (d->module)
        api->wasmtime_module_delete(d->module);
    arena_fini(&d->arena);
    free(d);
}
