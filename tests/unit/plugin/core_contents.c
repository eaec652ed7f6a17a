#include "plugin/core_contents.h"

#include "test.h"

#define MODULE     "\0asm\1\0\0\0"
#define FUNCTION   "\3env\1f\0\0"
#define INITIALISE "\4main\x0b_initialize\0\0"
#define MEMORY     "\3env\1m\2\0\1"
#define MEMORY_MAX "\3env\1m\2\1\1\2"
#define TABLE      "\4shim\1t\1\x70\0\1"
#define GLOBAL     "\4shim\1g\3\x7f\0"
#define START      "\x08\1\0"
#define CODE       "\x0a\1\0"
#define DATA       "\x0b\1\0"

/* A module: its imports' number and bytes, and the sections behind them. */
static bool read_module(const char *imports, size_t n, unsigned count, struct str rest, struct core_contents *ret)
{
    static char bytes[256];
    char *p = bytes;

    memcpy(p, MODULE, 8);
    p += 8;
    *p++ = 2;
    *p++ = (char)(n + 1);
    *p++ = (char)count;
    memcpy(p, imports, n);
    p += n;
    memcpy(p, rest.p, rest.n);
    return core_contents_read((struct str){ bytes, (size_t)(p - bytes) + rest.n }, ret);
}

#define READ(imports, count, rest, ret) read_module(imports, sizeof(imports) - 1, count, STR(rest), ret)

static void what_is_imported_is_seen(void **state)
{
    struct core_contents c;

    (void)state;
    assert_true(core_contents_read(STR(MODULE), &c));
    assert_false(c.imports || c.more || c.start || c.code || c.data);
    assert_true(READ("", 0, "", &c));
    assert_false(c.imports);
    assert_true(READ(FUNCTION, 1, "", &c));
    assert_true(c.imports && !c.more);
    assert_int_equal(c.initialize_from.n, 0);
    assert_true(READ(FUNCTION MEMORY MEMORY_MAX, 3, "", &c));
    assert_true(c.imports && c.more && !c.more_of_many);
    assert_str(c.more_from, "env");
    assert_true(READ(TABLE GLOBAL, 2, "", &c));
    assert_true(c.more && !c.more_of_many);
    assert_str(c.more_from, "shim");
    assert_true(READ(TABLE FUNCTION MEMORY, 3, "", &c));
    assert_true(c.more_of_many);
    assert_true(READ(TABLE INITIALISE, 2, "", &c));
    assert_str(c.initialize_from, "main");
}

static void sections_that_do_something_are_seen(void **state)
{
    struct core_contents c;

    (void)state;
    assert_true(READ(FUNCTION, 1, START, &c));
    assert_true(c.start && !c.code && !c.data);
    assert_true(READ(FUNCTION, 1, CODE DATA, &c));
    assert_true(!c.start && c.code && c.data);
}

static void what_is_cut_short_or_unknown_is_not_read(void **state)
{
    static const char IMPORTS[] = FUNCTION TABLE MEMORY_MAX GLOBAL INITIALISE;
    struct core_contents c;

    (void)state;
    assert_false(core_contents_read(STR(""), &c));
    assert_false(core_contents_read(STR("\0asm"), &c));
    assert_false(core_contents_read(STR("\0asm\x0d\0\1\0"), &c));
    assert_true(read_module(IMPORTS, sizeof IMPORTS - 1, 5, STR(""), &c));
    for (size_t n = 0; n < sizeof IMPORTS - 1; n++)
        assert_false(read_module(IMPORTS, n, 5, STR(""), &c));
    assert_false(READ("\3env\1x\4\0\0", 1, "", &c));       /* a tag */
    assert_false(READ("\3env\1m\2\4\1", 1, "", &c));       /* a memory of 64 bits */
    assert_false(READ("\3env\1t\1\x63\1\0\1", 1, "", &c)); /* a table of typed references */
    assert_false(READ(FUNCTION, 1, "\x0b\5\0", &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_imported_is_seen),
        cmocka_unit_test(sections_that_do_something_are_seen),
        cmocka_unit_test(what_is_cut_short_or_unknown_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
