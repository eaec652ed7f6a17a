/* cli/loads_command.c -- `smg loads`: what the engines say about themselves */
#include <stdio.h>

#include "cli/load_sum.h"
#include "cli/text_table.h"
#include "cli/worker_client.h"

struct loads_config {
    struct gateway_options gateway;
    int output;
};

static const struct option OPTIONS[] = {
    { .name = "--output",
      .aliases = { "-o" },
      .type = OPT_ENUM,
      .names = WORKER_OUTPUTS,
      .at = offsetof(struct loads_config, output),
      .def = "table",
      .group = "Output",
      .help = "table, or json: what the API says, byte for byte" },
    GATEWAY_OPTIONS("60"),
};

const struct option_table LOADS_TABLE = {
    .command = "loads",
    .summary = "Shows the load that each engine reports: requests that run and wait, and how full its KV cache is.",
    .notes = "A dash stands for what an engine does not tell; a line of dashes for an engine that did not answer. Several ranks of "
             "one worker "
             "are summed up. " GATEWAY_EXITS,
    .options = OPTIONS,
    .options_n = ARRAY_LEN(OPTIONS),
};

static const struct text_column COLUMNS[] = {
    { "WORKER", .shrinks = true }, { "RUNNING", .right = true }, { "WAITING", .right = true }, { "KV TOKENS", .right = true },
    { "KV USE", .right = true },   { "TOK/S", .right = true },   { "HITS", .right = true },
};

static struct str percent(double v, struct arena *arena)
{
    return v < 0 ? STR("-") : arena_printf(arena, "%.0f%%", v * 100);
}

static void put_row(struct text_table *t, struct json worker, struct gateway_reply *r)
{
    struct load_sum s;

    load_sum_read(worker, &s);
    text_table_cell(t, gateway_text(r, worker, STR("worker")));
    text_table_cell(t, s.known ? arena_printf(&r->arena, "%llu", (unsigned long long)s.running) : STR("-"));
    text_table_cell(t, s.known ? arena_printf(&r->arena, "%llu", (unsigned long long)s.waiting) : STR("-"));
    text_table_cell(t, s.tokens >= 0 ? arena_printf(&r->arena, "%lld", (long long)s.tokens) : STR("-"));
    text_table_cell(t, percent(s.kv_use, &r->arena));
    text_table_cell(t, s.tokens_s >= 0 ? arena_printf(&r->arena, "%.1f", s.tokens_s) : STR("-"));
    text_table_cell(t, percent(s.hit_rate, &r->arena));
}

static int print_table(struct gateway_reply *r)
{
    struct json_iter it = json_iter(json_get(json_root(&r->doc), STR("workers")));
    struct text_table t;
    int status;

    text_table_init(&t, COLUMNS, ARRAY_LEN(COLUMNS));
    while (json_next(&it))
        put_row(&t, it.value, r);
    status = text_table_print(&t);
    text_table_fini(&t);
    return status;
}

static int run(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct loads_config *c = config;
    struct gateway_reply r;
    int status = gateway_do(g, HTTP_GET, STR("/get_loads"), STR_NONE, /* accept= */ 0, &r);

    (void)arena;
    if (status == CLI_OK)
        status = c->output == OUTPUT_JSON ? gateway_print(&r) : print_table(&r);
    gateway_reply_fini(&r);
    return status;
}

int cli_loads(int argc, const char *const *argv)
{
    struct loads_config config;

    return cli_run_with_gateway(&LOADS_TABLE, argc, argv, &config, sizeof config, run);
}
