#include "plugin/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "plugin/direct.h"

/* ---- begin, end ---- */

static uint64_t thread_cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Time that this thread did not run does not count, or a busy machine would suspend the quickest guests. The first tick only looks: most calls never see one. */
static bool slice_is_over(struct call *c)
{
    uint64_t cpu_us = thread_cpu_us();

    if (c->slice_cpu_us)
        return cpu_us - c->slice_cpu_us >= WASM_SLICE_US;
    c->slice_cpu_us = cpu_us;
    return false;
}

static wasmtime_error *on_deadline(wasmtime_context *context, void *data, uint64_t *ticks, uint8_t *kind)
{
    struct call *c = data;

    (void)context;
    if (clock_now_us() >= c->deadline_us || atomic_load(&c->m->runtime->stopping)) {
        c->late = true;
        return c->api->wasmtime_error_new("the deadline has passed");
    }
    *ticks = 1;
    *kind = WASMTIME_DEADLINE_CONTINUE;
    if (!c->may_suspend || !slice_is_over(c))
        return NULL;
    if (c->is_direct) {
        c->given_up = true;
        return c->api->wasmtime_error_new("the slice is over");
    }
    *kind = WASMTIME_DEADLINE_YIELD;
    return NULL;
}

/* An empty world: no arguments, environment, files, network; stdin at its end; real clocks and randomness. */
static int give_wasi(struct call *c)
{
    wasmtime_wasi *wasi = c->api->wasi_config_new();
    wasmtime_error *e;

    if (c->output)
        output_attach(c->output, c->api, wasi);
    e = c->api->wasmtime_context_set_wasi(c->context, wasi);
    return e ? runtime_error(c->m->runtime, e, c->err, ERR_INVALID, "no WASI for the plugin") : 0;
}

int call_begin(struct call *c)
{
    c->api = c->m->runtime->api;
    c->deadline_us = clock_now_us() + (uint64_t)c->limits.timeout_ms * 1000;
    runtime_call_begins(c->m->runtime);
    c->store = c->api->wasmtime_store_new(c->m->runtime->engine, c->m, NULL);
    c->context = c->api->wasmtime_store_context(c->store);
    c->api->wasmtime_store_limiter(c->store, (int64_t)c->limits.max_memory_pages << 16, TABLE_ELEMENTS, INSTANCES_MAX, TABLES_MAX,
                                   MEMORIES_MAX);
    c->api->wasmtime_store_epoch_deadline_callback(c->store, on_deadline, c, NULL);
    c->api->wasmtime_context_set_epoch_deadline(c->context, 1);
    return c->m->uses_wasi && !c->is_direct ? give_wasi(c) : 0;
}

void call_end(struct call *c)
{
    c->api->wasmtime_store_delete(c->store);
    runtime_call_ends(c->m->runtime);
}

/* REASON is what the library said. */
static int outcome(struct call *c, const struct err *reason)
{
    struct str text = str_of(reason->message);

    if (c->late && atomic_load(&c->m->runtime->stopping))
        return err_set(c->err, ERR_BUSY, "the plugin was stopped because the gateway ends");
    if (c->late)
        return err_set(c->err, ERR_TIMEOUT, "the plugin was stopped at its deadline of %u ms", c->limits.timeout_ms);
    if (str_find(text, STR("call stack exhausted")) != STR_NPOS)
        return err_set(c->err, ERR_LIMIT, "the plugin used more stack than it may");
    if (str_find(text, STR("exceeds memory limits")) != STR_NPOS)
        return err_set(c->err, ERR_LIMIT, "the plugin needs more than the %u pages of memory that it may have (%.*s)",
                       c->limits.max_memory_pages, (int)MIN(text.n, (size_t)300), text.p);
    if (str_find(text, STR("limit of ")) != STR_NPOS && str_find(text, STR("reached")) != STR_NPOS)
        return err_set(c->err, ERR_LIMIT, "%s", reason->message);
    return err_set(c->err, ERR_INVALID, "%s", reason->message);
}

int call_failed(struct call *c, wasmtime_error *e, const char *what)
{
    struct err reason = { 0 };

    (void)runtime_error(c->m->runtime, e, &reason, ERR_INVALID, what);
    return outcome(c, &reason);
}

int call_trapped(struct call *c, wasmtime_trap *t, const char *what)
{
    struct err reason = { 0 };

    (void)runtime_trap(c->m->runtime, t, &reason, ERR_INVALID, what);
    return outcome(c, &reason);
}

int call_instantiate(struct call *c)
{
    wasmtime_error *e =
        c->api->wasmtime_component_linker_instantiate(c->m->runtime->linker, c->context, c->m->component, &c->instance);

    return e ? call_failed(c, e, "the plugin could not be instantiated") : 0;
}

/* ---- the steps ---- */

int call_export_of(struct call *c, const wasmtime_export *export, struct wasmtime_func *ret)
{
    if (c->api->wasmtime_component_instance_get_func(&c->instance, c->context, export, ret))
        return 0;
    return err_set(c->err, ERR_INVALID, "the plugin's bridge has lost a function");
}

/* Calls an export of the bridge with one argument or none, for a string or nothing. A string that comes back belongs to the library. */
static int call_export(struct call *c, const wasmtime_export *export, const struct wasmtime_val *argument, struct wasmtime_val *ret)
{
    struct wasmtime_func f;
    wasmtime_error *e;
    int r = call_export_of(c, export, &f);

    if (r < 0)
        return r;
    e = c->api->wasmtime_component_func_call(&f, c->context, argument, argument ? 1 : 0, ret, ret ? 1 : 0);
    if (!e)
        e = c->api->wasmtime_component_func_post_return(&f, c->context);
    else if (ret)
        ret->kind = 0;
    return e ? call_failed(c, e, "the plugin failed") : 0;
}

static int put(struct call *c, const wasmtime_export *export, struct str piece)
{
    struct wasmtime_val v = { .kind = WASMTIME_STRING,
                              .of.string = { piece.n, (char *)(uintptr_t)piece.p } }; /* copied, not changed */

    return call_export(c, export, &v, NULL);
}

static int put_text(struct call *c, struct str s)
{
    int r = 0;

    while (r == 0 && s.n > 0) {
        struct str piece = s.n > BRIDGE_PIECE ? utf8_first(s, BRIDGE_PIECE) : s;

        r = put(c, c->m->put_text, piece);
        s = str_skip(s, piece.n);
    }
    return r;
}

/* Each byte as the character of that number: one or two bytes of UTF-8. */
static int put_bytes(struct call *c, struct str s, char *scratch)
{
    int r = 0;

    while (r == 0 && s.n > 0) {
        struct str piece = str_first(s, BRIDGE_PIECE); /* even, so that the next one joins */
        size_t n = 0;

        for (size_t i = 0; i < piece.n; i++) {
            unsigned char b = (unsigned char)piece.p[i];

            if (b < 0x80) {
                scratch[n++] = (char)b;
            } else {
                scratch[n++] = (char)(0xc0 | b >> 6);
                scratch[n++] = (char)(0x80 | (b & 0x3f));
            }
        }
        r = put(c, c->m->put_bytes, (struct str){ scratch, n });
        s = str_skip(s, piece.n);
    }
    return r;
}

int call_put(struct call *c, const struct image *in)
{
    char *scratch;
    int r;

    if (in->text) {
        r = put_text(c, in->head);
        return r == 0 ? put_text(c, in->body) : r;
    }
    scratch = malloc(2 * MIN(MAX(in->head.n, in->body.n), (size_t)BRIDGE_PIECE) + 1);
    if (!scratch)
        return err_set(c->err, ERR_NOMEM, "no memory for a plugin's arguments");
    r = put_bytes(c, in->head, scratch);
    if (r == 0)
        r = put_bytes(c, in->body, scratch);
    free(scratch);
    return r;
}

/* Latin-1 told in UTF-8, back to bytes; at most ROOM of them, SIZE_MAX when there are more or it is something else. */
static size_t to_bytes(struct str s, uint8_t *out, size_t room)
{
    const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;
    size_t n = 0;

    while (p < end) {
        uint64_t eight;

        if (end - p >= 8 && room - n >= 8 && (memcpy(&eight, p, 8), (eight & 0x8080808080808080u) == 0)) {
            memcpy(out + n, &eight, 8);
            p += 8;
            n += 8;
        } else if (n == room) {
            return SIZE_MAX;
        } else if (*p < 0x80) {
            out[n++] = *p++;
        } else if (end - p >= 2 && (*p & 0xfe) == 0xc2 && (p[1] & 0xc0) == 0x80) {
            out[n++] = (uint8_t)((*p & 3) << 6 | (p[1] & 0x3f));
            p += 2;
        } else {
            return SIZE_MAX;
        }
    }
    return n;
}

static int no_sense(struct call *c)
{
    return err_set(c->err, ERR_INVALID, "the answer of the plugin's bridge makes no sense");
}

/* The first piece says how long the whole is. */
static int first_piece(struct call *c, struct str piece, struct arena *arena, uint8_t **ret_p, size_t *ret_n, size_t *ret_done)
{
    uint8_t front[8];
    size_t total, done;
    uint32_t top;
    uint8_t *p;

    /* Four bytes of Latin-1 are at most eight of UTF-8; a character may be cut behind them, which does not matter. */
    if (piece.n < 8 || to_bytes(utf8_first(str_first(piece, 8), 8), front, 8) == SIZE_MAX)
        return no_sense(c);
    memcpy(&top, front, sizeof top);
    if (top < BRIDGE_IMAGE)
        return no_sense(c);
    total = top - BRIDGE_ANSWER;
    p = arena_alloc(arena, total);
    if (!p)
        return err_set(c->err, ERR_NOMEM, "no memory for a plugin's answer of %zu bytes", total);
    done = to_bytes(piece, p, total);
    if (done == SIZE_MAX || done != MIN(total, (size_t)BRIDGE_PIECE))
        return no_sense(c);
    *ret_p = p;
    *ret_n = total;
    *ret_done = done;
    return 0;
}

static int get_rest(struct call *c, uint8_t *p, size_t total, size_t done)
{
    int r = 0;

    while (r == 0 && done < total) {
        struct wasmtime_val at = { .kind = WASMTIME_U32, .of.u32 = (uint32_t)(BRIDGE_ANSWER + done) }, piece = { 0 };
        size_t n;

        r = call_export(c, c->m->get, &at, &piece);
        if (r < 0)
            return r;
        n = to_bytes((struct str){ piece.of.string.p, piece.of.string.n }, p + done, total - done);
        if (n == SIZE_MAX || n == 0)
            r = no_sense(c);
        else
            done += n;
        c->api->wasmtime_component_val_delete(&piece);
    }
    return r;
}

int call_get(struct call *c, enum component_interface f, struct wasmtime_val *piece, struct arena *arena, union wasm_result *ret)
{
    uint8_t *p = NULL;
    size_t total = 0, done = 0;
    int r;

    if (piece->kind != WASMTIME_STRING)
        r = no_sense(c);
    else
        r = first_piece(c, (struct str){ piece->of.string.p, piece->of.string.n }, arena, &p, &total, &done);
    c->api->wasmtime_component_val_delete(piece);
    if (r == 0)
        r = get_rest(c, p, total, done);
    if (r < 0)
        return r;
    return values_to_result(f, (struct answer){ .p = p, .n = total, .from = BRIDGE_ANSWER, .returned = BRIDGE_RETURNED }, arena,
                            ret, c->err);
}

int call_ask(struct call *c, enum component_interface f, struct arena *arena, union wasm_result *ret)
{
    struct wasmtime_val piece = { 0 };
    int r = call_export(c, c->m->functions[f], NULL, &piece);

    return r < 0 ? r : call_get(c, f, &piece, arena, ret);
}

/* ---- entries ---- */

/* Over the bridge, on this thread, whatever the guest may do in it. */
static int call_here(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l,
                     const struct wasm_values *values, struct output *output, struct arena *arena, union wasm_result *ret,
                     struct err *err)
{
    struct call c = { .m = m, .limits = *l, .output = output, .err = err };
    struct image in;
    int r = image_write(values, arena, &in, err);

    if (r < 0)
        return r;
    r = call_begin(&c);
    if (r == 0)
        r = call_instantiate(&c);
    if (r == 0)
        r = call_put(&c, &in);
    if (r == 0)
        r = call_ask(&c, f, arena, ret);
    call_end(&c);
    return r;
}

int call_try(struct wasm_module *m, struct err *err)
{
    struct call c = { .m = m, .limits = { TRIAL_MS, 65536 }, .err = err };
    int r = call_begin(&c);

    if (r == 0)
        r = call_instantiate(&c);
    call_end(&c);
    return r;
}

int call_run(struct wasm_module *m, enum component_interface f, const struct wasm_limits *l, const struct wasm_values *values,
             struct str request_id, struct arena *arena, union wasm_result *ret, struct err *err)
{
    struct output *output = NULL;
    bool again;
    int r;

    if (!(m->exports & 1u << f))
        return err_set(err, ERR_INVALID, "the plugin does not export %.*s", STR_FMT(component_interface_name(f)));
    if (m->direct && direct_turn(m->direct)) {
        r = direct_call(m, f, l, values, /* on_loop= */ false, arena, &again, ret, err);
        if (!again)
            return r;
    }
    if (m->uses_wasi && m->runtime->output) {
        output = output_new();
        if (!output)
            return err_set(err, ERR_NOMEM, "no memory for a plugin's output");
    }
    r = (m->can_sleep ? call_elsewhere : call_here)(m, f, l, values, output, arena, ret, err);
    if (output) {
        output_tell(output, m->runtime->output, m->runtime->output_owner, str_of(m->name), request_id);
        output_unref(output);
    }
    return r;
}
