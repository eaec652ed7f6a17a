/* cli/wasm_inspect.c -- `smg wasm inspect`: what a component exports, imports and weighs, and whether the gateway takes it
 *
 * The outline is read by our own scanner, so it is shown even without wasmtime's library; only the last line needs that.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/text_table.h"
#include "json/json_write.h"
#include "plugin/component.h"
#include "plugin/wasm.h"

#define MODULE_MAX ((size_t)256 << 20)

struct wasm_inspect_config {
    struct str module, library;
    bool json;
};

#define AT(member) .at = offsetof(struct wasm_inspect_config, member)

/* clang-format off */
static const struct option OPTIONS[] = {
    { .name = "MODULE", .type = OPT_PATH, AT(module), .flags = OPT_REQUIRED, .group = "Input", .help = "the component, a .wasm file" },
    { .name = "--wasm-runtime-lib", .type = OPT_PATH, AT(library), .value = "PATH", .def_help = "searched", .help = "wasmtime's library" },
    { .name = "--json", .type = OPT_FLAG, AT(json), .group = "Output", .help = "one JSON object" },
};
/* clang-format on */

const struct option_table WASM_INSPECT_TABLE = {
    .command = "wasm inspect",
    .usage = "wasm inspect [OPTIONS] MODULE",
    .summary = "Shows what a WebAssembly component exports and imports, and whether this gateway can run it.",
    .notes = "Exit status: 0 when the gateway takes it, 1 when it does not (the last line says why), 2 for wrong usage.",
    .options = OPTIONS,
    .options_n = ARRAY_LEN(OPTIONS),
};

/* What compiling it said. */
struct verdict {
    int result;
    enum wasm_way way;
    bool on_loops;
    bool middleware; /* else a storage hook, which is called where the history is kept */
    struct err err;
    uint64_t compile_us;
};

static void try_it(const struct wasm_inspect_config *c, struct str bytes, struct verdict *ret)
{
    const struct wasm_runtime_config config = { .library = c->library.n ? c->library.p : NULL, .threads = 1 };
    struct wasm_runtime *runtime = NULL;
    struct wasm_module *module = NULL;
    uint64_t from;

    ret->result = wasm_runtime_open(&config, &runtime, &ret->err);
    from = clock_now_us();
    if (ret->result == 0)
        ret->result = wasm_module_compile(runtime, STR("module"), bytes, &module, &ret->err);
    ret->compile_us = clock_now_us() - from;
    if (ret->result == 0) {
        ret->way = wasm_module_way(module);
        ret->on_loops = wasm_module_suspends(module);
        ret->middleware = wasm_module_exports(module) & (WASM_ON_REQUEST | WASM_ON_RESPONSE);
    }
    wasm_module_unref(module);
    wasm_runtime_close(runtime);
}

static void put_table(const struct component *c, size_t bytes, const struct verdict *v, struct arena *arena, struct buf *out)
{
    static const char *const WAYS[] = { [WASM_THROUGH_COMPONENT] = "through its component",
                                        [WASM_DIRECT_UNTIL_IT_ASKS] = "directly, until it calls what it imports",
                                        [WASM_DIRECT] = "directly" };

    buf_printf(out, "%-8s %zu bytes\n", "size", bytes);
    for (size_t i = 0; i < c->exports_n; i++)
        buf_printf(out, "%-8s %.*s\n", "export", STR_FMT(text_clean(c->exports[i], arena)));
    for (size_t i = 0; i < c->imports_n; i++)
        buf_printf(out, "%-8s %.*s\n", "import", STR_FMT(text_clean(c->imports[i].name, arena)));
    if (v->result < 0)
        buf_printf(out, "%-8s no: %s\n", "runs", v->err.message);
    else
        buf_printf(out, "%-8s %s%s\n%-8s yes; compiled in %.1f ms\n", "called", WAYS[v->way],
                   !v->middleware ? ""
                   : v->on_loops  ? ", where its request is served"
                                  : ", on plugin threads",
                   "runs", (double)v->compile_us / 1000);
}

static void write_json(const struct component *c, size_t bytes, const struct verdict *v, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_put_u64(&w, "size_bytes", bytes);
    json_put_array(&w, "exports");
    for (size_t i = 0; i < c->exports_n; i++)
        json_value_str(&w, c->exports[i]);
    json_end(&w);
    json_put_array(&w, "imports");
    for (size_t i = 0; i < c->imports_n; i++)
        json_value_str(&w, c->imports[i].name);
    json_end(&w);
    json_put_bool(&w, "runs", v->result == 0);
    if (v->result < 0) {
        json_put_str(&w, "error", str_of(v->err.message));
    } else {
        json_put_bool(&w, "direct", v->way == WASM_DIRECT);
        json_put_bool(&w, "direct_until_it_asks", v->way == WASM_DIRECT_UNTIL_IT_ASKS);
        if (v->middleware)
            json_put_bool(&w, "on_plugin_threads", !v->on_loops);
        json_put_u64(&w, "compile_us", v->compile_us);
    }
    json_end(&w);
    buf_put_char(out, '\n');
}

static int inspect(const struct wasm_inspect_config *config, struct arena *arena)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 }, out = { 0 };
    struct component c = { 0 };
    struct verdict v = { 0 };
    int r = file_read(config->module.p, MODULE_MAX, &bytes, &v.err), status;

    if (r == 0)
        r = component_scan(buf_str(&bytes), arena, &c, &v.err);
    if (r < 0)
        return cli_fail(&v.err);
    try_it(config, buf_str(&bytes), &v);
    if (config->json)
        write_json(&c, bytes.n, &v, &out);
    else
        put_table(&c, bytes.n, &v, arena, &out);
    status = cli_print(&out);
    return status == CLI_OK && v.result < 0 ? CLI_FAILED : status;
}

int cli_wasm_inspect(int argc, const char *const *argv)
{
    struct option_input in = { .argc = argc, .argv = argv, .env = option_getenv };
    struct wasm_inspect_config config;
    struct option_report report = { 0 };
    struct arena arena;
    int parsed, status;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    report.arena = &arena;
    parsed = options_parse(&WASM_INSPECT_TABLE, &in, &arena, &config, sizeof config, &report);
    status = cli_parsed(parsed, &WASM_INSPECT_TABLE, &report);
    if (parsed == 0 && status == CLI_OK)
        status = inspect(&config, &arena);
    arena_fini(&arena);
    return status;
}
