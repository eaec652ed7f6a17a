/* engine.c -- a simulated engine over the wire: every endpoint's JSON is valid, answers are determined by the seed, requests are recorded; start and end */
#include "serving.h"

#include "fail_alloc.h"

/* ---- endpoints ---- */

static void every_endpoint_answers_with_json(void **state)
{
    static const struct {
        const char *method, *path, *body, *has;
    } rows[] = {
        { "POST", CHAT_URL, CHAT, "\"object\":\"chat.completion\"" },
        { "POST", "/v1/completions", "{\"prompt\":[\"a\",\"b\"],\"n\":2}", "\"index\":3" },
        { "POST", "/generate", "{\"text\":\"a\"}", "\"meta_info\":{\"id\":" },
        { "POST", "/generate", "{\"text\":[\"a\"]}", "[{\"text\":" },
        { "POST", "/v1/messages", "{\"max_tokens\":3,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
          "\"stop_reason\":\"max_tokens\"" },
        { "POST", "/v1/responses", "{\"input\":\"a\"}", "\"status\":\"completed\"" },
        { "POST", "/v1/embeddings", "{\"input\":[\"a\",\"b\"]}", "\"index\":1" },
        { "POST", "/v1/embeddings", "{\"input\":[1,2],\"dimensions\":2,\"encoding_format\":\"base64\"}", "\"prompt_tokens\":2" },
        { "POST", "/v1/rerank", "{\"query\":\"q\",\"documents\":[\"a\",\"b\",\"c\"]}", "\"index\":2" },
        { "POST", "/v1/classify", "{\"input\":\"a\"}", "\"num_classes\":2" },
        { "GET", "/v1/models", NULL, "\"owned_by\":\"sglang\"" },
        { "GET", "/get_model_info", NULL, "\"model_type\":\"mock\"" },
        { "GET", "/model_info", NULL, "\"is_generation\":true" },
        { "GET", "/get_server_info", NULL, "\"served_model_name\":\"mock-model\"" },
        { "GET", "/server_info", NULL, "\"max_total_tokens\":1000000" },
        { "GET", "/v1/loads?include=core", NULL, "\"loads\":[{\"dp_rank\":0" },
        { "GET", "/mock/requests", NULL, "\"requests\":[" },
        { "GET", "/mock/faults", NULL, "\"cut_after\":-1" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = ask(rows[i].method, rows[i].path, NULL, rows[i].body);

        assert_int_equal(a.status, 200);
        assert_true(a.complete);
        assert_json(buf_str(&a.body));
        assert_has(&a, rows[i].has);
        forget(&a);
    }
}

static void every_stream_is_whole_and_its_events_are_json(void **state)
{
    static const struct {
        const char *path, *body;
        unsigned events;
        const char *last;
    } rows[] = {
        { CHAT_URL, CHAT_S, 1 + 8 + 1 + 1, "data: [DONE]\n\n" },
        { CHAT_URL, "{\"messages\":[{}],\"stream\":true,\"n\":2,\"stream_options\":{\"include_usage\":true}}",
          2 * (1 + 8 + 1) + 1 + 1, "data: [DONE]\n\n" },
        { "/v1/completions", "{\"prompt\":\"a\",\"stream\":true}", 8 + 1 + 1, "data: [DONE]\n\n" },
        { "/generate", "{\"text\":\"a\",\"stream\":true}", 8 + 1, "data: [DONE]\n\n" },
        { "/v1/messages", "{\"messages\":[{}],\"stream\":true}", 2 + 8 + 3, "data: {\"type\":\"message_stop\"}\n\n" },
        { "/v1/responses", "{\"input\":\"a\",\"stream\":true}", 4 + 8 + 4, "}}\n\n" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = ask("POST", rows[i].path, NULL, rows[i].body);

        assert_int_equal(a.status, 200);
        assert_true(a.complete);
        assert_true(str_find(a.head, STR("content-type: text/event-stream")) != STR_NPOS);
        assert_int_equal(assert_events(&a), rows[i].events);
        assert_true(str_has_suffix(buf_str(&a.body), str_of(rows[i].last)));
        forget(&a);
    }
}

static void the_native_stream_repeats_the_text_from_its_beginning(void **state)
{
    struct answer whole = ask("POST", "/generate", NULL, "{\"text\":\"a\",\"sampling_params\":{\"max_new_tokens\":3}}");
    struct answer stream =
        ask("POST", "/generate", NULL, "{\"text\":\"a\",\"stream\":true,\"sampling_params\":{\"max_new_tokens\":3}}");
    char *text = strstr(whole.body.p, "{\"text\":\"") + 9;
    char first[32], second[32];

    snprintf(first, sizeof(first), "{\"text\":\"%.4s\",", text);
    snprintf(second, sizeof(second), "{\"text\":\"%.8s\",", text);
    assert_has(&stream, first);
    assert_has(&stream, second);
    assert_has(&stream, "\"finish_reason\":{\"type\":\"length\",\"length\":3},\"prompt_tokens\":1,\"completion_tokens\":3");
    assert_int_equal(count(&stream, "\"finish_reason\":null"), 2);
    forget(&whole);
    forget(&stream);
}

static void amounts_are_honoured(void **state)
{
    static const struct {
        const char *members, *reason, *usage;
    } rows[] = {
        { "", "\"finish_reason\":\"stop\"", "\"completion_tokens\":8,\"total_tokens\":14" },
        { ",\"max_tokens\":3", "\"finish_reason\":\"length\"", "\"completion_tokens\":3,\"total_tokens\":9" },
        { ",\"max_completion_tokens\":3", "\"finish_reason\":\"length\"", "\"completion_tokens\":3," },
        { ",\"max_tokens\":300", "\"finish_reason\":\"stop\"", "\"completion_tokens\":8," },
        { ",\"max_tokens\":300,\"ignore_eos\":true", "\"finish_reason\":\"length\"", "\"completion_tokens\":300," },
        { ",\"min_tokens\":20", "\"finish_reason\":\"stop\"", "\"completion_tokens\":20," },
        { ",\"n\":3", "\"index\":2", "\"completion_tokens\":24," },
        { ",\"max_tokens\":9000,\"ignore_eos\":true", "\"finish_reason\":\"length\"", "\"completion_tokens\":9000," },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[256];
        struct answer a;

        snprintf(body, sizeof(body), "{\"messages\":[{\"role\":\"user\",\"content\":\"hello world\"}]%s}", rows[i].members);
        a = ask("POST", CHAT_URL, NULL, body);
        assert_json(buf_str(&a.body));
        assert_has(&a, rows[i].reason);
        assert_has(&a, rows[i].usage);
        forget(&a);
    }
}

static void the_requests_model_name_comes_back(void **state)
{
    struct answer a = ask("POST", CHAT_URL, NULL, "{\"model\":\"a\\\"b\\u00e4\",\"messages\":[{}]}");

    assert_json(buf_str(&a.body));
    assert_has(&a, "\"model\":\"a\\\"b\\u00e4\",");
    forget(&a);
}

static void what_cannot_be_read_is_400_in_the_engines_words(void **state)
{
    static const char *const paths[] = { CHAT_URL,         "/v1/completions", "/generate",    "/v1/messages", "/v1/responses",
                                         "/v1/embeddings", "/v1/rerank",      "/v1/classify", "/mock/faults" };
    static const char *const bodies[] = { "", "{", "[]", "{}" };

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        for (size_t k = 0; k < ARRAY_LEN(bodies); k++) {
            struct answer a = ask("POST", paths[i], NULL, bodies[k]);

            if (i == ARRAY_LEN(paths) - 1 && k == 3)
                assert_int_equal(a.status, 200); /* no faults to change */
            else
                assert_int_equal(a.status, 400);
            assert_json(buf_str(&a.body));
            forget(&a);
        }
    }
}

static void metrics_have_the_names_of_the_runtime(void **state)
{
    struct answer a = ask("GET", "/metrics", NULL, NULL);

    assert_int_equal(a.status, 200);
    assert_has(&a, "\nsglang:num_running_reqs{model_name=\"mock-model\"} 0\n");
    assert_has(&a, "\nsglang:token_usage{");
    forget(&a);
}

static void a_runtime_has_its_own_endpoints(void **state)
{
    static const struct {
        enum mock_runtime runtime;
        const char *path;
        unsigned status;
    } rows[] = {
        { MOCK_SGLANG, "/server_info", 200 },     { MOCK_SGLANG, "/version", 404 },     { MOCK_SGLANG, "/v1/loads", 200 },
        { MOCK_VLLM, "/version", 200 },           { MOCK_VLLM, "/server_info", 404 },   { MOCK_VLLM, "/v1/loads", 404 },
        { MOCK_VLLM, "/metrics", 200 },           { MOCK_TRTLLM, "/v1/loads", 200 },    { MOCK_TRTLLM, "/version", 404 },
        { MOCK_OPENAI, "/metrics", 404 },         { MOCK_OPENAI, "/server_info", 404 }, { MOCK_OPENAI, "/v1/models", 200 },
        { MOCK_OPENAI, "/health", 200 },          { MOCK_OLLAMA, "/health", 404 },      { MOCK_LLAMACPP, "/health", 200 },
        { MOCK_TOKENSPEED, "/server_info", 200 }, { MOCK_MLX, "/server_info", 404 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mock_conf conf = MOCK_DEFAULTS;
        struct answer a;

        conf.runtime = rows[i].runtime;
        start(conf);
        a = ask("GET", rows[i].path, NULL, NULL);
        assert_int_equal(a.status, rows[i].status);
        forget(&a);
        a = ask("GET", "/v1/models", NULL, NULL);
        assert_has(&a, conf.runtime == MOCK_VLLM ? "\"owned_by\":\"vllm\"" : "\"owned_by\":\"");
        forget(&a);
        stop();
    }
}

/* ---- determinism, records ---- */

static struct str between(const struct answer *a, const char *before, char until)
{
    const char *from = strstr(a->body.p, before);

    assert_non_null(from);
    from += strlen(before);
    return str_range(from, strchr(from, until));
}

static void equal_texts_have_equal_vectors(void **state)
{
    struct answer a = ask("POST", "/v1/embeddings", NULL, "{\"input\":[\"x\",\"y\",\"x\"]}");
    struct str x = between(&a, "\"index\":0,\"embedding\":", ']'), y = between(&a, "\"index\":1,\"embedding\":", ']');

    assert_true(str_eq(x, between(&a, "\"index\":2,\"embedding\":", ']')));
    assert_false(str_eq(x, y));
    forget(&a);
}

static void rerank_puts_the_best_first_and_says_where_it_was(void **state)
{
    struct answer a = ask("POST", "/v1/rerank", NULL, "{\"query\":\"q\",\"documents\":[\"a\",\"b\",\"c\",\"d\"]}");
    double before = 2, score;
    const char *at = a.body.p;

    for (unsigned i = 0; i < 4; i++) {
        at = strstr(at, "\"score\":") + 8;
        score = strtod(at, NULL);
        assert_true(score <= before && score >= 0 && score < 1);
        before = score;
    }
    assert_has(&a, "\"document\":\"a\",\"index\":0");
    assert_has(&a, "\"document\":\"d\",\"index\":3");
    forget(&a);
}

static void the_same_seed_and_prompt_give_the_same_answer(void **state)
{
    struct mock_conf conf = MOCK_DEFAULTS;
    struct answer a[4], other;

    for (unsigned i = 0; i < 4; i++) {
        conf.seed = i == 3 ? 99 : 5;
        conf.instance = i;
        start(conf);
        a[i] = ask("POST", CHAT_URL, NULL, CHAT);
        if (i == 0) {
            other = ask("POST", CHAT_URL, NULL, "{\"messages\":[{\"role\":\"user\",\"content\":\"hello worlds\"}]}");
            assert_false(str_eq(content(&other), content(&a[0])));
            forget(&other);
        }
        stop();
    }
    assert_true(str_eq(content(&a[0]), content(&a[1])));
    assert_true(str_eq(content(&a[0]), content(&a[2])));
    assert_false(str_eq(content(&a[0]), content(&a[3])));
    assert_int_equal(content(&a[0]).n, 8 * 4);
    for (unsigned i = 0; i < 4; i++)
        forget(&a[i]);
}

static void an_echo_is_the_last_text_of_the_user(void **state)
{
    struct mock_conf conf = MOCK_DEFAULTS;
    struct answer a, s;

    conf.echo = true;
    start(conf);
    a = ask(
        "POST", CHAT_URL, NULL,
        "{\"messages\":[{\"role\":\"system\",\"content\":\"no\"},{\"role\":\"user\",\"content\":\"gr\\u00fc\xc3\x9f dich\\n\"}]}");
    assert_str(content(&a), "gr\\u00fc\xc3\x9f dich\\n");
    assert_has(&a, "\"finish_reason\":\"stop\"");
    s = ask("POST", CHAT_URL, NULL,
            "{\"max_tokens\":2,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"gr\\u00fc\xc3\x9f dich\\n\"}]}");
    (void)assert_events(&s);
    assert_has(&s, "{\"content\":\"gr\\u00fc\"}");
    assert_has(&s, "\"finish_reason\":\"length\"");
    forget(&a);
    forget(&s);
    a = ask("POST", CHAT_URL, NULL, "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"stream\":true}");
    assert_true(a.complete);
    assert_int_equal(assert_events(&a), 3);
    forget(&a);
    stop();
}

static void received_requests_are_recorded_and_can_be_cleared(void **state)
{
    struct answer a;

    a = ask("DELETE", "/mock/requests", NULL, NULL);
    forget(&a);
    a = ask("POST", "/v1/chat/completions?x=1", "X-Test: one\r\nx-test: two\r\nAuthorization: Bearer k\r\n", CHAT);
    forget(&a);
    a = ask("GET", "/mock/requests", NULL, NULL);
    assert_json(buf_str(&a.body));
    assert_int_equal(count(&a, "\"number\":"), 1);
    assert_has(&a, "\"method\":\"POST\",\"path\":\"/v1/chat/completions\",\"query\":\"x=1\"");
    assert_has(&a, "\"x-test\":\"one, two\"");
    assert_has(&a, "\"authorization\":\"Bearer k\"");
    assert_has(&a, "\"body\":\"{\\\"messages\\\":");
    forget(&a);
    a = ask("DELETE", "/mock/requests", NULL, NULL);
    forget(&a);
    a = ask("GET", "/mock/requests", NULL, NULL);
    assert_int_equal(count(&a, "\"number\":"), 0);
    forget(&a);
}

static void the_record_keeps_the_last_256_and_counts_large_bodies(void **state)
{
    static char body[8192];
    struct answer a;

    for (unsigned i = 0; i < 300; i++) {
        a = ask("GET", "/health", NULL, NULL);
        forget(&a);
    }
    snprintf(body, sizeof(body), "{\"prompt\":\"%05000d\"}", 0);
    a = ask("POST", "/v1/completions", NULL, body);
    forget(&a);
    a = ask("GET", "/mock/requests", NULL, NULL);
    assert_json(buf_str(&a.body));
    assert_int_equal(count(&a, "\"number\":"), 256);
    assert_has(&a, "\"body_bytes\":5013,\"body\":null");
    forget(&a);
}

/* ---- start ---- */

static void a_configuration_that_cannot_work_is_refused(void **state)
{
    struct mock_conf bad[7];
    struct mock_engine *e;
    struct loop *loop;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = realistic();
    bad[0].model = STR("");
    bad[1].block_size = 0;
    bad[2].kv_tokens = 1;
    bad[3].prefill_tps = 0;
    bad[4].output_tokens = 0;
    bad[5].faults.fail_status = 200;
    bad[6].kv_tokens = 1u << 27;
    assert_int_equal(loop_new("mock", 0, &loop, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };

        assert_int_equal(mock_engine_new(loop, &bad[i], &e, &err), ERR_INVALID);
        assert_true(err.message[0]);
    }
    loop_free(loop);
}

static void without_memory_an_engine_does_not_start_and_leaves_nothing(void **state)
{
    struct mock_conf conf = realistic();
    unsigned started = 0, refused = 0;
    struct loop *loop;

    assert_int_equal(loop_new("mock", 0, &loop, NULL), 0);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct mock_engine *e = NULL;
        int r = mock_engine_new(loop, &conf, &e, NULL);

        if (r == 0) {
            started++;
            mock_engine_close(e);
            mock_engine_free(e);
            loop_stop(loop);
            loop_run(loop);
        } else {
            refused++;
            assert_int_equal(r, ERR_NOMEM);
            assert_null(e);
        }
    }
    assert_true(started > 0 && refused > 3);
    loop_free(loop);
}

static struct part {
    struct loop *loop;
    struct mock_engine *mock;
    struct message stop;
} parts[2];

static void close_part(struct loop *l, struct message *m)
{
    struct part *p = CONTAINER_OF(m, struct part, stop);

    mock_engine_close(p->mock);
    mock_engine_free(p->mock);
    loop_stop(l);
}

static void two_loops_serve_one_engine(void **state)
{
    struct err err = { 0 };
    struct answer a;

    engine.port = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(loop_new("mock", i, &parts[i].loop, &err), 0);
        if (i == 0)
            assert_int_equal(mock_engine_new(parts[i].loop, &MOCK_DEFAULTS, &parts[i].mock, &err), 0);
        else
            assert_int_equal(mock_engine_join(parts[i].loop, parts[0].mock, &parts[i].mock, &err), 0);
        assert_int_equal(mock_engine_listen(parts[i].mock, STR("127.0.0.1"), engine.port, MOCK_SHARED_PORT, &engine.port, &err), 0);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(loop_start_thread(parts[i].loop, &err), 0);
    for (unsigned i = 0; i < 40; i++) {
        a = ask("POST", CHAT_URL, NULL, CHAT);
        assert_int_equal(a.status, 200);
        forget(&a);
    }
    assert_int_equal(counted("\"finished\":"), 40);
    a = ask("POST", "/mock/faults", NULL, "{\"fail_rate\":1}");
    forget(&a);
    for (unsigned i = 0; i < 20; i++) {
        a = ask("POST", CHAT_URL, NULL, CHAT);
        assert_int_equal(a.status, 500);
        forget(&a);
    }
    a = ask("GET", "/mock/requests", NULL, NULL);
    assert_int_equal(count(&a, "\"number\":"), 60);
    forget(&a);
    for (unsigned i = 0; i < 2; i++) {
        parts[i].stop.run = close_part;
        loop_post(parts[i].loop, &parts[i].stop);
        loop_join(parts[i].loop);
        loop_free(parts[i].loop);
    }
}

static void a_realistic_engine_has_one_loop(void **state)
{
    struct mock_engine *other;
    struct err err = { 0 };

    start(realistic());
    assert_int_equal(mock_engine_join(engine.loop, engine.mock, &other, &err), ERR_UNSUPPORTED);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(every_endpoint_answers_with_json),
        WITH_ENGINE(every_stream_is_whole_and_its_events_are_json),
        WITH_ENGINE(the_native_stream_repeats_the_text_from_its_beginning),
        WITH_ENGINE(amounts_are_honoured),
        WITH_ENGINE(the_requests_model_name_comes_back),
        WITH_ENGINE(what_cannot_be_read_is_400_in_the_engines_words),
        WITH_ENGINE(metrics_have_the_names_of_the_runtime),
        cmocka_unit_test(a_runtime_has_its_own_endpoints),
        WITH_ENGINE(equal_texts_have_equal_vectors),
        WITH_ENGINE(rerank_puts_the_best_first_and_says_where_it_was),
        cmocka_unit_test(the_same_seed_and_prompt_give_the_same_answer),
        cmocka_unit_test(an_echo_is_the_last_text_of_the_user),
        WITH_ENGINE(received_requests_are_recorded_and_can_be_cleared),
        WITH_ENGINE(the_record_keeps_the_last_256_and_counts_large_bodies),
        cmocka_unit_test(a_configuration_that_cannot_work_is_refused),
        cmocka_unit_test(without_memory_an_engine_does_not_start_and_leaves_nothing),
        cmocka_unit_test(two_loops_serve_one_engine),
        cmocka_unit_test(a_realistic_engine_has_one_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
