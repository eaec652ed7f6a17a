/* cli/cache_command.c -- `smg cache flush` */
#include <stdio.h>

#include "cli/text_table.h"
#include "cli/gateway_client.h"
#include "cli/worker_client.h"

struct flush_config {
    struct gateway_options gateway;
    int output;
};

static const struct option OPTIONS[] = {
    { .name = "--output",
      .aliases = { "-o" },
      .type = OPT_ENUM,
      .names = WORKER_OUTPUTS,
      .at = offsetof(struct flush_config, output),
      .def = "table",
      .group = "Output",
      .help = "table: a sentence, and a line for each worker that failed; json: what the API says, byte for byte" },
    GATEWAY_OPTIONS("600"),
};

const struct option_table CACHE_FLUSH_TABLE = {
    .command = "cache flush",
    .summary = "Empties the prefix (KV) caches of all workers of a gateway.",
    .notes = "The exit status is 1 also when some workers could not be flushed. " GATEWAY_EXITS,
    .options = OPTIONS,
    .options_n = ARRAY_LEN(OPTIONS),
};

static struct str text(struct json object, const char *key, struct gateway_reply *r)
{
    return text_clean(json_str(json_get(object, str_of(key)), &r->arena), &r->arena);
}

static int print_result(struct gateway_reply *r)
{
    struct json root = json_root(&r->doc);
    struct json_iter it = json_iter(json_get(root, STR("failed")));

    printf("%.*s\n", STR_FMT(text(root, "message", r)));
    while (json_next(&it))
        printf("  %.*s: %.*s\n", STR_FMT(text(it.value, "worker", r)), STR_FMT(text(it.value, "error", r)));
    return cli_flush();
}

static int run(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct flush_config *c = config;
    struct gateway_reply r;
    int status = gateway_do(g, HTTP_POST, STR("/flush_cache"), STR_NONE, /* accept= */ 0, &r);

    (void)arena;
    if (status == CLI_OK)
        status = c->output == OUTPUT_JSON ? gateway_print(&r) : print_result(&r);
    if (status == CLI_OK && (r.status == 206 || !json_str_eq(json_get(json_root(&r.doc), STR("status")), STR("success"))))
        status = CLI_FAILED;
    gateway_reply_fini(&r);
    return status;
}

int cli_cache_flush(int argc, const char *const *argv)
{
    struct flush_config config;

    return cli_run_with_gateway(&CACHE_FLUSH_TABLE, argc, argv, &config, sizeof config, run);
}
