/* message.c -- methods, field names, field lists, status texts */
#include "test.h"

#include <stdlib.h>

#include "http/message.h"

static const struct {
    enum http_field_id id;
    const char *name;
} FIELDS[] = {
#define X(id, name) { id, name },
    HTTP_FIELD_LIST(X)
#undef X
};

static void every_listed_field_is_found_in_any_case(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        char text[64];
        size_t n = strlen(FIELDS[i].name);

        assert_int_equal(http_field_id(str_of(FIELDS[i].name)), FIELDS[i].id);
        assert_str(http_field_name(FIELDS[i].id), FIELDS[i].name);
        for (size_t k = 0; k < n; k++)
            text[k] = FIELDS[i].name[k] >= 'a' && (k % 2 == 0) ? (char)(FIELDS[i].name[k] - 32) : FIELDS[i].name[k];
        assert_int_equal(http_field_id((struct str){ text, n }), FIELDS[i].id);
    }
}

static void a_name_with_one_other_byte_is_unknown(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        size_t n = strlen(FIELDS[i].name);
        char text[64];

        for (size_t k = 0; k < n; k++)
            for (unsigned byte = 0; byte < 256; byte++) {
                char was = FIELDS[i].name[k];
                enum http_field_id got, want = FIELDS[i].id;

                memcpy(text, FIELDS[i].name, n);
                text[k] = (char)byte;
                got = http_field_id((struct str){ text, n });
                if (text[k] == was || (was >= 'a' && was <= 'z' && text[k] == was - 32))
                    assert_int_equal(got, want);
                else
                    assert_int_not_equal(got, want);
            }
        assert_int_not_equal(http_field_id((struct str){ FIELDS[i].name, n - 1 }), FIELDS[i].id);
    }
}

static void names_outside_the_list_are_unknown(void **state)
{
    static const char *const NAMES[] = {
        "", "x", "hos", "hosts", "x-forwarded-host", "user-agent", "content_length", "a-name-that-is-longer-than-any-of-the-list"
    };

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        assert_int_equal(http_field_id(str_of(NAMES[i])), HF_UNKNOWN);
}

static void methods_are_case_sensitive(void **state)
{
    assert_int_equal(http_method_of(STR("GET")), HTTP_GET);
    assert_int_equal(http_method_of(STR("OPTIONS")), HTTP_OPTIONS);
    assert_int_equal(http_method_of(STR("get")), HTTP_OTHER);
    assert_int_equal(http_method_of(STR("")), HTTP_OTHER);
    assert_int_equal(http_method_of(STR("OTHER")), HTTP_OTHER);
    for (enum http_method m = HTTP_GET; m < HTTP_OTHER; m++)
        assert_int_equal(http_method_of(http_method_text(m)), m);
}

static void added_fields_are_found_by_id_and_by_name(void **state)
{
    struct arena arena;
    struct http_fields f = { 0 };

    arena_init(&arena, NULL, 0);
    http_add(&f, &arena, HF_CONTENT_TYPE, STR("application/json"));
    http_add_name(&f, &arena, STR("x-other"), STR("1"));
    http_add_name(&f, &arena, STR("vary"), STR("origin"));
    http_add(&f, &arena, HF_CONTENT_TYPE, STR("second"));
    for (int i = 0; i < 100; i++)
        http_add(&f, &arena, HF_SERVER, STR("many"));
    assert_int_equal(f.n, 104);
    assert_str(http_value(&f, HF_CONTENT_TYPE), "application/json");
    assert_str(http_value(&f, HF_VARY), "origin");
    assert_str(http_find_name(&f, STR("X-Other"))->value, "1");
    assert_null(http_find(&f, HF_HOST));
    assert_null(http_find_name(&f, STR("x-othe")));
    assert_null(http_value(&f, HF_HOST).p);
    assert_false(arena.failed);
    arena_fini(&arena);
}

static void adding_past_the_memory_bound_is_a_sticky_failure(void **state)
{
    struct arena arena;
    struct http_fields f = { 0 };

    arena_init(&arena, NULL, 1000);
    for (int i = 0; i < 100; i++)
        http_add(&f, &arena, HF_SERVER, STR("many"));
    assert_true(arena.failed);
    assert_true(f.n < 100);
    arena_fini(&arena);
}

static void list_items_are_compared_whole_and_without_case(void **state)
{
    static const struct {
        const char *list, *token;
        bool has;
    } ROWS[] = {
        { "close", "close", true },    { "Keep-Alive, CLOSE", "close", true }, { " a ,\tclose\t", "close", true },
        { "closed", "close", false },  { "a close", "close", false },          { "", "close", false },
        { ",,close,", "close", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_int_equal(http_list_has(str_of(ROWS[i].list), str_of(ROWS[i].token)), ROWS[i].has);
}

/* RFC 9110 5.6.2 and 5.5, against the lists of letters that stand there. */
static void tokens_and_values_are_those_of_the_rfc(void **state)
{
    static const char TCHARS[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    for (unsigned byte = 0; byte < 256; byte++) {
        char text[40];

        assert_int_equal(http_is_token((struct str){ (char[]){ (char)byte }, 1 }), byte != 0 && strchr(TCHARS, (int)byte) != NULL);
        for (size_t at = 0; at < sizeof text; at++) { /* in the wide part and in the rest */
            memset(text, 'x', sizeof text);
            text[at] = (char)byte;
            assert_int_equal(http_is_field_value((struct str){ text, sizeof text }),
                             (byte >= 0x20 && byte != 0x7f) || byte == '\t');
        }
    }
    assert_false(http_is_token(STR("")));
    assert_true(http_is_field_value(STR("")));
}

static void hop_by_hop_fields_are_eleven(void **state)
{
    unsigned n = 0;

    for (unsigned id = 0; id < HF_COUNT; id++)
        n += http_is_hop_by_hop(id);
    assert_int_equal(n, 11);
    assert_true(http_is_hop_by_hop(HF_TRANSFER_ENCODING));
    assert_false(http_is_hop_by_hop(HF_CONTENT_LENGTH));
    assert_false(http_is_hop_by_hop(HF_UNKNOWN));
}

static void reasons_are_known_or_say_so(void **state)
{
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(http_reason(599), "Unknown Status Code");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_listed_field_is_found_in_any_case),
        cmocka_unit_test(a_name_with_one_other_byte_is_unknown),
        cmocka_unit_test(names_outside_the_list_are_unknown),
        cmocka_unit_test(methods_are_case_sensitive),
        cmocka_unit_test(added_fields_are_found_by_id_and_by_name),
        cmocka_unit_test(adding_past_the_memory_bound_is_a_sticky_failure),
        cmocka_unit_test(list_items_are_compared_whole_and_without_case),
        cmocka_unit_test(tokens_and_values_are_those_of_the_rfc),
        cmocka_unit_test(hop_by_hop_fields_are_eleven),
        cmocka_unit_test(reasons_are_known_or_say_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
