/* map.c -- the rules of the hash table, and a walk beside a plain array */
#include "test.h"

#include "base/err.h"
#include "base/map.h"
#include "fail_alloc.h"

#include <stdio.h>

static void an_empty_map_has_nothing(void **state)
{
    struct map m = { 0 };
    size_t i = 0;

    assert_null(map_get(&m, STR("a")));
    assert_null(map_remove(&m, STR("a")));
    assert_null(map_next(&m, &i));
    map_fini(&m);
}

static void putting_again_replaces_value_and_key(void **state)
{
    struct map m = { 0 };
    char first[] = "k", second[] = "k";
    void *old = &m;
    int a, b;

    assert_int_equal(map_put(&m, str_of(first), &a, &old), 0);
    assert_null(old);
    assert_int_equal(map_put(&m, str_of(second), &b, &old), 0);
    assert_ptr_equal(old, &a);
    first[0] = 'x'; /* the old key's bytes are the caller's again */
    assert_ptr_equal(map_get(&m, STR("k")), &b);
    assert_int_equal(m.n, 1);
    assert_ptr_equal(map_remove(&m, STR("k")), &b);
    assert_int_equal(m.n, 0);
    map_fini(&m);
}

static void the_empty_key_and_nul_bytes_are_keys(void **state)
{
    struct map m = { 0 };
    int a, b, c;

    assert_int_equal(map_put(&m, STR_NONE, &a, NULL), 0);
    assert_int_equal(map_put(&m, STR("x"), &b, NULL), 0);
    assert_int_equal(map_put(&m, STR("x\0"), &c, NULL), 0);
    assert_ptr_equal(map_get(&m, STR("")), &a);
    assert_ptr_equal(map_get(&m, STR("x")), &b);
    assert_ptr_equal(map_get(&m, STR("x\0")), &c);
    map_fini(&m);
}

#define KEYS 3000

static struct {
    char text[16];
    bool in;
} model[KEYS];

static void agree_with_the_model(const struct map *m)
{
    size_t i = 0, n = 0, walked = 0;
    struct map_entry *e;

    for (unsigned k = 0; k < KEYS; k++) {
        assert_ptr_equal(map_get(m, str_of(model[k].text)), model[k].in ? &model[k] : NULL);
        n += model[k].in;
    }
    assert_int_equal(m->n, n);
    while ((e = map_next(m, &i)) != NULL) {
        assert_string_equal(((char *)e->value), e->key.p);
        walked++;
    }
    assert_int_equal(walked, n);
}

static void it_agrees_with_a_plain_array_through_many_changes(void **state)
{
    struct map m = { 0 };
    uint64_t r = 1;

    for (unsigned k = 0; k < KEYS; k++)
        (void)snprintf(model[k].text, sizeof model[k].text, "key-%u", k);
    for (unsigned step = 0; step < 40000; step++) {
        unsigned k;

        r = r * 6364136223846793005 + 1442695040888963407;
        k = (unsigned)(r >> 33) % KEYS;
        if (r >> 63) {
            assert_int_equal(map_put(&m, str_of(model[k].text), &model[k], NULL), 0);
            model[k].in = true;
        } else {
            assert_ptr_equal(map_remove(&m, str_of(model[k].text)), model[k].in ? &model[k] : NULL);
            model[k].in = false;
        }
        if (step % 5000 == 0)
            agree_with_the_model(&m);
    }
    agree_with_the_model(&m);
    map_fini(&m);
}

static void without_memory_nothing_changes(void **state)
{
    static char keys[100][8];

    for (unsigned i = 0; i < 100; i++)
        (void)snprintf(keys[i], sizeof keys[i], "%u", i);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct map m = { 0 };
        size_t in = 0;

        for (unsigned i = 0; i < 100; i++) {
            int r = map_put(&m, str_of(keys[i]), keys[i], NULL);

            assert_true(r == 0 || r == ERR_NOMEM);
            in += r == 0;
            assert_int_equal(m.n, in);
            assert_ptr_equal(map_get(&m, str_of(keys[i])), r == 0 ? keys[i] : NULL);
        }
        assert_int_equal(in < 100, fail_alloc_failed());
        map_fini(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(putting_again_replaces_value_and_key),
        cmocka_unit_test(the_empty_key_and_nul_bytes_are_keys),
        cmocka_unit_test(it_agrees_with_a_plain_array_through_many_changes),
        cmocka_unit_test(without_memory_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
