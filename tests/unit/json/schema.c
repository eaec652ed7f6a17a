/* schema.c -- json_schema.h: each kind of row, as JSON Schema says it */
#include "../test.h"

#include "json/json_schema.h"

#include <stdio.h>

static const char *const COLOURS[] = { "red", "green", NULL };

static const struct json_shape_field INNER_FIELDS[] = {
    { .name = "x", .type = SHAPE_BOOL, .flags = SHAPE_REQUIRED, .at_given = SHAPE_NO_GIVEN },
};
static const struct json_shape INNER = { .name = "Inner", .fields = INNER_FIELDS, .fields_n = 1 };

static void assert_schema(const struct json_shape_field *field, const char *properties)
{
    struct json_shape shape = { .name = "T", .fields = field, .fields_n = 1 };
    struct buf out = { 0 };
    struct json_writer w;
    char want[512];

    json_begin(&w, &out);
    json_schema_write(&w, &shape);
    assert_false(out.failed);
    snprintf(want, sizeof want, "{\"title\":\"T\",\"type\":\"object\",\"properties\":{%s}", properties);
    assert_true(str_has_prefix(buf_str(&out), str_of(want)));
    buf_fini(&out);
}

static void scalars_say_type_and_range(void **state)
{
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_STR }, "\"a\":{\"type\":\"string\"}");
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_U16 },
                  "\"a\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535}");
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_I64 },
                  "\"a\":{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":-9223372036854775808,\"maximum\":"
                  "9223372036854775807}");
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_F32 }, "\"a\":{\"type\":\"number\",\"format\":\"float\"}");
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_JSON }, "\"a\":{}");
}

static void what_may_be_null_says_so(void **state)
{
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_STR, .flags = SHAPE_NULLABLE },
                  "\"a\":{\"type\":[\"string\",\"null\"]}");
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_ENUM, .names = COLOURS, .flags = SHAPE_NULLABLE },
                  "\"a\":{\"type\":[\"string\",\"null\"],\"enum\":[\"red\",\"green\",null]}");
}

static void an_alias_is_a_property_too(void **state)
{
    assert_schema(&(struct json_shape_field){ .name = "a", .alias = "b", .type = SHAPE_BOOL },
                  "\"a\":{\"type\":\"boolean\"},\"b\":{\"type\":\"boolean\"}");
}

static void containers_describe_what_they_hold(void **state)
{
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_STR_MAP },
                  "\"a\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}");
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_ARRAY, .element = SHAPE_U16 },
                  "\"a\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535}}");
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_OBJECT, .sub = &INNER },
                  "\"a\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"boolean\"}},\"required\":[\"x\"]}");
    assert_schema(&(struct json_shape_field){ .name = "a", .type = SHAPE_ARRAY, .sub = &INNER },
                  "\"a\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"boolean\"}},"
                  "\"required\":[\"x\"]}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_say_type_and_range),
        cmocka_unit_test(what_may_be_null_says_so),
        cmocka_unit_test(an_alias_is_a_property_too),
        cmocka_unit_test(containers_describe_what_they_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
