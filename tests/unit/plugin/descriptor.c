/* descriptor.c -- the checks of a plugin's description and its file (spec wasm-plugins 2.5; tests 3 to 7 of its section 10) */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/descriptor.h"

static char folder[] = "/tmp/smg-plugin-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[4][256];
    static int at;

    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* ---- without the file ---- */

static void checks_come_in_this_order_with_these_words(void **state)
{
    static const struct {
        const char *name, *path, *message;
    } CASES[] = {
        { "", "", "Module name cannot be empty" },
        { "a", "", "Module file path cannot be empty" },
        { "a", "a.wasm", "Module file path must be absolute, got: a.wasm" },
        { "a", "../a.txt", "Module file path must be absolute, got: ../a.txt" },
        { "a", "/a/../b.wasm", "Path traversal (..) not allowed in module file path" },
        { "a", "/etc/../etc/x.txt", "Path traversal (..) not allowed in module file path" },
        { "a", "/etc/x.txt", "Module file must have .wasm extension" },
        { "a", "/tmp/x.txt", "Module file must have .wasm extension" },
        { "a", "/tmp/.wasm", "Module file must have .wasm extension" },
        { "a", "/tmp/x.wasm.d/x", "Module file must have .wasm extension" },
        { "a", "/etc/x.wasm", "Access to /etc/ directory is not allowed" },
        { "a", "/var/run/x.wasm", "Access to /var/run/ directory is not allowed" },
        { "a", "/run/x.wasm", "Access to /run/ directory is not allowed" },
        { "a", "/root/x.wasm", "Access to /root/ directory is not allowed" },
        { "a", "/tmp/X.WASM", NULL },
        { "a", "/opt/./p.wasm", NULL },
        { "a", "//etc/x.wasm", NULL }, /* the open file tells */
        { " ", "/tmp/a..b.wasm", NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct plugin_descriptor d = { .name = str_of(CASES[i].name), .path = str_of(CASES[i].path) };
        struct err err = { 0 };
        int r = plugin_descriptor_check(&d, &err);

        assert_int_equal(r, CASES[i].message ? ERR_INVALID : 0);
        if (CASES[i].message)
            assert_string_equal(err.message, CASES[i].message);
    }
}

static int check_with(struct plugin_descriptor d, struct err *err)
{
    d.name = STR("a");
    d.path = STR("/tmp/a.wasm");
    return plugin_descriptor_check(&d, err);
}

static void optional_members_have_bounds(void **state)
{
    struct err err;

    assert_int_equal(check_with((struct plugin_descriptor){ .timeout_ms = 300001 }, &err), ERR_INVALID);
    assert_string_equal(err.message, "timeout_ms cannot exceed 300000ms (5 minutes)");
    assert_int_equal(check_with((struct plugin_descriptor){ .timeout_ms = UINT32_MAX }, &err), ERR_INVALID);
    assert_string_equal(err.message, "timeout_ms cannot be 0");
    assert_int_equal(check_with((struct plugin_descriptor){ .max_memory_pages = 65537 }, &err), ERR_INVALID);
    assert_string_equal(err.message, "max_memory_pages cannot exceed 65536 (4GB)");
    assert_int_equal(check_with((struct plugin_descriptor){ .attach_n = 65 }, &err), ERR_INVALID);
    assert_int_equal(
        check_with((struct plugin_descriptor){ .timeout_ms = 300000, .max_memory_pages = 65536, .attach_n = 64 }, &err), 0);
}

/* ---- JSON ---- */

static int read_list(const char *text, struct arena *arena, struct plugin_list *ret, struct err *err)
{
    struct json_doc doc;

    arena_init(arena, NULL, 0);
    assert_int_equal(json_parse(str_of(text), arena, &doc, NULL), 0);
    return plugin_list_read(json_root(&doc), arena, ret, err);
}

static void a_list_is_read_with_its_optional_members(void **state)
{
    struct plugin_list list;
    struct arena arena;

    assert_int_equal(
        read_list("{\"modules\":[{\"name\":\"n\",\"file_path\":\"/p.wasm\",\"module_type\":\"Middleware\",\"attach_points\":"
                  "[{\"Middleware\":\"OnError\"},{\"Middleware\":\"OnRequest\"}],\"on_failure\":\"reject\",\"timeout_ms\":5,"
                  "\"max_memory_pages\":7,\"body\":false,\"add_result\":null,\"more\":1},"
                  "{\"name\":\"m\",\"file_path\":\"/q.wasm\",\"module_type\":\"Middleware\",\"attach_points\":[],"
                  "\"timeout_ms\":0,\"on_failure\":\"continue\"}]}",
                  &arena, &list, NULL),
        0);
    assert_int_equal(list.n, 2);
    assert_true(str_eq(list.v[0].name, STR("n")) && str_eq(list.v[0].path, STR("/p.wasm")));
    assert_true(list.v[0].attach_n == 2 && list.v[0].attach[0] == PLUGIN_ON_ERROR && list.v[0].attach[1] == PLUGIN_ON_REQUEST);
    assert_true(list.v[0].on_failure == PLUGIN_FAILURE_REJECT && list.v[0].timeout_ms == 5 && list.v[0].max_memory_pages == 7);
    assert_true(list.v[0].without_body && !list.v[1].without_body);
    assert_true(list.v[1].attach_n == 0 && list.v[1].on_failure == PLUGIN_FAILURE_ALLOW);
    assert_int_equal(list.v[1].timeout_ms, UINT32_MAX); /* a zero that was given: the check refuses it */
    arena_fini(&arena);
}

static void another_shape_is_refused_with_serdes_words(void **state)
{
    static const char *const CASES[][2] = {
        { "{}", "missing field `modules`" },
        { "{\"modules\":[{\"name\":\"n\",\"file_path\":\"/p\",\"attach_points\":[]}]}", "missing field `module_type`" },
        { "{\"modules\":[{\"name\":\"n\",\"file_path\":\"/p\",\"module_type\":\"Storage\",\"attach_points\":[]}]}",
          "modules[0].module_type: unknown variant `Storage`, expected `Middleware`" },
        { "{\"modules\":[{\"name\":\"n\",\"file_path\":\"/p\",\"module_type\":\"Middleware\",\"attach_points\":[{\"Middleware\":"
          "\"onrequest\"}]}]}",
          "unknown variant `onrequest`" },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct plugin_list list;
        struct arena arena;
        struct err err = { 0 };

        assert_int_equal(read_list(CASES[i][0], &arena, &list, &err), ERR_INVALID);
        assert_non_null(strstr(err.message, CASES[i][1]));
        arena_fini(&arena);
    }
}

/* ---- the file ---- */

static int read_at(const char *path, struct plugin_file *f, const char **step, struct err *err)
{
    *err = (struct err){ 0 };
    return plugin_file_read(str_of(path), PLUGIN_OF_API, f, step, err);
}

static void refused(const char *path, const char *step, const char *message)
{
    struct plugin_file f = { 0 };
    const char *at;
    struct err err;

    assert_true(read_at(path, &f, &at, &err) < 0);
    assert_string_equal(err.message, message);
    assert_string_equal(at, step);
    assert_null(f.bytes.p);
}

static void what_is_no_plugin_file_is_refused_with_smgs_words(void **state)
{
    char message[512];

    refused("/nonexistent/x.wasm", "validate_descriptor",
            "Failed to access file /nonexistent/x.wasm: No such file or directory (os error 2)");
    write_text(in_folder("empty.wasm"), "");
    refused(in_folder("empty.wasm"), "validate_descriptor", "Module file size cannot be 0");
    write_text(in_folder("data.bin"), "x");
    assert_int_equal(symlink(in_folder("data.bin"), in_folder("link.wasm")), 0);
    refused(in_folder("link.wasm"), "validate_descriptor", "Symlink target must be a .wasm file");
    assert_int_equal(symlink("/etc/hostname", in_folder("etc.wasm")), 0);
    refused(in_folder("etc.wasm"), "validate_descriptor", "Path resolves to blocked directory /etc/ (via symlink)");
    assert_int_equal(mkdir(in_folder("folder.wasm"), 0700), 0);
    snprintf(message, sizeof message, "Module file path must name a regular file, got: %s", in_folder("folder.wasm"));
    refused(in_folder("folder.wasm"), "validate_descriptor", message);
    assert_int_equal(mkfifo(in_folder("fifo.wasm"), 0600), 0);
    snprintf(message, sizeof message, "Module file path must name a regular file, got: %s", in_folder("fifo.wasm"));
    refused(in_folder("fifo.wasm"), "validate_descriptor", message);
}

static void a_file_over_the_bound_is_refused_unread(void **state)
{
    FILE *f = fopen(in_folder("large.wasm"), "w");

    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), (off_t)PLUGIN_FILE_MAX + 1), 0);
    fclose(f);
    refused(in_folder("large.wasm"), "validate_descriptor", "Module file size cannot exceed 67108864 bytes, got: 67108865");
}

static void the_bytes_that_are_hashed_are_those_that_are_given(void **state)
{
    struct plugin_file f = { 0 };
    const char *step;
    struct err err;

    write_text(in_folder("abc.WASM"), "abc");
    assert_int_equal(symlink(in_folder("abc.WASM"), in_folder("good.wasm")), 0);
    assert_int_equal(read_at(in_folder("good.wasm"), &f, &step, &err), 0);
    assert_true(str_eq(buf_str(&f.bytes), STR("abc")));
    assert_string_equal(f.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    plugin_file_fini(&f);
}

static void a_path_of_the_operators_may_be_anywhere_and_have_any_name(void **state)
{
    struct plugin_file f = { 0 };
    const char *step;

    write_text(in_folder("plain"), "x");
    assert_int_equal(plugin_file_read(str_of(in_folder("plain")), PLUGIN_OF_OPERATOR, &f, &step, NULL), 0);
    plugin_file_fini(&f);
    assert_true(plugin_file_read(STR("/dev/null"), PLUGIN_OF_OPERATOR, &f, &step, NULL) < 0); /* but a file it must be */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_come_in_this_order_with_these_words),
        cmocka_unit_test(optional_members_have_bounds),
        cmocka_unit_test(a_list_is_read_with_its_optional_members),
        cmocka_unit_test(another_shape_is_refused_with_serdes_words),
        cmocka_unit_test(what_is_no_plugin_file_is_refused_with_smgs_words),
        cmocka_unit_test(a_file_over_the_bound_is_refused_unread),
        cmocka_unit_test(the_bytes_that_are_hashed_are_those_that_are_given),
        cmocka_unit_test(a_path_of_the_operators_may_be_anywhere_and_have_any_name),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
