/* cli/worker_change.c -- `smg worker add`, `patch` and `replace`: a description goes to the gateway, a job carries it out there */
#include <stdio.h>
#include <string.h>

#include "cli/text_table.h"
#include "cli/worker_client.h"

struct change_config {
    struct gateway_options gateway;
    struct str target; /* of patch and replace */
    struct worker_description d;
    int output;
    bool wait;
    double wait_timeout_s;
};

#define AT(member)   offsetof(struct change_config, member)
#define DESCRIBED(m) offsetof(struct change_config, d.m)

static int syntax_pair(struct str token, struct err *err)
{
    size_t at = str_find_char(token, '=');

    return at == STR_NPOS || at == 0 ? err_set(err, ERR_SYNTAX, "must be KEY=VALUE") : 0;
}

/* clang-format off */
#define WORKER_OPTION                                                                                                \
    { .name = "WORKER", .type = OPT_STR, .at = AT(target), .flags = OPT_REQUIRED, .group = "Worker",                 \
      .help = "its id, the beginning or end of it (4 characters or more), or its URL" }

#define COMMON_MEMBERS(of_priority, of_cost, label_help)                                                             \
    { .name = "--priority", .type = OPT_I64, .at = DESCRIBED(priority), .def = "-1", .def_help = of_priority,        \
      .rule = { 0, 4294967295.0, "must be from 0 to 4294967295" }, .value = "N", .help = "higher is preferred" },    \
    { .name = "--cost", .type = OPT_F64, .at = DESCRIBED(cost), .def = "-1", .def_help = of_cost,                    \
      .rule = { 0, 3.4e38, "must be 0 or more" }, .value = "X", .help = "of a request, in a unit of your own" },     \
    { .name = "--label", .type = OPT_APPEND, .at = DESCRIBED(labels), .value = "KEY=VALUE", .syntax = syntax_pair,   \
      .help = label_help },                                                                                          \
    { .name = "--api-key-file", .type = OPT_PATH, .at = DESCRIBED(api_key_file), .value = "PATH",                    \
      .help = "file with the key that the engine wants as a bearer token" },                                         \
    { .name = "--health", .type = OPT_APPEND, .at = DESCRIBED(health), .value = "KEY=VALUE", .syntax = syntax_pair,  \
      .help = "timeout_secs, check_interval_secs, success_threshold, failure_threshold, drain_settle_secs with a "   \
              "number, disable_health_check with true or false; repeatable" }

#define OUTPUT_OPTIONS(wait_help)                                                                                    \
    { .name = "--wait", .aliases = { "-w" }, .type = OPT_FLAG, .at = AT(wait), .group = "Output", .help = wait_help }, \
    { .name = "--wait-timeout", .type = OPT_F64, .at = AT(wait_timeout_s), .def = "300", .min = 0, .max = 864000,    \
      .unit = "s", .value = "S", .help = "how long --wait waits" },                                                  \
    { .name = "--output", .aliases = { "-o" }, .type = OPT_ENUM, .names = WORKER_OUTPUTS, .at = AT(output),          \
      .def = "table",                                                                                                \
      .help = "table: a sentence; json: what the API says, byte for byte (with --wait: the worker as it is then)" }
/* clang-format on */

static const struct option ADD_OPTIONS[] = {
    { .name = "URL",
      .type = OPT_STR,
      .at = DESCRIBED(url),
      .def_help = "in --file",
      .group = "Worker",
      .help = "where the engine listens: http://host:port" },
    { .name = "--file",
      .aliases = { "-f" },
      .type = OPT_PATH,
      .at = DESCRIBED(file),
      .value = "PATH",
      .help = "the whole description as JSON, as POST /workers takes it; - = from stdin" },
    { .name = "--model",
      .aliases = { "-m" },
      .type = OPT_APPEND,
      .at = DESCRIBED(models),
      .value = "NAME",
      .def_help = "what the engine says",
      .help = "a model that it serves; repeatable" },
    { .name = "--type",
      .type = OPT_STR,
      .at = DESCRIBED(type),
      .def_help = "regular",
      .value = "TYPE",
      .help = "regular, prefill, decode or encode" },
    { .name = "--runtime",
      .type = OPT_STR,
      .at = DESCRIBED(runtime),
      .def_help = "detected",
      .value = "ENGINE",
      .help = "sglang, vllm, trtllm, mlx, tokenspeed or external" },
    { .name = "--provider",
      .type = OPT_STR,
      .at = DESCRIBED(provider),
      .value = "NAME",
      .help = "of an external worker: openai, anthropic, gemini, xai or another" },
    { .name = "--bootstrap-port",
      .type = OPT_U16,
      .at = DESCRIBED(bootstrap_port),
      .value = "PORT",
      .help = "of a prefill worker" },
    COMMON_MEMBERS("50", "1.0", "a label; repeatable"),
    OUTPUT_OPTIONS("until the worker is ready, or its registration failed"),
    GATEWAY_OPTIONS("30"),
};

const struct option_table WORKER_ADD_TABLE = {
    .command = "worker add",
    .usage = "worker add URL [OPTIONS]\n       smg worker add --file PATH [OPTIONS]",
    .summary = "Adds a worker to a gateway.",
    .notes =
        "Without --wait the command returns when the gateway has accepted the job: the engine need not be up yet. " GATEWAY_EXITS,
    .options = ADD_OPTIONS,
    .options_n = ARRAY_LEN(ADD_OPTIONS),
};

static const struct option PATCH_OPTIONS[] = {
    WORKER_OPTION,
    { .name = "--file",
      .aliases = { "-f" },
      .type = OPT_PATH,
      .at = DESCRIBED(file),
      .value = "PATH",
      .group = "Changes",
      .help = "the changes as JSON, as PATCH /workers/{id} takes them; - = from stdin" },
    COMMON_MEMBERS("as it is", "as it is", "sets a label, the others stay; repeatable"),
    { .name = "--remove-label",
      .type = OPT_APPEND,
      .at = DESCRIBED(remove_labels),
      .value = "KEY",
      .help = "takes a label away; repeatable" },
    OUTPUT_OPTIONS("until the change is in force"),
    GATEWAY_OPTIONS("30"),
};

const struct option_table WORKER_PATCH_TABLE = {
    .command = "worker patch",
    .summary = "Changes some members of a worker's description; what is not named stays as it is.",
    .notes = GATEWAY_EXITS,
    .options = PATCH_OPTIONS,
    .options_n = ARRAY_LEN(PATCH_OPTIONS),
};

static const struct option REPLACE_OPTIONS[] = {
    WORKER_OPTION,
    { .name = "--file",
      .aliases = { "-f" },
      .type = OPT_PATH,
      .at = DESCRIBED(file),
      .flags = OPT_REQUIRED,
      .value = "PATH",
      .group = "Description",
      .help = "the whole new description as JSON, as PUT /workers/{id} takes it, with the worker's URL; - = from stdin" },
    OUTPUT_OPTIONS("until the new description is in force, or the job failed"),
    GATEWAY_OPTIONS("30"),
};

const struct option_table WORKER_REPLACE_TABLE = {
    .command = "worker replace",
    .summary = "Replaces the whole description of a worker: what the new one does not name returns to its default, but for the "
               "engine's key, which stays unless the description says \"api_key\":null.",
    .notes = GATEWAY_EXITS,
    .options = REPLACE_OPTIONS,
    .options_n = ARRAY_LEN(REPLACE_OPTIONS),
};

/* ---- sending ---- */

static int say_accepted(struct gateway_reply *r, const char *verb)
{
    struct str id = gateway_text(r, json_root(&r->doc), STR("worker_id"));

    printf("worker %.*s: %s accepted; `smg worker get %.*s` shows how it goes\n", STR_FMT(id), verb, STR_FMT(id));
    return cli_flush();
}

static int wait_and_say(struct gateway_client *g, const struct change_config *c, struct str id, enum worker_wait_for what)
{
    struct gateway_reply last;
    int status = worker_wait(g, id, what, c->wait_timeout_s, &last);

    if (status == CLI_OK && c->output == OUTPUT_JSON) {
        status = gateway_print(&last);
    } else if (status == CLI_OK) {
        struct json root = json_root(&last.doc);
        struct str url = gateway_text(&last, root, STR("url"));
        struct str state = gateway_text(&last, root, STR("status"));

        printf("worker %.*s at %.*s is %.*s\n", STR_FMT(id), STR_FMT(url), STR_FMT(state));
        status = cli_flush();
    }
    gateway_reply_fini(&last);
    return status;
}

/* Sends the description and does with the answer what the options say. */
static int send_change(struct gateway_client *g, const struct change_config *c, enum http_method method, struct str path,
                       struct arena *arena)
{
    static const char *const VERBS[] = { [HTTP_POST] = "addition", [HTTP_PUT] = "replacement", [HTTP_PATCH] = "change" };
    _cleanup_(buf_fini) struct buf body = { 0 };
    struct gateway_reply r;
    struct str id = STR_NONE;
    int status = worker_body(&c->d, arena, &body);

    if (status != CLI_OK)
        return status;
    status = gateway_do(g, method, path, buf_str(&body), /* accept= */ 0, &r);
    if (status == CLI_OK)
        id = arena_str(arena, json_str(json_get(json_root(&r.doc), STR("worker_id")), &r.arena));
    if (status == CLI_OK && !c->wait)
        status = c->output == OUTPUT_JSON ? gateway_print(&r) : say_accepted(&r, VERBS[method]);
    gateway_reply_fini(&r);
    if (status == CLI_OK && c->wait)
        status = wait_and_say(g, c, id, method == HTTP_POST ? WAIT_READY : WAIT_CHANGE);
    return status;
}

static int usage(const char *message)
{
    fprintf(stderr, "smg: error: %s\nFor more information, try '--help'.\n", message);
    return CLI_USAGE;
}

static int run_add(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct change_config *c = config;

    if (c->d.url.n == 0 && c->d.file.n == 0)
        return usage("which worker? Give its URL, or --file with its description");
    return send_change(g, c, HTTP_POST, STR("/workers"), arena);
}

static bool changes_nothing(const struct worker_description *d)
{
    return !d->file.n && !d->labels.n && !d->remove_labels.n && !d->health.n && !d->api_key_file.n && d->priority < 0 &&
           d->cost < 0;
}

static int run_patch(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct change_config *c = config;
    struct str id;
    int status;

    if (changes_nothing(&c->d))
        return usage("nothing to change: give --priority, --cost, --label, --remove-label, --api-key-file, --health or --file");
    status = worker_resolve(g, c->target, arena, &id);
    return status == CLI_OK ? send_change(g, c, HTTP_PATCH, worker_path(id, arena), arena) : status;
}

static int run_replace(struct gateway_client *g, void *config, struct arena *arena)
{
    struct change_config *c = config;
    struct str id;
    int status;

    c->d.priority = -1; /* there are no such options here: their members are zero */
    c->d.cost = -1;
    status = worker_resolve(g, c->target, arena, &id);
    return status == CLI_OK ? send_change(g, c, HTTP_PUT, worker_path(id, arena), arena) : status;
}

int cli_worker_add(int argc, const char *const *argv)
{
    struct change_config config;

    return cli_run_with_gateway(&WORKER_ADD_TABLE, argc, argv, &config, sizeof config, run_add);
}

int cli_worker_patch(int argc, const char *const *argv)
{
    struct change_config config;

    return cli_run_with_gateway(&WORKER_PATCH_TABLE, argc, argv, &config, sizeof config, run_patch);
}

int cli_worker_replace(int argc, const char *const *argv)
{
    struct change_config config;

    return cli_run_with_gateway(&WORKER_REPLACE_TABLE, argc, argv, &config, sizeof config, run_replace);
}
