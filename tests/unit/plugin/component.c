#include "plugin/component.h"

#include "plugin/guest.h"
#include "plugin/test_arena.h"

static void imports_and_exports_are_found(void **state)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct component c;
    struct err err = { 0 };

    (void)state;
    read_component("printer", &bytes);
    assert_int_equal(component_scan(buf_str(&bytes), &arena, &c, &err), 0);
    assert_int_equal(c.interfaces, 1u << COMPONENT_ON_REQUEST | 1u << COMPONENT_ON_RESPONSE);
    assert_int_equal(c.exports_n, 2);
    assert_true(c.imports_n >= 2);
    assert_int_equal(c.imports[0].sort, COMPONENT_INSTANCE);
    assert_int_equal(c.imports[0].number, 0);
    assert_int_equal(c.counts[COMPONENT_INSTANCE], c.imports_n);
    assert_true(c.front_n > 1);
}

static void a_component_cut_anywhere_is_refused_or_lacks_its_end(void **state)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct err err = { 0 };

    (void)state;
    read_component("printer", &bytes);
    for (size_t n = 0; n < bytes.n; n += n < 3000 ? 1 : 17) {
        struct component c = { 0 };
        char *copy = malloc(n + 1); /* its end is where ASan sees it */

        memcpy(copy, bytes.p, n);
        if (component_scan((struct str){ copy, n }, &arena, &c, &err) == 0)
            assert_true(c.exports_n <= 2);
        free(copy);
        arena_fini(&arena);
    }
}

struct row {
    struct str bytes; /* behind the header */
    const char *message;
};

static void what_is_not_understood_is_refused_with_its_place(void **state)
{
    static const struct row ROWS[] = {
        { STR_INIT("\x0d\x00"), "the component has a section of an unknown kind (at offset 0xa)" },
        { STR_INIT("\x07\x05\x01"), "the component is cut short (at offset 0xa)" },
        { STR_INIT("\x07\xff\xff\xff\xff\x7f"), "the component has a number of more than 32 bits (at offset 0xe)" },
        { STR_INIT("\x0a\x05\x01\x02\x01\x61\x05"), "the component has a name of an unknown kind (at offset 0xc)" },
        { STR_INIT("\x0a\x06\x01\x00\x01\x61\x06\x00"), "the component has an entity of an unknown sort (at offset 0xf)" },
        { STR_INIT("\x0a\x06\x01\x00\x01\x61\x02\x00"),
          "the component has an import or export of an unknown sort (at offset 0xf)" },
        { STR_INIT("\x06\x04\x01\x01\x03\x00"), "the component has an alias of an unknown kind (at offset 0xd)" },
        { STR_INIT("\x0a\x02\x00\x00"), "the component has a section with bytes left over (at offset 0xb)" },
        { STR_INIT("\x01\x00\x0a\x06\x01\x00\x01\x61\x05\x00"),
          "the component imports something behind its own code; encoders write imports first (at offset 0x12)" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        _cleanup_(buf_fini) struct buf b = { 0 };
        struct component c;
        struct err err = { 0 };

        buf_put(&b, (struct str){ "\0asm\x0d\0\1\0", 8 });
        buf_put(&b, ROWS[i].bytes);
        assert_int_equal(component_scan(buf_str(&b), &arena, &c, &err), ERR_INVALID);
        assert_string_equal(err.message, ROWS[i].message);
    }
}

static void more_imports_than_the_bound_are_refused(void **state)
{
    _cleanup_(buf_fini) struct buf b = { 0 };
    struct component c;
    struct err err = { 0 };

    (void)state;
    buf_put(&b, (struct str){ "\0asm\x0d\0\1\0\x0a\x87\x28\x81\x08", 13 }); /* 1025 imports of 5 bytes */
    for (int i = 0; i < 1025; i++)
        buf_put(&b, (struct str){ "\0\1a\5\0", 5 });
    assert_int_equal(component_scan(buf_str(&b), &arena, &c, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "more than 1024"));
}

static void other_files_are_told_apart(void **state)
{
    struct component c;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(component_scan(STR("ELF"), &arena, &c, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "not a WebAssembly file"));
    assert_int_equal(component_scan((struct str){ "\0asm\1\0\0\0", 8 }, &arena, &c, &err), ERR_INVALID);
    assert_string_equal(err.message, "a core module, not a component");
    assert_int_equal(component_scan((struct str){ "\0asm\x0e\0\1\0", 8 }, &arena, &c, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "unknown version"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        T(imports_and_exports_are_found),
        T(a_component_cut_anywhere_is_refused_or_lacks_its_end),
        T(what_is_not_understood_is_refused_with_its_place),
        T(more_imports_than_the_bound_are_refused),
        T(other_files_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
