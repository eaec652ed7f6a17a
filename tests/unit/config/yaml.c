/* yaml.c -- YAML files as JSON documents: values, positions, refusals */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "config/yaml.h"
#include "fail_alloc.h"
#include "json/json_shape.h"

/* The JSON text of TEXT without line breaks and blanks outside of strings. */
static struct str json_of(struct str text, struct buf *out)
{
    struct err err = { 0 };
    struct buf spaced = { 0 };
    bool inside = false;

    buf_clear(out);
    assert_int_equal(yaml_to_json(text, &spaced, &err), 0);
    for (size_t i = 0; i < spaced.n; i++) {
        char c = spaced.p[i];

        if (c == '"' && (i == 0 || spaced.p[i - 1] != '\\'))
            inside = !inside;
        if (inside || (c != ' ' && c != '\n'))
            buf_put_char(out, c);
    }
    buf_fini(&spaced);
    return buf_str(out);
}

static void reads_values_as_json(void **state)
{
    static const struct {
        const char *in, *out;
    } ROWS[] = {
        { "", "null" },
        { "# only a comment\n", "null" },
        { "---\n...\n", "null" },
        { "{}", "{}" },
        { "a: 1", "{\"a\":1}" },
        { "a:", "{\"a\":null}" },
        { "a: ~\nb: null", "{\"a\":null,\"b\":null}" },
        { "- true\n- False\n- TRUE\n", "[true,false,true]" },
        { "- yes\n- no\n- on\n", "[\"yes\",\"no\",\"on\"]" },
        { "- 007\n- 0\n- -12\n- +3\n- 0x1f\n- 0o17\n", "[\"007\",0,-12,3,31,15]" },
        { "[0x, 0b1, 1_000, 1e, '', 12abc, -, +, ., 6@.25]",
          "[\"0x\",\"0b1\",\"1_000\",\"1e\",\"\",\"12abc\",\"-\",\"+\",\".\",\"6@.25\"]" },
        { "[1.5, .5, -.5, 1., 1e3, 0e5, 1.e2, +1.5, 1E-2]", "[1.5,0.5,-0.5,1.0,1e3,0e5,100.0,1.5,1E-2]" },
        { "[18446744073709551615, 123456789012345678901234567890]", "[18446744073709551615,123456789012345678901234567890]" },
        { "a: '1'\nb: \"true\"\nc: 'it''s'", "{\"a\":\"1\",\"b\":\"true\",\"c\":\"it's\"}" },
        { "a: !!str 1\nb: !!int 2\nc: !!float 3\nd: ! 4", "{\"a\":\"1\",\"b\":2,\"c\":3,\"d\":\"4\"}" },
        { "a: |\n  two\n  lines\nb: >\n  one\n  line\n", "{\"a\":\"two\\nlines\\n\",\"b\":\"one line\\n\"}" },
        { "1: one\ntrue: yes\n", "{\"1\":\"one\",\"true\":\"yes\"}" },
        { "a:\n  b: [1, {c: d}]\n  e:\n  - f\n  - g: h\n    i: j\n",
          "{\"a\":{\"b\":[1,{\"c\":\"d\"}],\"e\":[\"f\",{\"g\":\"h\",\"i\":\"j\"}]}}" },
        { "\xef\xbb\xbfk: \xc3\xa9", "{\"k\":\"\xc3\xa9\"}" },
        { "k: &anchor 5", "{\"k\":5}" },
        { "\"auth:x\": {max_class: bulk}", "{\"auth:x\":{\"max_class\":\"bulk\"}}" },
        { "k: \"\\u0001\\t\\\"\"", "{\"k\":\"\\u0001\\t\\\"\"}" },
    };
    struct buf out = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_str(json_of(str_of(ROWS[i].in), &out), ROWS[i].out);
    buf_fini(&out);
}

static void refuses_with_line_and_column(void **state)
{
    static const struct {
        const char *in;
        int code;
        const char *message;
    } ROWS[] = {
        { "a: 1\nb: *a\n", ERR_UNSUPPORTED, "line 2, column 4: aliases (*a) are not understood" },
        { "a: &x [1]\nb: *x\n", ERR_UNSUPPORTED, "line 2, column 4: aliases (*x)" },
        { "a: 1\n\na: 2\n", ERR_SYNTAX, "line 3, column 1: the key \"a\" stands here a second time" },
        { "a: 1\n---\nb: 2\n", ERR_UNSUPPORTED, "line 2, column 1: a second document" },
        { "? [a, b]\n: c\n", ERR_UNSUPPORTED, "line 1, column 3: a key must be text" },
        { "a: !!binary aGk=\n", ERR_UNSUPPORTED, "line 1, column 4: tags other than" },
        { "a: !mine {}\n", ERR_UNSUPPORTED, "line 1, column 4: tags other than !!map" },
        { "a: !!int x\n", ERR_SYNTAX, "line 1, column 4: the value is not what its tag says" },
        { "a: .inf\n", ERR_UNSUPPORTED, "line 1, column 4: .inf and .nan" },
        { "a: -.INF\n", ERR_UNSUPPORTED, ".inf and .nan" },
        { "a: 0x1ffffffffffffffff\n", ERR_LIMIT, "line 1, column 4: the number does not fit" },
        { "a: 1\n  b: 2\n", ERR_SYNTAX, "line 2, column 4: mapping values are not allowed" },
        { "a: [1, 2\n", ERR_SYNTAX, "line 2, column 1: did not find expected ',' or ']'" },
        { "a: \"b\n", ERR_SYNTAX, "line 2, column 1: found unexpected end of stream while scanning a quoted scalar" },
        { "a: \xff\n", ERR_SYNTAX, "byte 3: " },
        { "\ta: 1\n", ERR_SYNTAX, "line 1, column 1: found character that cannot start any token" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct buf out = { 0 };
        struct err err = { 0 };

        assert_int_equal(yaml_to_json(str_of(ROWS[i].in), &out, &err), ROWS[i].code);
        if (!strstr(err.message, ROWS[i].message))
            fail_msg("%s: got \"%s\"", ROWS[i].in, err.message);
        assert_int_equal(yaml_to_json(str_of(ROWS[i].in), &out, NULL), ROWS[i].code);
        buf_fini(&out);
    }
}

static struct str repeated(struct buf *b, const char *piece, size_t n)
{
    buf_clear(b);
    while (n--)
        buf_put(b, str_of(piece));
    return buf_str(b);
}

static void has_bounds(void **state)
{
    struct buf in = { 0 }, out = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(yaml_to_json(repeated(&in, "[", YAML_DEPTH_MAX + 1), &out, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "more than 64 levels"));
    assert_int_equal(yaml_to_json(repeated(&in, "[", 100000), &out, &err), ERR_LIMIT);
    assert_int_equal(yaml_to_json(repeated(&in, "#", YAML_TEXT_MAX + 1), &out, &err), ERR_LIMIT);
    assert_string_equal(err.message, "longer than 4 MiB");
    buf_fini(&in);
    buf_fini(&out);
}

struct limits {
    uint32_t tokens, requests;
};

static const struct json_shape_field LIMITS_FIELDS[] = {
    { "tokens", NULL, SHAPE_U32, SHAPE_REQUIRED, offsetof(struct limits, tokens), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "requests", NULL, SHAPE_U32, 0, offsetof(struct limits, requests), SHAPE_NO_GIVEN, NULL, NULL, 0 },
};
static const struct json_shape LIMITS = {
    .name = "Limits", .size = sizeof(struct limits), .fields = LIMITS_FIELDS, .fields_n = ARRAY_LEN(LIMITS_FIELDS), .strict = true
};

static struct json_shape_field tenants_fields[] = {
    { "tenants", NULL, SHAPE_ARRAY, SHAPE_REQUIRED, 0, SHAPE_NO_GIVEN, NULL, &LIMITS, 0 },
};
static const struct json_shape TENANTS = {
    .name = "Tenants", .size = sizeof(struct json_shape_array), .fields = tenants_fields, .fields_n = 1, .strict = true
};

/* What a shape says about a file names the file's lines. */
static void positions_of_shapes_are_the_files(void **state)
{
    static const struct {
        const char *in, *message;
    } ROWS[] = {
        { "# limits\ntenants:\n\n  - tokens: 5\n  - tokens: many\n",
          "tenants[1].tokens: invalid type: string \"many\", expected u32 at line 5 column 18" },
        { "tenants:\n  - tokens: 5\n    tokenz: 6\n",
          "tenants[0]: unknown field `tokenz`, expected one of `tokens`, `requests` at line 3 column 11" },
        { "tenants:\n  - requests: 5\n", "tenants[0]: missing field `tokens` at line 2 column 16" },
        { "tenants:\n  - tokens: -1\n", "tenants[0].tokens: invalid value: integer `-1`, expected u32 at line 2 column 14" },
        { "{\"tenants\":\n [{\"tokens\": true}]}",
          "tenants[0].tokens: invalid type: boolean `true`, expected u32 at line 2 column 17" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct json_shape_array tenants;
        struct err err = { 0 };
        struct json_doc doc;
        struct arena arena;

        arena_init(&arena, NULL, 0);
        assert_int_equal(yaml_parse(str_of(ROWS[i].in), &arena, &doc, &err), 0);
        assert_int_equal(json_shape_read(json_root(&doc), &TENANTS, &arena, &tenants, &err), ERR_INVALID);
        assert_string_equal(err.message, ROWS[i].message);
        arena_fini(&arena);
    }
}

/* What JSON allows and YAML does not. */
static void reads_json_as_json(void **state)
{
    struct json_doc doc;
    struct arena arena;

    (void)state;
    arena_init(&arena, NULL, 0);
    assert_int_equal(yaml_parse(STR(" {\n\t\"a\":\t\"\\ud83d\\ude00\"\n}"), &arena, &doc, NULL), 0);
    assert_str(json_str(json_get(json_root(&doc), STR("a")), &arena), "\xf0\x9f\x98\x80");
    assert_int_equal(yaml_parse(STR("{a: b}"), &arena, &doc, NULL), 0);
    assert_str(json_str(json_get(json_root(&doc), STR("a")), &arena), "b");
    arena_fini(&arena);
}

static void a_file_is_named_in_its_mistakes(void **state)
{
    char path[] = "/tmp/smg-yaml-XXXXXX";
    int fd = mkstemp(path);
    struct err err = { 0 };
    struct json_doc doc;
    struct arena arena;

    (void)state;
    arena_init(&arena, NULL, 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 1\na: 2\n", 10), 10);
    assert_int_equal(yaml_read_file(path, &arena, &doc, &err), ERR_SYNTAX);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, ": line 2, column 1: the key \"a\""));
    assert_int_equal(ftruncate(fd, 5), 0);
    assert_int_equal(yaml_read_file(path, &arena, &doc, &err), 0);
    close(fd);
    unlink(path);
    assert_int_equal(yaml_read_file(path, &arena, &doc, &err), ERR_NOT_FOUND);
    arena_fini(&arena);
}

static void keeps_its_promises_when_memory_runs_out(void **state)
{
    (void)state;
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct err err = { 0 };
        struct json_doc doc;
        struct arena arena;

        arena_init(&arena, NULL, 0);
        int status = yaml_parse(STR("a: {b: [1, 2], c: d}\ne: f\n"), &arena, &doc, &err);
        assert_true(status == (fail_alloc_failed() ? ERR_NOMEM : 0));
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values_as_json),
        cmocka_unit_test(refuses_with_line_and_column),
        cmocka_unit_test(has_bounds),
        cmocka_unit_test(positions_of_shapes_are_the_files),
        cmocka_unit_test(reads_json_as_json),
        cmocka_unit_test(a_file_is_named_in_its_mistakes),
        cmocka_unit_test(keeps_its_promises_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
