/* option_config.c -- values from a configuration file, and what a later reading of it may change (option_take.c) */
#include <unistd.h>

#include "parsed.h"

struct small {
    struct str config, name;
    uint32_t number;
    bool flag;
    struct option_list words;
    struct option_numbers numbers;
    struct option_endpoints places;
};

#define AT(member) .at = offsetof(struct small, member)
static const struct option OPTIONS[] = {
    { .name = "--config", .type = OPT_PATH, AT(config), .env = { "CONFIG" }, .flags = OPT_CONFIG_FILE, .group = "G", .help = "h" },
    { .name = "--some-name",
      .aliases = { "--title", "-t" },
      .type = OPT_STR,
      AT(name),
      .env = { "NAME" },
      .def = "d",
      .flags = OPT_LIVE,
      .help = "h" },
    { .name = "--number", .type = OPT_U32, AT(number), .def = "5", .rule = { 1, 10, "Must be small" }, .help = "h" },
    { .name = "--flag", .type = OPT_FLAG, AT(flag), .flags = OPT_LIVE, .help = "h" },
    { .name = "--words", .type = OPT_LIST, AT(words), .flags = OPT_LIVE, .help = "h" },
    { .name = "--numbers", .type = OPT_F64_LIST, AT(numbers), .help = "h" },
    { .name = "--places", .type = OPT_ENDPOINTS, AT(places), .help = "h" },
};
static const struct option_table TABLE = {
    .command = "small", .summary = "s", .options = OPTIONS, .options_n = ARRAY_LEN(OPTIONS)
};

static char path[] = "/tmp/smg-config-XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int remove_file(void **state)
{
    return unlink(path);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void every_type_comes_from_a_file(void **state)
{
    struct small c;
    struct parsed p;

    write_file("some_name: x y\nnumber: 7\nflag: true\nwords: [a, 1, true]\nnumbers: [0.5, 2]\nplaces:\n  - http://a:1,9\n  - "
               "http://b:1\n");
    PARSE(&p, &TABLE, &c, NULL, "--config", path);
    assert_accepted(&p);
    assert_true(str_eq(c.name, STR("x y")));
    assert_int_equal(c.number, 7);
    assert_true(c.flag);
    assert_int_equal(c.words.n, 3);
    assert_true(str_eq(c.words.items[1], STR("1")) && str_eq(c.words.items[2], STR("true")));
    assert_int_equal(c.numbers.n, 2);
    assert_int_equal(c.places.n, 2);
    assert_int_equal(c.places.items[0].port, 9);
    assert_int_equal(c.places.items[1].port, -1);
    assert_int_equal(option_source(&TABLE, &p.report, "--number"), OPTION_CONFIG);
    parsed_fini(&p);
}

static void the_command_line_outranks_the_environment_and_that_the_file(void **state)
{
    const struct variable env[] = { { "CONFIG", path }, { "NAME", "from-env" }, { 0 } };
    struct small c;
    struct parsed p;

    write_file("title: from-file\nnumber: 7\nwords: one\n");
    PARSE(&p, &TABLE, &c, env, "--number", "8");
    assert_accepted(&p);
    assert_true(str_eq(c.name, STR("from-env")));
    assert_int_equal(c.number, 8);
    assert_int_equal(c.words.n, 1); /* one value where a list may stand */
    parsed_fini(&p);
}

static void nothing_in_a_file_is_nothing(void **state)
{
    static const char *const TEXTS[] = { "", "# a comment\n", "number:\nwords: []\n", "{}" };
    struct small c;
    struct parsed p;

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        write_file(TEXTS[i]);
        PARSE(&p, &TABLE, &c, NULL, "--config", path);
        assert_accepted(&p);
        assert_int_equal(c.number, 5);
        parsed_fini(&p);
    }
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text;
        int status;
        const char *part;
    } rows[] = {
        { "nmber: 1", 2, "unknown key 'nmber'" },
        { "config: other", 2, "unknown key 'config'" },
        { "t: x", 2, "unknown key 't'" },
        { "number: x", 2, "invalid value 'x' for 'number' in the configuration file" },
        { "number: [1]", 2, "'number' in the configuration file: a plain value is expected" },
        { "words: {a: b}", 2, "'words' in the configuration file: a list of plain values is expected" },
        { "words: [[a]]", 2, "a list of plain values is expected" },
        { "number: 11", 1, "Must be small" },
        { "- a", 1, "a map of option names to values is expected" },
        { "a: [", 1, "line 2" },
    };
    struct small c;
    struct parsed p;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        write_file(rows[i].text);
        PARSE(&p, &TABLE, &c, NULL, "--config", path);
        assert_refused(&p, rows[i].status, rows[i].part);
        parsed_fini(&p);
    }
    PARSE(&p, &TABLE, &c, NULL, "--config", "/nowhere/at/all");
    assert_refused(&p, 1, "--config: /nowhere/at/all");
    parsed_fini(&p);
}

/* ---- option_take ---- */

static void note(const struct option *o, bool taken, void *arg)
{
    buf_printf(arg, "%s%s ", o->name, taken ? "" : "!");
}

static void live_rows_are_taken_and_the_others_named(void **state)
{
    struct small older, newer;
    struct parsed p, q;
    struct buf told = { 0 };

    PARSE(&p, &TABLE, &older, NULL, "--some-name", "a", "--words", "x", "--places", "http://a:1", "1", "--numbers", "1");
    PARSE(&q, &TABLE, &newer, NULL, "--some-name", "b", "--words", "x", "y", "--number", "6", "--places", "http://a:1", "2",
          "--numbers", "2");
    assert_int_equal(options_take(&TABLE, &newer, &older, note, &told), 2);
    assert_int_equal(told.n, strlen("--some-name --number! --words --numbers! --places! "));
    assert_memory_equal(told.p, "--some-name --number! --words --numbers! --places! ", told.n);
    assert_true(str_eq(older.name, STR("b")));
    assert_int_equal(older.words.n, 2);
    assert_int_equal(older.number, 5);
    parsed_fini(&p);
    assert_true(str_eq(older.words.items[1], STR("y"))); /* of the newer one's memory */
    parsed_fini(&q);
    buf_fini(&told);
}

static void equal_rows_take_the_newer_memory_in_silence(void **state)
{
    struct small older, newer;
    struct parsed p, q;
    struct buf told = { 0 };

    PARSE(&p, &TABLE, &older, NULL, "--words", "x", "--flag");
    PARSE(&q, &TABLE, &newer, NULL, "--words", "x", "--flag");
    assert_int_equal(options_take(&TABLE, &newer, &older, note, &told), 0);
    assert_int_equal(told.n, 0);
    assert_ptr_equal(older.words.items, newer.words.items);
    parsed_fini(&p);
    parsed_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_from_a_file),
        cmocka_unit_test(the_command_line_outranks_the_environment_and_that_the_file),
        cmocka_unit_test(nothing_in_a_file_is_nothing),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(live_rows_are_taken_and_the_others_named),
        cmocka_unit_test(equal_rows_take_the_newer_memory_in_silence),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
