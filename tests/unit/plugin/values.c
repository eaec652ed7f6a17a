#include "plugin/values.h"

#include "fail_alloc.h"
#include "test.h"
#include "plugin/test_arena.h"

/* ---- arguments ---- */

/* Word I of an image, as the bridge reads it. */
static size_t word(const struct image *in, size_t i)
{
    const uint8_t *p = (const uint8_t *)in->head.p + 4 * i;

    assert_true((p[0] | p[1] | p[2] | p[3]) < 0x80);
    return (size_t)p[0] | (size_t)p[1] << 7 | (size_t)p[2] << 14 | (size_t)p[3] << 21;
}

static struct str text(const struct image *in, size_t i)
{
    return (struct str){ in->head.p + word(in, i) - BRIDGE_IMAGE, word(in, i + 1) };
}

static void a_request_is_laid_out_as_the_canonical_abi_wants_it(void **state)
{
    static const struct wasm_header H[] = { { STR_INIT("a"), STR_INIT("1") }, { STR_INIT("b"), STR_INIT("22") } };
    struct wasm_request q = { STR("POST"), STR("/v1"), STR("x=y"), { H, 2 }, STR("body"), STR("req-1"), 1764373152123 };
    struct image in;
    size_t table;

    (void)state;
    assert_int_equal(values_of_request(&q, &arena, &in, NULL), 0);
    assert_int_equal(word(&in, 0), 15 + 8); /* words to decode: the count, 14 arguments, two headers */
    assert_str(text(&in, 1), "POST");
    assert_str(text(&in, 3), "/v1");
    assert_str(text(&in, 5), "x=y");
    assert_int_equal(word(&in, 8), 2);
    table = (word(&in, 7) - BRIDGE_IMAGE) / 4;
    assert_int_equal(table, 15);
    assert_str(text(&in, table), "a");
    assert_str(text(&in, table + 6), "22");
    assert_str(text(&in, 9), "body");
    assert_str(text(&in, 11), "req-1");
    assert_true((word(&in, 13) | (uint64_t)word(&in, 14) << 28) == 1764373152123);
    assert_true(in.text);
    assert_int_equal(in.body.n, 0); /* joined to the head */
}

static void a_large_body_is_not_copied(void **state)
{
    static char body[VALUES_JOIN_MAX + 1];
    struct wasm_response r = { 200, { 0 }, { body, sizeof body } };
    struct image in;

    (void)state;
    body[7] = (char)0xff;
    assert_int_equal(values_of_response(&r, &arena, &in, NULL), 0);
    assert_ptr_equal(in.body.p, body);
    assert_int_equal(word(&in, 4), BRIDGE_IMAGE + in.head.n);
    assert_int_equal(word(&in, 5), sizeof body);
    assert_int_equal(in.head.n % 2, 0);
    assert_false(in.text);
}

static void texts_that_are_not_utf8_are_told_as_in_a_url(void **state)
{
    struct wasm_request q = { STR("GET"), STR("/\xff\xc3\xa9"), STR(""), { 0 }, STR(""), STR("i"), 0 };
    struct image in;

    (void)state;
    assert_int_equal(values_of_request(&q, &arena, &in, NULL), 0);
    assert_str(text(&in, 3), "/%FF\xc3\xa9");
    assert_true(in.text);
}

static void more_than_an_address_can_tell_is_refused(void **state)
{
    struct wasm_response r = { 200, { 0 }, { "", VALUES_IMAGE_MAX } };
    struct image in;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(values_of_response(&r, &arena, &in, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "256 MiB"));
}

static void arguments_without_memory_fail_cleanly(void **state)
{
    static const struct wasm_header H[] = { { STR_INIT("a"), STR_INIT("\xff") }, { STR_INIT("b"), STR_INIT("2") } };
    static const struct hook_pair P[] = { { STR_INIT("k\xff"), STR_INIT("v") } };
    struct wasm_request q = { STR("G\xff"), STR("/"), STR(""), { H, 2 }, STR(""), STR("i"), 0 };
    struct hook_call c = { .context = { P, 1 }, .payload = STR("\xff") };
    struct image in;

    (void)state;
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena a;
        int r;

        arena_init(&a, NULL, 0);
        r = values_of_request(&q, &a, &in, NULL);
        if (r == 0)
            r = values_of_after(&c, STR("{}"), c.context, &a, &in, NULL);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        arena_fini(&a);
    }
}

/* ---- answers: the bridge's memory from address 60 on; what the guest returned stands at 64 ---- */

static uint8_t memory[256];

static struct answer answer_of(size_t n)
{
    return (struct answer){ memory, n };
}

static void set_32(uint32_t address, uint32_t v)
{
    memcpy(memory + address - BRIDGE_ANSWER, &v, 4);
}

/* A modify-action without changes. */
static void modify(void)
{
    memset(memory, 0, sizeof memory);
    memory[4] = 2;
}

static int lift(size_t n)
{
    struct wasm_action a;

    return values_to_action(answer_of(n), &arena, &a, NULL);
}

static void an_action_is_read_from_its_layout(void **state)
{
    struct wasm_action a = { 0 };

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
    assert_int_equal(values_to_action(answer_of(sizeof memory), &arena, &a, NULL), 0);
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
    static const uint32_t FROM[] = { 0, 59, 60 + 256, 60 + 250, UINT32_MAX - 3, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        for (size_t j = 0; j < ARRAY_LEN(FROM); j++) {
            modify();
            set_32(LISTS[i], FROM[j]);
            set_32(LISTS[i] + 4, 1);
            assert_int_equal(lift(sizeof memory), ERR_INVALID);
        }
        modify();
        set_32(LISTS[i], 128);
        set_32(LISTS[i] + 4, 1001);
        assert_int_equal(lift(sizeof memory), ERR_LIMIT);
        set_32(LISTS[i] + 4, 100);
        assert_int_equal(lift(sizeof memory), ERR_INVALID);
        set_32(LISTS[i] + 4, 0); /* the pointer of an empty list says nothing */
        set_32(LISTS[i], UINT32_MAX);
        assert_int_equal(lift(sizeof memory), 0);
    }
    modify();
    memory[96 - 60] = 1;
    set_32(100, 128);
    set_32(104, UINT32_MAX);
    assert_int_equal(lift(sizeof memory), ERR_INVALID);
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

static void verdicts_of_hooks_are_read(void **state)
{
    struct hook_verdict v = { 0 };
    struct hook_pairs columns = { 0 };

    (void)state;
    memset(memory, 0, sizeof memory);
    memory[4] = 1;
    set_32(68, 128);
    set_32(72, 2);
    memcpy(memory + 128 - 60, "no", 2);
    assert_int_equal(values_to_before(answer_of(sizeof memory), &arena, &v, NULL), 0);
    assert_true(v.reject);
    assert_str(v.reason, "no");
    memory[4] = 2;
    assert_int_equal(values_to_before(answer_of(sizeof memory), &arena, &v, NULL), ERR_INVALID);
    set_32(64, 128);
    set_32(68, 1);
    set_32(128, 144);
    set_32(132, 1);
    set_32(136, 145);
    set_32(140, 1);
    memcpy(memory + 144 - 60, "kv", 2);
    assert_int_equal(values_to_columns(answer_of(sizeof memory), &arena, &columns, NULL), 0);
    assert_str(columns.v[0].name, "k");
    assert_str(columns.v[0].value, "v");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        T(a_request_is_laid_out_as_the_canonical_abi_wants_it),
        T(a_large_body_is_not_copied),
        T(texts_that_are_not_utf8_are_told_as_in_a_url),
        T(more_than_an_address_can_tell_is_refused),
        T(arguments_without_memory_fail_cleanly),
        T(an_action_is_read_from_its_layout),
        T(every_pointer_and_length_is_checked),
        T(unknown_variants_and_options_are_refused),
        T(texts_that_are_no_utf8_are_refused),
        T(an_answer_cut_anywhere_is_refused),
        T(verdicts_of_hooks_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
