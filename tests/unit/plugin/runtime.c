#include <pthread.h>
#include <unistd.h>

#include "plugin/runtime_internal.h"
#include "fail_alloc.h"
#include "plugin/guest.h"

static void running_out_of_memory_at_the_start_is_said_and_leaves_nothing(void **state)
{
    struct wasm_runtime_config c = { .threads = 1 };

    (void)state;
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct wasm_runtime *r = NULL;
        int e = wasm_runtime_open(&c, &r, NULL);

        assert_true(e == (fail_alloc_failed() ? ERR_NOMEM : 0));
        assert_true((e == 0) == (r != NULL));
        wasm_runtime_close(r);
    }
}

static int call(struct wasm_module *m, const char *header, const char *value, struct str body, struct err *err)
{
    static const struct wasm_limits LONG = { 60000, 1024 };
    struct wasm_header h = { str_of(header), str_of(value) };
    struct wasm_request q = { .method = STR("POST"), .path = STR("/"), .headers = { &h, 1 }, .body = body, .request_id = STR("r") };
    struct wasm_action a = { 0 };
    struct arena arena;
    int r;

    arena_init(&arena, NULL, 0);
    r = wasm_call_on_request(m, &LONG, &q, &arena, &a, err);
    arena_fini(&arena);
    return r;
}

/* ---- the end ---- */

struct caller {
    pthread_t thread;
    struct wasm_module *module;
    int result;
    struct err err;
};

static void *call_long(void *arg)
{
    struct caller *c = arg;

    c->result = call(c->module, "x-sleep-ms", "500", STR("{}"), &c->err);
    return NULL;
}

/* Runs last: a runtime that stopped stays so. */
static void calls_in_flight_end_when_the_runtime_stops_whatever_their_limits_are(void **state)
{
    struct caller callers[] = { { .module = compile("loop") }, { .module = compile("sleeper") } };
    uint64_t began;

    (void)state;
    use_library_signals();
    for (size_t i = 0; i < ARRAY_LEN(callers); i++)
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_long, &callers[i]), 0);
    while (atomic_load(&runtime->calls) < 2)
        usleep(1000);
    began = clock_now_us();
    wasm_runtime_stop(runtime);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++)
        pthread_join(callers[i].thread, NULL);
    assert_in_range(clock_now_us() - began, 0, 30000000);
    assert_int_equal(callers[0].result, ERR_BUSY);
    assert_string_equal(callers[0].err.message, "the plugin was stopped because the gateway ends");
    while (atomic_load(&runtime->sleepers) > 0 || atomic_load(&runtime->calls) > 0)
        usleep(1000);
    assert_int_equal(call(callers[0].module, "a", "b", STR("{}"), NULL),
                     ERR_BUSY); /* nor does one that begins now hold up anything */
    wasm_runtime_stop(NULL);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++)
        wasm_module_unref(callers[i].module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_out_of_memory_at_the_start_is_said_and_leaves_nothing),
        cmocka_unit_test(calls_in_flight_end_when_the_runtime_stops_whatever_their_limits_are),
    };
    int failed;

    open_runtime(NULL, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    wasm_runtime_close(runtime);
    return failed;
}
