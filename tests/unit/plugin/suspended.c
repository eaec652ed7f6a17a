/* suspended.c -- calls that a loop begins: those that answer at once, and those that are stopped and go on on another thread, in the middle or from the start, or are given up */
#include <pthread.h>

#include "fail_alloc.h"
#include "plugin/guest.h"
#include "plugin/runtime_internal.h"
#include "plugin/test_arena.h"

static const struct wasm_limits USUAL = { 10000, 1024 };
static unsigned lines;

static void on_line(void *owner, struct str module, struct str request_id, bool is_stderr, struct str line)
{
    (void)owner, (void)module, (void)is_stderr;
    assert_str(request_id, "req-1");
    assert_str(line, "hello");
    lines++;
}

/* A request with x-spin: SPIN thousands of turns. */
static int begin(struct wasm_module *m, const struct wasm_limits *l, const char *spin, struct wasm_call **rest,
                 struct wasm_action *ret, struct err *err)
{
    static struct wasm_header header;

    header = (struct wasm_header){ STR("x-spin"), str_of(spin) };
    return wasm_begin_on_request(m, l,
                                 &(struct wasm_request){ .method = STR("POST"),
                                                         .path = STR("/v1/chat/completions"),
                                                         .headers = { &header, 1 },
                                                         .body = STR("{}"),
                                                         .request_id = STR("req-1") },
                                 &arena, rest, ret, err);
}

#define LONG "400000" /* some tenths of a second */

static struct wasm_call *begin_long(struct wasm_module *m, const struct wasm_limits *l)
{
    struct wasm_call *rest = NULL;
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    if (begin(m, l, LONG, &rest, &a, &err) < 0)
        fail_msg("%s", err.message);
    assert_non_null(rest);
    return rest;
}

struct finish {
    struct wasm_call *rest;
    struct wasm_action action;
    struct err err;
    int result;
};

static void *finish(void *arg)
{
    struct finish *f = arg;

    f->result = wasm_call_finish(f->rest, &f->action, &f->err);
    return NULL;
}

/* On a thread of its own, as the gateway does it. */
static struct finish finish_elsewhere(struct wasm_call *rest)
{
    struct finish f = { .rest = rest };
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, finish, &f), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    return f;
}

static void a_quick_guest_answers_at_once(void **state)
{
    struct wasm_module *m = compile("spin");
    struct wasm_call *rest;
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_true(wasm_module_suspends(m));
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(begin(m, &USUAL, "1", &rest, &a, &err), 0);
        assert_null(rest);
        assert_int_equal(a.type, WASM_MODIFY);
        assert_str(a.set.v[0].value, "done");
    }
    wasm_module_unref(m);
}

static void replies_go_the_same_way(void **state)
{
    struct wasm_module *m = compile("map500to503");
    struct wasm_call *rest;
    struct wasm_action a = { 0 };
    struct err err = { 0 };
    struct wasm_response r = { 500, { 0 }, STR("x") };

    (void)state;
    assert_int_equal(wasm_begin_on_response(m, &USUAL, &r, STR("req-1"), &arena, &rest, &a, &err), 0);
    assert_null(rest);
    assert_int_equal(a.status, 503);
    wasm_module_unref(m);
}

static void a_guest_that_takes_longer_is_stopped_and_goes_on_on_another_thread(void **state)
{
    struct wasm_module *m = compile("spin");
    uint64_t began = clock_now_us();
    struct wasm_call *rest = begin_long(m, &USUAL);
    struct finish f;

    (void)state;
    assert_true(clock_now_us() - began >= WASM_SLICE_US);
    f = finish_elsewhere(rest);
    assert_int_equal(f.result, 0);
    assert_str(f.action.set.v[0].value, "done");
    wasm_module_unref(m);
}

static void the_deadline_holds_over_both_parts_and_leaves_out_what_is_between(void **state)
{
    static const struct wasm_limits SHORT = { 50, 1024 };
    struct wasm_module *endless = compile("loop"), *m = compile("spin");
    struct wasm_call *rest = NULL;
    struct wasm_action a = { 0 };
    struct err err = { 0 };
    struct finish f;

    (void)state;
    assert_int_equal(begin(endless, &SHORT, "0", &rest, &a, &err), 0);
    assert_non_null(rest);
    f = finish_elsewhere(rest);
    assert_int_equal(f.result, ERR_TIMEOUT);
    assert_non_null(strstr(f.err.message, "50 ms"));

    assert_int_equal(begin(m, &(struct wasm_limits){ 5000, 1024 }, "50000", &rest, &a, &err), 0);
    if (rest) { /* as long as the whole time limit */
        f = finish_elsewhere(rest);
        assert_int_equal(f.result, 0);
    }
    wasm_module_unref(endless);
    wasm_module_unref(m);
}

static void a_call_may_be_given_up_as_often_as_one_likes(void **state)
{
    struct wasm_module *m = compile("spin");

    (void)state;
    for (int i = 0; i < 60; i++) /* more than the library has places for */
        wasm_call_abandon(begin_long(m, &USUAL));
    assert_int_equal(atomic_load(&runtime->calls), 0);
    wasm_module_unref(m);
}

static void a_trap_is_an_error_as_it_is_elsewhere(void **state)
{
    struct wasm_module *m = compile("trap"), *deep = compile("recurse");
    struct wasm_call *rest;
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(begin(m, &USUAL, "0", &rest, &a, &err), ERR_INVALID);
    assert_null(rest);
    assert_non_null(strstr(err.message, "unreachable"));
    assert_int_equal(begin(deep, &USUAL, "0", &rest, &a, &err), ERR_LIMIT);
    assert_null(rest);
    wasm_module_unref(m);
    wasm_module_unref(deep);
}

static void a_memory_that_is_too_large_to_begin_with_is_an_error(void **state)
{
    static const struct wasm_limits SMALL = { 10000, 1 };
    struct wasm_module *m = compile("hog");
    struct wasm_call *rest;
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(begin(m, &SMALL, "0", &rest, &a, &err), ERR_LIMIT);
    assert_null(rest);
    wasm_module_unref(m);
}

static void a_function_that_is_not_exported_is_an_error(void **state)
{
    struct wasm_module *m = compile("onlyresp");
    struct wasm_call *rest;
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(begin(m, &USUAL, "0", &rest, &a, &err), ERR_INVALID);
    assert_null(rest);
    wasm_module_unref(m);
}

/* What waits in the host cannot be suspended there: a guest that calls it does so elsewhere, from the start, and is not begun again for a while. */
static void a_guest_that_uses_wasi_on_a_loop_goes_on_elsewhere(void **state)
{
    struct wasm_module *m = compile("sometimes");
    struct wasm_header h = { STR("x-say"), STR("hello") };
    struct wasm_request q = { STR("POST"), STR("/"), STR(""), { &h, 1 }, STR("{}"), STR("req-1"), 0 };
    struct wasm_response r = { 200, { &h, 1 }, STR("{}") };
    struct wasm_call *rest;
    struct wasm_action a = { 0 };
    struct err err = { 0 };
    struct finish f;

    (void)state;
    lines = 0;
    assert_true(wasm_module_suspends(m) == !over_the_bridge());
    if (!over_the_bridge()) {
        assert_int_equal(begin(m, &USUAL, "1", &rest, &a, &err), 0); /* it does not */
        assert_null(rest);
        assert_true(wasm_module_suspends(m));
    }
    assert_int_equal(wasm_begin_on_request(m, &USUAL, &q, &arena, &rest, &a, &err), 0);
    assert_non_null(rest);
    assert_int_equal(lines, 0);
    assert_false(wasm_module_suspends(m));
    f = finish_elsewhere(rest);
    assert_int_equal(f.result, 0);
    assert_str(f.action.set.v[0].value, "hello");
    assert_int_equal(lines, 1);
    assert_int_equal(wasm_begin_on_response(m, &USUAL, &r, STR("req-1"), &arena, &rest, &a, &err), 0);
    assert_non_null(rest); /* it is not tried */
    f = finish_elsewhere(rest);
    assert_int_equal(f.result, 0);
    wasm_module_unref(m);
}

/* A plain guest needs none: it is begun again. */
static void a_library_without_futures_begins_nothing_else_on_loops(void **state)
{
    struct wasm_module *m = compile("spin");

    (void)state;
    runtime->suspends = false;
    assert_true(wasm_module_suspends(m) == !over_the_bridge());
    runtime->suspends = true;
    wasm_module_unref(m);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    struct wasm_module *m = compile("spin");

    (void)state;
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct wasm_call *rest = NULL;
        struct wasm_action a = { 0 };
        struct err err = { 0 };
        int r;

        arena_fini(&arena);
        arena_init(&arena, NULL, 0);
        r = begin(m, &USUAL, "1", &rest, &a, &err);
        assert_true(r == 0 || r == ERR_NOMEM);
        if (rest)
            wasm_call_abandon(rest);
        assert_true(r == 0 || fail_alloc_failed());
    }
    assert_int_equal(atomic_load(&runtime->calls), 0);
    wasm_module_unref(m);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_quick_guest_answers_at_once),
        RULE(replies_go_the_same_way),
        RULE(a_guest_that_takes_longer_is_stopped_and_goes_on_on_another_thread),
        RULE(the_deadline_holds_over_both_parts_and_leaves_out_what_is_between),
        RULE(a_call_may_be_given_up_as_often_as_one_likes),
        RULE(a_trap_is_an_error_as_it_is_elsewhere),
        RULE(a_memory_that_is_too_large_to_begin_with_is_an_error),
        RULE(a_function_that_is_not_exported_is_an_error),
        RULE(a_guest_that_uses_wasi_on_a_loop_goes_on_elsewhere),
        RULE(a_library_without_futures_begins_nothing_else_on_loops),
        RULE(memory_that_runs_out_is_an_error),
    };

    open_runtime(on_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
