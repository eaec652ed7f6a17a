#include "plugin/library.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static struct library found; /* large */

static void a_path_that_was_named_is_taken(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(library_open(getenv("SMG_WASMTIME_LIB"), &found, &err), 0);
    assert_string_equal(found.path, getenv("SMG_WASMTIME_LIB"));
    assert_non_null(found.api.wasmtime_component_new);
}

static void the_environment_names_it_too(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(library_open(NULL, &found, &err), 0);
    assert_string_equal(found.path, getenv("SMG_WASMTIME_LIB"));
}

static void a_named_path_that_does_not_open_is_an_error_and_nothing_else_is_tried(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(library_open("/nonexistent/lib.so", &found, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "\"/nonexistent/lib.so\" (--wasm-runtime-lib) cannot be opened: "));
}

static void without_a_library_the_message_names_the_package(void **state)
{
    char *keep = strdup(getenv("SMG_WASMTIME_LIB"));
    struct err err = { 0 };

    (void)state;
    unsetenv("SMG_WASMTIME_LIB");
    setenv("HOME", "/nonexistent", 1);
    unsetenv("VIRTUAL_ENV");
    if (library_open(NULL, &found, &err) < 0) { /* a machine may have it installed */
        assert_int_equal(err.code, ERR_NOT_FOUND);
        assert_non_null(strstr(err.message, "pip install 'wasmtime>=39'"));
    }
    setenv("SMG_WASMTIME_LIB", keep, 1);
    free(keep);
}

static void the_package_of_a_virtual_environment_is_found(void **state)
{
    char *keep = strdup(getenv("SMG_WASMTIME_LIB")), dir[] = "/tmp/smg-library-XXXXXX", command[1024];
    struct err err = { 0 };

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command,
             "d=%s/lib/python3.11/site-packages/wasmtime/linux-$(uname -m); mkdir -p $d && ln -s %s $d/_libwasmtime.so", dir, keep);
    assert_int_equal(system(command), 0);
    unsetenv("SMG_WASMTIME_LIB");
    setenv("VIRTUAL_ENV", dir, 1);
    assert_int_equal(library_open(NULL, &found, &err), 0);
    unsetenv("VIRTUAL_ENV");
    setenv("SMG_WASMTIME_LIB", keep, 1);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    free(keep);
}

static void a_version_before_39_is_refused(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(library_open(getenv("SMG_TEST_OLD_WASMTIME"), &found, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "is older than version 39"));
    assert_non_null(strstr(err.message, "pip install 'wasmtime>=39'"));
}

static void another_library_is_refused(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(library_open("libm.so.6", &found, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "lacks the function wasm_config_new"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_was_named_is_taken),
        cmocka_unit_test(the_environment_names_it_too),
        cmocka_unit_test(a_named_path_that_does_not_open_is_an_error_and_nothing_else_is_tried),
        cmocka_unit_test(without_a_library_the_message_names_the_package),
        cmocka_unit_test(the_package_of_a_virtual_environment_is_found),
        cmocka_unit_test(a_version_before_39_is_refused),
        cmocka_unit_test(another_library_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
