/* keys.c -- reading keys and finding them */
#include "auth/keys.h"
#include "fail_alloc.h"
#include "test.h"

#include <stdio.h>

static struct digest digest;
static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, NULL, 0);
    return digest_init(&digest);
}

static int teardown(void **state)
{
    arena_fini(&arena);
    digest_fini(&digest);
    return 0;
}

static struct digest_value of(const char *text)
{
    struct digest_value v;

    assert_true(digest_of(&digest, str_of(text), &v));
    return v;
}

static void the_shared_key_has_the_principal_of_its_digest(void **state)
{
    struct serving_keys keys;
    struct digest_value v = of("shared-secret");

    assert_int_equal(serving_keys_read(&keys, STR("shared-secret"), NULL, 0, &digest, &arena, NULL), 0);
    assert_str(serving_keys_find(&keys, &v)->principal, "auth:d3046ecc8dd3242adf62801a33ef1004003b01b4c8f558df72e637da30321ccd");
    assert_true(keys.has_shared);
    v = of("shared-secreu");
    assert_null(serving_keys_find(&keys, &v));
}

static void a_tenant_may_have_several_keys_with_colons(void **state)
{
    static const struct str TENANTS[] = { STR_INIT(" t1 : k1 "), STR_INIT("t1:k:2"), STR_INIT("t2:k3") };
    struct serving_keys keys;
    struct digest_value one = of("k1"), two = of("k:2");

    assert_int_equal(serving_keys_read(&keys, STR_NONE, TENANTS, 3, &digest, &arena, NULL), 0);
    assert_false(keys.has_shared);
    assert_str(serving_keys_find(&keys, &one)->principal, "auth:t1");
    assert_str(serving_keys_find(&keys, &two)->principal, "auth:t1");
    assert_false(serving_keys_find(&keys, &two)->shared);
}

static void bad_entries_are_named_by_place_and_never_shown(void **state)
{
    static const struct {
        const char *entry, *says;
    } BAD[] = {
        { "s3cret", "expected 'id:name:role:key'" },
        { "a:b:s3cret", "expected 'id:name:role:key'" },
        { ":b:admin:s3cret", "the id is empty" },
        { "a:b:admin:", "the key is empty" },
        { "a:b:s3cret:s3cret", "Valid roles: admin, user" },
        { "a:b::s3cret", "Valid roles: admin, user" },
    };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct control_keys keys = { 0 };
        struct err err = { 0 };

        assert_int_equal(control_keys_add(&keys, str_of(BAD[i].entry), "here, entry 1", &digest, &arena, &err), ERR_INVALID);
        assert_non_null(strstr(err.message, "here, entry 1: "));
        assert_non_null(strstr(err.message, BAD[i].says));
        assert_null(strstr(err.message, "s3cret"));
        assert_int_equal(keys.n, 0);
    }
}

static void ids_and_keys_are_unique(void **state)
{
    struct control_keys keys = { 0 };
    struct err err = { 0 };

    assert_int_equal(control_keys_add(&keys, STR("a:b:admin:k1"), "x", &digest, &arena, &err), 0);
    assert_int_equal(control_keys_add(&keys, STR("a:c:user:k2"), "x", &digest, &arena, &err), ERR_INVALID);
    assert_string_equal(err.message, "x: the id 'a' is given twice; each key needs an id of its own");
    assert_int_equal(control_keys_add(&keys, STR("z:c:user:k1"), "x", &digest, &arena, &err), ERR_INVALID);
    assert_string_equal(err.message, "x: the ids 'a' and 'z' have the same key; each needs a key of its own");
    assert_int_equal(keys.n, 1);
}

static void roles_are_written_in_any_case_and_keys_keep_their_colons(void **state)
{
    struct control_keys keys = { 0 };
    struct digest_value v = of("k:1:");

    assert_int_equal(control_keys_add(&keys, STR("a::ADMIN:k:1:"), "x", &digest, &arena, NULL), 0);
    assert_true(control_keys_find(&keys, &v)->admin);
    assert_str(control_keys_find(&keys, &v)->id, "a");
}

static void a_file_has_an_entry_a_line(void **state)
{
    struct control_keys keys = { 0 };
    struct err err = { 0 };
    struct digest_value v = of("k2");

    assert_int_equal(control_keys_add_lines(&keys, STR("# ops\n\n a:b:admin:k1 \r\nc:d:user:k2"), "f", &digest, &arena, &err), 0);
    assert_int_equal(keys.n, 2);
    assert_str(control_keys_find(&keys, &v)->id, "c");
    assert_int_equal(control_keys_add_lines(&keys, STR("x:y:admin:k9\nbroken\n"), "f", &digest, &arena, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "f, line 2: expected"));
    assert_int_equal(control_keys_add_lines(&keys, STR("# nothing\n"), "f", &digest, &arena, &err), ERR_INVALID);
}

static void there_is_a_bound(void **state)
{
    struct control_keys keys = { 0 };
    char entry[64];

    for (unsigned i = 0; i < CONTROL_KEYS_MAX; i++) {
        snprintf(entry, sizeof entry, "id%u::user:key%u", i, i);
        assert_int_equal(control_keys_add(&keys, str_of(entry), "x", &digest, &arena, NULL), 0);
    }
    assert_int_equal(control_keys_add(&keys, STR("more::user:more"), "x", &digest, &arena, NULL), ERR_LIMIT);
}

static void out_of_memory_lets_nobody_in(void **state)
{
    static const struct str TENANTS[] = { STR_INIT("t1:k1") };

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena a;
        struct serving_keys keys = { 0 };
        struct control_keys control = { 0 };
        int r;

        arena_init(&a, NULL, 0);
        r = serving_keys_read(&keys, STR("k"), TENANTS, 1, &digest, &a, NULL);
        if (r == 0)
            r = control_keys_add(&control, STR("a:b:admin:k"), "x", &digest, &a, NULL);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        arena_fini(&a);
    }
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(the_shared_key_has_the_principal_of_its_digest),
        RULE(a_tenant_may_have_several_keys_with_colons),
        RULE(bad_entries_are_named_by_place_and_never_shown),
        RULE(ids_and_keys_are_unique),
        RULE(roles_are_written_in_any_case_and_keys_keep_their_colons),
        RULE(a_file_has_an_entry_a_line),
        RULE(there_is_a_bound),
        RULE(out_of_memory_lets_nobody_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
