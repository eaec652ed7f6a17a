#include "plugin/image.h"

#include "fail_alloc.h"
#include "test.h"
#include "plugin/test_arena.h"

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
    struct wasm_values v;
    struct image in;
    size_t table;

    (void)state;
    assert_int_equal(values_of_request(&q, &arena, &v, NULL), 0);
    assert_int_equal(image_write(&v, &arena, &in, NULL), 0);
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
    static char body[IMAGE_JOIN_MAX + 1];
    struct wasm_response r = { 200, { 0 }, { body, sizeof body } };
    struct wasm_values v;
    struct image in;

    (void)state;
    body[7] = (char)0xff;
    assert_int_equal(values_of_response(&r, &arena, &v, NULL), 0);
    assert_int_equal(image_write(&v, &arena, &in, NULL), 0);
    assert_ptr_equal(in.body.p, body);
    assert_int_equal(word(&in, 4), BRIDGE_IMAGE + in.head.n);
    assert_int_equal(word(&in, 5), sizeof body);
    assert_int_equal(in.head.n % 2, 0);
    assert_false(in.text);
}

static void an_image_without_memory_fails_cleanly(void **state)
{
    static char body[IMAGE_JOIN_MAX];
    struct wasm_response p = { 200, { 0 }, { body, sizeof body } };
    struct wasm_values v;
    struct image in;

    (void)state;
    assert_int_equal(values_of_response(&p, &arena, &v, NULL), 0);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena a;
        int r;

        arena_init(&a, NULL, 0);
        r = image_write(&v, &a, &in, NULL);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        arena_fini(&a);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        T(a_request_is_laid_out_as_the_canonical_abi_wants_it),
        T(a_large_body_is_not_copied),
        T(an_image_without_memory_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
