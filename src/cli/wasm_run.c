/* cli/wasm_run.c -- `smg wasm run`: what a plugin says about a request or a response in a file; no gateway is asked
 *
 *   MODULE --wasm_module_compile--> its calls (on-request for --request, on-response for --response) --> a table, or --json
 *
 * It is the runtime of the gateway with the limits of the gateway, so what fails here fails there. What the gateway makes of an action is not done here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/text_table.h"
#include "cli/wasm_message.h"
#include "json/json_write.h"

#define MODULE_MAX  ((size_t)256 << 20)
#define MESSAGE_MAX ((size_t)100 << 20) /* as the gateway's bound of a body */
#define SHOWN_MAX   400                 /* bytes of a body in the table */

struct wasm_run_config {
    struct str module, request, response, library;
    uint32_t timeout_ms, max_memory_pages, repeat;
    uint64_t max_stack_bytes;
    bool json;
};

#define AT(member) .at = offsetof(struct wasm_run_config, member)

/* clang-format off */
static const struct option OPTIONS[] = {
    { .name = "MODULE", .type = OPT_PATH, AT(module), .flags = OPT_REQUIRED, .group = "Input", .help = "the component, a .wasm file" },
    { .name = "--request", .aliases = { "-r" }, .type = OPT_PATH, AT(request), .value = "FILE",
      .help = "calls on-request with it: a request line, headers, an empty line and the body; or JSON with method, path, headers and body; - = from stdin" },
    { .name = "--response", .type = OPT_PATH, AT(response), .value = "FILE",
      .help = "calls on-response with it: a status line, headers, an empty line and the body; or JSON with status, headers and body; - = from stdin" },
    { .name = "--timeout-ms", .type = OPT_U32, AT(timeout_ms), .def = "1000", .min = 1, .max = 300000, .group = "Limits", .unit = "ms", .help = "time of a call" },
    { .name = "--max-memory-pages", .type = OPT_U32, AT(max_memory_pages), .def = "1024", .min = 1, .max = 65536, .help = "memory of a call, in pages of 64 KiB" },
    { .name = "--max-stack-size", .type = OPT_BYTES, AT(max_stack_bytes), .def = "1048576", .min = 65536, .max = 16777216, .help = "stack of a call" },
    { .name = "--wasm-runtime-lib", .type = OPT_PATH, AT(library), .value = "PATH", .def_help = "searched", .help = "wasmtime's library" },
    { .name = "--repeat", .type = OPT_U32, AT(repeat), .def = "1", .min = 1, .max = 1000000, .value = "N", .group = "Output",
      .help = "calls it so often, and shows the time of the median call and of the slowest" },
    { .name = "--json", .type = OPT_FLAG, AT(json), .help = "one JSON object" },
};
/* clang-format on */

const struct option_table WASM_RUN_TABLE = {
    .command = "wasm run",
    .usage = "wasm run [OPTIONS] MODULE --request FILE",
    .summary = "Tries a plugin on a request or a response in a file, and shows the action that it returns; no gateway is needed.",
    .notes = "Exit status: 0 when every call returned an action (a reject is one), 1 when the module or a call failed, 2 for wrong "
             "usage.",
    .options = OPTIONS,
    .options_n = ARRAY_LEN(OPTIONS),
};

/* One call, as it is shown. */
struct outcome {
    const char *name; /* "on_request" */
    int result;
    struct err err;
    struct wasm_action action; /* in the run's arena */
    uint64_t median_us, max_us;
};

struct run {
    const struct wasm_run_config *config;
    struct arena arena;
    struct wasm_runtime *runtime;
    struct wasm_module *module;
    struct buf request_text, response_text; /* what the messages point into */
    struct buf lines;                       /* struct line each: the guest's output of the first round */
    bool quiet;                             /* later rounds */
    uint64_t compile_us;
};

struct line {
    struct str text; /* in the arena */
    bool is_stderr;
};

static int fail(const struct err *err, int code)
{
    struct err e = *err;

    e.code = code;
    return cli_fail(&e);
}

static void note_line(void *owner, struct str module, struct str request_id, bool is_stderr, struct str text)
{
    struct run *r = owner;
    struct line line;

    if (r->quiet)
        return;
    line = (struct line){ text_clean(arena_str(&r->arena, text), &r->arena), is_stderr };
    buf_put(&r->lines, (struct str){ (const char *)&line, sizeof line });
}

/* ---- the calls ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int call_once(struct run *r, const struct wasm_request *req, const struct wasm_response *resp, struct outcome *o)
{
    const struct wasm_limits limits = { r->config->timeout_ms, r->config->max_memory_pages };

    if (req)
        return wasm_call_on_request(r->module, &limits, req, &r->arena, &o->action, &o->err);
    return wasm_call_on_response(r->module, &limits, resp, STR_NONE, &r->arena, &o->action, &o->err);
}

/* The answer of the first round is kept; of the others only how long they took, and the first failure. */
static void call(struct run *r, const struct wasm_request *req, const struct wasm_response *resp, struct outcome *o)
{
    uint64_t *times = calloc(r->config->repeat, sizeof *times);
    uint32_t n = 0;

    o->name = req ? "on_request" : "on_response";
    o->result = times ? 0 : err_set(&o->err, ERR_NOMEM, "no memory for the times of %u calls", r->config->repeat);
    while (o->result == 0 && n < r->config->repeat) {
        struct arena kept = r->arena;
        struct outcome later = { 0 };
        uint64_t from = clock_now_us();

        if (n > 0)
            arena_init(&r->arena, NULL, 0);
        o->result = call_once(r, req, resp, n == 0 ? o : &later);
        times[n++] = clock_now_us() - from;
        if (n > 1) {
            arena_fini(&r->arena);
            r->arena = kept;
            o->err = o->result < 0 ? later.err : o->err;
        }
        r->quiet = true;
    }
    if (n > 0) {
        qsort(times, n, sizeof *times, by_size);
        o->median_us = times[n / 2];
        o->max_us = times[n - 1];
    }
    r->quiet = false;
    free(times);
}

/* ---- the table ---- */

static void put_time(uint64_t us, struct buf *out)
{
    buf_printf(out, us < 10000 ? "%.3f ms" : "%.1f ms", (double)us / 1000);
}

static void put_headers(const char *what, struct wasm_headers h, struct arena *arena, struct buf *out)
{
    for (size_t i = 0; i < h.n; i++)
        buf_printf(out, "  %-8s %.*s: %.*s\n", what, STR_FMT(text_clean(h.v[i].name, arena)),
                   STR_FMT(text_clean(h.v[i].value, arena)));
}

static void put_body(struct str body, struct arena *arena, struct buf *out)
{
    struct str shown = text_clean(str_first(body, SHOWN_MAX), arena);

    buf_printf(out, "  %-8s %zu bytes: %.*s%s\n", "body", body.n, STR_FMT(shown), body.n > SHOWN_MAX ? " ..." : "");
}

static void put_action(const struct outcome *o, struct arena *arena, struct buf *out)
{
    const struct wasm_action *a = &o->action;

    if (a->type == WASM_CONTINUE)
        buf_puts(out, "continue");
    else if (a->type == WASM_REJECT)
        buf_printf(out, "reject with status %u", a->status);
    else
        buf_puts(out, "modify");
    buf_puts(out, " (");
    put_time(o->median_us, out);
    if (o->max_us != o->median_us) {
        buf_puts(out, ", at most ");
        put_time(o->max_us, out);
    }
    buf_puts(out, ")\n");
    if (a->type != WASM_MODIFY)
        return;
    if (a->has_status)
        buf_printf(out, "  %-8s %u\n", "status", a->status);
    put_headers("set", a->set, arena, out);
    put_headers("add", a->add, arena, out);
    for (size_t i = 0; i < a->remove_n; i++)
        buf_printf(out, "  %-8s %.*s\n", "remove", STR_FMT(text_clean(a->remove[i], arena)));
    if (a->has_body)
        put_body(a->body, arena, out);
}

static void put_lines(const struct run *r, struct buf *out)
{
    const struct line *lines = (const struct line *)r->lines.p;

    for (size_t i = 0; i < r->lines.n / sizeof *lines; i++)
        buf_printf(out, "  %-8s %.*s\n", lines[i].is_stderr ? "stderr" : "stdout", STR_FMT(lines[i].text));
}

static void show(struct run *r, const struct outcome *o, struct buf *out)
{
    buf_printf(out, "%s: ", o->name);
    if (o->result < 0)
        buf_printf(out, "failed: %s\n", o->err.message);
    else
        put_action(o, &r->arena, out);
    put_lines(r, out);
}

/* ---- JSON ---- */

static void write_headers(struct json_writer *w, struct wasm_headers h)
{
    json_array(w);
    for (size_t i = 0; i < h.n; i++) {
        json_array(w);
        json_value_str(w, h.v[i].name);
        json_value_str(w, h.v[i].value);
        json_end(w);
    }
    json_end(w);
}

static void write_modify(struct json_writer *w, const struct wasm_action *a)
{
    json_key(w, STR("headers_set"));
    write_headers(w, a->set);
    json_key(w, STR("headers_add"));
    write_headers(w, a->add);
    json_put_array(w, "headers_remove");
    for (size_t i = 0; i < a->remove_n; i++)
        json_value_str(w, a->remove[i]);
    json_end(w);
    if (a->has_body) {
        json_put_str(w, "body", a->body);
        json_put_u64(w, "body_bytes", a->body.n);
    }
}

static void write_outcome(struct run *r, const struct outcome *o, struct json_writer *w)
{
    static const char *const ACTIONS[] = { "continue", "reject", "modify" };
    const struct line *lines = (const struct line *)r->lines.p;

    json_key(w, str_of(o->name));
    json_object(w);
    if (o->result < 0) {
        json_put_str(w, "error", str_of(o->err.message));
    } else {
        json_put_str(w, "action", str_of(ACTIONS[o->action.type]));
        if (o->action.type == WASM_REJECT || (o->action.type == WASM_MODIFY && o->action.has_status))
            json_put_u64(w, "status", o->action.status);
        if (o->action.type == WASM_MODIFY)
            write_modify(w, &o->action);
    }
    json_put_u64(w, "median_us", o->median_us);
    json_put_u64(w, "max_us", o->max_us);
    json_put_array(w, "output");
    for (size_t i = 0; i < r->lines.n / sizeof *lines; i++) {
        json_object(w);
        json_put_str(w, "stream", lines[i].is_stderr ? STR("stderr") : STR("stdout"));
        json_put_str(w, "line", lines[i].text);
        json_end(w);
    }
    json_end(w);
    json_end(w);
}

/* ---- the command ---- */

static int read_message(struct str path, struct buf *out)
{
    struct err err = { 0 };
    int e = file_read(str_eq(path, STR("-")) ? "/dev/stdin" : path.p, MESSAGE_MAX, out, &err);
    return e < 0 ? fail(&err, e) : CLI_OK;
}

static int load(struct run *r)
{
    const struct wasm_runtime_config runtime = {
        .library = r->config->library.n ? r->config->library.p : NULL,
        .max_stack_bytes = r->config->max_stack_bytes,
        .threads = 1,
        .output = note_line,
        .owner = r,
    };
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct err err = { 0 };
    uint64_t from;
    int e = file_read(r->config->module.p, MODULE_MAX, &bytes, &err);

    if (e == 0)
        e = wasm_runtime_open(&runtime, &r->runtime, &err);
    from = clock_now_us();
    if (e == 0)
        e = wasm_module_compile(r->runtime, STR("module"), buf_str(&bytes), &r->module, &err);
    r->compile_us = clock_now_us() - from;
    return e < 0 ? fail(&err, e) : CLI_OK;
}

/* Adds what a call said to OUT (a table, or a member of W's object). */
static void tell(struct run *r, const struct outcome *o, struct json_writer *w, struct buf *out, int *status)
{
    if (r->config->json)
        write_outcome(r, o, w);
    else
        show(r, o, out);
    if (o->result < 0)
        *status = CLI_FAILED;
    r->lines.n = 0;
}

static int run_request(struct run *r, struct json_writer *w, struct buf *out, int *status)
{
    struct wasm_request req;
    struct outcome o = { 0 };
    int e = read_message(r->config->request, &r->request_text);

    if (e != CLI_OK)
        return e;
    e = wasm_message_request(buf_str(&r->request_text), &r->arena, &req, &o.err);
    if (e < 0)
        return fail(&o.err, e);
    req.now_ms = clock_wall_us() / 1000;
    if (req.request_id.n == 0)
        req.request_id = STR("req-offline");
    call(r, &req, NULL, &o);
    tell(r, &o, w, out, status);
    return CLI_OK;
}

static int run_response(struct run *r, struct json_writer *w, struct buf *out, int *status)
{
    struct wasm_response resp;
    struct outcome o = { 0 };
    int e = read_message(r->config->response, &r->response_text);

    if (e != CLI_OK)
        return e;
    e = wasm_message_response(buf_str(&r->response_text), &r->arena, &resp, &o.err);
    if (e < 0)
        return fail(&o.err, e);
    call(r, NULL, &resp, &o);
    tell(r, &o, w, out, status);
    return CLI_OK;
}

static int run(struct run *r)
{
    _cleanup_(buf_fini) struct buf out = { 0 };
    struct json_writer w;
    int status = CLI_OK, printed, e = load(r);

    json_begin(&w, &out);
    if (r->config->json) {
        json_object(&w);
        json_put_u64(&w, "compile_us", r->compile_us);
    }
    if (e == CLI_OK && r->config->request.n)
        e = run_request(r, &w, &out, &status);
    if (e == CLI_OK && r->config->response.n)
        e = run_response(r, &w, &out, &status);
    if (e != CLI_OK)
        return e;
    if (r->config->json) {
        json_end(&w);
        buf_put_char(&out, '\n');
    }
    out.failed |= r->lines.failed;
    printed = cli_print(&out);
    return printed == CLI_OK ? status : printed;
}

static int usage(const char *message)
{
    fprintf(stderr, "smg: error: %s\nFor more information, try '--help'.\n", message);
    return CLI_USAGE;
}

static int check_usage(const struct wasm_run_config *c)
{
    if (!c->request.n && !c->response.n)
        return usage("--request FILE or --response FILE is missing, or both");
    if (str_eq(c->request, STR("-")) && str_eq(c->response, STR("-")))
        return usage("--request and --response cannot both come from stdin");
    return CLI_OK;
}

int cli_wasm_run(int argc, const char *const *argv)
{
    struct option_input in = { .argc = argc, .argv = argv, .env = option_getenv };
    struct wasm_run_config config;
    struct option_report report = { 0 };
    struct run r = { .config = &config };
    int parsed, status;

    arena_init(&r.arena, /* cache= */ NULL, /* max_bytes= */ 0);
    report.arena = &r.arena;
    parsed = options_parse(&WASM_RUN_TABLE, &in, &r.arena, &config, sizeof config, &report);
    status = cli_parsed(parsed, &WASM_RUN_TABLE, &report);
    if (parsed == 0 && status == CLI_OK)
        status = check_usage(&config);
    if (parsed == 0 && status == CLI_OK)
        status = run(&r);
    wasm_module_unref(r.module);
    wasm_runtime_close(r.runtime);
    buf_fini(&r.request_text);
    buf_fini(&r.response_text);
    buf_fini(&r.lines);
    arena_fini(&r.arena);
    return status;
}
