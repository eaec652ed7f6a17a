/* gateway/plugins.c -- the plugins of a gateway: the runtime, what is loaded at the start, and a filter on each loop
 *
 * Order at the start: --wasm-module and --wasm-modules as they are written, then what the state directory kept; all before the first request, for a plugin that checks requests has to be
 * there when they come. What the command line names must load, or the start fails; what was kept may fail (plugin/registry.h).
 */
#include <stdlib.h>

#include "base/log.h"
#include "gateway/gateway_internal.h"

#define TARGET          "smg::gateway"
#define THREADS_DEFAULT 4

/* A line that a guest wrote, on the thread that runs it. */
static void on_output(void *owner, struct str module, struct str request_id, bool is_stderr, struct str line)
{
    (void)owner;
    if (is_stderr)
        log_warn("smg::plugin", "plugin says", LF_STR("module", module), LF_STR("request_id", request_id), LF_STR("line", line));
    else
        log_info("smg::plugin", "plugin says", LF_STR("module", module), LF_STR("request_id", request_id), LF_STR("line", line));
}

static unsigned threads_of(const struct gateway *g)
{
    unsigned wanted = g->config->wasm_threads ? (unsigned)g->config->wasm_threads : THREADS_DEFAULT;

    return MAX(1u, MIN(wanted, g->cpus));
}

static int open_runtime(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    struct wasm_runtime_config conf = { .max_stack_bytes = c->wasm_max_stack_bytes,
                                        .threads = threads_of(g) + 1, /* and the one that compiles */
                                        .loops = gateway_loops(g),
                                        .output = on_output };
    char *library = c->wasm_runtime_lib.n ? str_dup(c->wasm_runtime_lib) : NULL;
    int r;

    if (c->wasm_runtime_lib.n && !library)
        return err_set(err, ERR_NOMEM, "out of memory");
    conf.library = library;
    r = wasm_runtime_open(&conf, &g->wasm, err);
    free(library);
    if (r < 0)
        return err_wrap(err, r, "%s", c->enable_wasm ? "--enable-wasm" : "--storage-hook-wasm-path");
    log_info(TARGET, "WASM runtime opened", LF_STR("library", wasm_runtime_library(g->wasm)), LF_UINT("threads", threads_of(g)));
    return 0;
}

static int load_startup_modules(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    int r = 0;

    for (size_t i = 0; i < c->wasm_modules.n && r == 0; i++)
        r = plugin_registry_load_file(g->plugins, c->wasm_modules.items[i], err);
    if (r == 0 && c->wasm_modules_file.n)
        r = plugin_registry_load_list(g->plugins, c->wasm_modules_file, err);
    if (r == 0)
        plugin_registry_restore(g->plugins);
    return r;
}

/* Checked at the start, as SMG does. Nothing is stored by this version, so that nobody calls it yet: said, so that nobody waits for it. */
static int load_hook(struct gateway *g, struct err *err)
{
    char *path = str_dup(g->config->storage_hook_wasm_path);
    int r = path ? hook_load(g->wasm, path, &g->hook, err) : err_set(err, ERR_NOMEM, "out of memory");

    free(path);
    if (r == 0)
        log_warn(TARGET, "the storage hook is loaded and not called: this version keeps no history",
                 LF_STR("path", g->config->storage_hook_wasm_path));
    return r;
}

int gateway_make_plugins(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    struct plugin_registry_conf conf = { .control = g->control,
                                         .engine = &g->component.engine,
                                         .journal = gateway_state_journal(g->state) };
    int r = 0;

    g->admin_wasm = (struct admin_wasm){ .timeout_ms = (uint32_t)c->wasm_max_execution_time_ms,
                                         .max_memory_pages = (uint32_t)c->wasm_max_memory_pages };
    if (c->enable_wasm || c->storage_hook_wasm_path.n)
        r = open_runtime(g, err);
    if (r == 0 && c->storage_hook_wasm_path.n)
        r = load_hook(g, err);
    if (r < 0 || !c->enable_wasm)
        return r;
    component_engine_init(&g->component, g->wasm);
    r = plugin_registry_new(&conf, &g->plugins, err);
    if (r == 0)
        r = plugin_threads_new(threads_of(g), CHAIN_QUEUE_MAX, &g->plugin_threads, err);
    if (r < 0)
        return r;
    g->admin_wasm.registry = g->plugins;
    return load_startup_modules(g, err);
}

void gateway_init_plugin_filter(struct gateway_thread *t)
{
    struct gateway *g = t->gateway;
    const struct launch_config *c = g->config;
    struct plugin_chain_conf conf = { .totals = g->plugins ? plugin_registry_totals(g->plugins) : NULL,
                                      .threads = g->plugin_threads,
                                      .timeout_ms = (uint32_t)c->wasm_max_execution_time_ms,
                                      .max_memory_pages = (uint32_t)c->wasm_max_memory_pages,
                                      .max_body_bytes = c->wasm_max_body_bytes };

    plugin_filter_init(&t->plugins, g->plugins, &conf, t->loop);
}

void gateway_stop_plugins(struct gateway *g)
{
    wasm_runtime_stop(g->wasm); /* the grace period is over: a plugin with a long limit must not hold up the end */
    plugin_registry_stop(g->plugins);
}

/* The loops have ended and are not freed yet: what the threads still give back finds them. */
void gateway_free_plugins(struct gateway *g)
{
    plugin_threads_free(STEAL(g->plugin_threads));
    for (unsigned i = 0; i < g->threads_n; i++)
        plugin_filter_fini(&g->threads[i].plugins);
    plugin_registry_free(STEAL(g->plugins));
    hook_free(STEAL(g->hook));
    wasm_runtime_close(STEAL(g->wasm));
}
