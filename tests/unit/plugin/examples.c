/* examples.c -- the plugins in plugins/, as they are committed, do what their first lines say; and counters count beyond a call */
#include "test.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "plugin/wasm.h"

static struct wasm_runtime *runtime;
static struct wasm_module *module;
static struct arena arena;
static struct wasm_action action;
static struct err err;
static char lines[4096];

static void note_line(void *owner, struct str name, struct str request_id, bool is_stderr, struct str line)
{
    size_t n = strlen(lines);

    snprintf(lines + n, sizeof lines - n, "%.*s %.*s%s: %.*s\n", STR_FMT(name), STR_FMT(request_id), is_stderr ? " stderr" : "",
             STR_FMT(line));
}

static int open_runtime(void **state)
{
    const struct wasm_runtime_config c = { .library = SMG_ROOT "/lib/libwasmtime.so", .threads = 1, .output = note_line };
    int r = wasm_runtime_open(&c, &runtime, &err);

    arena_init(&arena, NULL, 16 << 20);
    if (r < 0)
        fprintf(stderr, "%s\n", err.message);
    return r;
}

static int close_runtime(void **state)
{
    arena_fini(&arena);
    wasm_runtime_close(runtime);
    return 0;
}

static int forget(void **state)
{
    wasm_module_unref(module);
    module = NULL;
    arena_fini(&arena);
    lines[0] = 0;
    return 0;
}

static void load_as(const char *name, const char *path)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };

    wasm_module_unref(module);
    module = NULL;
    if (file_read(path, 1 << 20, &bytes, &err) < 0 ||
        wasm_module_compile(runtime, str_of(name), (struct str){ bytes.p, bytes.n }, &module, &err) < 0)
        fail_msg("%s", err.message);
}

#define load(name) load_as(name, SMG_ROOT "/plugins/" name ".wasm")

/* One request with one header (NAME may be NULL), at NOW_MS. */
static void ask_at(uint64_t now_ms, const char *path, const char *name, const char *value)
{
    static const struct wasm_limits limits = { 5000, 1024 };
    struct wasm_header h = { str_of(name), str_of(value) };
    struct wasm_request req = { .method = STR("POST"),
                                .path = str_of(path),
                                .headers = { &h, name ? 1 : 0 },
                                .body = STR("{}"),
                                .request_id = STR("req-1"),
                                .now_ms = now_ms };

    if (wasm_call_on_request(module, &limits, &req, &arena, &action, &err) < 0)
        fail_msg("%s", err.message);
}

static void ask(const char *path, const char *name, const char *value)
{
    ask_at(1700000000000u, path, name, value);
}

static void expect_reject(uint16_t status)
{
    assert_int_equal(action.type, WASM_REJECT);
    assert_int_equal(action.status, status);
}

static void api_key_knows_its_keys_in_both_headers(void **state)
{
    load("api_key");
    assert_int_equal(wasm_module_exports(module), WASM_ON_REQUEST | WASM_ON_RESPONSE);
    ask("/v1/chat/completions", "authorization", "Bearer example-key-of-alice");
    assert_int_equal(action.type, WASM_CONTINUE);
    ask("/v1/chat/completions", "x-api-key", "example-key-of-bob");
    assert_int_equal(action.type, WASM_CONTINUE);
    ask("/health", NULL, NULL);
    assert_int_equal(action.type, WASM_CONTINUE);
}

static void api_key_refuses_everyone_else(void **state)
{
    static const char *const others[][2] = {
        { NULL, NULL },
        { "authorization", "Bearer example-key-of-alic" },
        { "authorization", "Bearer example-key-of-alicE" },
        { "authorization", "bearer example-key-of-alice" },
        { "authorization", "Bearer " },
        { "x-api-key", "example-key-of-bob " },
        { "x-api-key", "" },
    };

    load("api_key");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        ask("/v1/chat/completions", others[i][0], others[i][1]);
        expect_reject(401);
    }
}

static unsigned admitted(uint64_t now_ms, unsigned times, const char *name, const char *value)
{
    unsigned n = 0;

    for (unsigned i = 0; i < times; i++) {
        ask_at(now_ms, "/v1/chat/completions", name, value);
        if (action.type == WASM_CONTINUE)
            n++;
        else
            expect_reject(429);
    }
    return n;
}

static void rate_limit_really_limits_each_caller(void **state)
{
    load("rate_limit");
    assert_int_equal(admitted(60000u * 1000, 70, "authorization", "Bearer ann"), 60);
    assert_int_equal(admitted(60000u * 1000, 5, "authorization", "Bearer bob"), 5);
    assert_int_equal(admitted(60000u * 1000, 61, "x-forwarded-for", "192.0.2.1, 198.51.100.7"), 60);
    assert_int_equal(admitted(60000u * 1000, 1, "x-forwarded-for", "192.0.2.1"), 0);
    assert_int_equal(admitted(60000u * 1000, 1, "x-forwarded-for", "192.0.2.2"), 1);
}

static void rate_limit_slides_over_the_turn_of_a_minute(void **state)
{
    load_as("sliding", SMG_ROOT "/plugins/rate_limit.wasm");
    assert_int_equal(admitted(60000u * 999 + 59999, 60, "x-api-key", "ann"), 60);
    assert_int_equal(admitted(60000u * 1000, 20, "x-api-key", "ann"), 0);
    assert_int_equal(admitted(60000u * 1000 + 45000, 40, "x-api-key", "ann"), 25); /* 20 refused ones count, and a quarter of 60 */
    assert_int_equal(admitted(60000u * 1002, 60, "x-api-key", "ann"), 60);
}

static void counters_stay_when_a_module_is_loaded_again_and_are_its_own(void **state)
{
    load_as("mine", SMG_ROOT "/plugins/rate_limit.wasm");
    assert_int_equal(admitted(60000, 60, "x-api-key", "k"), 60);
    load_as("mine", SMG_ROOT "/plugins/rate_limit.wasm");
    assert_int_equal(admitted(60000, 1, "x-api-key", "k"), 0);
    load_as("yours", SMG_ROOT "/plugins/rate_limit.wasm");
    assert_int_equal(admitted(60000, 1, "x-api-key", "k"), 1);
}

static void a_guest_that_takes_the_counters_for_something_else_fails_in_its_call(void **state)
{
    static const struct wasm_limits limits = { 5000, 1024 };
    const struct wasm_request req = { .method = STR("POST"), .path = STR("/v1/x") };

    load_as("wrong", SMG_ROOT "/tests/wasm/wrong_counter.wasm");
    assert_int_equal(wasm_call_on_request(module, &limits, &req, &arena, &action, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "increment is a func(string, u64, u64) -> u64"));
}

static void header_log_marks_a_request_and_tells_the_log(void **state)
{
    load("header_log");
    ask("/v1/completions", "user-agent", "curl/8");
    assert_int_equal(action.type, WASM_MODIFY);
    assert_int_equal(action.set.n, 1);
    assert_str(action.set.v[0].name, "x-request-received-ms");
    assert_str(action.set.v[0].value, "1700000000000");
    assert_int_equal(action.remove_n, 1);
    assert_str(action.remove[0], "x-debug");
    assert_string_equal(lines, "header_log req-1: POST /v1/completions, bytes: 2\nheader_log req-1: user agent: curl/8\n");
}

static void header_log_marks_an_answer(void **state)
{
    static const struct wasm_limits limits = { 5000, 1024 };
    const struct wasm_response resp = { .status = 404, .body = STR("nothing") };

    load("header_log");
    if (wasm_call_on_response(module, &limits, &resp, STR("req-2"), &arena, &action, &err) < 0)
        fail_msg("%s", err.message);
    assert_str(action.set.v[0].name, "x-answer-bytes");
    assert_str(action.set.v[0].value, "7");
    assert_str(action.remove[0], "server");
    assert_string_equal(lines, "header_log req-2: answered 404, bytes: 7\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(api_key_knows_its_keys_in_both_headers, forget),
        cmocka_unit_test_teardown(api_key_refuses_everyone_else, forget),
        cmocka_unit_test_teardown(rate_limit_really_limits_each_caller, forget),
        cmocka_unit_test_teardown(rate_limit_slides_over_the_turn_of_a_minute, forget),
        cmocka_unit_test_teardown(counters_stay_when_a_module_is_loaded_again_and_are_its_own, forget),
        cmocka_unit_test_teardown(a_guest_that_takes_the_counters_for_something_else_fails_in_its_call, forget),
        cmocka_unit_test_teardown(header_log_marks_a_request_and_tells_the_log, forget),
        cmocka_unit_test_teardown(header_log_marks_an_answer, forget),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
