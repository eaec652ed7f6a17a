/* no_memory.c -- reading and writing when an allocation fails: an error that says so, nothing lost, nothing half done */
#include "../test.h"
#include "../fail_alloc.h"

#include "json/json_shape.h"
#include "json/json_write.h"

struct pair {
    struct str name;
    struct json_shape_array labels;
};

static const struct json_shape_field FIELDS[] = {
    { "name", NULL, SHAPE_STR, SHAPE_REQUIRED, offsetof(struct pair, name), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "labels", NULL, SHAPE_STR_MAP, 0, offsetof(struct pair, labels), SHAPE_NO_GIVEN, NULL, NULL, 0 },
};
static const struct json_shape SHAPE = { "Pair", sizeof(struct pair), NULL, NULL, FIELDS, ARRAY_LEN(FIELDS) };

static void a_large_document_is_read_whole_or_not_at_all(void **state)
{
    char text[8001]; /* more values than stand on the scanner's stack */

    for (size_t i = 0; i < sizeof text - 1; i += 2)
        memcpy(text + i, "1,", 2);
    text[0] = '[';
    text[1] = '1';
    memcpy(text + 2, " ,", 2);
    text[sizeof text - 2] = '1';
    text[sizeof text - 1] = ']';
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena arena;
        struct json_doc doc = { 0 };
        arena_init(&arena, NULL, 0);
        int e = json_parse((struct str){ text, sizeof text }, &arena, &doc, NULL);
        assert_int_equal(e, fail_alloc_failed() ? ERR_NOMEM : 0);
        assert_true(e < 0 ? doc.n == 0 : json_count(json_root(&doc)) == 3999);
        arena_fini(&arena);
    }
}

static void a_shape_is_read_whole_or_says_why_not(void **state)
{
    static const char TEXT[] = "{\"name\":\"\\u0061\",\"labels\":{\"a\":\"1\",\"b\\n\":\"2\",\"a\":\"3\"}}";

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena arena;
        struct json_doc doc;
        struct pair pair;
        struct err err = { 0 };
        arena_init(&arena, NULL, 0);
        int e = json_parse(str_of(TEXT), &arena, &doc, NULL);
        if (e == 0)
            e = json_shape_read(json_root(&doc), &SHAPE, &arena, &pair, &err);
        assert_int_equal(e, fail_alloc_failed() ? ERR_NOMEM : 0);
        if (e == 0)
            assert_int_equal(pair.labels.n, 2);
        arena_fini(&arena);
    }
}

static void a_mistake_is_reported_even_when_its_words_do_not_fit_into_memory(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena arena;
        struct json_doc doc;
        struct pair pair;
        struct err err = { 0 };
        arena_init(&arena, NULL, 0);
        int e = json_parse(STR("{\"name\":\"x\",\"labels\":{\"a\":5}}"), &arena, &doc, NULL);
        if (e == 0)
            e = json_shape_read(json_root(&doc), &SHAPE, &arena, &pair, &err);
        if (!fail_alloc_failed())
            assert_string_equal(err.message, "labels.a: invalid type: integer `5`, expected a string at line 1 column 27");
        if (e == ERR_INVALID)
            assert_non_null(strstr(err.message, " at line 1 column 27"));
        else
            assert_int_equal(e, ERR_NOMEM);
        arena_fini(&arena);
    }
}

static void the_writer_fails_once_and_for_good(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct buf out = { 0 };
        struct json_writer w;
        json_begin(&w, &out);
        json_object(&w);
        for (int i = 0; i < 100; i++) {
            json_put_str(&w, "key", STR("a value of some length"));
            json_put_str(&w, "escaped", STR("\n\n\n\n"));
        }
        json_end(&w);
        assert_int_equal(out.failed, fail_alloc_failed());
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_document_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_shape_is_read_whole_or_says_why_not),
        cmocka_unit_test(a_mistake_is_reported_even_when_its_words_do_not_fit_into_memory),
        cmocka_unit_test(the_writer_fails_once_and_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
