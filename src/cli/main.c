/* cli/main.c -- smg: finds the command and runs it */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/version.h"
#include "config/launch.h"

struct command {
    const char *group; /* first word of a command of two; NULL */
    const char *name, *alias;
    int (*run)(int argc, const char *const *argv);
    const struct option_table *table;
    const char *help;
};

static const struct command COMMANDS[] = {
    { NULL, "launch", "start", cli_launch, &LAUNCH_TABLE, "run the gateway" },
    { NULL, "mock-engine", NULL, cli_mock_engine, &MOCK_TABLE,
      "run simulated inference engines, to try the gateway and to plan capacity" },
    { NULL, "bench", NULL, cli_bench, &BENCH_TABLE, "measure a gateway or an engine" },
    { NULL, "top", NULL, cli_top, &TOP_TABLE, "watch the workers of a running gateway, live" },
    { NULL, "loads", NULL, cli_loads, &LOADS_TABLE, "the load that each engine reports" },
    { NULL, "tokenize", NULL, cli_tokenize, &TOKENIZE_TABLE, "text to token ids and back" },
    { "worker", "list", "ls", cli_worker_list, &WORKER_LIST_TABLE, "list them" },
    { "worker", "get", NULL, cli_worker_get, &WORKER_GET_TABLE, "show one, and its job" },
    { "worker", "add", NULL, cli_worker_add, &WORKER_ADD_TABLE, "add one" },
    { "worker", "patch", NULL, cli_worker_patch, &WORKER_PATCH_TABLE, "change some members of a description" },
    { "worker", "replace", NULL, cli_worker_replace, &WORKER_REPLACE_TABLE, "replace a whole description" },
    { "worker", "rm", "remove", cli_worker_rm, &WORKER_RM_TABLE, "remove one" },
    { "worker", "drain", NULL, cli_worker_drain, &WORKER_DRAIN_TABLE, "empty one, remove it, and wait until it is gone" },
    { "tokenizer", "list", "ls", cli_tokenizer_list, &TOKENIZER_LIST_TABLE, "list them" },
    { "tokenizer", "add", NULL, cli_tokenizer_add, &TOKENIZER_ADD_TABLE, "load one" },
    { "tokenizer", "status", NULL, cli_tokenizer_status, &TOKENIZER_STATUS_TABLE, "show how the loading of one goes" },
    { "tokenizer", "rm", "remove", cli_tokenizer_rm, &TOKENIZER_RM_TABLE, "remove one" },
    { "wasm", "list", "ls", cli_wasm_list, &WASM_LIST_TABLE, "list them" },
    { "wasm", "add", NULL, cli_wasm_add, &WASM_ADD_TABLE, "register one" },
    { "wasm", "rm", "remove", cli_wasm_rm, &WASM_RM_TABLE, "remove one" },
    { "wasm", "run", NULL, cli_wasm_run, &WASM_RUN_TABLE, "try a plugin on a request or a response in a file; without a gateway" },
    { "wasm", "inspect", NULL, cli_wasm_inspect, &WASM_INSPECT_TABLE, "what a component exports and imports; without a gateway" },
    { "cache", "flush", NULL, cli_cache_flush, &CACHE_FLUSH_TABLE, "empty the prefix caches of all workers" },
};

/* Commands of two words, by their first. */
static const struct {
    const char *name, *help;
} GROUPS[] = {
    { "worker", "see and change the workers of a running gateway: list, get, add, patch, replace, rm, drain" },
    { "tokenizer", "see and change the tokenizers of a running gateway: list, add, status, rm" },
    { "wasm", "see and change the plugins of a running gateway, and try one without: list, add, rm, run, inspect" },
    { "cache", "flush the caches of a running gateway's workers" },
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

/* The command that ARGV begins with, and how many words name it; NULL when there is none. */
static const struct command *find(int argc, const char *const *argv, int *ret_words)
{
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        const struct command *c = &COMMANDS[i];
        int words = c->group ? 2 : 1;
        struct str name = str_of(argc >= words ? argv[words - 1] : NULL);

        if (argc < words || (c->group && !str_eq(str_of(argv[0]), str_of(c->group))))
            continue;
        if (str_eq(name, str_of(c->name)) || (c->alias && str_eq(name, str_of(c->alias)))) {
            *ret_words = words;
            return c;
        }
    }
    return NULL;
}

static bool is_group(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(GROUPS); i++)
        if (str_eq(str_of(name), str_of(GROUPS[i].name)))
            return true;
    return false;
}

static bool asks_for_help(const char *word)
{
    return str_eq(str_of(word), STR("--help")) || str_eq(str_of(word), STR("-h")) || str_eq(str_of(word), STR("help"));
}

static int print_group(const char *group)
{
    struct buf out = { 0 };

    buf_printf(&out, "Usage: smg %s COMMAND [OPTIONS]\n\nCommands:\n", group);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        if (COMMANDS[i].group && str_eq(str_of(group), str_of(COMMANDS[i].group)))
            buf_printf(&out, "  %-12s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    buf_printf(&out, "\n`smg %s COMMAND --help` shows the options of one.\n", group);
    return print(&out);
}

/* Neither a command nor a cry for help. */
static int refuse(int argc, const char *const *argv)
{
    if (is_group(argv[0]) && argc > 1 && argv[1][0] != '-')
        fprintf(stderr, "smg: error: no command '%s %s'; `smg %s --help` lists those that there are\n", argv[0], argv[1], argv[0]);
    else if (is_group(argv[0]))
        fprintf(stderr, "smg: error: '%s' wants a command behind it; `smg %s --help` lists them\n", argv[0], argv[0]);
    else
        fprintf(stderr, "smg: error: no command '%s'; `smg help` lists them\n", argv[0]);
    return CLI_USAGE;
}

static int print_overview(void)
{
    struct buf out = { 0 };

    buf_printf(
        &out,
        "smg %s -- a model gateway between applications and LLM inference engines\n\nUsage: smg [COMMAND] [OPTIONS]\n\nCommands:\n",
        SMG_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        if (!COMMANDS[i].group)
            buf_printf(&out, "  %-12s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    for (size_t i = 0; i < ARRAY_LEN(GROUPS); i++)
        buf_printf(&out, "  %-12s %s\n", GROUPS[i].name, GROUPS[i].help);
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
    int words;

    if (markdown)
        argc--, argv++;
    if (argc == 0)
        return print_overview();
    c = find(argc, argv, &words);
    if (!c)
        return argc == 1 && is_group(argv[0]) ? print_group(argv[0]) : refuse(argc, argv);
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
    int words;

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
    c = find(n, args, &words);
    if (c)
        return c->run(n - words, args + words);
    return n > 1 && is_group(args[0]) && asks_for_help(args[1]) ? print_group(args[0]) : refuse(n, args);
}
