#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fail_alloc.h"
#include "plugin/runtime_internal.h"
#include "plugin/guest.h"
#include "plugin/test_arena.h"

#define BIG ((size_t)10 << 20)

/* Under a sanitizer memory is not what it is without. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEASURES_MEMORY 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEASURES_MEMORY 0
#endif
#endif
#ifndef MEASURES_MEMORY
#define MEASURES_MEMORY 1
#endif

static const struct wasm_limits USUAL = { 1000, 1024 };
static int ask_with(struct wasm_module *m, const struct wasm_limits *l, struct wasm_headers headers, struct str body,
                    struct wasm_action *ret, struct err *err)
{
    struct wasm_request q = {
        .method = STR("POST"),
        .path = STR("/v1/chat/completions"),
        .query = STR("a=1"),
        .headers = headers,
        .body = body,
        .request_id = STR("req-1"),
        .now_ms = 1764373152123,
    };

    return wasm_call_on_request(m, l, &q, &arena, ret, err);
}

/* A call with one header; NULL = none. */
static int ask(struct wasm_module *m, const struct wasm_limits *l, const char *name, const char *value, struct wasm_action *ret,
               struct err *err)
{
    struct wasm_header h = { str_of(name), str_of(value) };

    return ask_with(m, l, (struct wasm_headers){ &h, name ? 1 : 0 }, STR("{}"), ret, err);
}

static int answer(struct wasm_module *m, uint16_t status, struct wasm_headers headers, struct str body, struct wasm_action *ret,
                  struct err *err)
{
    struct wasm_response r = { status, headers, body };

    return wasm_call_on_response(m, &USUAL, &r, STR("req-1"), &arena, ret, err);
}

static struct wasm_action action_of(struct wasm_module *m)
{
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    if (ask(m, &USUAL, NULL, NULL, &a, &err) < 0)
        fail_msg("%s", err.message);
    return a;
}

/* ---- the three actions ---- */

static void a_plugin_that_rejects_says_with_which_status(void **state)
{
    struct wasm_module *m = compile("reject429");

    (void)state;
    use_library_signals();
    assert_int_equal(action_of(m).type, WASM_REJECT);
    assert_int_equal(action_of(m).status, 429);
    wasm_module_unref(m);
}

static void a_plugin_that_stamps_gets_the_request_id_and_sets_headers(void **state)
{
    struct wasm_module *m = compile("stamp");
    struct wasm_action a;

    (void)state;
    use_library_signals();
    a = action_of(m);
    assert_int_equal(a.type, WASM_MODIFY);
    assert_int_equal(a.set.n, 2);
    assert_str(a.set.v[0].name, "x-seen-id");
    assert_str(a.set.v[0].value, "req-1");
    assert_false(a.has_body);
    assert_false(a.has_status);
    wasm_module_unref(m);
}

static void status_500_becomes_503_and_others_stay(void **state)
{
    struct wasm_module *m = compile("map500to503");
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(answer(m, 500, (struct wasm_headers){ 0 }, STR("x"), &a, &err), 0);
    assert_int_equal(a.type, WASM_MODIFY); /* the vector of spec 3.3 */
    assert_true(a.has_status);
    assert_int_equal(a.status, 503);
    assert_int_equal(a.set.n + a.add.n + a.remove_n, 0);
    assert_false(a.has_body);
    assert_int_equal(answer(m, 200, (struct wasm_headers){ 0 }, STR("x"), &a, &err), 0);
    assert_int_equal(a.type, WASM_CONTINUE);
    wasm_module_unref(m);
}

static void headers_arrive_in_order_and_those_that_cannot_be_shown_are_left_out(void **state)
{
    static const struct wasm_header HEADERS[] = {
        { STR_INIT("b"), STR_INIT("1") },
        { STR_INIT("a"), STR_INIT("2") },
        { STR_INIT("latin"), STR_INIT("caf\xc3\xa9") },
        { STR_INIT("b"), STR_INIT("3\t4") },
    };
    struct wasm_module *m = compile("echo_headers");
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(answer(m, 200, (struct wasm_headers){ HEADERS, 4 }, STR("x"), &a, &err), 0);
    assert_true(a.has_body);
    assert_true(str_find(a.body, STR("\"b\"")) < str_find(a.body, STR("\"a\"")));
    assert_int_equal(str_find(a.body, STR("latin")), STR_NPOS);
    assert_int_not_equal(str_find(a.body, STR("3")), STR_NPOS);
    wasm_module_unref(m);
}

static void edits_come_as_the_plugin_gave_them(void **state)
{
    struct wasm_module *m = compile("edits");
    struct wasm_action a;

    (void)state;
    use_library_signals();
    a = action_of(m);
    assert_int_equal(a.set.n, 5);
    assert_int_equal(a.add.n, 3);
    assert_int_equal(a.remove_n, 3);
    assert_str(a.set.v[1].name, "X-Repeat");
    assert_str(a.set.v[3].name, "bad name");
    wasm_module_unref(m);
}

static void nothing_that_a_plugin_keeps_lives_until_the_next_call(void **state)
{
    struct wasm_module *m = compile("fresh");

    (void)state;
    use_library_signals();
    for (int i = 0; i < 3; i++)
        assert_str(action_of(m).set.v[0].value, "1");
    wasm_module_unref(m);
}

/* ---- bodies ---- */

static void bodies_of_every_size_and_content_come_back_as_they_went_in(void **state)
{
    static const size_t SIZES[] = { 0, 1, 2, 3, 4095, 32767, 32768, 32769, 65535, 65536, 65537, 262144, 262145, 524289 };
    struct wasm_module *m = compile("bodyecho");
    char *body = malloc(600000);

    (void)state;
    use_library_signals();
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < 600000; i++) /* ASCII; UTF-8 of three bytes a character, cut everywhere; every byte */
            body[i] = kind == 0 ? (char)('a' + i % 26) : kind == 1 ? "\xe2\x82\xac"[i % 3] : (char)(i * 7);
        for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
            struct str s = { body, kind == 1 ? SIZES[i] / 3 * 3 : SIZES[i] };
            struct wasm_action a = { 0 };
            struct err err = { 0 };

            if (ask_with(m, &USUAL, (struct wasm_headers){ 0 }, s, &a, &err) < 0)
                fail_msg("%zu bytes: %s", s.n, err.message);
            assert_true(a.has_body || s.n == 0);
            assert_true(str_eq(a.body, s));
            arena_fini(&arena);
        }
    }
    free(body);
    wasm_module_unref(m);
}

/* Of /proc/self/status, in bytes. */
static size_t status_bytes(const char *name)
{
    char line[256];
    size_t kib = 0, n = strlen(name);
    FILE *f = fopen("/proc/self/status", "r");

    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0 && line[n] == ':')
            kib = strtoull(line + n + 1, NULL, 10);
    fclose(f);
    return kib << 10;
}

/* From now on the peak is counted anew. */
static void forget_the_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");

    assert_non_null(f);
    fputs("5", f);
    assert_int_equal(fclose(f), 0);
}

/* 10 MB through NAME, which replaces them by a copy, take at most TIMES that, and a few pieces. */
static void costs_at_most(size_t times, const char *name, const struct wasm_headers headers)
{
    static const struct wasm_limits LONG = { 60000, 1024 };
    struct wasm_module *m = compile(name);
    char *body = malloc(BIG);
    struct wasm_action a = { 0 };
    struct err err = { 0 };
    size_t before;

    use_library_signals();
    memset(body, 'y', BIG);
    assert_int_equal(ask_with(m, &LONG, headers, STR("{}"), &a, &err), 0);
    malloc_trim(0);
    forget_the_peak();
    before = status_bytes("VmRSS");
    if (ask_with(m, &LONG, headers, (struct str){ body, BIG }, &a, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(a.body.n, BIG);
    assert_memory_equal(a.body.p, body, BIG);
    if (MEASURES_MEMORY)
        assert_in_range(status_bytes("VmHWM") - before, times * BIG / 2, times * BIG + (256 << 10));
    free(body);
    wasm_module_unref(m);
}

/* Two are the plugin's own, one is the answer; the bridge, where there is one, has the fourth. */
static void a_body_of_10_mb_through_a_rewriting_plugin_costs_at_most_4_times_the_body(void **state)
{
    static const struct wasm_header ECHO[] = { { STR_INIT("x-sleep-ms"), STR_INIT("1") }, { STR_INIT("x-echo"), STR_INIT("1") } };

    (void)state;
    costs_at_most(over_the_bridge() ? 4 : 3, "bodyecho", (struct wasm_headers){ 0 });
    arena_fini(&arena);
    costs_at_most(4, "sleeper", (struct wasm_headers){ ECHO, ARRAY_LEN(ECHO) });
}

static void a_body_that_does_not_fit_into_the_plugins_memory_fails_the_call(void **state)
{
    struct wasm_module *m = compile("bodyecho");
    static const struct wasm_limits SMALL = { 1000, 16 };
    char *body = calloc(1, 2 << 20);
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_true(ask_with(m, &SMALL, (struct wasm_headers){ 0 }, (struct str){ body, 2 << 20 }, &a, &err) < 0);
    free(body);
    wasm_module_unref(m);
}

/* ---- what a plugin must not do ---- */

static void results_that_make_no_sense_fail_the_call(void **state)
{
    static const char *const KINDS[] = { "pointer", "unaligned", "variant", "option", "count",
                                         "length",  "list",      "string",  "utf8",   "surrogate" };
    struct wasm_module *m = compile("garbage");

    (void)state;
    use_library_signals();
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        struct wasm_action a = { 0 };
        struct err err = { 0 };

        if (ask(m, &USUAL, "x-garbage", KINDS[i], &a, &err) != ERR_INVALID)
            fail_msg("%s: %s", KINDS[i], err.message);
    }
    assert_int_equal(action_of(m).type, WASM_MODIFY); /* the module is still good */
    wasm_module_unref(m);
}

static void an_answer_with_very_many_entries_is_over_the_limit(void **state)
{
    struct wasm_module *m = compile("garbage");
    struct wasm_header h[] = { { STR("x-garbage"), STR("many") }, { STR("x-many"), STR("20000") } };
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(ask_with(m, &USUAL, (struct wasm_headers){ h, 2 }, STR("{}"), &a, &err), ERR_LIMIT);
    assert_string_equal(err.message, "the plugin's answer has a list of more than 1000 entries");
    h[1].value = STR("1000");
    assert_int_equal(ask_with(m, &USUAL, (struct wasm_headers){ h, 2 }, STR("{}"), &a, &err), 0);
    assert_int_equal(a.remove_n, 1000);
    wasm_module_unref(m);
}

static void a_plugin_that_never_returns_is_stopped_at_its_deadline(void **state)
{
    static const struct wasm_limits SHORT = { 60, 1024 };
    struct wasm_module *m = compile("loop");
    struct wasm_action a = { 0 };
    struct err err = { 0 };
    uint64_t began;

    (void)state;
    use_library_signals();
    for (int i = 0; i < 3; i++) {
        began = clock_now_us();
        assert_int_equal(ask(m, &SHORT, NULL, NULL, &a, &err), ERR_TIMEOUT);
        assert_in_range(clock_now_us() - began, 50000, 5000000);
    }
    assert_string_equal(err.message, "the plugin was stopped at its deadline of 60 ms");
    wasm_module_unref(m);
}

static void a_plugin_that_traps_fails_the_call(void **state)
{
    struct wasm_module *m = compile("trap");
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(ask(m, &USUAL, NULL, NULL, &a, &err), ERR_INVALID);
    assert_string_equal(err.message, "the plugin failed: wasm trap: wasm `unreachable` instruction executed");
    wasm_module_unref(m);
}

static void memory_grows_up_to_its_limit_and_not_beyond(void **state)
{
    static const struct wasm_limits TEN_MB = { 1000, 160 };
    struct wasm_module *grow = compile("grow"), *hog = compile("hog");
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(ask(grow, &TEN_MB, "x-grow-pages", "150", &a, &err), 0);
    assert_int_equal(a.type, WASM_MODIFY);
    assert_int_equal(ask(grow, &TEN_MB, "x-grow-pages", "170", &a, &err), 0);
    assert_int_equal(a.type, WASM_REJECT);
    assert_int_equal(a.status, 507);
    assert_int_equal(ask(hog, &USUAL, NULL, NULL, &a, &err), ERR_INVALID);
    wasm_module_unref(grow);
    wasm_module_unref(hog);
}

static void a_plugin_with_more_memory_than_it_may_have_does_not_start(void **state)
{
    static const struct wasm_limits ONE = { 1000, 1 };
    struct wasm_module *m = compile("hog");
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(ask(m, &ONE, NULL, NULL, &a, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "more than the 1 pages"));
    wasm_module_unref(m);
}

static void a_plugin_that_recurses_without_end_is_over_the_limit(void **state)
{
    struct wasm_module *m = compile("recurse");
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(m, &USUAL, NULL, NULL, &a, &err), ERR_LIMIT);
    assert_string_equal(err.message, "the plugin used more stack than it may");
    wasm_module_unref(m);
}

static void a_plugin_that_sleeps_in_the_host_is_left_at_its_deadline(void **state)
{
    static const struct wasm_limits SHORT = { 10, 1024 };
    struct wasm_module *m = compile("sleeper");
    struct wasm_action a = { 0 };
    struct err err = { 0 };
    int status, left = 0;

    (void)state;
    use_library_signals();
    assert_int_equal(ask(m, &USUAL, "x-sleep-ms", "5", &a, &err), 0);
    assert_int_equal(a.type, WASM_CONTINUE);
    while ((status = ask(m, &SHORT, "x-sleep-ms", "1500", &a, &err)) == ERR_TIMEOUT && left < 10 * SLEEPERS_MAX) {
        assert_string_equal(err.message, "the plugin slept past its deadline of 10 ms");
        left++;
    }
    assert_int_equal(status, ERR_BUSY);
    assert_true(left >= SLEEPERS_MAX); /* on a busy machine some have woken up before the last one slept */
    while (atomic_load(&runtime->sleepers) > 0)
        usleep(10000);
    assert_int_equal(ask(m, &USUAL, "x-sleep-ms", "1", &a, &err), 0);
    wasm_module_unref(m);
}

static void a_function_that_is_not_exported_cannot_be_called(void **state)
{
    struct wasm_module *m = compile("onlyreq");
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(action_of(m).type, WASM_MODIFY);
    assert_int_equal(answer(m, 200, (struct wasm_headers){ 0 }, STR(""), &a, &err), ERR_INVALID);
    assert_string_equal(err.message, "the plugin does not export smg:gateway/middleware-on-response");
    wasm_module_unref(m);
}

/* ---- without memory ---- */

static void a_call_without_memory_fails_cleanly_at_every_place(void **state)
{
    static const char *const MODULES[] = { "bodyecho", "sleeper" }; /* bytes both ways; a thread of its own */
    static const struct wasm_header SHORT = { STR_INIT("x-sleep-ms"), STR_INIT("1") };
    static char body[70000];

    (void)state;
    use_library_signals();
    memset(body, 0xff, sizeof body);
    for (size_t i = 0; i < ARRAY_LEN(MODULES); i++) {
        struct wasm_module *m = compile(MODULES[i]);

        FOR_EACH_FAILING_ALLOCATION(n)
        {
            struct wasm_action a = { 0 };
            int r = ask_with(m, &USUAL, (struct wasm_headers){ &SHORT, 1 }, (struct str){ body, sizeof body }, &a, NULL);

            assert_true(r == 0 || (r == ERR_NOMEM && fail_alloc_failed()));
            arena_fini(&arena);
        }
        wasm_module_unref(m);
    }
}

/* ---- many calls ---- */

struct caller {
    pthread_t thread;
    struct wasm_module *m;
    int times, failures;
    bool expect_timeout;
};

static void *call_often(void *arg)
{
    struct caller *c = arg;
    struct wasm_header h = { STR("x-block"), STR("1") };
    struct wasm_request q = {
        .method = STR("POST"), .path = STR("/"), .headers = { &h, 1 }, .body = STR("{}"), .request_id = STR("r")
    };
    struct wasm_limits l = { c->expect_timeout ? 100 : 20000, 1024 };

    for (int i = 0; i < c->times; i++) {
        struct arena mine;
        struct wasm_action a = { 0 };
        int r;

        arena_init(&mine, NULL, 0);
        r = wasm_call_on_request(c->m, &l, &q, &mine, &a, NULL);
        if (c->expect_timeout ? r != ERR_TIMEOUT : r < 0 || a.type != WASM_REJECT || a.status != 403)
            c->failures++;
        arena_fini(&mine);
    }
    return NULL;
}

static void threads_call_modules_at_the_same_time_while_others_hang(void **state)
{
    struct wasm_module *quick = compile("readheader"), *hang = compile("loop");
    struct caller callers[5] = { 0 };

    (void)state;
    use_library_signals();
    for (int i = 0; i < 5; i++) {
        callers[i] = (struct caller){ .m = i == 4 ? hang : quick, .times = i == 4 ? 3 : 300, .expect_timeout = i == 4 };
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < 5; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].failures, 0);
    }
    wasm_module_unref(quick);
    wasm_module_unref(hang);
}

/* SMG_WASM_CALLS: how many; a million in the long run. */
static void many_executions_take_no_memory_with_them(void **state)
{
    const char *wanted = getenv("SMG_WASM_CALLS");
    struct caller c = { .m = compile("readheader"), .times = 1000 };
    size_t before;

    (void)state;
    use_library_signals();
    (void)call_often(&c);
    c.times = wanted ? atoi(wanted) : 10000;
    if (!MEASURES_MEMORY)
        c.times = 1000;
    before = mallinfo2().uordblks;
    (void)call_often(&c);
    assert_int_equal(c.failures, 0);
    if (MEASURES_MEMORY)
        assert_true(mallinfo2().uordblks < before + (64 << 10));
    wasm_module_unref(c.m);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        T(a_body_of_10_mb_through_a_rewriting_plugin_costs_at_most_4_times_the_body),
        T(a_plugin_that_rejects_says_with_which_status),
        T(a_plugin_that_stamps_gets_the_request_id_and_sets_headers),
        T(status_500_becomes_503_and_others_stay),
        T(headers_arrive_in_order_and_those_that_cannot_be_shown_are_left_out),
        T(edits_come_as_the_plugin_gave_them),
        T(nothing_that_a_plugin_keeps_lives_until_the_next_call),
        T(bodies_of_every_size_and_content_come_back_as_they_went_in),
        T(a_body_that_does_not_fit_into_the_plugins_memory_fails_the_call),
        T(results_that_make_no_sense_fail_the_call),
        T(an_answer_with_very_many_entries_is_over_the_limit),
        T(a_plugin_that_never_returns_is_stopped_at_its_deadline),
        T(a_plugin_that_traps_fails_the_call),
        T(memory_grows_up_to_its_limit_and_not_beyond),
        T(a_plugin_with_more_memory_than_it_may_have_does_not_start),
        T(a_plugin_that_recurses_without_end_is_over_the_limit),
        T(a_plugin_that_sleeps_in_the_host_is_left_at_its_deadline),
        T(a_function_that_is_not_exported_cannot_be_called),
        T(a_call_without_memory_fails_cleanly_at_every_place),
        T(threads_call_modules_at_the_same_time_while_others_hang),
        T(many_executions_take_no_memory_with_them),
    };
    int failed;

    open_runtime(NULL, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    wasm_runtime_close(runtime);
    return failed;
}
