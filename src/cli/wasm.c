/* cli/wasm.c -- `smg wasm list`, `add` and `rm`: the plugins of a running gateway
 *
 * `add` ends when the gateway has compiled the plugin or refused it. `rm` takes an id, or a name that one plugin alone has.
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/text_table.h"
#include "cli/worker_client.h"
#include "json/json_write.h"

struct wasm_config {
    struct gateway_options gateway;
    struct str target; /* FILE of add, PLUGIN of rm */
    struct str name;
    struct option_list attach;
    int on_failure;
    uint32_t timeout_ms, max_memory_pages;
    bool without_body;
    int output;
};

#define AT(member) .at = offsetof(struct wasm_config, member)

enum { FAILURE_ALLOW, FAILURE_REJECT };
static const struct option_name FAILURES[] = { { "allow", FAILURE_ALLOW }, { "reject", FAILURE_REJECT }, { 0 } };

static const struct str POINTS[] = { STR_INIT("OnRequest"), STR_INIT("OnResponse"), STR_INIT("OnError") };

static int check_point(struct str token, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(POINTS); i++)
        if (str_eq(token, POINTS[i]))
            return 0;
    return err_set(err, ERR_SYNTAX, "Expected: OnRequest, OnResponse or OnError");
}

/* clang-format off */
#define OUTPUT_OPTION(names_of, text)                                                                     \
    { .name = "--output", .aliases = { "-o" }, .type = OPT_ENUM, .names = names_of, AT(output),           \
      .def = "table", .group = "Output", .help = text }

static const struct option_name LIST_OUTPUTS[] = { { "table", OUTPUT_TABLE }, { "wide", OUTPUT_WIDE }, { "json", OUTPUT_JSON }, { 0 } };

static const struct option LIST_OPTIONS[] = {
    OUTPUT_OPTION(LIST_OUTPUTS, "table: what fits a terminal; wide: nothing shortened; json: what the API says, byte for byte"),
    GATEWAY_OPTIONS("30"),
};

static const struct option ADD_OPTIONS[] = {
    { .name = "FILE", .type = OPT_STR, AT(target), .flags = OPT_REQUIRED, .group = "Plugin",
      .help = "the component on the gateway's machine; a relative path begins at this command's folder" },
    { .name = "--name", .aliases = { "-n" }, .type = OPT_STR, AT(name), .value = "NAME", .def_help = "the file's, without .wasm",
      .help = "what lists, logs and metrics call it" },
    { .name = "--attach", .aliases = { "-a" }, .type = OPT_LIST, AT(attach), .value = "POINT", .def_help = "OnRequest", .syntax = check_point,
      .help = "where it runs: OnRequest, OnResponse, OnError" },
    { .name = "--on-failure", .type = OPT_ENUM, .names = FAILURES, AT(on_failure), .def = "allow",
      .help = "what becomes of a request when it fails: allow goes on without it, reject answers 503" },
    { .name = "--timeout-ms", .type = OPT_U32, AT(timeout_ms), .min = 1, .max = 300000, .unit = "ms", .def_help = "the gateway's", .help = "longest time of one call" },
    { .name = "--max-memory-pages", .type = OPT_U32, AT(max_memory_pages), .min = 1, .max = 65536, .def_help = "the gateway's",
      .help = "most memory of one call, in pages of 64 KiB" },
    { .name = "--no-body", .type = OPT_FLAG, AT(without_body), .help = "it sees no bodies, so that they have no bound" },
    OUTPUT_OPTION(WORKER_OUTPUTS, "table: a sentence; json: what the API says, byte for byte"),
    GATEWAY_OPTIONS("310"),
};

static const struct option RM_OPTIONS[] = {
    { .name = "PLUGIN", .type = OPT_STR, AT(target), .flags = OPT_REQUIRED, .group = "Plugin",
      .help = "its id, or its name where only one has it" },
    GATEWAY_OPTIONS("30"),
};
/* clang-format on */

const struct option_table WASM_LIST_TABLE = {
    .command = "wasm list",
    .summary = "Lists the plugins of a gateway in the order in which they run, and what they did.",
    .notes = GATEWAY_EXITS,
    .options = LIST_OPTIONS,
    .options_n = ARRAY_LEN(LIST_OPTIONS),
};
const struct option_table WASM_ADD_TABLE = {
    .command = "wasm add",
    .summary = "Registers a plugin in a gateway, behind those that are there.",
    .notes = "The gateway reads and compiles the file, and refuses what could not run. " GATEWAY_EXITS,
    .options = ADD_OPTIONS,
    .options_n = ARRAY_LEN(ADD_OPTIONS),
};
const struct option_table WASM_RM_TABLE = {
    .command = "wasm rm",
    .summary = "Removes a plugin from a gateway; requests that it has begun with go on to their end.",
    .notes = GATEWAY_EXITS,
    .options = RM_OPTIONS,
    .options_n = ARRAY_LEN(RM_OPTIONS),
};

/* ---- what they share ---- */

static struct json modules_of(struct gateway_reply *r)
{
    return json_get(json_root(&r->doc), STR("modules"));
}

/* ---- list ---- */

static uint64_t number_of(struct json object, const char *key)
{
    uint64_t n = 0;

    return json_to_u64(json_get(object, str_of(key)), &n) < 0 ? 0 : n;
}

static struct str points_text(struct gateway_reply *r, struct json meta)
{
    struct json_iter it = json_iter(json_get(meta, STR("attach_points")));
    struct str text = STR_NONE;

    while (json_next(&it)) {
        struct str point = gateway_text(r, it.value, STR("Middleware"));

        text = text.n ? arena_printf(&r->arena, "%.*s,%.*s", STR_FMT(text), STR_FMT(point)) : point;
    }
    return text.n ? text : STR("-");
}

static void add_row(struct text_table *t, struct gateway_reply *r, struct json module)
{
    struct json meta = json_get(module, STR("module_meta"));
    uint64_t done = number_of(meta, "successful_executions"), failed = number_of(meta, "failed_executions");
    uint64_t us = number_of(meta, "total_execution_time_us");

    text_table_cell(t, gateway_text(r, meta, STR("name")));
    text_table_cell(t, points_text(r, meta));
    text_table_cell(t, arena_printf(&r->arena, "%llu", (unsigned long long)(done + failed)));
    text_table_cell(t, arena_printf(&r->arena, "%llu", (unsigned long long)failed));
    text_table_cell(t, done + failed ? arena_printf(&r->arena, "%.3f", (double)us / 1000 / (double)(done + failed)) : STR("-"));
    text_table_cell(t, gateway_text(r, meta, STR("on_failure")));
    text_table_cell(t, json_exists(json_get(meta, STR("error"))) ? STR("broken") : STR("ok"));
    text_table_cell(t, gateway_text(r, meta, STR("file_path")));
    text_table_cell(t, gateway_text(r, module, STR("module_uuid")));
}

static int print_list(struct gateway_reply *r, bool whole)
{
    static const struct text_column COLUMNS[] = { { .title = "NAME", .shrinks = true },
                                                  { .title = "ATTACHED" },
                                                  { .title = "CALLS", .right = true },
                                                  { .title = "FAILED", .right = true },
                                                  { .title = "MEAN MS", .right = true },
                                                  { .title = "ON FAILURE" },
                                                  { .title = "STATE" },
                                                  { .title = "FILE", .shrinks = true },
                                                  { .title = "ID" } };
    struct json_iter it = json_iter(modules_of(r));
    _cleanup_(buf_fini) struct buf out = { 0 };
    struct text_table t;
    int status;

    text_table_init(&t, COLUMNS, ARRAY_LEN(COLUMNS));
    while (json_next(&it))
        add_row(&t, r, it.value);
    if (whole) {
        text_table_render(&t, /* width= */ 0, &out);
        fwrite(out.p ? out.p : "", 1, out.n, stdout);
        status = out.failed ? cli_fail(&(struct err){ .code = ERR_NOMEM }) : cli_flush();
    } else {
        status = text_table_print(&t);
    }
    text_table_fini(&t);
    return status;
}

static int run_list(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct wasm_config *c = config;
    struct gateway_reply r;
    int status = gateway_do(g, HTTP_GET, STR("/wasm"), STR_NONE, /* accept= */ 0, &r);

    (void)arena;
    if (status == CLI_OK)
        status = c->output == OUTPUT_JSON ? gateway_print(&r) : print_list(&r, c->output == OUTPUT_WIDE);
    gateway_reply_fini(&r);
    return status;
}

/* ---- add ---- */

static struct str absolute(struct str path, struct arena *arena)
{
    char here[PATH_MAX];

    if ((path.n && path.p[0] == '/') || !getcwd(here, sizeof here))
        return path;
    if (str_has_prefix(path, STR("./")))
        path = str_skip(path, 2);
    return arena_printf(arena, "%s/%.*s", here, STR_FMT(path));
}

static struct str name_of(struct str path)
{
    size_t slash = str_rfind_char(path, '/');
    struct str name = slash == STR_NPOS ? path : str_skip(path, slash + 1);

    return name.n > 5 && str_eq_nocase(str_skip(name, name.n - 5), STR(".wasm")) ? str_first(name, name.n - 5) : name;
}

static void put_point(struct json_writer *w, struct str point)
{
    json_object(w);
    json_put_str(w, "Middleware", point);
    json_end(w);
}

static void put_request(const struct wasm_config *c, struct arena *arena, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_put_array(&w, "modules");
    json_object(&w);
    json_put_str(&w, "name", c->name.n ? c->name : name_of(c->target));
    json_put_str(&w, "file_path", absolute(c->target, arena));
    json_put_str(&w, "module_type", STR("Middleware"));
    json_put_array(&w, "attach_points");
    for (size_t i = 0; i < c->attach.n; i++)
        put_point(&w, c->attach.items[i]);
    if (c->attach.n == 0)
        put_point(&w, POINTS[0]);
    json_end(&w);
    if (c->on_failure == FAILURE_REJECT)
        json_put_str(&w, "on_failure", STR("reject"));
    if (c->timeout_ms)
        json_put_u64(&w, "timeout_ms", c->timeout_ms);
    if (c->max_memory_pages)
        json_put_u64(&w, "max_memory_pages", c->max_memory_pages);
    if (c->without_body)
        json_put_bool(&w, "body", false);
    json_end(&w);
    json_end(&w);
    json_end(&w);
}

/* The API's long wrapping is for scripts; a person wants what stands behind it. */
static struct str reason_of(struct str error)
{
    size_t step = str_find(error, STR("Step failed: ")), dash;

    if (step == STR_NPOS)
        return error;
    error = str_skip(error, step);
    dash = str_find(error, STR(" - "));
    return dash == STR_NPOS ? error : str_skip(error, dash + 3);
}

static int tell(struct gateway_reply *r, int output)
{
    struct json module = json_at(modules_of(r), 0), result = json_get(module, STR("add_result"));
    struct str id = gateway_text(r, result, STR("Success")), error = gateway_text(r, result, STR("Error"));

    if (output == OUTPUT_JSON) {
        int status = gateway_print(r);

        return status == CLI_OK && !id.n ? CLI_FAILED : status;
    }
    if (!id.n) {
        fprintf(stderr, "smg: error: %.*s\n",
                STR_FMT(error.n ? reason_of(error) : gateway_text(r, json_get(json_root(&r->doc), STR("error")), STR("message"))));
        return CLI_FAILED;
    }
    printf("%.*s: plugin '%.*s' is registered\n", STR_FMT(id), STR_FMT(gateway_text(r, module, STR("name"))));
    return cli_flush();
}

static int run_add(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct wasm_config *c = config;
    _cleanup_(buf_fini) struct buf body = { 0 };
    struct gateway_reply r;
    int status;

    put_request(c, arena, &body);
    if (body.failed)
        return cli_fail(&(struct err){ .code = ERR_NOMEM });
    status = gateway_do(g, HTTP_POST, STR("/wasm"), buf_str(&body), /* accept= */ 400, &r);
    if (status == CLI_OK)
        status = tell(&r, c->output);
    gateway_reply_fini(&r);
    return status;
}

/* ---- rm ---- */

/* The id of the plugin that is called TARGET. CLI_OK, or the reason was printed. */
static int find(struct gateway_client *g, struct str target, struct arena *arena, struct str *ret_id)
{
    struct json_iter it;
    struct gateway_reply r;
    struct str found = STR_NONE;
    size_t n = 0;
    int status = gateway_do(g, HTTP_GET, STR("/wasm"), STR_NONE, /* accept= */ 0, &r);

    if (status != CLI_OK) {
        gateway_reply_fini(&r);
        return status;
    }
    it = json_iter(modules_of(&r));
    while (json_next(&it)) {
        struct str id = gateway_text(&r, it.value, STR("module_uuid"));

        if (str_eq(id, target) || str_eq(gateway_text(&r, json_get(it.value, STR("module_meta")), STR("name")), target)) {
            found = arena_str(arena, id);
            n++;
        }
    }
    gateway_reply_fini(&r);
    if (n == 1) {
        *ret_id = found;
        return CLI_OK;
    }
    if (n == 0)
        fprintf(stderr, "smg: error: no plugin '%.*s'; `smg wasm list` shows those that there are\n", STR_FMT(target));
    else
        fprintf(stderr, "smg: error: %zu plugins are called '%.*s'; name one by its id (`smg wasm list`)\n", n, STR_FMT(target));
    return CLI_FAILED;
}

static int run_rm(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct wasm_config *c = config;
    struct str id = STR_NONE;
    struct gateway_reply r;
    int status = find(g, c->target, arena, &id);

    if (status != CLI_OK)
        return status;
    status = gateway_do(g, HTTP_DELETE, arena_printf(arena, "/wasm/%.*s", STR_FMT(id)), STR_NONE, /* accept= */ 0, &r);
    if (status == CLI_OK) {
        printf("%.*s: plugin removed\n", STR_FMT(id));
        status = cli_flush();
    }
    gateway_reply_fini(&r);
    return status;
}

int cli_wasm_list(int argc, const char *const *argv)
{
    struct wasm_config config;

    return cli_run_with_gateway(&WASM_LIST_TABLE, argc, argv, &config, sizeof config, run_list);
}

int cli_wasm_add(int argc, const char *const *argv)
{
    struct wasm_config config;

    return cli_run_with_gateway(&WASM_ADD_TABLE, argc, argv, &config, sizeof config, run_add);
}

int cli_wasm_rm(int argc, const char *const *argv)
{
    struct wasm_config config;

    return cli_run_with_gateway(&WASM_RM_TABLE, argc, argv, &config, sizeof config, run_rm);
}
