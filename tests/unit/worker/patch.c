/* patch.c -- writing a description back, and what a PATCH makes of one (worker_patch.c, worker_parts.c, worker_spec_write) */
#include "test.h"

#include <stdlib.h>

#include "fail_alloc.h"

#include "worker/registry.h"

static struct arena arena;

static int set_up(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

static struct worker_spec read_spec(struct str text)
{
    struct worker_spec spec;
    struct json_doc doc;
    struct err err = { 0 };

    assert_int_equal(json_parse(text, &arena, &doc, NULL), 0);
    if (worker_spec_read(&doc, &arena, &spec, &err) < 0)
        fail_msg("%s in %.*s", err.message, STR_FMT(text));
    return spec;
}

static struct str write_spec(const struct worker_spec *spec)
{
    struct buf out = { 0 };
    struct json_writer w;
    struct str text;

    json_begin(&w, &out);
    worker_spec_write(&w, spec);
    assert_false(out.failed);
    text = arena_str(&arena, buf_str(&out));
    buf_fini(&out);
    return text;
}

/* ---- written and read again ---- */

static void put_text(struct buf *b, const char *name)
{
    static const char *const TEXTS[] = { "x", "a b", "\\\"quoted\\\"", "\\u00e9\\ud83d\\ude00", "null", "\\n\\t\\\\", "" };

    buf_printf(b, ",\"%s\":\"%s\"", name, TEXTS[(unsigned)rand() % ARRAY_LEN(TEXTS)]);
}

static bool coin(void)
{
    return rand() & 1;
}

static void put_card(struct buf *b, int i)
{
    buf_printf(b, "%s{\"id\":\"m%d\"", i ? "," : "", i);
    for (const char *const *name = (const char *const[]){ "display_name", "hf_model_type", "provider", "tokenizer_path",
                                                          "chat_template", "reasoning_parser", "tool_parser", NULL };
         *name; name++)
        if (coin())
            put_text(b, *name);
    if (coin())
        buf_puts(b, ",\"aliases\":[\"a\",\"b\\\"\"]");
    if (coin())
        buf_puts(b, ",\"architectures\":[\"A\"]");
    if (coin())
        buf_printf(b, ",\"model_type\":%d", 1 + rand() % 4095);
    if (coin())
        buf_printf(b, ",\"context_length\":%d", 1 + rand());
    if (coin())
        buf_puts(b, ",\"metadata\":{\"x\" : [1, {}, \"y z\"]}");
    if (coin())
        buf_puts(b, ",\"id2label\":{\"0\":\"no\",\"1\":\"\\u0007\"},\"num_labels\":2");
    buf_puts(b, "}");
}

static void put_random_spec(struct buf *b)
{
    static const char *const TYPES[] = { "regular", "prefill", "decode", "encode" };
    static const char *const RUNTIMES[] = { "unspecified", "sglang", "vllm", "trtllm", "mlx", "tokenspeed", "external" };
    static const char *const OTHERS[] = {
        "\"cost\":0.1",
        "\"cost\":3e38",
        "\"cost\":1e-40",
        "\"api_key\":\"s3cret\"",
        "\"bootstrap_port\":65535",
        "\"bootstrap_port\":0",
        "\"kv_block_size\":16",
        "\"health\":{\"timeout_secs\":18446744073709551615,\"disable_health_check\":false}",
        "\"health\":{\"success_threshold\":1,\"drain_settle_secs\":0}",
        "\"http_pool\":{\"timeout_secs\":3,\"pool_max_idle_per_host\":0}",
        "\"resilience\":{\"retryable_status_codes\":[500,429],\"backoff_multiplier\":1.5}",
        "\"resilience\":{\"retryable_status_codes\":[]}",
        "\"load_monitor_interval_secs\":9",
        "\"multimodal_tensor_transport\":\"shm\"",
        "\"multimodal_shm_min_bytes\":0",
        "\"zmq_handshake_address\":\"tcp://x\"",
        "\"max_connection_attempts\":0",
        "\"provider\":\"grok\"",
        "\"labels\":{\"a\":\"\",\"b\\\"\":\"c\"}",
    };

    buf_printf(b, "{\"url\":\"http://h:%d/p\",\"worker_type\":\"%s\",\"runtime\":\"%s\",\"priority\":%u", rand() % 65536,
               TYPES[rand() % 4], RUNTIMES[rand() % 7], (unsigned)rand());
    buf_puts(b, ",\"models\":[");
    for (int i = 0, n = rand() % 3; i < n; i++)
        put_card(b, i);
    buf_puts(b, "]");
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) {
        size_t name = strcspn(OTHERS[i] + 1, "\"");

        if (coin() && (i == 0 || strncmp(OTHERS[i] + 1, OTHERS[i - 1] + 1, name + 1) != 0))
            buf_printf(b, ",%s", OTHERS[i]);
    }
    buf_puts(b, "}");
}

/* Equal as far as anything reads them: the packed size, the written form, and the members that are written from something else. */
static void assert_same(const struct worker_spec *a, const struct worker_spec *b)
{
    struct str x = write_spec(a), y = write_spec(b);

    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
    assert_memory_equal(&a->health_update, &b->health_update, offsetof(struct worker_health_update, disabled) + sizeof(int));
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->models_n, b->models_n);
    assert_memory_equal(&a->cost, &b->cost, sizeof a->cost);
    assert_int_equal(a->bootstrap_port, b->bootstrap_port);
    assert_int_equal(a->kv_block_size, b->kv_block_size);
    for (size_t i = 0; i < a->models_n; i++)
        assert_int_equal(a->models[i].model_type, b->models[i].model_type);
}

static void what_is_written_reads_back_the_same(void **state)
{
    srand(11);
    for (unsigned i = 0; i < 3000; i++) {
        struct buf text = { 0 };
        struct worker_spec once, twice;

        put_random_spec(&text);
        once = read_spec(buf_str(&text));
        twice = read_spec(write_spec(&once));
        assert_same(&once, &twice);
        buf_fini(&text);
        if (i % 100 == 0) {
            arena_fini(&arena);
            arena_init(&arena, NULL, 0);
        }
    }
}

static void the_key_is_written_for_the_store(void **state)
{
    struct worker_spec spec = read_spec(STR("{\"url\":\"http://h:1\",\"api_key\":\"s\"}"));
    struct str text = write_spec(&spec);

    assert_true(str_find(text, STR("\"api_key\":\"s\"")) != STR_NPOS);
    assert_true(str_find(text, STR("has_api_key")) == STR_NPOS);
}

/* ---- PATCH ---- */

static int read_patch(const char *text, struct worker_patch *ret, struct err *err)
{
    struct json_doc doc;
    int r = json_parse(str_of(text), &arena, &doc, NULL);

    return r < 0 ? r : worker_patch_read(&doc, &arena, ret, err);
}

static struct worker_spec patched(const char *spec, const char *patch)
{
    struct worker_spec before = read_spec(str_of(spec)), after;
    struct worker_patch p;

    assert_int_equal(read_patch(patch, &p, NULL), 0);
    assert_int_equal(worker_patch_apply(&p, &before, &arena, &after), 0);
    return after;
}

static void what_is_not_named_stays(void **state)
{
    static const char SPEC[] =
        "{\"url\":\"http://h:1\",\"priority\":7,\"cost\":2.0,\"api_key\":\"k\",\"labels\":{\"a\":\"1\"},\"bootstrap_port\":9,"
        "\"health\":{\"timeout_secs\":3},\"resilience\":{\"max_retries\":1},\"http_pool\":{\"timeout_secs\":5}}";
    struct worker_spec before = read_spec(str_of(SPEC)),
                       after = patched(SPEC, "{\"unknown\":1,\"api_key\":null,\"labels\":null,\"health\":null,\"cost\":null}");

    assert_same(&before, &after);
}

static void case_31_objects_and_labels_are_merged_member_by_member(void **state)
{
    struct worker_spec s =
        patched("{\"url\":\"http://"
                "h:1\",\"labels\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"},\"health\":{\"timeout_secs\":3,\"drain_settle_secs\":1},"
                "\"resilience\":{\"max_retries\":1,\"retryable_status_codes\":[500]}}",
                "{\"labels\":{\"a\":null,\"b\":\"x\",\"d\":\"4\",\"e\":null},\"health\":{\"drain_settle_secs\":0,\"disable_health_"
                "check\":true},"
                "\"resilience\":{\"retryable_status_codes\":[1,2]},\"http_pool\":{\"connect_timeout_secs\":2}}");

    assert_str(s.health_json, "{\"timeout_secs\":3,\"disable_health_check\":true,\"drain_settle_secs\":0}");
    assert_str(s.resilience_json, "{\"max_retries\":1,\"retryable_status_codes\":[1,2]}");
    assert_str(s.http_pool_json, "{\"connect_timeout_secs\":2}");
    assert_int_equal(s.health_update.timeout_s, 3);
    assert_int_equal(s.health_update.drain_settle_s, 0);
    assert_int_equal(s.health_update.disabled, 1);
    assert_int_equal(s.labels_n, 3);
    for (size_t i = 0; i < s.labels_n; i++)
        assert_false(str_eq(s.labels[i].key, STR("a")));
}

static void a_body_of_another_shape_is_refused_in_serdes_words(void **state)
{
    static const char *const CASES[][2] = {
        { "{\"priority\":\"x\"}", "priority: invalid type: string \"x\", expected u32" },
        { "{\"labels\":{\"a\":1}}", "labels: invalid type: 1, expected a string" },
        { "{\"labels\":7}", "labels: invalid type: 7, expected a map" },
        { "{\"health\":[]}", "health: invalid type: sequence, expected struct HealthCheckUpdate" },
        { "[]", "expected struct WorkerUpdateRequest" },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct worker_patch p;
        struct err err = { 0 };

        assert_int_equal(read_patch(CASES[i][0], &p, &err), ERR_INVALID);
        if (!strstr(err.message, CASES[i][1]))
            fail_msg("%s: %s", CASES[i][0], err.message);
    }
}

static void memory_that_is_out_changes_nothing(void **state)
{
    static const char PATCH[] =
        "{\"labels\":{\"a\":\"x\\u0041\"},\"health\":{\"timeout_secs\":1},\"resilience\":{\"retryable_status_codes\":[1]}}";
    struct worker_spec before = read_spec(STR("{\"url\":\"http://h:1\",\"labels\":{\"b\":\"1\"},\"health\":{\"timeout_secs\":3}}"));

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena mine = arena;
        struct worker_patch p;
        struct worker_spec after;
        int r;

        arena_init(&arena, NULL, 0);
        r = read_patch(PATCH, &p, NULL);
        if (r == 0)
            r = worker_patch_apply(&p, &before, &arena, &after);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        if (r == 0)
            assert_int_equal(after.labels_n, 2);
        arena_fini(&arena);
        arena = mine;
    }
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void many_labels_are_refused_before_they_are_merged(void **state)
{
    struct worker_label labels[1025] = { 0 };
    struct worker_patch p = { .labels = labels, .labels_n = 1024 };
    struct err err = { 0 };

    assert_int_equal(worker_patch_check(&p, &err), 0);
    p.labels_n++;
    assert_int_equal(worker_patch_check(&p, &err), ERR_INVALID);
    assert_string_equal(err.message, "Invalid value for field 'labels': more than 1024 of them");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(what_is_written_reads_back_the_same),
        RULE(the_key_is_written_for_the_store),
        RULE(what_is_not_named_stays),
        RULE(case_31_objects_and_labels_are_merged_member_by_member),
        RULE(a_body_of_another_shape_is_refused_in_serdes_words),
        RULE(memory_that_is_out_changes_nothing),
        RULE(many_labels_are_refused_before_they_are_merged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
