#include "plugin/storage_hook.h"

#include "plugin/guest.h"
#include "plugin/test_arena.h"

static struct hook *load(const char *name)
{
    struct hook *h = NULL;
    struct err err = { 0 };

    if (hook_load(runtime, component_path(name), &h, &err) < 0)
        fail_msg("%s", err.message);
    return h;
}

/* ---- spec 10, number 30 ---- */

static void a_missing_file_stops_the_start_in_smgs_words(void **state)
{
    struct hook *h = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(hook_load(runtime, "/nonexistent/hook.wasm", &h, &err), ERR_NOT_FOUND);
    assert_string_equal(err.message,
                        "failed to read WASM storage hook at /nonexistent/hook.wasm: No such file or directory (os error 2)");
    assert_null(h);
}

static void a_garbage_file_stops_the_start_in_smgs_words(void **state)
{
    struct hook *h = NULL;
    struct err err = { 0 };
    const char *path = component_path("core");
    char wanted[1200];

    (void)state;
    use_library_signals();
    assert_int_equal(hook_load(runtime, path, &h, &err), ERR_INVALID);
    snprintf(wanted, sizeof wanted,
             "failed to compile WASM storage hook at %s: component compilation failed: a core module, not a component", path);
    assert_string_equal(err.message, wanted);
}

static void a_component_without_the_hooks_exports_is_refused_at_the_start(void **state)
{
    struct hook *h = NULL;
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(hook_load(runtime, component_path("stamp"), &h, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "does not export either of its functions"));
}

/* ---- numbers 32 and 34 ---- */

static void a_rejection_comes_with_its_reason(void **state)
{
    struct hook *h = load("hook_reject");
    struct hook_call c = { .op = HOOK_CREATE_CONVERSATION, .payload = STR("{}") };
    struct hook_verdict v = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(hook_before(h, &c, &arena, &v, &err), 0);
    assert_true(v.reject);
    assert_str(v.reason, "denied");
    c.op = HOOK_GET_CONVERSATION;
    assert_int_equal(hook_before(h, &c, &arena, &v, &err), 0);
    assert_false(v.reject);
    assert_int_equal(v.columns.n, 0);
    hook_free(h);
}

static void a_hook_is_told_operation_context_payload_and_result(void **state)
{
    static const struct hook_pair CONTEXT[] = { { STR_INIT("tenant_id"), STR_INIT("t1") },
                                                { STR_INIT("user_id"), STR_INIT("J\xc3\xbcrgen") } };
    struct hook *h = load("hook_cols");
    struct hook_call c = { .context = { CONTEXT, 2 }, .payload = STR("{\"id\":\"conv_1\"}") };
    struct hook_verdict v = { 0 };
    struct hook_pairs columns = { 0 };
    struct err err = { 0 };
    char number[16];

    (void)state;
    use_library_signals();
    for (int op = 0; op < HOOK_OPERATIONS_N; op++) {
        c.op = (enum hook_operation)op;
        assert_int_equal(hook_before(h, &c, &arena, &v, &err), 0);
        assert_int_equal(v.columns.n, 4);
        assert_str(v.columns.v[0].name, "OP");
        snprintf(number, sizeof number, "%d", op);
        assert_str(v.columns.v[0].value, number);
        assert_str(v.columns.v[1].value, "{\"id\":\"conv_1\"}");
        assert_str(v.columns.v[2].name, "CTX_tenant_id");
        assert_str(v.columns.v[3].value, "J\xc3\xbcrgen");
    }
    assert_int_equal(hook_after(h, &c, STR("true"), v.columns, &arena, &columns, &err), 0);
    assert_int_equal(columns.n, 5);
    assert_str(columns.v[3].value, "J\xc3\xbcrgen");
    assert_str(columns.v[4].name, "RESULT");
    assert_str(columns.v[4].value, "true");
    hook_free(h);
}

/* ---- number 35 ---- */

static void a_hook_that_traps_fails_its_call_with_smgs_warning(void **state)
{
    struct hook *h = load("hook_trap");
    struct hook_call c = { .op = HOOK_STORE_RESPONSE, .payload = STR("{}") };
    struct hook_verdict v = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(hook_before(h, &c, &arena, &v, &err), ERR_INVALID);
    assert_non_null(
        strstr(err.message, "before hook error for StoreResponse, continuing: hook error: WASM before() call failed: "));
    hook_free(h);
}

static void a_hook_that_never_returns_fails_its_calls_at_the_limit(void **state)
{
    struct hook *h = load("hook_loop");
    struct hook_call c = { .op = HOOK_STORE_RESPONSE, .payload = STR("{}") };
    struct hook_verdict v = { 0 };
    struct hook_pairs columns = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(HOOK_TIMEOUT_MS, 5000);
    hook_set_timeout(h, 40);
    assert_int_equal(hook_before(h, &c, &arena, &v, &err), ERR_TIMEOUT);
    assert_string_equal(err.message, "before hook error for StoreResponse, continuing: hook error: WASM before() call failed: the "
                                     "plugin was stopped at its deadline of 40 ms");
    assert_int_equal(hook_after(h, &c, STR("true"), v.columns, &arena, &columns, &err), ERR_TIMEOUT);
    assert_string_equal(err.message, "after hook error for StoreResponse: hook error: WASM after() call failed: the plugin was "
                                     "stopped at its deadline of 40 ms");
    hook_free(h);
}

static void operations_have_the_names_of_the_world(void **state)
{
    (void)state;
    assert_int_equal(HOOK_OPERATIONS_N, 17);
    assert_string_equal(hook_operation_name(HOOK_CREATE_CONVERSATION), "create-conversation");
    assert_string_equal(hook_operation_name(HOOK_DELETE_IDENTIFIER_RESPONSES), "delete-identifier-responses");
    assert_string_equal(hook_operation_log(HOOK_LINK_ITEMS), "LinkItems");
    hook_free(NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        T(a_missing_file_stops_the_start_in_smgs_words),
        T(a_garbage_file_stops_the_start_in_smgs_words),
        T(a_component_without_the_hooks_exports_is_refused_at_the_start),
        T(a_rejection_comes_with_its_reason),
        T(a_hook_is_told_operation_context_payload_and_result),
        T(a_hook_that_traps_fails_its_call_with_smgs_warning),
        T(a_hook_that_never_returns_fails_its_calls_at_the_limit),
        T(operations_have_the_names_of_the_world),
    };
    int failed;

    open_runtime(NULL, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    wasm_runtime_close(runtime);
    return failed;
}
