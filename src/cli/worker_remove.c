/* cli/worker_remove.c -- `smg worker rm` and `smg worker drain`: both DELETE; drain waits until the worker is gone */
#include <stdio.h>

#include "cli/worker_client.h"

struct remove_config {
    struct gateway_options gateway;
    struct str target;
    bool now, wait;
    bool patient; /* set by `drain` */
    double wait_timeout_s;
    int output;
};

#define AT(member) offsetof(struct remove_config, member)

/* clang-format off */
#define WORKER_OPTION                                                                                                \
    { .name = "WORKER", .type = OPT_STR, .at = AT(target), .flags = OPT_REQUIRED, .group = "Worker",                 \
      .help = "its id, the beginning or end of it (4 characters or more), or its URL" }
#define OUTPUT_OPTION                                                                                                \
    { .name = "--output", .aliases = { "-o" }, .type = OPT_ENUM, .names = WORKER_OUTPUTS, .at = AT(output),          \
      .def = "table", .group = "Output", .help = "table: a sentence; json: the API's answer to DELETE, byte for byte" }
#define WAIT_TIMEOUT_OPTION(text)                                                                                    \
    { .name = "--wait-timeout", .type = OPT_F64, .at = AT(wait_timeout_s), .def = "900", .min = 0, .max = 864000,    \
      .unit = "s", .value = "S", .help = text }
/* clang-format on */

static const struct option RM_OPTIONS[] = {
    WORKER_OPTION,
    { .name = "--now",
      .type = OPT_FLAG,
      .at = AT(now),
      .help = "do not wait for its requests: its drain time is set to 0 first (requests that run go on to their end)" },
    { .name = "--wait", .aliases = { "-w" }, .type = OPT_FLAG, .at = AT(wait), .help = "until it is gone" },
    WAIT_TIMEOUT_OPTION("how long --wait waits"),
    OUTPUT_OPTION,
    GATEWAY_OPTIONS("30"),
};

const struct option_table WORKER_RM_TABLE = {
    .command = "worker rm",
    .summary = "Removes a worker: it gets no new requests at once, and goes when those that it has are done, at the latest after "
               "its drain time.",
    .notes = "A worker that is still registering is removed too, by its whole id. " GATEWAY_EXITS,
    .options = RM_OPTIONS,
    .options_n = ARRAY_LEN(RM_OPTIONS),
};

static const struct option DRAIN_OPTIONS[] = {
    WORKER_OPTION,
    WAIT_TIMEOUT_OPTION("how long to wait; past it the exit status is 4 and the drain goes on in the gateway"),
    OUTPUT_OPTION,
    GATEWAY_OPTIONS("30"),
};

const struct option_table WORKER_DRAIN_TABLE = {
    .command = "worker drain",
    .summary =
        "Empties a worker and removes it: its drain time is set to 600 s, then as `smg worker rm --wait`, with the requests in "
        "flight shown on a terminal.",
    .notes = "A drained worker is no longer known to the gateway: add it again when its maintenance is over. Ctrl+C ends the "
             "waiting, not "
             "the drain. " GATEWAY_EXITS,
    .options = DRAIN_OPTIONS,
    .options_n = ARRAY_LEN(DRAIN_OPTIONS),
};

/* A drain time of 0 removes at once; `drain` waits for requests as long as a removal may take (spec control-plane 8.1). */
#define AT_ONCE   STR("{\"health\":{\"drain_settle_secs\":0}}")
#define PATIENTLY STR("{\"health\":{\"drain_settle_secs\":600}}")

static int set_drain_time(struct gateway_client *g, struct str path, struct str how)
{
    struct gateway_reply r;
    int status = gateway_do(g, HTTP_PATCH, path, how, /* accept: it drains already */ 409, &r);

    gateway_reply_fini(&r);
    return status;
}

static int say(struct str id, const char *how)
{
    printf("worker %.*s: %s\n", STR_FMT(id), how);
    return cli_flush();
}

static int run(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct remove_config *c = config;
    struct gateway_reply deleted = { 0 }, last = { 0 };
    struct str id, path;
    int status = worker_resolve(g, c->target, arena, &id);

    if (status != CLI_OK)
        return status;
    path = worker_path(id, arena);
    if (c->now || c->patient)
        status = set_drain_time(g, path, c->now ? AT_ONCE : PATIENTLY);
    if (status == CLI_OK)
        status = gateway_do(g, HTTP_DELETE, path, STR_NONE, /* accept= */ 0, &deleted);
    if (status == CLI_OK && c->wait)
        status = worker_wait(g, id, WAIT_GONE, c->wait_timeout_s, &last);
    if (status == CLI_OK)
        status =
            c->output == OUTPUT_JSON ? gateway_print(&deleted) : say(id, c->wait ? "removed" : "removal accepted; it is draining");
    gateway_reply_fini(&deleted);
    gateway_reply_fini(&last);
    return status;
}

static int run_drain(struct gateway_client *g, void *config, struct arena *arena)
{
    struct remove_config *c = config;

    c->wait = c->patient = true;
    return run(g, c, arena);
}

int cli_worker_rm(int argc, const char *const *argv)
{
    struct remove_config config;

    return cli_run_with_gateway(&WORKER_RM_TABLE, argc, argv, &config, sizeof config, run);
}

int cli_worker_drain(int argc, const char *const *argv)
{
    struct remove_config config;

    return cli_run_with_gateway(&WORKER_DRAIN_TABLE, argc, argv, &config, sizeof config, run_drain);
}
