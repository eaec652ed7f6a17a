/* cli/launch_command.c -- `smg launch`: options, log, banner, gateway */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "config/launch.h"
#include "gateway/gateway.h"

/* A few words for a person; nothing for a log collector. */
static void print_banner(const struct launch_config *c)
{
    bool ipv6 = str_find_char(c->host, ':') != STR_NPOS;
    const char *backend = launch_backend_name(c->backend);

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr,
            "\n"
            "   ___ __ _  __ _      smg\n"
            "  (_-</  ' \\/ _ `/     version    %s\n"
            " /___/_/_/_/\\_, /      listening  %s%.*s%s:%u\n"
            "           /___/       policy     %s%s%s\n\n",
            SMG_VERSION, ipv6 ? "[" : "", STR_FMT(c->host), ipv6 ? "]" : "", c->port, launch_policy_name(c->policy),
            *backend ? ", backend " : "", backend);
}

/* NUL-terminated in ARENA, NULL when unset. */
static const char *text_of(struct arena *arena, struct str s)
{
    return s.n ? arena_str(arena, s).p : NULL;
}

/* The command line, the environment and the configuration file once more. */
static int read_again(void *arg, struct arena *arena, struct launch_config *ret, struct option_report *report)
{
    return launch_parse(arg, arena, ret, report);
}

static int run(const struct launch_config *config, struct option_input *in, struct arena *arena)
{
    const struct gateway_source source = { .read = read_again, .arg = in };
    struct log_conf log = {
        .level = (enum log_level)config->log_level,
        .format = config->log_json ? LOG_JSON : LOG_TEXT,
        .filter = text_of(arena, config->log_filter),
        .dir = text_of(arena, config->log_dir),
        .rfc3339_ms = config->log_timestamps == LAUNCH_TIMESTAMPS_RFC3339,
    };
    struct err err = { 0 };
    int r = log_start(&log, &err);

    if (r < 0)
        return cli_fail(&err);
    print_banner(config);
    r = gateway_run(config, &source, &err);
    log_stop();
    return r < 0 ? cli_fail(&err) : 0;
}

int cli_launch(int argc, const char *const *argv)
{
    struct option_input in = { .argc = argc, .argv = argv, .env = option_getenv };
    struct launch_config config;
    struct option_report report = { 0 };
    struct arena arena;
    int status, r;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    r = launch_parse(&in, &arena, &config, &report);
    status = cli_parsed(r, &LAUNCH_TABLE, &report);
    if (r == 0 && status == 0)
        status = run(&config, &in, &arena);
    arena_fini(&arena);
    return status;
}
