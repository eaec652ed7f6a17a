#include "plugin/values.h"

#include "fail_alloc.h"
#include "test.h"
#include "plugin/test_arena.h"

/* ---- arguments ---- */

static void a_request_becomes_the_functions_arguments(void **state)
{
    static const struct wasm_header H[] = { { STR_INIT("a"), STR_INIT("1") }, { STR_INIT("b"), STR_INIT("not\nvisible") } };
    struct wasm_request q = { STR("POST"), STR("/v1"), STR("x=y"), { H, 2 }, STR("body"), STR("req-1"), 1764373152123 };
    struct wasm_values v;

    (void)state;
    assert_int_equal(values_of_request(&q, &arena, &v, NULL), 0);
    assert_int_equal(v.n, 7);
    assert_int_equal(v.v[0].kind, VALUE_TEXT);
    assert_str(v.v[0].bytes, "POST");
    assert_str(v.v[1].bytes, "/v1");
    assert_str(v.v[2].bytes, "x=y");
    assert_int_equal(v.v[3].kind, VALUE_PAIRS);
    assert_int_equal(v.v[3].pairs.n, 1);
    assert_str(v.v[3].pairs.v[0].name, "a");
    assert_int_equal(v.v[4].kind, VALUE_BYTES);
    assert_ptr_equal(v.v[4].bytes.p, q.body.p);
    assert_str(v.v[5].bytes, "req-1");
    assert_int_equal(v.v[6].kind, VALUE_LONG);
    assert_true(v.v[6].number == 1764373152123);
}

static void texts_that_are_not_utf8_are_told_as_in_a_url(void **state)
{
    struct wasm_request q = { STR("GET"), STR("/\xff\xc3\xa9"), STR(""), { 0 }, STR(""), STR("i"), 0 };
    struct wasm_values v;

    (void)state;
    assert_int_equal(values_of_request(&q, &arena, &v, NULL), 0);
    assert_str(v.v[1].bytes, "/%FF\xc3\xa9");
}

static void more_than_a_guest_can_be_given_is_refused(void **state)
{
    struct wasm_response r = { 200, { 0 }, { "", VALUES_BYTES_MAX } };
    struct wasm_values v;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(values_of_response(&r, &arena, &v, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "255 MiB"));
}

static void arguments_without_memory_fail_cleanly(void **state)
{
    static const struct wasm_header H[] = { { STR_INIT("a"), STR_INIT("\xff") }, { STR_INIT("b"), STR_INIT("2") } };
    static const struct hook_pair P[] = { { STR_INIT("k\xff"), STR_INIT("v") } };
    struct wasm_request q = { STR("G\xff"), STR("/"), STR(""), { H, 2 }, STR(""), STR("i"), 0 };
    struct hook_call c = { .context = { P, 1 }, .payload = STR("\xff") };
    struct wasm_values v;

    (void)state;
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena a;
        int r;

        arena_init(&a, NULL, 0);
        r = values_of_request(&q, &a, &v, NULL);
        if (r == 0)
            r = values_of_after(&c, STR("{}"), c.context, &a, &v, NULL);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        arena_fini(&a);
    }
}

/* ---- answers: a memory from address 60 on; what the guest returned stands at 64 ---- */

enum { FROM = 60, RETURNED = 64 };

static uint8_t memory[20000];
#define SMALL 256 /* bytes of it, for what must not lead outside */

static struct answer answer_of(size_t n)
{
    return (struct answer){ .p = memory, .n = n, .from = FROM, .returned = RETURNED };
}

static void set_32(uint32_t address, uint32_t v)
{
    memcpy(memory + address - FROM, &v, 4);
}

/* A modify-action without changes. */
static void modify(void)
{
    memset(memory, 0, sizeof memory);
    memory[4] = 2;
}

static int lift(size_t n)
{
    union wasm_result r;

    return values_to_result(COMPONENT_ON_REQUEST, answer_of(n), &arena, &r, NULL);
}

static void an_action_is_read_from_its_layout(void **state)
{
    union wasm_result result;
    struct wasm_action a;

    (void)state;
    modify();
    memory[8] = 1; /* status */
    memory[10] = 0xf7;
    memory[11] = 1;
    memcpy(memory + 128 - 60, "nameVVbytes", 11);
    set_32(72, 160); /* headers-set: one, at 160 */
    set_32(76, 1);
    set_32(160, 128);
    set_32(164, 4);
    set_32(168, 132);
    set_32(172, 2);
    set_32(88, 176); /* headers-remove: one, at 176 */
    set_32(92, 1);
    set_32(176, 128);
    set_32(180, 4);
    memory[96 - 60] = 1; /* body-replace */
    set_32(100, 134);
    set_32(104, 5);
    assert_int_equal(values_to_result(COMPONENT_ON_RESPONSE, answer_of(sizeof memory), &arena, &result, NULL), 0);
    a = result.action;
    assert_int_equal(a.type, WASM_MODIFY);
    assert_true(a.has_status);
    assert_int_equal(a.status, 503);
    assert_str(a.set.v[0].name, "name");
    assert_str(a.set.v[0].value, "VV");
    assert_int_equal(a.add.n, 0);
    assert_str(a.remove[0], "name");
    assert_str(a.body, "bytes");
}

static void every_pointer_and_length_is_checked(void **state)
{
    static const uint32_t LISTS[] = { 72, 80, 88 }; /* set, add, remove */
    static const uint32_t PLACES[] = { 0, 59, 60 + SMALL, 60 + SMALL - 6, UINT32_MAX - 3, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        for (size_t j = 0; j < ARRAY_LEN(PLACES); j++) {
            modify();
            set_32(LISTS[i], PLACES[j]);
            set_32(LISTS[i] + 4, 1);
            assert_int_equal(lift(SMALL), ERR_INVALID);
        }
        modify();
        set_32(LISTS[i], 128);
        set_32(LISTS[i] + 4, 1001);
        assert_int_equal(lift(sizeof memory), ERR_LIMIT);
        assert_int_equal(lift(SMALL), ERR_INVALID);
        set_32(LISTS[i] + 4, 100);
        assert_int_equal(lift(SMALL), ERR_INVALID);
        set_32(LISTS[i] + 4, 0); /* the pointer of an empty list says nothing */
        set_32(LISTS[i], UINT32_MAX);
        assert_int_equal(lift(SMALL), 0);
    }
    modify();
    memory[96 - 60] = 1;
    set_32(100, 128);
    set_32(104, UINT32_MAX);
    assert_int_equal(lift(SMALL), ERR_INVALID);
}

static void unknown_variants_and_options_are_refused(void **state)
{
    (void)state;
    modify();
    memory[4] = 3;
    assert_int_equal(lift(sizeof memory), ERR_INVALID);
    modify();
    memory[8] = 2;
    assert_int_equal(lift(sizeof memory), ERR_INVALID);
    modify();
    memory[96 - 60] = 0xff;
    assert_int_equal(lift(sizeof memory), ERR_INVALID);
}

static void texts_that_are_no_utf8_are_refused(void **state)
{
    (void)state;
    modify();
    set_32(72, 160);
    set_32(76, 1);
    set_32(160, 128);
    set_32(164, 1);
    memory[128 - 60] = 0xff;
    assert_int_equal(lift(sizeof memory), ERR_INVALID);
}

static void an_answer_cut_anywhere_is_refused(void **state)
{
    (void)state;
    modify();
    for (size_t n = 0; n < 48; n++)
        assert_int_equal(lift(n), n < 4 + 4 + 29 + 0 ? ERR_INVALID : 0);
    memory[4] = 1; /* a reject needs its status only */
    assert_int_equal(lift(9), ERR_INVALID);
    assert_int_equal(lift(10), 0);
}

static void lists_and_what_is_returned_are_aligned(void **state)
{
    struct answer a = answer_of(sizeof memory);
    union wasm_result r;

    (void)state;
    modify();
    set_32(72, 162);
    set_32(76, 1);
    assert_int_equal(lift(sizeof memory), ERR_INVALID);
    modify();
    a.returned = RETURNED + 1;
    assert_int_equal(values_to_result(COMPONENT_ON_REQUEST, a, &arena, &r, NULL), ERR_INVALID);
}

static void what_points_into_a_memory_that_passes_is_copied_as_far_as_there_is_room(void **state)
{
    struct answer a = answer_of(sizeof memory);
    union wasm_result r;

    (void)state;
    modify();
    memory[96 - 60] = 1;
    set_32(100, 128);
    set_32(104, 4);
    memcpy(memory + 128 - 60, "kept", 4);
    a.passing = true;
    a.room = 3;
    assert_int_equal(values_to_result(COMPONENT_ON_REQUEST, a, &arena, &r, NULL), ERR_LIMIT);
    a.room = 4;
    assert_int_equal(values_to_result(COMPONENT_ON_REQUEST, a, &arena, &r, NULL), 0);
    memset(memory, 0xff, sizeof memory);
    assert_str(r.action.body, "kept");
}

static void verdicts_of_hooks_are_read(void **state)
{
    union wasm_result r;

    (void)state;
    memset(memory, 0, sizeof memory);
    memory[4] = 1;
    set_32(68, 128);
    set_32(72, 2);
    memcpy(memory + 128 - 60, "no", 2);
    assert_int_equal(values_to_result(COMPONENT_BEFORE, answer_of(sizeof memory), &arena, &r, NULL), 0);
    assert_true(r.verdict.reject);
    assert_str(r.verdict.reason, "no");
    memory[4] = 2;
    assert_int_equal(values_to_result(COMPONENT_BEFORE, answer_of(sizeof memory), &arena, &r, NULL), ERR_INVALID);
    set_32(64, 128);
    set_32(68, 1);
    set_32(128, 144);
    set_32(132, 1);
    set_32(136, 145);
    set_32(140, 1);
    memcpy(memory + 144 - 60, "kv", 2);
    assert_int_equal(values_to_result(COMPONENT_AFTER, answer_of(sizeof memory), &arena, &r, NULL), 0);
    assert_str(r.columns.v[0].name, "k");
    assert_str(r.columns.v[0].value, "v");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        T(a_request_becomes_the_functions_arguments),
        T(texts_that_are_not_utf8_are_told_as_in_a_url),
        T(more_than_a_guest_can_be_given_is_refused),
        T(arguments_without_memory_fail_cleanly),
        T(an_action_is_read_from_its_layout),
        T(every_pointer_and_length_is_checked),
        T(unknown_variants_and_options_are_refused),
        T(texts_that_are_no_utf8_are_refused),
        T(an_answer_cut_anywhere_is_refused),
        T(lists_and_what_is_returned_are_aligned),
        T(what_points_into_a_memory_that_passes_is_copied_as_far_as_there_is_room),
        T(verdicts_of_hooks_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
