/* cli/main.c -- smg: finds the command and runs it */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/version.h"
#include "config/launch.h"

struct command {
    const char *name, *alias;
    int (*run)(int argc, const char *const *argv);
    const struct option_table *table;
    const char *help;
};

static const struct command COMMANDS[] = {
    { "launch", "start", cli_launch, &LAUNCH_TABLE, "run the gateway" },
    { "mock-engine", NULL, cli_mock_engine, &MOCK_TABLE,
      "run simulated inference engines, to try the gateway and to plan capacity" },
    { "bench", NULL, cli_bench, &BENCH_TABLE, "measure a gateway or an engine" },
};

int cli_print_report(const struct option_report *report)
{
    for (size_t i = 0; i < report->n; i++)
        fprintf(stderr, "smg: %s: %.*s\n", report->problems[i].kind == OPTION_NOTE ? "note" : "error",
                STR_FMT(report->problems[i].text));
    if (report->more)
        fprintf(stderr, "smg: error: and %zu more\n", report->more);
    if (option_report_status(report) == 2)
        fprintf(stderr, "For more information, try '--help'.\n");
    return option_report_status(report);
}

static unsigned terminal_width(void)
{
    struct winsize w;

    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 100;
}

static int print(struct buf *text)
{
    int status = text->failed || fwrite(text->p, 1, text->n, stdout) != text->n || fflush(stdout) != 0;

    buf_fini(text);
    return status;
}

int cli_print_help(const struct option_table *table)
{
    struct buf out = { 0 };

    option_render_help(table, terminal_width(), &out);
    return print(&out);
}

int cli_fail(const struct err *err)
{
    fprintf(stderr, "smg: error: %s\n", err->message[0] ? err->message : err_text(err->code));
    return 1;
}

int cli_parsed(int r, const struct option_table *table, const struct option_report *report)
{
    if (r == OPTIONS_HELP)
        return cli_print_help(table);
    if (r == ERR_NOMEM)
        return cli_fail(&(struct err){ .code = ERR_NOMEM });
    return cli_print_report(report);
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        if (str_eq(str_of(name), str_of(COMMANDS[i].name)) ||
            (COMMANDS[i].alias && str_eq(str_of(name), str_of(COMMANDS[i].alias))))
            return &COMMANDS[i];
    return NULL;
}

static int print_overview(void)
{
    struct buf out = { 0 };

    buf_printf(
        &out,
        "smg %s -- a model gateway between applications and LLM inference engines\n\nUsage: smg [COMMAND] [OPTIONS]\n\nCommands:\n",
        SMG_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        buf_printf(&out, "  %-12s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    buf_printf(&out, "  %-12s %s\n", "help", "this page; `smg help COMMAND` for the options of one command");
    buf_puts(
        &out,
        "\nWithout a command, smg runs `launch`. `smg --version` prints the version, `smg --version-verbose` how it was built.\n");
    return print(&out);
}

/* `smg help`, `smg help COMMAND`, `smg help --markdown COMMAND` (for tools/gen-reference). */
static int help(int argc, const char *const *argv)
{
    bool markdown = argc > 0 && str_eq(str_of(argv[0]), STR("--markdown"));
    const struct command *c;
    struct buf out = { 0 };

    if (markdown)
        argc--, argv++;
    if (argc == 0)
        return print_overview();
    c = find(argv[0]);
    if (!c) {
        fprintf(stderr, "smg: error: no command '%s'; `smg help` lists them\n", argv[0]);
        return 2;
    }
    if (!markdown)
        return cli_print_help(c->table);
    option_render_markdown(c->table, &out);
    return print(&out);
}

int main(int argc, char **argv)
{
    const char *const *args = (const char *const *)argv + 1;
    int n = argc > 0 ? argc - 1 : 0;
    const struct command *c;

    switch (option_version_asked(n, args)) {
    case VERSION_SHORT:
        return version_print();
    case VERSION_VERBOSE:
        return version_print_verbose();
    default:
        break;
    }
    if (n > 0 && str_eq(str_of(args[0]), STR("help")))
        return help(n - 1, args + 1);
    if (n > 0 && (str_eq(str_of(args[0]), STR("--help")) || str_eq(str_of(args[0]), STR("-h"))))
        return print_overview();
    if (n == 0 || args[0][0] == '-')
        return cli_launch(n, args);
    c = find(args[0]);
    if (!c) {
        fprintf(stderr, "smg: error: no command '%s'; `smg help` lists them\n", args[0]);
        return 2;
    }
    return c->run(n - 1, args + 1);
}
