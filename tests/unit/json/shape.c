/* shape.c -- json_shape.h: tables that look like the control plane's, and SMG's messages (spec control-plane 3.1) */
#include "../test.h"

#include "json/json_shape.h"

#include <stdlib.h>

struct card {
    struct str id;
    struct json_shape_array aliases; /* struct str */
};

struct health {
    uint64_t timeout_secs;
    bool timeout_given;
    bool disable;
};

struct spec {
    struct str url, api_key;
    bool api_key_given;
    struct json_shape_array models; /* struct card */
    int worker_type, runtime, single;
    struct json_shape_array labels; /* struct json_shape_pair */
    uint32_t priority;
    int32_t offset;
    int64_t big;
    float cost;
    double factor;
    uint16_t port;
    size_t rank;
    struct json_shape_array codes; /* uint16_t */
    struct health health;
    struct json metadata;
};

static const char *const WORKER_TYPES[] = { "regular", "prefill", "decode", "encode", NULL };
static const char *const RUNTIMES[] = { "unspecified", "sglang", NULL };
static const char *const SINGLE[] = { "Middleware", NULL };

static const struct json_shape_field CARD_FIELDS[] = {
    { "id", NULL, SHAPE_STR, SHAPE_REQUIRED, offsetof(struct card, id), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "aliases", NULL, SHAPE_ARRAY, 0, offsetof(struct card, aliases), SHAPE_NO_GIVEN, NULL, NULL, SHAPE_STR },
};

static int check_card(void *object, struct json value, struct err *err)
{
    struct card *card = object;

    assert_true(json_is(value, JSON_OBJECT));
    return card->id.n ? 0 : err_set(err, ERR_INVALID, "id must not be empty");
}

static const struct json_shape CARD = { "ModelCard", sizeof(struct card), NULL, check_card, CARD_FIELDS, ARRAY_LEN(CARD_FIELDS) };

static const struct json_shape_field HEALTH_FIELDS[] = {
    { "timeout_secs", NULL, SHAPE_U64, SHAPE_NULLABLE, offsetof(struct health, timeout_secs),
      offsetof(struct health, timeout_given), NULL, NULL, 0 },
    { "disable_health_check", NULL, SHAPE_BOOL, SHAPE_NULLABLE, offsetof(struct health, disable), SHAPE_NO_GIVEN, NULL, NULL, 0 },
};

static const struct json_shape HEALTH = { "HealthCheckUpdate", sizeof(struct health),   NULL, NULL,
                                          HEALTH_FIELDS,       ARRAY_LEN(HEALTH_FIELDS) };

#define AT(member) offsetof(struct spec, member)
static const struct json_shape_field SPEC_FIELDS[] = {
    { "url", NULL, SHAPE_STR, SHAPE_REQUIRED, AT(url), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "models", NULL, SHAPE_ARRAY, 0, AT(models), SHAPE_NO_GIVEN, NULL, &CARD, 0 },
    { "worker_type", NULL, SHAPE_ENUM, 0, AT(worker_type), SHAPE_NO_GIVEN, WORKER_TYPES, NULL, 0 },
    { "runtime_type", "runtime", SHAPE_ENUM, 0, AT(runtime), SHAPE_NO_GIVEN, RUNTIMES, NULL, 0 },
    { "single", NULL, SHAPE_ENUM, 0, AT(single), SHAPE_NO_GIVEN, SINGLE, NULL, 0 },
    { "labels", NULL, SHAPE_STR_MAP, 0, AT(labels), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "priority", NULL, SHAPE_U32, 0, AT(priority), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "offset", NULL, SHAPE_I32, 0, AT(offset), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "big", NULL, SHAPE_I64, 0, AT(big), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "cost", NULL, SHAPE_F32, 0, AT(cost), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "factor", NULL, SHAPE_F64, 0, AT(factor), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "api_key", NULL, SHAPE_STR, SHAPE_NULLABLE, AT(api_key), AT(api_key_given), NULL, NULL, 0 },
    { "bootstrap_port", NULL, SHAPE_U16, SHAPE_NULLABLE, AT(port), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "dp_rank", NULL, SHAPE_USIZE, SHAPE_NULLABLE, AT(rank), SHAPE_NO_GIVEN, NULL, NULL, 0 },
    { "codes", NULL, SHAPE_ARRAY, SHAPE_NULLABLE, AT(codes), SHAPE_NO_GIVEN, NULL, NULL, SHAPE_U16 },
    { "health", NULL, SHAPE_OBJECT, 0, AT(health), SHAPE_NO_GIVEN, NULL, &HEALTH, 0 },
    { "metadata", NULL, SHAPE_JSON, SHAPE_NULLABLE, AT(metadata), SHAPE_NO_GIVEN, NULL, NULL, 0 },
};

static void spec_defaults(void *object)
{
    struct spec *spec = object;

    spec->priority = 50;
    spec->cost = 1;
}

static const struct json_shape SPEC = {
    "WorkerSpec", sizeof(struct spec), spec_defaults, NULL, SPEC_FIELDS, ARRAY_LEN(SPEC_FIELDS)
};

static struct arena arena;
static struct json_doc doc;
static struct spec spec;
static struct err err;

static int read_spec(const char *text)
{
    assert_int_equal(json_parse(str_of(text), &arena, &doc, NULL), 0);
    err = (struct err){ 0 };
    return json_shape_read(json_root(&doc), &SPEC, &arena, &spec, &err);
}

static int begin(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int end(void **state)
{
    arena_fini(&arena);
    return 0;
}

static void absent_members_take_their_defaults(void **state)
{
    assert_int_equal(read_spec("{\"url\":\"http://a:1\"}"), 0);
    assert_str(spec.url, "http://a:1");
    assert_int_equal(spec.priority, 50);
    assert_true(spec.cost == 1.0f);
    assert_false(spec.api_key_given);
    assert_int_equal(spec.models.n, 0);
    assert_false(json_exists(spec.metadata));
}

static void every_type_arrives(void **state)
{
    assert_int_equal(
        read_spec("{\"url\":\"a\\u002fb\",\"models\":[{\"id\":\"m\",\"aliases\":[\"x\",\"y\\n\"]},{\"id\":\"n\"}],"
                  "\"worker_type\":\"decode\",\"runtime\":\"sglang\",\"labels\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"},"
                  "\"priority\":4294967295,\"offset\":-2147483648,\"big\":-9223372036854775808,\"cost\":2,\"factor\":0.25,"
                  "\"api_key\":\"k\",\"bootstrap_port\":65535,\"dp_rank\":3,\"codes\":[408,429],"
                  "\"health\":{\"timeout_secs\":18446744073709551615,\"disable_health_check\":true,\"unknown\":[]},"
                  "\"metadata\":{\"any\":[1]},\"bogus\":1,\"bogus\":2}"),
        0);
    assert_str(spec.url, "a/b");
    assert_int_equal(spec.models.n, 2);
    struct card *cards = spec.models.items;
    assert_str(cards[0].id, "m");
    assert_int_equal(cards[0].aliases.n, 2);
    assert_str(((struct str *)cards[0].aliases.items)[1], "y\n");
    assert_str(cards[1].id, "n");
    assert_int_equal(cards[1].aliases.n, 0);
    assert_int_equal(spec.worker_type, 2);
    assert_int_equal(spec.runtime, 1);
    assert_int_equal(spec.labels.n, 2);
    struct json_shape_pair *labels = spec.labels.items;
    assert_str(labels[0].key, "a");
    assert_str(labels[0].value, "3");
    assert_str(labels[1].key, "b");
    assert_true(spec.priority == UINT32_MAX && spec.offset == INT32_MIN && spec.big == INT64_MIN);
    assert_true(spec.cost == 2.0f && spec.factor == 0.25);
    assert_true(spec.api_key_given);
    assert_int_equal(spec.port, 65535);
    assert_int_equal(spec.rank, 3);
    assert_int_equal(((uint16_t *)spec.codes.items)[1], 429);
    assert_true(spec.health.timeout_secs == UINT64_MAX && spec.health.timeout_given && spec.health.disable);
    assert_str(json_raw(spec.metadata), "{\"any\":[1]}");
}

static void null_counts_as_absent_only_where_the_table_says_so(void **state)
{
    assert_int_equal(
        read_spec("{\"url\":\"u\",\"api_key\":null,\"codes\":null,\"metadata\":null,\"health\":{\"timeout_secs\":null}}"), 0);
    assert_false(spec.api_key_given || spec.health.timeout_given || json_exists(spec.metadata));
}

static void mistakes_are_told_in_serdes_words(void **state)
{
    static const struct {
        const char *in, *message;
    } ROWS[] = {
        { "{}", "missing field `url` at line 1 column 2" },
        { "[]", "invalid type: sequence, expected struct WorkerSpec at line 1 column 0" },
        { "5", "invalid type: integer `5`, expected struct WorkerSpec at line 1 column 1" },
        { "{\"url\":5}", "url: invalid type: integer `5`, expected a string at line 1 column 8" },
        { "{\"url\":\"u\",\"priority\":-1}", "priority: invalid value: integer `-1`, expected u32 at line 1 column 24" },
        { "{\"url\":\"u\",\"priority\":4294967296}",
          "priority: invalid value: integer `4294967296`, expected u32 at line 1 column 32" },
        { "{\"url\":\"u\",\"priority\":1.5}", "priority: invalid type: floating point `1.5`, expected u32 at line 1 column 25" },
        { "{\"url\":\"u\",\"priority\":1e2}", "priority: invalid type: floating point `100.0`, expected u32 at line 1 column 25" },
        { "{\"url\":\"u\",\"big\":99999999999999999999}",
          "big: invalid type: floating point `1e20`, expected i64 at line 1 column 37" },
        { "{\"url\":\"u\",\"big\":9223372036854775808}",
          "big: invalid value: integer `9223372036854775808`, expected i64 at line 1 column 36" },
        { "{\"url\":\"u\",\"offset\":2147483648}",
          "offset: invalid value: integer `2147483648`, expected i32 at line 1 column 30" },
        { "{\"url\":\"u\",\"offset\":-2147483649}",
          "offset: invalid value: integer `-2147483649`, expected i32 at line 1 column 31" },
        { "{\"url\":\"u\",\"priority\":null}", "priority: invalid type: null, expected u32 at line 1 column 26" },
        { "{\"url\":\"u\",\"priority\":\"7\"}", "priority: invalid type: string \"7\", expected u32 at line 1 column 25" },
        { "{\"url\":\"u\",\"priority\":true}", "priority: invalid type: boolean `true`, expected u32 at line 1 column 26" },
        { "{\"url\":\"u\",\"priority\":{}}", "priority: invalid type: map, expected u32 at line 1 column 22" },
        { "{\"url\":\"u\",\"labels\":null}", "labels: invalid type: null, expected a map at line 1 column 24" },
        { "{\"url\":\"u\",\"models\":null}", "models: invalid type: null, expected a sequence at line 1 column 24" },
        { "{\"url\":\"u\",\"runtime\":\"SGLang\"}",
          "runtime: unknown variant `SGLang`, expected `unspecified` or `sglang` at line 1 column 29" },
        { "{\"url\":\"u\",\"worker_type\":\"x\"}",
          "worker_type: unknown variant `x`, expected one of `regular`, `prefill`, `decode`, `encode` at line 1 column 28" },
        { "{\"url\":\"u\",\"single\":\"x\"}", "single: unknown variant `x`, expected `Middleware` at line 1 column 23" },
        { "{\"url\":\"u\",\"single\":1}", "single: invalid type: integer `1`, expected a string at line 1 column 21" },
        { "{\"url\":\"u\",\"runtime\":\"sglang\",\"runtime_type\":\"sglang\"}",
          "duplicate field `runtime_type` at line 1 column 44" },
        { "{\"url\":\"u\",\"url\":\"u\"}", "duplicate field `url` at line 1 column 16" },
        { "{\"url\":\"u\",\"api_key\":null,\"api_key\":null}", "duplicate field `api_key` at line 1 column 35" },
        { "{\"url\":\"u\",\"models\":[{\"id\":\"a\"},{}]}", "models[1]: missing field `id` at line 1 column 34" },
        { "{\"url\":\"u\",\"models\":[{\"id\":\"\"}]}", "models[0]: id must not be empty at line 1 column 30" },
        { "{\"url\":\"u\",\"models\":[{\"id\":\"a\",\"aliases\":[\"x\",2]}]}",
          "models[0].aliases[1]: invalid type: integer `2`, expected a string at line 1 column 47" },
        { "{\"url\":\"u\",\"models\":[1]}", "models[0]: invalid type: integer `1`, expected struct ModelCard at line 1 column 22" },
        { "{\"url\":\"u\",\"codes\":[65536]}", "codes[0]: invalid value: integer `65536`, expected u16 at line 1 column 25" },
        { "{\"url\":\"u\",\"labels\":{\"a\":\"b\",\n\"c\":1}}",
          "labels.c: invalid type: integer `1`, expected a string at line 2 column 5" },
        { "{\"url\":\"u\",\"health\":{\"timeout_secs\":-1}}",
          "health.timeout_secs: invalid value: integer `-1`, expected u64 at line 1 column 38" },
        { "{\"url\":\"u\",\"health\":{\"disable_health_check\":1}}",
          "health.disable_health_check: invalid type: integer `1`, expected a boolean at line 1 column 45" },
        { "{\"url\":\"u\",\"dp_rank\":-1}", "dp_rank: invalid value: integer `-1`, expected usize at line 1 column 23" },
        { "{\"url\":\"u\",\"cost\":1e39}", "cost: number out of range at line 1 column 22" },
        { "{\"url\":\"u\",\"factor\":1e400}", "factor: number out of range at line 1 column 25" },
        { "{\"url\":\"u\",\"cost\":\"1\"}", "cost: invalid type: string \"1\", expected f32 at line 1 column 21" },
        { "{\"priority\":-1}", "priority: invalid value: integer `-1`, expected u32 at line 1 column 14" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        assert_int_equal(read_spec(ROWS[i].in), ERR_INVALID);
        assert_string_equal(err.message, ROWS[i].message);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(json_shape_read(json_root(&doc), &SPEC, &arena, &spec, NULL), ERR_INVALID);
    }
}

static void long_client_text_is_cut_and_the_position_stays(void **state)
{
    struct buf text = { 0 };

    buf_puts(&text, "{\"url\":\"u\",\"priority\":\"");
    for (int i = 0; i < 1000; i++)
        buf_put_char(&text, 'x');
    buf_puts(&text, "\"}");
    buf_put_char(&text, 0);
    assert_int_equal(read_spec(text.p), ERR_INVALID);
    assert_non_null(strstr(err.message, "xxx...\", expected u32 at line 1 column 1024"));
    buf_clear(&text);
    buf_puts(&text, "{\"url\":\"u\",\"labels\":{\"");
    for (int i = 0; i < 1000; i++)
        buf_put_char(&text, 'x');
    buf_puts(&text, "\":1}}");
    buf_put_char(&text, 0);
    assert_int_equal(read_spec(text.p), ERR_INVALID);
    assert_non_null(strstr(err.message, "x: invalid type: integer `1`, expected a string at line 1 column 1025"));
    buf_fini(&text);
}

static void a_strict_shape_refuses_what_it_does_not_know(void **state)
{
    struct json_shape strict = SPEC;

    (void)state;
    strict.strict = true;
    assert_int_equal(json_parse(STR("{\"url\":\"u\",\n \"urls\":[]}"), &arena, &doc, NULL), 0);
    assert_int_equal(json_shape_read(json_root(&doc), &SPEC, &arena, &spec, &err), 0);
    assert_int_equal(json_shape_read(json_root(&doc), &strict, &arena, &spec, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "unknown field `urls`, expected one of `url`, `models`, `worker_type`, "));
    assert_non_null(strstr(err.message, "`metadata` at line 2 column 7"));
}

static void memory_running_out_is_not_the_clients_fault(void **state)
{
    static const char TEXT[] = "{\"url\":\"\\u0061bcdefghijklmnopqrstuvwxyz\",\"models\":[{\"id\":\"a\",\"aliases\":[\"\\n\"]}],"
                               "\"labels\":{\"\\n\":\"\\n\"}}";
    struct arena small;
    unsigned failures = 0;

    assert_int_equal(json_parse(str_of(TEXT), &arena, &doc, NULL), 0);
    for (size_t max = 1; max < 1000; max += 8) {
        arena_init(&small, NULL, max);
        int e = json_shape_read(json_root(&doc), &SPEC, &small, &spec, &err);
        assert_true(e == 0 || e == ERR_NOMEM);
        failures += e < 0;
        arena_fini(&small);
    }
    assert_true(failures > 3 && failures < 125);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(absent_members_take_their_defaults, begin, end),
        cmocka_unit_test_setup_teardown(every_type_arrives, begin, end),
        cmocka_unit_test_setup_teardown(null_counts_as_absent_only_where_the_table_says_so, begin, end),
        cmocka_unit_test_setup_teardown(mistakes_are_told_in_serdes_words, begin, end),
        cmocka_unit_test_setup_teardown(long_client_text_is_cut_and_the_position_stays, begin, end),
        cmocka_unit_test_setup_teardown(a_strict_shape_refuses_what_it_does_not_know, begin, end),
        cmocka_unit_test_setup_teardown(memory_running_out_is_not_the_clients_fault, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
