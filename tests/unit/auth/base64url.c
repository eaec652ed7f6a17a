/* base64url.c -- one text for each byte string, nothing else */
#include "auth/base64url.h"
#include "test.h"

static void what_is_well_formed_is_decoded(void **state)
{
    static const struct {
        const char *in, *out;
    } CASES[] = { { "", "" }, { "Zg", "f" }, { "Zm8", "fo" }, { "Zm9v", "foo" }, { "Zm9vYg", "foob" }, { "-_-_", "\xfb\xff\xbf" } };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct arena a;
        struct str out;

        arena_init(&a, NULL, 0);
        assert_int_equal(base64url_decode(str_of(CASES[i].in), &a, &out), 0);
        assert_str(out, CASES[i].out);
        arena_fini(&a);
    }
}

static void the_rest_is_refused(void **state)
{
    static const char *const BAD[] = { "A", "AAAAA", "Zg==", "Zm9v\n", " Zm9v", "+/+/", "Zh", "Zm9", "Z!", "\xff\xff" };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct arena a;
        struct str out = STR("untouched");

        arena_init(&a, NULL, 0);
        assert_int_equal(base64url_decode(str_of(BAD[i]), &a, &out), ERR_SYNTAX);
        assert_str(out, "untouched");
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_well_formed_is_decoded), cmocka_unit_test(the_rest_is_refused) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
