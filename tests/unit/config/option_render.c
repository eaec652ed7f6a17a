/* option_render.c -- help and reference pages say what the table says */
#include "parsed.h"

#include "config/option_internal.h"

struct small {
    struct str url, key;
    uint16_t port;
    int shape;
    struct option_list items;
    struct option_endpoints peers;
    bool quiet, later;
};

static const struct option_name SHAPES[] = { { "round", 1 }, { "spiral", 3, OPT_NOT_YET }, { 0 } };

static const struct option ROWS[] = {
    { .name = "URL",
      .type = OPT_STR,
      .at = offsetof(struct small, url),
      .flags = OPT_REQUIRED,
      .group = "Target",
      .help = "where to go" },
    { .name = "--port",
      .aliases = { "-p" },
      .type = OPT_U16,
      .at = offsetof(struct small, port),
      .value = "PORT",
      .def = "80",
      .min = 1,
      .max = 99,
      .rule = { 0.5, 200, "Must be > 0" },
      .unit = "s",
      .help = "port to use" },
    { .name = "--later",
      .type = OPT_FLAG,
      .at = offsetof(struct small, later),
      .state = OPT_NOT_YET,
      .group = "Dreams",
      .help = "wait | see" },
    { .name = "--shape",
      .aliases = { "--form" },
      .type = OPT_ENUM,
      .names = SHAPES,
      .at = offsetof(struct small, shape),
      .def = "round",
      .group = "Looks",
      .help = "what it looks like, explained in so many words that the line must be broken somewhere" },
    { .name = "--key",
      .type = OPT_STR,
      .at = offsetof(struct small, key),
      .env = { "SMALL_KEY", "KEY" },
      .file = "--key-file",
      .help = "secret" },
    { .name = "--items", .type = OPT_LIST, .at = offsetof(struct small, items), .def_help = "none", .help = "things" },
    { .name = "--peer", .type = OPT_ENDPOINTS, .at = offsetof(struct small, peers), .help = "another" },
    { .name = "--quiet", .type = OPT_FLAG, .at = offsetof(struct small, quiet), .help = "say nothing" },
};
static const struct option_table SMALL = {
    .command = "small", .summary = "A small tool.", .notes = "That is all.", .options = ROWS, .options_n = ARRAY_LEN(ROWS)
};

static void help_is_grouped_wrapped_and_complete(void **state)
{
    _cleanup_(buf_fini) struct buf out = { 0 };

    option_render_help(&SMALL, 80, &out);
    assert_str(buf_str(&out), "A small tool.\n"
                              "\n"
                              "Usage: smg small [OPTIONS] <URL>\n"
                              "\n"
                              "Target:\n"
                              "  <URL>                             where to go\n"
                              "  --port, -p <PORT>                 port to use [range: 1 to 99] [default: 80s]\n"
                              "\n"
                              "Looks:\n"
                              "  --shape <NAME>                    what it looks like, explained in so many\n"
                              "                                    words that the line must be broken somewhere\n"
                              "                                    [possible values: round] [not available in\n"
                              "                                    this version: spiral] [default: round]\n"
                              "                                    [also: --form]\n"
                              "  --key <TEXT>                      secret [env: SMALL_KEY, KEY] [from a file:\n"
                              "                                    --key-file <PATH>]\n"
                              "  --items [<TEXT>...]               things [default: none]\n"
                              "  --peer <URL> [PORT|none]          another\n"
                              "  --quiet                           say nothing\n"
                              "\n"
                              "Not available in this version (giving one of these stops the start):\n"
                              "  --later\n"
                              "\n"
                              "That is all.\n");
}

static void no_line_of_help_is_wider_than_the_terminal(void **state)
{
    static const unsigned WIDTHS[] = { 60, 80, 100, 132, 1000 };

    for (size_t i = 0; i < ARRAY_LEN(WIDTHS); i++) {
        _cleanup_(buf_fini) struct buf out = { 0 };
        struct str rest, line;

        option_render_help(&LAUNCH_TABLE, WIDTHS[i], &out);
        assert_false(out.failed);
        rest = buf_str(&out);
        while (str_split(rest, '\n', &line, &rest)) {
            if (line.n > MIN(WIDTHS[i], 160))
                fail_msg("%u columns: %.*s", WIDTHS[i], STR_FMT(line));
            assert_true(line.n == 0 || line.p[line.n - 1] != ' ');
        }
    }
}

static void launch_help_names_every_option(void **state)
{
    _cleanup_(buf_fini) struct buf out = { 0 };

    option_render_help(&LAUNCH_TABLE, 80, &out);
    assert_true(str_has_prefix(buf_str(&out), STR("Start the gateway: one address in front of many inference engines.\n\nUsage: "
                                                  "smg [launch] [OPTIONS]\n\nListener and workers:\n")));
    for (size_t i = 0; i < LAUNCH_TABLE.options_n; i++) {
        if (str_find(buf_str(&out), str_of(LAUNCH_TABLE.options[i].name)) == STR_NPOS)
            fail_msg("%s", LAUNCH_TABLE.options[i].name);
    }
    assert_true(str_find(buf_str(&out), STR("\n  --port <PORT>                     port to listen on [default: 30000]\n")) !=
                STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("SMG_API_KEY")) != STR_NPOS);
}

static void the_reference_page_is_markdown(void **state)
{
    _cleanup_(buf_fini) struct buf out = { 0 };

    option_render_markdown(&SMALL, &out);
    assert_true(str_has_prefix(buf_str(&out), STR("# smg small\n")));
    assert_true(
        str_find(buf_str(&out), STR("\n## Target\n\n| Option | Value | Default | Environment | Meaning |\n|---|---|---|---|---|\n"
                                    "| `URL` | text |  |  | where to go. |\n"
                                    "| `--port`, `-p` | whole number, 16 bits | `80` s |  | port to use. Range: 1 to 99. |\n")) !=
        STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("| `--key`, `--key-file PATH` | text |  | `SMALL_KEY`, `KEY` | secret. |\n")) !=
                STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("One of `round`, `spiral` (not yet). |\n")) != STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("\n### Dreams\n")) != STR_NPOS);
    assert_true(str_find(buf_str(&out), STR("| wait \\| see. |\n")) != STR_NPOS);
    assert_true(str_has_suffix(buf_str(&out), STR("\nThat is all.\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_is_grouped_wrapped_and_complete),
        cmocka_unit_test(no_line_of_help_is_wider_than_the_terminal),
        cmocka_unit_test(launch_help_names_every_option),
        cmocka_unit_test(the_reference_page_is_markdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
