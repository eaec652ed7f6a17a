/* keys.c -- names of members and the walk that files them */
#include "api/keys.h"
#include "test.h"

static void members_of(struct arena *arena, struct json_doc *doc, const char *text, struct members *m)
{
    assert_int_equal(json_parse(str_of(text), arena, doc, NULL), 0);
    members_read(doc, 0, m);
}

static void every_name_in_the_list_is_found(void **state)
{
    for (enum api_key key = KEY_UNKNOWN + 1; key < KEY_COUNT; key++) {
        struct str name = api_key_name(key);
        assert_int_equal(api_key_of(name.p, name.n), key);
    }
}

static void names_that_only_resemble_one_are_unknown(void **state)
{
    static const char *const OTHERS[] = { "",     "N",   "models", "mode", "modem", "Model", "top_x", "max_completion_tokenz",
                                          "user", "seed" };

    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) {
        enum api_key key = api_key_of(OTHERS[i], strlen(OTHERS[i]));
        assert_int_equal(key, strcmp(OTHERS[i], "mode") == 0 ? KEY_MODE : KEY_UNKNOWN);
    }
}

static void the_last_of_two_members_counts_and_null_is_not_given(void **state)
{
    struct arena arena;
    struct json_doc doc;
    struct members m;

    arena_init(&arena, NULL, 0);
    members_of(&arena, &doc, "{\"n\":1,\"x\":{\"n\":5},\"n\":2,\"stop\":\"a\",\"stop\":null,\"top_p\":null,\"top_p\":0.5}", &m);
    assert_str(json_raw((struct json){ &doc, member(&m, KEY_N) }), "2");
    assert_int_equal(member(&m, KEY_STOP), 0);
    assert_true(m.present & KEY_BIT(KEY_STOP));
    assert_str(json_raw((struct json){ &doc, member(&m, KEY_TOP_P) }), "0.5");
    assert_false(m.present & KEY_BIT(KEY_MODEL));
    assert_false(m.present & KEY_BIT(KEY_UNKNOWN));
    arena_fini(&arena);
}

static void names_are_known_in_spite_of_escapes(void **state)
{
    struct arena arena;
    struct json_doc doc;
    struct members m;

    arena_init(&arena, NULL, 0);
    members_of(&arena, &doc, "{\"mod\\u0065l\":\"a\",\"\\u006e\":3,\"mo\\ndel\":1}", &m);
    assert_str(json_raw((struct json){ &doc, member(&m, KEY_MODEL) }), "\"a\"");
    assert_str(json_raw((struct json){ &doc, member(&m, KEY_N) }), "3");
    assert_int_equal(m.present, KEY_BIT(KEY_MODEL) | KEY_BIT(KEY_N));
    arena_fini(&arena);
}

static void cuts_fall_between_characters(void **state)
{
    assert_str(api_cut(STR("abc"), 3), "abc");
    assert_str(api_cut(STR("abc"), 2), "ab");
    assert_str(api_cut(STR("a\xc3\xa9z"), 2), "a");
    assert_str(api_cut(STR("a\xc3\xa9z"), 3), "a\xc3\xa9");
    assert_str(api_cut(STR("\xf0\x9f\x98\x80"), 3), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_in_the_list_is_found),
        cmocka_unit_test(names_that_only_resemble_one_are_unknown),
        cmocka_unit_test(the_last_of_two_members_counts_and_null_is_not_given),
        cmocka_unit_test(names_are_known_in_spite_of_escapes),
        cmocka_unit_test(cuts_fall_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
