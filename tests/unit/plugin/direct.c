/* direct.c -- plain guests called both ways: alone, and through the component as the library does it, which is the oracle */
#include "plugin/direct.h"

#include "fail_alloc.h"
#include "plugin/guest.h"
#include "plugin/test_arena.h"

static struct wasm_runtime *bridge; /* the other one, where nothing is direct */
static const struct wasm_limits USUAL = { 2000, 1024 };

/* A component both ways. */
struct both {
    struct wasm_module *direct, *bridged;
};

static struct both both(const char *name)
{
    struct both b = { compile_in(runtime, name), compile_in(bridge, name) };

    assert_non_null(b.direct->direct);
    assert_null(b.bridged->direct);
    return b;
}

static void unref(struct both b)
{
    wasm_module_unref(b.direct);
    wasm_module_unref(b.bridged);
}

static void same_headers(struct wasm_headers a, struct wasm_headers b)
{
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++) {
        assert_true(str_eq(a.v[i].name, b.v[i].name));
        assert_true(str_eq(a.v[i].value, b.v[i].value));
    }
}

static void same(const struct wasm_action *a, const struct wasm_action *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->has_status, b->has_status);
    assert_int_equal(a->has_body, b->has_body);
    same_headers(a->set, b->set);
    same_headers(a->add, b->add);
    assert_int_equal(a->remove_n, b->remove_n);
    for (size_t i = 0; i < a->remove_n; i++)
        assert_true(str_eq(a->remove[i], b->remove[i]));
    assert_true(str_eq(a->body, b->body));
}

/* The same of a request and of a reply; the outcome's code as well, when it fails. */
static void answers_alike(const char *name, const struct wasm_request *q)
{
    struct both b = both(name);
    struct wasm_response p = { 500, q->headers, q->body };
    struct wasm_action one = { 0 }, other = { 0 };
    struct err err = { 0 }, err2 = { 0 };
    int r = wasm_call_on_request(b.direct, &USUAL, q, &arena, &one, &err);

    if (r != wasm_call_on_request(b.bridged, &USUAL, q, &arena, &other, &err2))
        fail_msg("%s: %s, but %s", name, err.message, err2.message);
    if (r == 0)
        same(&one, &other);
    if (wasm_module_exports(b.direct) & WASM_ON_RESPONSE) {
        r = wasm_call_on_response(b.direct, &USUAL, &p, STR("r"), &arena, &one, &err);
        assert_int_equal(r, wasm_call_on_response(b.bridged, &USUAL, &p, STR("r"), &arena, &other, &err2));
        if (r == 0)
            same(&one, &other);
    }
    unref(b);
}

static void guests_answer_alike_both_ways(void **state)
{
    static const char *const NAMES[] = { "bodyecho", "bodyswap",   "echo_headers", "edits",       "map500to503", "onlyreq",
                                         "order_a",  "readheader", "reject429",    "reject_n",    "recurse",     "trap",
                                         "grow",     "realloc",    "sometimes",    "initialized", "printer",     "slow" };
    static const struct str BODY = STR_INIT("{\"model\":\"m\",\"text\":\"caf\xc3\xa9 \xff\xfe\"}");
    static const struct wasm_header H[] = { { STR_INIT("host"), STR_INIT("gateway.example") },
                                            { STR_INIT("x-reject"), STR_INIT("418") },
                                            { STR_INIT("x-edits"), STR_INIT("all") },
                                            { STR_INIT("empty"), STR_INIT("") },
                                            { STR_INIT("hidden"), STR_INIT("\x01") } };

    (void)state;
    use_library_signals();
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct wasm_request q = { STR("POST"), STR("/v1/x"), STR("a=b"), { H, ARRAY_LEN(H) }, BODY, STR("id"), 1764373152123 };

        answers_alike(NAMES[i], &q);
        q = (struct wasm_request){ STR("GET"), STR("/\xff"), STR(""), { 0 }, STR(""), STR(""), ((uint64_t)1 << 56) - 1 };
        answers_alike(NAMES[i], &q);
        arena_fini(&arena);
    }
}

static void results_without_sense_fail_alike(void **state)
{
    static const char *const KINDS[] = { "pointer", "unaligned", "variant", "option", "count",
                                         "length",  "list",      "string",  "utf8",   "surrogate" };

    (void)state;
    use_library_signals();
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        struct wasm_header h = { STR("x-garbage"), str_of(KINDS[i]) };
        struct wasm_request q = { STR("POST"), STR("/"), STR(""), { &h, 1 }, STR("{}"), STR("id"), 0 };

        answers_alike("garbage", &q);
    }
}

static void hooks_answer_alike_both_ways(void **state)
{
    struct hook *one = NULL, *other = NULL;
    static const struct hook_pair P[] = { { STR_INIT("x-tenant"), STR_INIT("acme") } };
    struct hook_call c = { HOOK_STORE_RESPONSE, { P, 1 }, STR("{\"id\":\"resp_1\"}"), STR("id") };
    struct hook_verdict v = { 0 }, v2 = { 0 };
    struct hook_pairs after = { 0 }, after2 = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(hook_load(runtime, component_path("hook_cols"), &one, &err), 0);
    assert_int_equal(hook_load(bridge, component_path("hook_cols"), &other, &err), 0);
    assert_int_equal(hook_before(one, &c, &arena, &v, &err), 0);
    assert_int_equal(hook_before(other, &c, &arena, &v2, &err), 0);
    assert_true(v.columns.n > 0);
    assert_int_equal(v.columns.n, v2.columns.n);
    assert_true(str_eq(v.columns.v[0].name, v2.columns.v[0].name) && str_eq(v.columns.v[0].value, v2.columns.v[0].value));
    assert_int_equal(hook_after(one, &c, STR("{}"), v.columns, &arena, &after, &err), 0);
    assert_int_equal(hook_after(other, &c, STR("{}"), v.columns, &arena, &after2, &err), 0);
    assert_int_equal(after.n, after2.n);
    for (size_t i = 0; i < after.n; i++)
        assert_true(str_eq(after.v[i].name, after2.v[i].name) && str_eq(after.v[i].value, after2.v[i].value));
    hook_free(one);
    hook_free(other);
}

/* What stands in the length of the body; tests/wasm/realloc.c. */
static int ask_for(struct wasm_module *m, const struct wasm_limits *l, size_t n, struct wasm_headers headers, struct err *err)
{
    static char body[60005];
    struct wasm_request q = { STR("POST"), STR("/"), STR(""), headers, { body, n }, STR("id"), 0 };
    struct wasm_action a = { 0 };

    return wasm_call_on_request(m, l, &q, &arena, &a, err);
}

static void an_allocator_without_sense_fails_the_call_in_the_librarys_words(void **state)
{
    static const struct wasm_limits SHORT = { 60, 1024 };
    struct wasm_module *m = compile("realloc");
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(ask_for(m, &USUAL, 60001, (struct wasm_headers){ 0 }, &err), ERR_INVALID);
    assert_string_equal(err.message, "the plugin failed: realloc return: beyond end of memory");
    assert_int_equal(ask_for(m, &USUAL, 60002, (struct wasm_headers){ 0 }, &err), ERR_INVALID);
    assert_string_equal(err.message, "the plugin failed: realloc return: beyond end of memory");
    assert_int_equal(ask_for(m, &SHORT, 60003, (struct wasm_headers){ 0 }, &err), ERR_TIMEOUT);
    assert_int_equal(ask_for(m, &USUAL, 60004, (struct wasm_headers){ 0 }, &err), ERR_INVALID);
    assert_string_equal(err.message, "the plugin failed: wasm trap: wasm `unreachable` instruction executed");
    assert_int_equal(ask_for(m, &USUAL, 60000, (struct wasm_headers){ 0 }, &err), 0);
    wasm_module_unref(m);
}

static void a_list_that_is_not_aligned_fails_the_call(void **state)
{
    static char name[60005];
    struct wasm_module *m = compile("realloc");
    struct wasm_request q = { { name, sizeof name }, STR("/"), STR(""), { 0 }, STR("x"), STR("id"), 0 };
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    memset(name, 'm', sizeof name);
    assert_int_equal(wasm_call_on_request(m, &USUAL, &q, &arena, &a, &err), ERR_INVALID);
    assert_string_equal(err.message, "the plugin failed: realloc return: result not aligned");
    wasm_module_unref(m);
}

static void every_call_begins_with_a_new_instance(void **state)
{
    struct wasm_module *m = compile("fresh");
    struct wasm_request q = { STR("POST"), STR("/"), STR(""), { 0 }, STR(""), STR("id"), 0 };
    struct wasm_action first = { 0 }, a = { 0 };
    struct err err = { 0 };

    (void)state;
    use_library_signals();
    assert_non_null(m->direct);
    assert_int_equal(wasm_call_on_request(m, &USUAL, &q, &arena, &first, &err), 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(wasm_call_on_request(m, &USUAL, &q, &arena, &a, &err), 0);
        same(&first, &a);
    }
    wasm_module_unref(m);
}

/* ---- guests that ask ---- */

static unsigned lines;

static void on_line(void *owner, struct str module, struct str request_id, bool is_stderr, struct str line)
{
    (void)owner, (void)is_stderr;
    if (!str_eq(module, STR("sometimes")))
        return;
    assert_str(request_id, "id");
    assert_str(line, "hello");
    lines++;
}

static int ask_sometimes(struct wasm_module *m, const char *header, struct wasm_action *ret, struct err *err)
{
    struct wasm_header h = { str_of(header), STR("hello") };
    struct wasm_request q = { STR("POST"), STR("/"), STR(""), { &h, 1 }, STR("{}"), STR("id"), 0 };

    return wasm_call_on_request(m, &USUAL, &q, &arena, ret, err);
}

static void said(struct wasm_module *m, const char *header, const char *what)
{
    struct wasm_action a = { 0 };
    struct err err = { 0 };

    if (ask_sometimes(m, header, &a, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(err.message[0], 0);
    assert_int_equal(a.set.n, 1);
    assert_str(a.set.v[0].value, what);
}

static void a_guest_that_asks_gets_its_answer_and_nobody_can_tell(void **state)
{
    struct wasm_module *m = compile("sometimes");

    (void)state;
    use_library_signals();
    lines = 0;
    assert_int_equal(wasm_module_way(m), WASM_DIRECT_UNTIL_IT_ASKS);
    said(m, "x-other", "nothing");
    assert_true(direct_is_due(m->direct));
    said(m, "x-say", "hello");
    assert_int_equal(lines, 1);
    assert_false(direct_is_due(m->direct));
    said(m, "x-say", "hello");
    assert_int_equal(lines, 2);
    wasm_module_unref(m);
}

static void a_guest_that_asked_is_tried_again_after_a_pause(void **state)
{
    struct wasm_module *m = compile("sometimes");

    (void)state;
    use_library_signals();
    said(m, "x-say", "hello");
    for (unsigned i = 0; i < DIRECT_PAUSE; i++) {
        assert_false(direct_is_due(m->direct));
        said(m, "x-other", "nothing");
    }
    assert_true(direct_is_due(m->direct));
    said(m, "x-other", "nothing");
    assert_true(direct_is_due(m->direct));
    wasm_module_unref(m);
}

/* Whatever went wrong, the words are the component's. */
static void a_guest_that_asks_fails_in_the_components_words(void **state)
{
    static const struct wasm_limits NO_MEMORY = { 2000, 0 };
    struct both b = both("sometimes");
    struct wasm_action a = { 0 };
    struct err err = { 0 }, err2 = { 0 };

    (void)state;
    use_library_signals();
    assert_int_equal(ask_sometimes(b.direct, "x-trap", &a, &err), ERR_INVALID);
    assert_int_equal(ask_sometimes(b.bridged, "x-trap", &a, &err2), ERR_INVALID);
    assert_string_equal(err.message, err2.message);
    assert_false(direct_is_due(b.direct->direct));
    unref(b);
    b = both("sometimes");
    assert_int_equal(wasm_call_on_request(b.direct, &NO_MEMORY, &(struct wasm_request){ .method = STR("GET") }, &arena, &a, &err),
                     ERR_LIMIT);
    unref(b);
}

static void answers_without_memory_fail_cleanly(void **state)
{
    struct wasm_module *m = compile("bodyecho");
    static char body[20000];
    struct wasm_request q = { STR("POST"), STR("/"), STR(""), { 0 }, { body, sizeof body }, STR("id"), 0 };

    (void)state;
    use_library_signals();
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct wasm_action action = { 0 };
        struct err err = { 0 };
        struct arena a;
        int r;

        arena_init(&a, NULL, 0);
        r = wasm_call_on_request(m, &USUAL, &q, &a, &action, &err);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        arena_fini(&a);
    }
    assert_int_equal(atomic_load(&runtime->calls), 0);
    wasm_module_unref(m);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(guests_answer_alike_both_ways),
        RULE(results_without_sense_fail_alike),
        RULE(hooks_answer_alike_both_ways),
        RULE(an_allocator_without_sense_fails_the_call_in_the_librarys_words),
        RULE(a_list_that_is_not_aligned_fails_the_call),
        RULE(every_call_begins_with_a_new_instance),
        RULE(a_guest_that_asks_gets_its_answer_and_nobody_can_tell),
        RULE(a_guest_that_asked_is_tried_again_after_a_pause),
        RULE(a_guest_that_asks_fails_in_the_components_words),
        RULE(answers_without_memory_fail_cleanly),
    };
    struct wasm_runtime_config c = { .threads = 2, .max_stack_bytes = (size_t)1 << 20, .bridge_only = true };

    open_runtime(on_line, NULL);
    if (wasm_runtime_open(&c, &bridge, NULL) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
