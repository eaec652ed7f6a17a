/* gateway/reload.c -- SIGHUP: the configuration file is read again, and what may change while requests run changes
 *
 *   IDLE --SIGHUP--> READING (a thread of libuv's pool: the whole command line, environment and file anew) --on_read--> IDLE
 *                       |  SIGHUP meanwhile: once more afterwards
 *
 * All or nothing: a file with any mistake changes nothing, and every mistake is logged. A good file changes the rows of the option table that are live (OPT_LIVE; the reference
 * marks them); what else differs is named in the log, for it needs a restart. A default policy that an operator changed with PATCH /policies stays until the file says something new
 * about it.
 */
#include "base/log.h"
#include "gateway/gateway_internal.h"

#include <stdlib.h>

#define TARGET "smg::gateway"

/* One reading. On the heap. */
struct reading {
    uv_work_t work;
    struct gateway *gateway;
    struct arena arena; /* owned: the strings of `config` and `report` */
    struct launch_config config;
    struct option_report report;
    struct gateway_limit_files files; /* owned: the files that the configuration names */
    struct err files_error;
    int result;
};

static void start_reading(struct gateway *g);

static void reading_free(struct reading *r)
{
    gateway_limit_files_free(&r->files);
    arena_fini(&r->arena);
    free(r);
}

static void say_what_is_wrong(const struct reading *r)
{
    for (size_t i = 0; i < r->report.n; i++)
        if (r->report.problems[i].kind != OPTION_NOTE)
            log_error(TARGET, "configuration not reloaded", LF_STR("reason", r->report.problems[i].text));
    if (r->files_error.message[0])
        log_error(TARGET, "configuration not reloaded", LF_CSTR("reason", r->files_error.message));
    else if (r->result == ERR_NOMEM)
        log_error(TARGET, "configuration not reloaded", LF_CSTR("reason", "out of memory"));
}

static void note_difference(const struct option *o, bool taken, void *arg)
{
    (void)arg;
    if (taken)
        log_info(TARGET, "configuration changed", LF_CSTR("option", o->name));
    else
        log_warn(TARGET, "configuration change needs a restart", LF_CSTR("option", o->name));
}

/* Each part is told when its own settings moved. A failure (memory) leaves that part as it was. */
static void apply(struct gateway *g, const struct launch_config *before, struct gateway_limit_files *files)
{
    struct err err = { 0 };

    if (gateway_reload_policies(g, before, &g->running, &err) < 0 || gateway_reload_limits(g, before, &g->running, files, &err) < 0)
        log_error(TARGET, "configuration not applied", LF_CSTR("reason", err.message));
}

static void on_read(uv_work_t *work, int status)
{
    struct reading *r = CONTAINER_OF(work, struct reading, work);
    struct gateway *g = r->gateway;
    struct launch_config before = g->running;
    struct arena older = g->running_arena;

    g->reading = false;
    if (status < 0 || r->result != 0 || g->closing) {
        if (status == 0 && r->result != 0)
            say_what_is_wrong(r);
        reading_free(r);
    } else {
        unsigned taken = options_take(&LAUNCH_TABLE, &r->config, &g->running, note_difference, NULL);

        apply(g, &before, &r->files);
        g->running_arena = r->arena;
        r->arena = older; /* `before` pointed into it */
        reading_free(r);
        log_info(TARGET, "configuration reloaded", LF_UINT("changed", taken));
    }
    if (g->read_again && !g->closing)
        start_reading(g);
}

/* On a thread of the pool; touches the reading alone. */
static void read_all(uv_work_t *work)
{
    struct reading *r = CONTAINER_OF(work, struct reading, work);

    r->result = r->gateway->source->read(r->gateway->source->arg, &r->arena, &r->config, &r->report);
    if (r->result == 0)
        r->result = gateway_limit_files_read(&r->config, &r->files, &r->files_error);
}

static void start_reading(struct gateway *g)
{
    struct reading *r = calloc(1, sizeof(*r));

    g->read_again = false;
    if (!r) {
        log_error(TARGET, "configuration not reloaded", LF_CSTR("reason", "out of memory"));
        return;
    }
    r->gateway = g;
    arena_init(&r->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    g->reading = uv_queue_work(&g->control->uv, &r->work, read_all, on_read) == 0;
    if (!g->reading)
        reading_free(r);
}

void gateway_reload(struct gateway *g)
{
    if (g->running.config_file.n == 0) {
        log_warn(TARGET, "SIGHUP: there is no configuration file to read again; start with --config FILE");
        return;
    }
    if (g->reading)
        g->read_again = true;
    else
        start_reading(g);
}
