/* spec.c -- reading and checking a worker's description (spec control-plane 6; cases of its section 20 by number) */
#include <stdlib.h>

#include "test.h"

#include "worker/registry.h"

static struct arena arena;
static struct worker_spec spec;
static struct err err;

static int read_spec(const char *text)
{
    char *copy = str_dup(str_of(text));
    struct json_doc doc;
    int r;

    arena_fini(&arena);
    arena_init(&arena, NULL, 0);
    err = (struct err){ 0 };
    assert_int_equal(json_parse(str_of(copy), &arena, &doc, NULL), 0);
    r = worker_spec_read(&doc, &arena, &spec, &err);
    memset(copy, '#', strlen(copy)); /* nothing may point into the text */
    free(copy);
    return r;
}

static char *json_of_spec(void)
{
    static char text[8192];
    struct worker *w;
    struct buf out = { 0 };
    struct json_writer jw;

    w = worker_new(&spec, "01234567-89ab-7def-8123-456789abcdef", 0, 0, NULL);
    assert_non_null(w);
    json_begin(&jw, &out);
    worker_write_json(&jw, w, NULL);
    assert_true(out.n < sizeof text);
    memcpy(text, out.p, out.n);
    text[out.n] = 0;
    buf_fini(&out);
    worker_unref(w);
    return text;
}

static void a_url_is_enough(void **state)
{
    assert_int_equal(read_spec("{\"url\":\"http://a:1\"}"), 0);
    assert_str(spec.url, "http://a:1");
    assert_int_equal(spec.priority, 50);
    assert_true(spec.cost == 1.0f);
    assert_int_equal(spec.max_connection_attempts, 20);
    assert_int_equal(spec.bootstrap_port, -1);
    assert_int_equal(spec.models_n, 0);
    assert_string_equal(json_of_spec(),
                        "{\"id\":\"01234567-89ab-7def-8123-456789abcdef\",\"url\":\"http://a:1\",\"worker_type\":\"regular\","
                        "\"connection_mode\":\"http\",\"runtime_type\":\"unspecified\",\"priority\":50,\"cost\":1.0,"
                        "\"max_connection_attempts\":20,\"is_healthy\":false,\"status\":\"pending\",\"load\":0}");
}

/* The table of 3.1, too. */
static void case_14_16_17_wrong_shapes_are_refused_in_serdes_words(void **state)
{
    static const struct {
        const char *in, *begins;
    } CASES[] = {
        { "{}", "missing field `url` at line 1 column 2" },
        { "{\"url\":5}", "url: invalid type: integer `5`, expected a string at line 1 column 8" },
        { "{\"url\":\"http://a:1\",\"priority\":-1}", "priority: invalid value: integer `-1`, expected u32 at" },
        { "{\"url\":\"http://a:1\",\"priority\":1.5}", "priority: invalid type: floating point `1.5`, expected u32 at" },
        { "{\"url\":\"http://a:1\",\"priority\":null}", "priority: invalid type: null, expected u32 at" },
        { "{\"url\":\"http://a:1\",\"labels\":null}", "labels: invalid type: null, expected a map at" },
        { "{\"url\":\"http://a:1\",\"models\":null}", "models: invalid type: null, expected a sequence at" },
        { "{\"url\":\"http://a:1\",\"runtime\":\"SGLang\"}",
          "runtime: unknown variant `SGLang`, expected one of `unspecified`, `sglang`, `vllm`, "
          "`trtllm`, `mlx`, `tokenspeed`, `external` at" },
        { "{\"url\":\"http://a:1\",\"worker_type\":\"x\"}",
          "worker_type: unknown variant `x`, expected one of `regular`, `prefill`, `decode`, "
          "`encode` at" },
        { "{\"url\":\"http://a:1\",\"runtime\":\"vllm\",\"runtime_type\":\"vllm\"}", "duplicate field `runtime_type` at" },
        { "{\"url\":\"http://a:1\",\"models\":[{}]}", "models[0]: missing field `id` at" },
        { "{\"url\":\"http://a:1\",\"models\":[{\"id\":\"m\",\"model_type\":[\"chatt\"]}]}",
          "models[0]: unknown ModelType capability: chatt at" },
        { "{\"url\":\"http://a:1\",\"models\":[{\"id\":\"m\",\"model_type\":65536}]}",
          "models[0]: ModelType bits out of u16 range: 65536 at" },
        { "{\"url\":\"http://a:1\",\"models\":[{\"id\":\"m\",\"model_type\":4096}]}",
          "models[0]: invalid ModelType bits: 4096 at" },
        { "{\"url\":\"http://a:1\",\"models\":[{\"id\":\"m\",\"model_type\":\"chat\"}]}",
          "models[0]: model_type: invalid type: \"chat\", expected an array of capability names or a u16 bitfield at" },
        { "{\"url\":\"http://a:1\",\"models\":[{\"id\":\"m\",\"id2label\":{\"x\":\"y\"}}]}",
          "models[0]: id2label: invalid type: string \"x\", expected "
          "u32 at" },
        { "{\"url\":\"http://a:1\",\"health\":{\"timeout_secs\":\"5\"}}",
          "health.timeout_secs: invalid type: string \"5\", expected u64 at" },
        { "{\"url\":\"http://a:1\",\"resilience\":{\"retryable_status_codes\":[70000]}}",
          "resilience.retryable_status_codes[0]: invalid value: integer `70000`, expected u16 at" },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(read_spec(CASES[i].in), ERR_INVALID);
        if (strncmp(err.message, CASES[i].begins, strlen(CASES[i].begins)) != 0)
            assert_string_equal(err.message, CASES[i].begins);
    }
}

static void case_15_17_unknown_members_and_null_options_are_accepted(void **state)
{
    assert_int_equal(read_spec("{\"url\":\"http://a:1\",\"bogus\":1,\"api_key\":null,\"dp_rank\":\"ignored\",\"kv_role\":7}"), 0);
    assert_int_equal(spec.api_key.n, 0);
}

static void everything_that_is_said_comes_back_but_the_key(void **state)
{
    assert_int_equal(
        read_spec("{\"url\":\"http://"
                  "a:1\",\"models\":[{\"id\":\"m\",\"display_name\":\"M\",\"aliases\":[\"n\"],\"model_type\":135,\"hf_model_type\":"
                  "\"llama\","
                  "\"architectures\":[\"L\"],\"provider\":\"grok\",\"context_length\":4096,\"tokenizer_path\":\"t\",\"chat_"
                  "template\":\"c\","
                  "\"reasoning_parser\":\"r\",\"tool_parser\":\"p\",\"metadata\": { \"a b\" : [1, 2 ] "
                  "},\"id2label\":{\"0\":\"x\"},\"num_labels\":1},"
                  "{\"id\":\"second\",\"model_type\":[]}],"
                  "\"worker_type\":\"prefill\",\"connection_mode\":\"grpc\",\"runtime\":\"vllm\",\"provider\":\"claude\","
                  "\"labels\":{\"k\":\"v\"},"
                  "\"priority\":7,\"cost\":0.1,\"api_key\":\"s3cret\",\"bootstrap_port\":9000,\"kv_block_size\":16,"
                  "\"health\":{\"drain_settle_secs\":3,\"timeout_secs\":4,\"x\":1},\"http_pool\":{\"timeout_secs\":9},"
                  "\"resilience\":{\"jitter_factor\":0.5,\"retryable_status_codes\":[500,503],\"max_retries\":2},\"max_connection_"
                  "attempts\":3,"
                  "\"load_monitor_interval_secs\":5,\"multimodal_tensor_transport\":\"shm\",\"multimodal_shm_min_bytes\":1024}"),
        0);
    assert_str(spec.api_key, "s3cret");
    assert_string_equal(
        json_of_spec(),
        "{\"id\":\"01234567-89ab-7def-8123-456789abcdef\",\"model_id\":\"m\",\"url\":\"http://"
        "a:1\",\"models\":[{\"id\":\"m\",\"display_name\":\"M\","
        "\"aliases\":[\"n\"],\"model_type\":[\"chat\",\"completions\",\"responses\",\"tools\"],\"hf_model_type\":\"llama\","
        "\"architectures\":[\"L\"],"
        "\"provider\":\"xai\",\"context_length\":4096,\"tokenizer_path\":\"t\",\"chat_template\":\"c\",\"reasoning_parser\":\"r\","
        "\"tool_parser\":\"p\","
        "\"metadata\":{\"a "
        "b\":[1,2]},\"id2label\":{\"0\":\"x\"},\"num_labels\":1},{\"id\":\"second\",\"model_type\":[]}],\"worker_type\":"
        "\"prefill\","
        "\"connection_mode\":\"http\",\"runtime_type\":\"vllm\",\"provider\":\"anthropic\",\"labels\":{\"k\":\"v\"},\"priority\":7,"
        "\"cost\":0.1,"
        "\"has_api_key\":true,\"bootstrap_port\":9000,\"kv_block_size\":16,\"health\":{\"timeout_secs\":4,\"drain_settle_secs\":3},"
        "\"http_pool\":{\"timeout_secs\":9},\"resilience\":{\"max_retries\":2,\"jitter_factor\":0.5,\"retryable_status_codes\":["
        "500,503]},"
        "\"max_connection_attempts\":3,\"load_monitor_interval_secs\":5,\"multimodal_tensor_transport\":\"shm\",\"multimodal_shm_"
        "min_bytes\":1024,"
        "\"is_healthy\":false,\"status\":\"pending\",\"load\":0}");
    assert_null(strstr(json_of_spec(), "s3cret"));
}

static void health_settings_are_merged_over_the_gateways(void **state)
{
    const struct worker_health_conf base = {
        .timeout_s = 5, .interval_s = 60, .success_threshold = 2, .failure_threshold = 3, .drain_settle_s = 5
    };
    struct worker_health_conf c;

    assert_int_equal(
        read_spec(
            "{\"url\":\"http://a:1\",\"health\":{\"check_interval_secs\":0,\"failure_threshold\":9,\"disable_health_check\":true,"
            "\"drain_settle_secs\":18446744073709551615}}"),
        0);
    c = worker_health_merge(&base, &spec.health_update);
    assert_int_equal(c.timeout_s, 5);
    assert_int_equal(c.interval_s, 60); /* 0 = the gateway's */
    assert_int_equal(c.success_threshold, 2);
    assert_int_equal(c.failure_threshold, 9);
    assert_int_equal(c.drain_settle_s, HEALTH_SECONDS_MAX);
    assert_true(c.disabled);
}

static void impossible_values_are_refused(void **state)
{
    static const struct {
        const char *rest, *message;
    } CASES[] = {
        { "\"cost\":-1", "Invalid value for field 'cost': -1 - must not be negative" },
        { "\"health\":{\"success_threshold\":0}", "Invalid value for field 'health.success_threshold': 0 - must be at least 1" },
        { "\"health\":{\"failure_threshold\":0}", "Invalid value for field 'health.failure_threshold': 0 - must be at least 1" },
        { "\"models\":[{\"id\":\"\"}]", "Invalid value for field 'models[0].id':  - must not be empty" },
        { "\"api_key\":\"a\\r\\nx: y\"",
          "Invalid value for field 'api_key': (not shown) - must be text that fits into a header field" },
    };
    char text[256];

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        snprintf(text, sizeof text, "{\"url\":\"http://a:1\",%s}", CASES[i].rest);
        assert_int_equal(read_spec(text), 0);
        assert_int_equal(worker_spec_check(&spec, &err), ERR_INVALID);
        assert_string_equal(err.message, CASES[i].message);
    }
    assert_int_equal(read_spec("{\"url\":\"http://a:1\",\"cost\":0}"), 0);
    assert_int_equal(worker_spec_check(&spec, &err), 0);
}

static void urls_have_one_form(void **state)
{
    static const struct {
        const char *in, *out;
    } CASES[] = {
        { "http://Host.Example:8000/", "http://host.example:8000" },
        { "http://h:1//", "http://h:1" },
        { "http://H/Path/", "http://h/Path" },
        { "grpc://H:1", "grpc://h:1" },
        { "ipc:///Tmp/Sock/", "ipc:///Tmp/Sock/" },
        { "http://[::AB]:1/", "http://[::ab]:1" },
        { "http://h:1", "http://h:1" },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_str(worker_url_canonical(str_of(CASES[i].in), &arena), CASES[i].out);
}

static void a_url_says_where_requests_go(void **state)
{
    static const struct {
        const char *url, *host, *path, *authority;
        uint16_t port;
    } CASES[] = {
        { "http://h:8000", "h", "", "h:8000", 8000 },
        { "http://h", "h", "", "h", 80 },
        { "http://[::1]:5/base/v2", "::1", "/base/v2", "[::1]:5", 5 },
        { "ipc:///tmp/x", "", "", "", 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct worker *w;

        worker_spec_defaults(&spec);
        spec.url = str_of(CASES[i].url);
        w = worker_new(&spec, "01234567-89ab-7def-8123-456789abcdef", 3, 9, NULL);
        if (CASES[i].port) {
            assert_str(w->host, CASES[i].host);
            assert_str(w->base_path, CASES[i].path);
            assert_str(w->authority, CASES[i].authority);
        }
        assert_int_equal(w->port, CASES[i].port);
        assert_int_equal(w->revision, 3);
        assert_int_equal(w->order, 9);
        worker_unref(w);
    }
}

static void revisions_share_what_changes(void **state)
{
    struct worker *first, *second;

    worker_spec_defaults(&spec);
    spec.url = STR("http://a:1");
    first = worker_new(&spec, "01234567-89ab-7def-8123-456789abcdef", 0, 0, NULL);
    spec.priority = 60;
    second = worker_new(&spec, first->id, 1, 0, first->live);
    worker_load_begin(first);
    assert_int_equal(worker_load(second), 1);
    worker_unref(worker_ref(first));
    worker_unref(first);
    worker_load_end(second);
    assert_int_equal(worker_load(second), 0);
    worker_unref(second);
    worker_unref(NULL);
}

static void a_failed_worker_tells_why(void **state)
{
    struct worker *w;
    struct buf out = { 0 };
    struct json_writer jw;

    worker_spec_defaults(&spec);
    spec.url = STR("http://a:1");
    w = worker_new(&spec, "01234567-89ab-7def-8123-456789abcdef", 0, 0, NULL);
    atomic_store(&w->live->status, WORKER_FAILED);
    atomic_store(&w->live->reason, ERR_REFUSED);
    atomic_store(&w->live->changed_s, 77);
    json_begin(&jw, &out);
    worker_write_json(&jw, w, NULL);
    buf_put_char(&out, 0);
    assert_non_null(strstr(
        out.p, "\"is_healthy\":false,\"status\":\"failed\",\"load\":0,\"job_status\":{\"job_type\":\"HealthCheck\",\"worker_url\":"
               "\"http://a:1\",\"status\":\"failed\",\"message\":\"Health check failed: connection refused\",\"timestamp\":77}}"));
    buf_fini(&out);
    worker_unref(w);
}

static int close_arena(void **state)
{
    arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_enough),
        cmocka_unit_test(case_14_16_17_wrong_shapes_are_refused_in_serdes_words),
        cmocka_unit_test(case_15_17_unknown_members_and_null_options_are_accepted),
        cmocka_unit_test(everything_that_is_said_comes_back_but_the_key),
        cmocka_unit_test(health_settings_are_merged_over_the_gateways),
        cmocka_unit_test(impossible_values_are_refused),
        cmocka_unit_test(urls_have_one_form),
        cmocka_unit_test(a_url_says_where_requests_go),
        cmocka_unit_test(revisions_share_what_changes),
        cmocka_unit_test(a_failed_worker_tells_why),
    };

    return cmocka_run_group_tests(tests, NULL, close_arena);
}
