#include "plugin/output.h"

#include "plugin/guest.h"

/* Lines as they were told, one per row: "MODULE REQUEST o|e LINE". */
static struct buf told;

static void tell(void *owner, struct str module, struct str request_id, bool is_stderr, struct str line)
{
    (void)owner;
    buf_printf(&told, "%.*s %.*s %c %.*s\n", STR_FMT(module), STR_FMT(request_id), is_stderr ? 'e' : 'o', STR_FMT(line));
}

static void call(struct wasm_module *m, const char *name, const char *value)
{
    struct wasm_header h = { str_of(name), str_of(value) };
    struct wasm_request q = { .method = STR("POST"), .path = STR("/p"), .headers = { &h, 1 }, .request_id = STR("req-7") };
    struct wasm_limits l = { 5000, 1024 };
    struct wasm_action a = { 0 };
    struct err err = { 0 };
    struct arena arena;

    buf_fini(&told);
    arena_init(&arena, NULL, 0);
    if (wasm_call_on_request(m, &l, &q, &arena, &a, &err) < 0)
        fail_msg("%s", err.message);
    arena_fini(&arena);
}

static size_t lines_told(void)
{
    size_t n = 0;

    for (size_t i = 0; i < told.n; i++)
        n += told.p[i] == '\n';
    return n;
}

static void lines_come_with_the_modules_name_and_the_requests_id(void **state)
{
    struct wasm_module *m = compile("printer");

    (void)state;
    use_library_signals();
    call(m, "x", "y");
    assert_str(buf_str(&told), "printer req-7 o /p of req-7\nprinter req-7 e to stderr, without an end\n");
    wasm_module_unref(m);
}

static void a_long_line_comes_in_pieces(void **state)
{
    struct wasm_module *m = compile("printer");

    (void)state;
    use_library_signals();
    call(m, "x-long", "9000");
    assert_int_equal(lines_told(), 2 + 3);
    wasm_module_unref(m);
}

static void output_without_end_is_cut_and_says_so(void **state)
{
    struct wasm_module *m = compile("printer");

    (void)state;
    use_library_signals();
    call(m, "x-lines", "20000");
    assert_true(lines_told() < 20000);
    assert_true(str_has_suffix(buf_str(&told), STR("(the rest of this call's output was dropped: at most 64 KiB are kept)\n")));
    wasm_module_unref(m);
}

static void nothing_written_is_nothing_told(void **state)
{
    struct output *o = output_new();

    (void)state;
    buf_fini(&told);
    output_ref(o);
    output_unref(o);
    output_tell(o, tell, NULL, STR("m"), STR(""));
    assert_int_equal(told.n, 0);
    output_unref(o);
    output_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_with_the_modules_name_and_the_requests_id),
        cmocka_unit_test(a_long_line_comes_in_pieces),
        cmocka_unit_test(output_without_end_is_cut_and_says_so),
        cmocka_unit_test(nothing_written_is_nothing_told),
    };
    int failed;

    open_runtime(tell, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    wasm_runtime_close(runtime);
    buf_fini(&told);
    return failed;
}
