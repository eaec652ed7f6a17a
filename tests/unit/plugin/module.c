#include "fail_alloc.h"
#include "plugin/guest.h"

static int try_compile(struct str bytes, struct err *err)
{
    struct wasm_module *m = NULL;
    int r = wasm_module_compile(runtime, STR("m"), bytes, &m, err);

    assert_true((r == 0) == (m != NULL));
    wasm_module_unref(m);
    return r;
}

static void refused(const char *component, const char *reason)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct err err = { 0 };

    read_component(component, &bytes);
    assert_int_equal(try_compile(buf_str(&bytes), &err), ERR_INVALID);
    if (!strstr(err.message, reason))
        fail_msg("%s: %s", component, err.message);
}

static void what_a_component_exports_is_known_when_it_is_compiled(void **state)
{
    static const struct {
        const char *name;
        unsigned exports;
    } ROWS[] = {
        { "stamp", WASM_ON_REQUEST | WASM_ON_RESPONSE },
        { "onlyreq", WASM_ON_REQUEST },
        { "onlyresp", WASM_ON_RESPONSE },
        { "hook_cols", WASM_STORAGE_BEFORE | WASM_STORAGE_AFTER },
    };

    (void)state;
    use_library_signals();
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct wasm_module *m = compile(ROWS[i].name);

        assert_int_equal(wasm_module_exports(m), ROWS[i].exports);
        wasm_module_unref(wasm_module_ref(m));
        wasm_module_unref(m);
    }
}

static void another_world_is_refused_and_its_exports_are_named(void **state)
{
    (void)state;
    use_library_signals();
    refused("wrong_world", "it exports acme:wrong/greeter");
    refused("empty", "exports none of smg:gateway/middleware-on-request");
}

static void functions_of_other_types_are_refused_with_the_difference(void **state)
{
    (void)state;
    use_library_signals();
    refused("wrong_field", "do not have the types of the world");
    refused("wrong_field", "record field `body`: expected list, found string");
    refused("wrong_type", "expected parameter named `req`, found `path`");
}

static void a_missing_import_is_refused_by_name(void **state)
{
    (void)state;
    use_library_signals();
    refused("missing_import", "`acme:needy/oracle`");
}

static void what_is_no_component_is_refused(void **state)
{
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    refused("core", "a core module, not a component");
    assert_int_equal(try_compile(STR("not a valid wasm file"), &err), ERR_INVALID);
    assert_int_equal(try_compile(STR(""), &err), ERR_INVALID);
}

static void a_component_that_is_damaged_inside_is_refused_in_the_librarys_words(void **state)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    read_component("stamp", &bytes);
    for (size_t i = 60; i < 200; i++)
        bytes.p[i] = (char)0xff; /* in the core module */
    assert_int_equal(try_compile(buf_str(&bytes), &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "offset"));
}

static void running_out_of_memory_while_compiling_fails_cleanly(void **state)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };

    (void)state;
    use_library_signals();
    read_component("onlyreq", &bytes);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        int r = try_compile(buf_str(&bytes), NULL);

        assert_true(r == (fail_alloc_failed() ? ERR_NOMEM : 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_component_exports_is_known_when_it_is_compiled),
        cmocka_unit_test(another_world_is_refused_and_its_exports_are_named),
        cmocka_unit_test(functions_of_other_types_are_refused_with_the_difference),
        cmocka_unit_test(a_missing_import_is_refused_by_name),
        cmocka_unit_test(what_is_no_component_is_refused),
        cmocka_unit_test(a_component_that_is_damaged_inside_is_refused_in_the_librarys_words),
        cmocka_unit_test(running_out_of_memory_while_compiling_fails_cleanly),
    };
    int failed;

    open_runtime(NULL, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    wasm_runtime_close(runtime);
    return failed;
}
