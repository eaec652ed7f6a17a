/* option.c -- the grammar of command lines, and where a value comes from */
#include "parsed.h"

#include <sys/mman.h>
#include <unistd.h>

struct tool {
    struct str url, name, key, path;
    struct option_list items, headers, greedy, rest;
    struct option_numbers numbers;
    struct option_endpoints peers;
    uint16_t port;
    int32_t offset;
    double rate;
    int shape;
    bool quiet, loud, future, harmless;
    uint32_t limit;
    struct str later;
};

static const struct option_name SHAPES[] = { { "round", 1 }, { "square", 2 }, { "spiral", 3, OPT_NOT_YET }, { 0 } };

static int no_dots(struct str token, struct err *err)
{
    return str_find_char(token, '.') == STR_NPOS ? 0 : err_set(err, ERR_SYNTAX, "no dots");
}

static int not_bad(const void *value, struct err *err)
{
    return str_eq(*(const struct str *)value, STR("bad")) ? err_set(err, ERR_INVALID, "Must be good") : 0;
}

#define AT(m) .at = offsetof(struct tool, m)
static const struct option OPTIONS[] = {
    { .name = "URL", .type = OPT_STR, AT(url), .help = "h" },
    { .name = "REST", .type = OPT_LIST, AT(rest), .help = "h" },
    { .name = "--name",
      .aliases = { "-n", "--title" },
      .type = OPT_STR,
      AT(name),
      .env = { "TOOL_NAME", "NAME" },
      .def = "nobody",
      .syntax = no_dots,
      .validate = not_bad,
      .help = "h" },
    { .name = "--key",
      .type = OPT_STR,
      AT(key),
      .env = { "TOOL_KEY" },
      .file = "--key-file",
      .flags = OPT_SECRET,
      .validate = not_bad,
      .help = "h" },
    { .name = "--path", .type = OPT_PATH, AT(path), .help = "h" },
    { .name = "--port",
      .type = OPT_U16,
      AT(port),
      .def = "80",
      .value = "PORT",
      .rule = { 1, 65535, "Port must be > 0" },
      .help = "h" },
    { .name = "--offset", .type = OPT_I32, AT(offset), .def = "-5", .help = "h" },
    { .name = "--rate", .type = OPT_F64, AT(rate), .help = "h" },
    { .name = "--limit",
      .type = OPT_U32,
      AT(limit),
      .min = 1,
      .max = 10,
      .field = "tool.limit",
      .rule = { 1, 9, "Must be < 10" },
      .help = "h" },
    { .name = "--shape", .type = OPT_ENUM, .names = SHAPES, AT(shape), .def = "round", .help = "h" },
    { .name = "--items", .type = OPT_LIST, AT(items), .env = { "ITEMS" }, .def = "x y", .validate = not_bad, .help = "h" },
    { .name = "--numbers", .type = OPT_F64_LIST, AT(numbers), .help = "h" },
    { .name = "--header", .type = OPT_APPEND, AT(headers), .env = { "HEADER" }, .help = "h" },
    { .name = "--greedy", .type = OPT_APPEND, AT(greedy), .flags = OPT_GREEDY, .help = "h" },
    { .name = "--peer", .type = OPT_ENDPOINTS, AT(peers), .help = "h" },
    { .name = "--quiet", .type = OPT_FLAG, AT(quiet), .env = { "QUIET" }, .help = "h" },
    { .name = "--loud", .type = OPT_FLAG, AT(loud), .help = "h" },
    { .name = "--future", .type = OPT_FLAG, AT(future), .state = OPT_NOT_YET, .env = { "FUTURE" }, .help = "h" },
    { .name = "--harmless", .type = OPT_FLAG, AT(harmless), .state = OPT_NOT_YET, .inert = "true", .help = "h" },
    { .name = "--later",
      .aliases = { "--soon" },
      .type = OPT_STR,
      AT(later),
      .state = OPT_NOT_YET,
      .inert = "off none",
      .env = { "LATER" },
      .flags = OPT_ENV_PASSIVE,
      .help = "h" },
};
static const struct option_table TOOL = {
    .command = "tool", .summary = "A tool.", .options = OPTIONS, .options_n = ARRAY_LEN(OPTIONS)
};

/* The same without positional arguments, so that a stray word is a mistake. */
static const struct option_table STRICT = {
    .command = "tool", .summary = "A tool.", .options = OPTIONS + 2, .options_n = ARRAY_LEN(OPTIONS) - 2
};

static void defaults_go_through_the_same_parser(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL);
    assert_accepted(&p);
    assert_str(t.name, "nobody");
    assert_int_equal(t.port, 80);
    assert_int_equal(t.offset, -5);
    assert_int_equal(t.shape, 1);
    assert_int_equal(t.items.n, 2);
    assert_str(t.items.items[1], "y");
    assert_null(t.key.p);
}

static void a_value_stands_behind_the_flag_or_behind_an_equals_sign(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--port", "1", "--name=a=b", "--path", "-");
    assert_accepted(&p);
    assert_int_equal(t.port, 1);
    assert_str(t.name, "a=b");
    assert_str(t.path, "-");
}

static void aliases_and_letters_are_other_spellings(void **state)
{
    const char *const spellings[] = { "-n", "--title", "--name" };

    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        _cleanup_(parsed_fini) struct parsed p;
        struct tool t;

        PARSE(&p, &TOOL, &t, NULL, spellings[i], "x");
        assert_accepted(&p);
        assert_str(t.name, "x");
        assert_int_equal(option_source(&TOOL, &p.report, "--name"), OPTION_ARGV);
    }
}

static void a_scalar_given_twice_is_a_usage_error_also_through_its_alias(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q, f;
    struct tool t;

    PARSE(&p, &STRICT, &t, NULL, "--port", "1", "--port", "2");
    assert_refused(&p, 2, "'--port' cannot be used multiple times");
    assert_int_equal(p.report.n, 1);
    PARSE(&q, &TOOL, &t, NULL, "--name", "a", "--title=b");
    assert_refused(&q, 2, "'--title' cannot be used multiple times");
    PARSE(&f, &TOOL, &t, NULL, "--quiet", "--quiet");
    assert_refused(&f, 2, "'--quiet' cannot be used multiple times");
}

static void a_boolean_flag_takes_no_value(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--quiet=true");
    assert_refused(&p, 2, "unexpected value 'true' for '--quiet'");
}

static void abbreviations_are_not_accepted_but_guessed(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--por", "5");
    assert_refused(&p, 2, "unexpected argument '--por'; did you mean '--port'?");
    assert_int_equal(p.report.n, 1);
    PARSE(&q, &TOOL, &t, NULL, "--prot=secret");
    assert_refused(&q, 2, "unexpected argument '--prot'; did you mean '--port'?");
    assert_false(has_problem(&q, "secret"));
}

static void numbers_may_be_negative_as_a_token_of_their_own(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--offset", "-1", "--rate", "-.5", "--numbers", "1", "-2.5", "3", "--loud");
    assert_accepted(&p);
    assert_int_equal(t.offset, -1);
    assert_true(t.rate == -.5);
    assert_int_equal(t.numbers.n, 3);
    assert_true(t.numbers.items[1] == -2.5);
    assert_true(t.loud);
    PARSE(&q, &TOOL, &t, NULL, "--offset=-7");
    assert_accepted(&q);
    assert_int_equal(t.offset, -7);
    PARSE(&r, &TOOL, &t, NULL, "--name", "-1");
    assert_refused(&r, 2,
                   "a value is required for '--name <TEXT>' but none was supplied; one that begins with '-' is written behind '='");
}

static void a_missing_value_is_a_usage_error(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--port");
    assert_refused(&p, 2, "a value is required for '--port <PORT>' but none was supplied");
    PARSE(&q, &TOOL, &t, NULL, "--port", "--quiet");
    assert_refused(&q, 2, "a value is required for '--port <PORT>'");
    PARSE(&r, &TOOL, &t, NULL, "--key-file");
    assert_refused(&r, 2, "a value is required for '--key-file <PATH>'");
}

static void a_list_takes_all_tokens_up_to_the_next_option(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--items", "a", "b", "--quiet", "--items", "c", "--items=d", "left");
    assert_accepted(&p);
    assert_int_equal(t.items.n, 4);
    assert_str(t.items.items[0], "a");
    assert_str(t.items.items[3], "d");
    assert_str(t.url, "left"); /* "=" adds exactly one */
    PARSE(&q, &TOOL, &t, NULL, "--items");
    assert_accepted(&q);
    assert_int_equal(t.items.n, 0); /* an empty list is not the default */
    PARSE(&r, &TOOL, &t, NULL, "--items", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
          "17");
    assert_int_equal(t.items.n, 17);
    assert_str(t.items.items[16], "17");
    assert_str(t.items.items[7], "8");
}

static void an_append_option_takes_one_value_per_occurrence(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q;
    struct tool t;

    PARSE(&p, &STRICT, &t, NULL, "--header", "a: b", "--header=c", "--header", "d", "stray");
    assert_refused(&p, 2, "unexpected argument 'stray'");
    assert_int_equal(t.headers.n, 3);
    PARSE(&q, &STRICT, &t, NULL, "--greedy", "a", "b", "--greedy", "c");
    assert_accepted(&q);
    assert_int_equal(t.greedy.n, 3);
}

static void endpoints_have_an_optional_port(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct tool t;

    PARSE(&p, &STRICT, &t, NULL, "--peer", "http://p:1", "9001", "--peer", "http://q:1", "None", "--peer", "http://r:1",
          "--peer=http://s:1,7", "--peer=http://t:1");
    assert_accepted(&p);
    assert_int_equal(t.peers.n, 5);
    assert_str(t.peers.items[0].url, "http://p:1");
    assert_int_equal(t.peers.items[0].port, 9001);
    assert_int_equal(t.peers.items[1].port, -1);
    assert_int_equal(t.peers.items[2].port, -1);
    assert_int_equal(t.peers.items[3].port, 7);
    assert_str(t.peers.items[4].url, "http://t:1");
    PARSE(&q, &STRICT, &t, NULL, "--peer", "http://p:1", "70000");
    assert_refused(&q, 2, "the bootstrap port must be a number in 0..=65535 or 'none'");
    PARSE(&r, &STRICT, &t, NULL, "--peer");
    assert_refused(&r, 2, "a value is required for '--peer <URL>'");
}

static void positional_arguments_fill_their_rows_in_order(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "first", "--quiet", "second", "--", "--third", "-h");
    assert_accepted(&p);
    assert_str(t.url, "first");
    assert_int_equal(t.rest.n, 3);
    assert_str(t.rest.items[1], "--third");
}

static void a_required_option_must_come(void **state)
{
    static const struct option rows[] = {
        { .name = "URL", .type = OPT_STR, .at = offsetof(struct tool, url), .flags = OPT_REQUIRED, .help = "h" },
        { .name = "--name", .type = OPT_STR, .at = offsetof(struct tool, name), .flags = OPT_REQUIRED, .help = "h" },
    };
    const struct option_table table = { .command = "x", .summary = "X.", .options = rows, .options_n = 2 };
    _cleanup_(parsed_fini) struct parsed p, q;
    struct tool t;

    PARSE(&p, &table, &t, NULL);
    assert_refused(&p, 2, "the required argument <URL> is missing");
    assert_true(has_problem(&p, "the required option --name is missing"));
    PARSE(&q, &table, &t, NULL, "u", "--name", "n");
    assert_accepted(&q);
}

static void help_wins_over_mistakes(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--nope", "--help");
    assert_int_equal(p.result, OPTIONS_HELP);
    PARSE(&q, &TOOL, &t, NULL, "-h");
    assert_int_equal(q.result, OPTIONS_HELP);
    PARSE(&r, &TOOL, &t, NULL, "--items", "a", "-h");
    assert_int_equal(r.result, OPTIONS_HELP);
}

static void the_command_line_outranks_the_environment_which_outranks_the_default(void **state)
{
    const struct variable env[] = { { "NAME", "second" }, { "TOOL_NAME", "first" }, { 0 } },
                          other[] = { { "TOOL_NAME", "" }, { "NAME", "second" }, { 0 } };
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct tool t;

    PARSE(&p, &TOOL, &t, env, "--name", "typed");
    assert_str(t.name, "typed");
    PARSE(&q, &TOOL, &t, env);
    assert_str(t.name, "first");
    assert_int_equal(option_source(&TOOL, &q.report, "--name"), OPTION_ENV);
    PARSE(&r, &TOOL, &t, other); /* an empty variable is unset */
    assert_str(t.name, "second");
}

static void the_environment_knows_lists_and_switches(void **state)
{
    const struct variable env[] = { { "ITEMS", " a  b\tc " }, { "HEADER", "x: y z" }, { "QUIET", "Yes" }, { 0 } };
    const struct variable off[] = { { "QUIET", "false" }, { 0 } }, wrong[] = { { "QUIET", "maybe" }, { 0 } };
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct tool t;

    PARSE(&p, &TOOL, &t, env);
    assert_accepted(&p);
    assert_int_equal(t.items.n, 3);
    assert_str(t.items.items[2], "c");
    assert_int_equal(t.headers.n, 1);
    assert_str(t.headers.items[0], "x: y z");
    assert_true(t.quiet);
    PARSE(&q, &TOOL, &t, off);
    assert_accepted(&q);
    assert_false(t.quiet);
    PARSE(&r, &TOOL, &t, wrong);
    assert_refused(&r, 2, "invalid value 'maybe' in the environment variable QUIET (--quiet): true or false is expected");
}

static void a_secret_comes_from_a_file_without_its_last_newline(void **state)
{
    char path[64];
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct tool t;
    int fd = memfd_create("key", 0);

    assert_true(fd >= 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(write(fd, "s3cret\n", 7), 7);
    PARSE(&p, &TOOL, &t, NULL, "--key-file", path);
    assert_accepted(&p);
    assert_str(t.key, "s3cret");
    assert_int_equal(option_source(&TOOL, &p.report, "--key"), OPTION_FILE);
    PARSE(&q, &TOOL, &t, NULL, "--key", "other", "--key-file", path);
    assert_refused(&q, 2, "'--key' cannot be used with '--key-file'");
    assert_int_equal(ftruncate(fd, 0), 0);
    PARSE(&r, &TOOL, &t, NULL, "--key-file", path);
    assert_refused(&r, 1, "is empty");
    close(fd);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--key-file=/nonexistent/key");
    assert_refused(&p, 1, "--key-file: ");
    assert_true(has_problem(&p, "/nonexistent/key"));
}

static void a_missing_feature_is_refused_with_the_spelling_that_was_used(void **state)
{
    const struct variable env[] = { { "FUTURE", "1" }, { 0 } }, off[] = { { "FUTURE", "0" }, { "LATER", "x" }, { 0 } };
    _cleanup_(parsed_fini) struct parsed p, q, r, s;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--future", "--soon", "now", "--shape", "spiral");
    assert_refused(&p, 2, "--future is not available in this version");
    assert_true(has_problem(&p, "--soon is not available in this version"));
    assert_true(has_problem(&p, "--shape spiral is not available in this version"));
    assert_int_equal(p.report.n, 3);
    PARSE(&q, &TOOL, &t, env);
    assert_refused(&q, 2, "--future (set by the environment variable FUTURE) is not available in this version");
    PARSE(&r, &TOOL, &t, off); /* switched off; and a passive variable asks for nothing */
    assert_accepted(&r);
    PARSE(&s, &TOOL, &t, NULL, "--harmless", "--later", "none"); /* values that mean "off" */
    assert_accepted(&s);
    assert_true(t.harmless);
}

static void secrets_and_credentials_in_urls_are_not_repeated(void **state)
{
    const struct variable env[] = { { "TOOL_KEY", "bad" }, { 0 } };
    _cleanup_(parsed_fini) struct parsed p, q;
    struct tool t;

    PARSE(&p, &TOOL, &t, env);
    assert_refused(&p, 1, "Invalid value for field 'key': <redacted> - Must be good");
    assert_false(has_problem(&p, "bad"));
    PARSE(&q, &TOOL, &t, NULL, "--name", "http://u:pass@host.x/");
    assert_refused(&q, 2, "<redacted>");
    assert_false(has_problem(&q, "pass"));
}

static void all_usage_problems_are_reported_and_validation_waits_for_none(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q;
    struct tool t;

    PARSE(&p, &TOOL, &t, NULL, "--port", "x", "--shape", "oval", "--name", "a.b", "--limit", "11", "--items", "bad");
    assert_refused(&p, 2, "invalid value 'x' for '--port <PORT>': a whole number is expected");
    assert_true(has_problem(&p, "invalid value 'oval' for '--shape <NAME>': possible values: round, square"));
    assert_true(has_problem(&p, "invalid value 'a.b' for '--name <TEXT>': no dots"));
    assert_true(has_problem(&p, "invalid value '11' for '--limit <N>': not in 1..=10"));
    assert_int_equal(p.report.n, 4);
    PARSE(&q, &TOOL, &t, NULL, "--port", "0", "--name", "bad", "--limit", "10", "--items", "good", "bad", "bad");
    assert_refused(&q, 1, "Invalid value for field 'port': 0 - Port must be > 0");
    assert_true(has_problem(&q, "Invalid value for field 'name': bad - Must be good"));
    assert_true(has_problem(&q, "Invalid value for field 'tool.limit': 10 - Must be < 10 (--limit)"));
    assert_int_equal(q.report.n, 5);
}

static void problems_past_the_bound_are_counted(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    const char *argv[OPTION_PROBLEMS_MAX + 10];
    struct tool t;

    for (size_t i = 0; i < ARRAY_LEN(argv); i++)
        argv[i] = "--zzzzzzzz";
    parse_with(&p, &TOOL, &t, sizeof t, NULL, (int)ARRAY_LEN(argv), argv);
    assert_int_equal(p.report.n, OPTION_PROBLEMS_MAX);
    assert_int_equal(p.report.more, 10);
    assert_int_equal(option_report_status(&p.report), 2);
}

static void control_bytes_do_not_reach_the_terminal(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct tool t;

    PARSE(&p, &STRICT, &t, NULL, "a\033[31m\nb");
    assert_refused(&p, 2, "unexpected argument 'a?[31m?b'");
}

static void the_version_is_found_anywhere_and_the_first_form_counts(void **state)
{
    const char *const argv[] = { "launch", "--port", "x", "-V", "--version-verbose" }, *const verbose[] = { "--version-verbose",
                                                                                                            "--version" };

    assert_int_equal(option_version_asked(5, argv), VERSION_SHORT);
    assert_int_equal(option_version_asked(2, verbose), VERSION_VERBOSE);
    assert_int_equal(option_version_asked(3, argv), VERSION_NOT_ASKED);
}

static void an_arena_without_room_is_reported_as_such(void **state)
{
    const char *const argv[] = { "--items", "a", "b", "c", "--peer", "http://p", "1", "--nope" };
    struct option_input in = { .argc = (int)ARRAY_LEN(argv), .argv = argv };
    bool enough = false;

    for (size_t max = 16; max < 64 * 1024 && !enough; max += 64) {
        struct option_report report = { 0 };
        struct arena arena;
        struct tool t;
        int r;

        arena_init(&arena, NULL, max);
        r = options_parse(&TOOL, &in, &arena, &t, sizeof t, &report);
        assert_true(r == ERR_NOMEM || r == ERR_INVALID);
        enough = r == ERR_INVALID;
        arena_fini(&arena);
    }
    assert_true(enough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_go_through_the_same_parser),
        cmocka_unit_test(a_value_stands_behind_the_flag_or_behind_an_equals_sign),
        cmocka_unit_test(aliases_and_letters_are_other_spellings),
        cmocka_unit_test(a_scalar_given_twice_is_a_usage_error_also_through_its_alias),
        cmocka_unit_test(a_boolean_flag_takes_no_value),
        cmocka_unit_test(abbreviations_are_not_accepted_but_guessed),
        cmocka_unit_test(numbers_may_be_negative_as_a_token_of_their_own),
        cmocka_unit_test(a_missing_value_is_a_usage_error),
        cmocka_unit_test(a_list_takes_all_tokens_up_to_the_next_option),
        cmocka_unit_test(an_append_option_takes_one_value_per_occurrence),
        cmocka_unit_test(endpoints_have_an_optional_port),
        cmocka_unit_test(positional_arguments_fill_their_rows_in_order),
        cmocka_unit_test(a_required_option_must_come),
        cmocka_unit_test(help_wins_over_mistakes),
        cmocka_unit_test(the_command_line_outranks_the_environment_which_outranks_the_default),
        cmocka_unit_test(the_environment_knows_lists_and_switches),
        cmocka_unit_test(a_secret_comes_from_a_file_without_its_last_newline),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_missing_feature_is_refused_with_the_spelling_that_was_used),
        cmocka_unit_test(secrets_and_credentials_in_urls_are_not_repeated),
        cmocka_unit_test(all_usage_problems_are_reported_and_validation_waits_for_none),
        cmocka_unit_test(problems_past_the_bound_are_counted),
        cmocka_unit_test(control_bytes_do_not_reach_the_terminal),
        cmocka_unit_test(the_version_is_found_anywhere_and_the_first_form_counts),
        cmocka_unit_test(an_arena_without_room_is_reported_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
