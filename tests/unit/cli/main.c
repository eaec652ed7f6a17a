/* main.c -- which command a command line means, and what goes to stdout, to stderr and into the exit status
 *
 * main.c itself is part of this file; the commands behind it are stand-ins that write down what they were given.
 */
#include "test.h"

int smg_main(int argc, char **argv);

#define main smg_main
#include "cli/main.c"
#undef main

#include <fcntl.h>

static struct called {
    const char *command;
    int argc;
    const char *first;
} called;

static int note_call(const char *command, int argc, const char *const *argv)
{
    called = (struct called){ command, argc, argc ? argv[0] : NULL };
    return 7;
}

static const struct option OPTIONS[] = { { .name = "--flavour", .type = OPT_STR, .help = "what it tastes of" } };

#define STAND_IN(run, text)                    \
    int run(int argc, const char *const *argv) \
    {                                          \
        return note_call((text), argc, argv);  \
    }
#define STAND_IN_TABLE(table, text) \
    const struct option_table table = { .command = (text), .summary = "does it", .options = OPTIONS, .options_n = 1 };

STAND_IN(cli_launch, "launch")
STAND_IN(cli_mock_engine, "mock-engine")
STAND_IN(cli_bench, "bench")
STAND_IN(cli_top, "top")
STAND_IN(cli_loads, "loads")
STAND_IN(cli_worker_list, "worker list")
STAND_IN(cli_worker_get, "worker get")
STAND_IN(cli_worker_add, "worker add")
STAND_IN(cli_worker_patch, "worker patch")
STAND_IN(cli_worker_replace, "worker replace")
STAND_IN(cli_worker_rm, "worker rm")
STAND_IN(cli_worker_drain, "worker drain")
STAND_IN(cli_cache_flush, "cache flush")
STAND_IN(cli_tokenizer_list, "tokenizer list")
STAND_IN(cli_tokenizer_add, "tokenizer add")
STAND_IN(cli_tokenizer_status, "tokenizer status")
STAND_IN(cli_tokenizer_rm, "tokenizer rm")
STAND_IN(cli_tokenize, "tokenize")
STAND_IN(cli_wasm_list, "wasm list")
STAND_IN(cli_wasm_add, "wasm add")
STAND_IN(cli_wasm_rm, "wasm rm")
STAND_IN(cli_wasm_run, "wasm run")
STAND_IN(cli_wasm_inspect, "wasm inspect")
STAND_IN_TABLE(MOCK_TABLE, "mock-engine")
STAND_IN_TABLE(BENCH_TABLE, "bench")
STAND_IN_TABLE(TOP_TABLE, "top")
STAND_IN_TABLE(LOADS_TABLE, "loads")
STAND_IN_TABLE(WORKER_LIST_TABLE, "worker list")
STAND_IN_TABLE(WORKER_GET_TABLE, "worker get")
STAND_IN_TABLE(WORKER_ADD_TABLE, "worker add")
STAND_IN_TABLE(WORKER_PATCH_TABLE, "worker patch")
STAND_IN_TABLE(WORKER_REPLACE_TABLE, "worker replace")
STAND_IN_TABLE(WORKER_RM_TABLE, "worker rm")
STAND_IN_TABLE(WORKER_DRAIN_TABLE, "worker drain")
STAND_IN_TABLE(CACHE_FLUSH_TABLE, "cache flush")
STAND_IN_TABLE(TOKENIZER_LIST_TABLE, "tokenizer list")
STAND_IN_TABLE(TOKENIZER_ADD_TABLE, "tokenizer add")
STAND_IN_TABLE(TOKENIZER_STATUS_TABLE, "tokenizer status")
STAND_IN_TABLE(TOKENIZER_RM_TABLE, "tokenizer rm")
STAND_IN_TABLE(WASM_RUN_TABLE, "wasm run")
STAND_IN_TABLE(WASM_INSPECT_TABLE, "wasm inspect")
STAND_IN_TABLE(TOKENIZE_TABLE, "tokenize")
STAND_IN_TABLE(WASM_LIST_TABLE, "wasm list")
STAND_IN_TABLE(WASM_ADD_TABLE, "wasm add")
STAND_IN_TABLE(WASM_RM_TABLE, "wasm rm")

int version_print(void)
{
    return printf("smg 1.2.3\n") < 0;
}

int version_print_verbose(void)
{
    return printf("smg 1.2.3\n\nBuild Information:\n") < 0;
}

static char out[256 * 1024], err[64 * 1024];

static int divert(int fd, FILE *to)
{
    int real = dup(fd);

    dup2(fileno(to), fd);
    return real;
}

static void give_back(int fd, int real, FILE *from, char *text, size_t size)
{
    ssize_t n;

    dup2(real, fd);
    close(real);
    n = pread(fileno(from), text, size - 1, 0);
    assert_true(n >= 0);
    text[n] = 0;
    fclose(from);
}

static int run_argv(int argc, const char *const *argv)
{
    FILE *o = tmpfile(), *e = tmpfile();
    int real_out, real_err, status;

    called = (struct called){ 0 };
    fflush(stdout);
    real_out = divert(STDOUT_FILENO, o);
    real_err = divert(STDERR_FILENO, e);
    status = smg_main(argc, (char **)(uintptr_t)argv);
    fflush(stdout);
    give_back(STDOUT_FILENO, real_out, o, out, sizeof out);
    give_back(STDERR_FILENO, real_err, e, err, sizeof err);
    return status;
}

#define RUN(...)                                                    \
    ({                                                              \
        const char *const argv_[] = { "smg", ##__VA_ARGS__, NULL }; \
        run_argv((int)ARRAY_LEN(argv_) - 1, argv_);                 \
    })
#define assert_called(name, n)                       \
    do {                                             \
        assert_non_null(called.command);             \
        assert_string_equal(called.command, (name)); \
        assert_int_equal(called.argc, (n));          \
    } while (0)

static void a_command_gets_the_arguments_behind_its_name(void **state)
{
    assert_int_equal(RUN("mock-engine", "--port", "1"), 7);
    assert_called("mock-engine", 2);
    assert_string_equal(called.first, "--port");
    assert_int_equal(RUN("bench"), 7);
    assert_called("bench", 0);
    assert_int_equal(RUN("launch", "--port", "1"), 7);
    assert_called("launch", 2);
}

static void a_command_of_two_words_gets_what_stands_behind_both(void **state)
{
    assert_int_equal(RUN("worker", "list", "--model", "m"), 7);
    assert_called("worker list", 2);
    assert_string_equal(called.first, "--model");
    assert_int_equal(RUN("worker", "ls"), 7);
    assert_called("worker list", 0);
    assert_int_equal(RUN("cache", "flush"), 7);
    assert_called("cache flush", 0);
    assert_int_equal(RUN("tokenizer", "ls"), 7);
    assert_called("tokenizer list", 0);
}

static void half_a_command_of_two_words_is_wrong_usage(void **state)
{
    assert_int_equal(RUN("worker"), 2);
    assert_string_equal(err, "smg: error: 'worker' wants a command behind it; `smg worker --help` lists them\n");
    assert_int_equal(RUN("worker", "--model", "list"), 2);
    assert_int_equal(RUN("worker", "fly"), 2);
    assert_string_equal(err, "smg: error: no command 'worker fly'; `smg worker --help` lists those that there are\n");
    assert_int_equal(RUN("cache", "list"), 2); /* a command of another group */
    assert_int_equal(RUN("list"), 2);
    assert_null(called.command);
}

static void help_of_a_group_lists_its_commands(void **state)
{
    assert_int_equal(RUN("worker", "--help"), 0);
    assert_non_null(strstr(out, "  drain "));
    assert_null(strstr(out, "  flush "));
    assert_int_equal(RUN("help", "cache"), 0);
    assert_non_null(strstr(out, "  flush "));
    assert_int_equal(RUN("help", "worker", "drain"), 0);
    assert_non_null(strstr(out, "--flavour"));
    assert_int_equal(RUN("help", "--markdown", "worker", "list"), 0);
    assert_non_null(strstr(out, "# smg worker list"));
    assert_int_equal(RUN("help", "worker", "fly"), 2);
    assert_null(called.command);
}

static void start_is_another_name_for_launch(void **state)
{
    assert_int_equal(RUN("start", "--port", "1"), 7);
    assert_called("launch", 2);
}

static void no_command_and_options_alone_mean_launch(void **state)
{
    assert_int_equal(RUN(), 7);
    assert_called("launch", 0);
    assert_int_equal(RUN("--port", "1"), 7);
    assert_called("launch", 2);
    assert_string_equal(called.first, "--port");
}

static void no_arguments_at_all_are_no_harm(void **state)
{
    assert_int_equal(run_argv(0, (const char *const[]){ NULL }), 7);
    assert_called("launch", 0);
}

static void an_unknown_command_is_wrong_usage(void **state)
{
    assert_int_equal(RUN("fly"), 2);
    assert_null(called.command);
    assert_string_equal(out, "");
    assert_string_equal(err, "smg: error: no command 'fly'; `smg help` lists them\n");
    assert_int_equal(RUN("help", "fly"), 2);
    assert_string_equal(err, "smg: error: no command 'fly'; `smg help` lists them\n");
}

static void the_overview_names_every_command(void **state)
{
    static const char *const WAYS[] = { "help", "--help", "-h" };

    for (size_t i = 0; i < ARRAY_LEN(WAYS); i++) {
        assert_int_equal(RUN(WAYS[i]), 0);
        assert_null(called.command);
        assert_non_null(strstr(out, "  launch "));
        assert_non_null(strstr(out, "  mock-engine "));
        assert_non_null(strstr(out, "  bench "));
        assert_string_equal(err, "");
    }
}

static void help_of_a_command_lists_its_options(void **state)
{
    assert_int_equal(RUN("help", "mock-engine"), 0);
    assert_non_null(strstr(out, "--flavour"));
    assert_int_equal(RUN("help", "start"), 0);
    assert_non_null(strstr(out, "--worker-urls"));
    assert_null(called.command);
}

static void help_can_be_markdown_for_the_reference(void **state)
{
    assert_int_equal(RUN("help", "--markdown", "bench"), 0);
    assert_non_null(strstr(out, "`--flavour"));
    assert_int_equal(RUN("help", "--markdown"), 0); /* of nothing: the overview */
    assert_non_null(strstr(out, "  bench "));
}

static void the_version_is_told_whatever_else_stands_there(void **state)
{
    assert_int_equal(RUN("--version"), 0);
    assert_string_equal(out, "smg 1.2.3\n");
    assert_int_equal(RUN("-V"), 0);
    assert_string_equal(out, "smg 1.2.3\n");
    assert_int_equal(RUN("--version-verbose"), 0);
    assert_non_null(strstr(out, "Build Information:"));
    assert_null(called.command);
}

static void a_failure_is_one_line_on_stderr(void **state)
{
    FILE *e = tmpfile();
    struct err told = { .code = ERR_INVALID, .message = "the port is taken" };
    int real = divert(STDERR_FILENO, e), status = cli_fail(&told), bare = cli_fail(&(struct err){ .code = ERR_NOMEM });

    give_back(STDERR_FILENO, real, e, err, sizeof err);
    assert_int_equal(status, 1);
    assert_int_equal(bare, 1);
    assert_non_null(strstr(err, "smg: error: the port is taken\nsmg: error: "));
}

static void help_that_cannot_be_written_is_a_failure(void **state)
{
    int full = open("/dev/full", O_WRONLY), real, status;

    fflush(stdout);
    real = dup(STDOUT_FILENO);
    dup2(full, STDOUT_FILENO);
    status = smg_main(2, (char **)(uintptr_t)(const char *const[]){ "smg", "help", NULL });
    clearerr(stdout);
    dup2(real, STDOUT_FILENO);
    close(real);
    close(full);
    assert_int_equal(status, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_gets_the_arguments_behind_its_name),
        cmocka_unit_test(a_command_of_two_words_gets_what_stands_behind_both),
        cmocka_unit_test(half_a_command_of_two_words_is_wrong_usage),
        cmocka_unit_test(help_of_a_group_lists_its_commands),
        cmocka_unit_test(start_is_another_name_for_launch),
        cmocka_unit_test(no_command_and_options_alone_mean_launch),
        cmocka_unit_test(no_arguments_at_all_are_no_harm),
        cmocka_unit_test(an_unknown_command_is_wrong_usage),
        cmocka_unit_test(the_overview_names_every_command),
        cmocka_unit_test(help_of_a_command_lists_its_options),
        cmocka_unit_test(help_can_be_markdown_for_the_reference),
        cmocka_unit_test(the_version_is_told_whatever_else_stands_there),
        cmocka_unit_test(a_failure_is_one_line_on_stderr),
        cmocka_unit_test(help_that_cannot_be_written_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
