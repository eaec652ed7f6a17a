/* generation.c -- answers over the wire: faults do what they say, tokens keep their pace, the realistic engine takes its time */
#include "serving.h"

/* ---- faults ---- */

static void a_failure_is_answered_with_its_status(void **state)
{
    struct answer a = ask("POST", CHAT_URL, "x-mock-fault: status=503, retry-after=2\r\n", CHAT_S);

    assert_int_equal(a.status, 503);
    assert_true(str_find(a.head, STR("\r\nretry-after: 2\r\n")) != STR_NPOS);
    assert_json(buf_str(&a.body));
    forget(&a);
    a = ask("POST", "/v1/embeddings", "x-mock-fault: status=429\r\n", "{\"input\":\"a\"}");
    assert_int_equal(a.status, 429);
    forget(&a);
    a = ask("POST", "/v1/messages", "x-mock-fault: status=503\r\n", CHAT);
    assert_int_equal(a.status, 503);
    assert_has(&a, "{\"type\":\"error\",\"error\":{");
    forget(&a);
}

static void vectors_know_failures_and_refuse_other_faults(void **state)
{
    static const char *const others[] = { "x-mock-fault: delay=1\r\n", "x-mock-fault: stall=0\r\n", "x-mock-fault: cut=0\r\n",
                                          "x-mock-fault: wrong-length=1\r\n" };
    struct answer a = ask("POST", "/v1/embeddings", "x-mock-fault: status=503 retry-after=2\r\n", "{\"input\":\"a\"}");

    assert_int_equal(a.status, 503);
    assert_true(str_find(a.head, STR("\r\nretry-after: 2\r\n")) != STR_NPOS);
    forget(&a);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        a = ask("POST", "/v1/rerank", others[i], "{\"query\":\"q\",\"documents\":[\"a\"]}");
        assert_int_equal(a.status, 400);
        assert_has(&a, "status and retry-after only");
        forget(&a);
    }
}

static void every_generation_is_counted_once_by_its_end(void **state)
{
    static const struct {
        const char *path, *header, *body;
        bool failed;
    } rows[] = {
        { CHAT_URL, NULL, CHAT, false },
        { CHAT_URL, NULL, CHAT_S, false },
        { CHAT_URL, "x-mock-fault: cut=2\r\n", CHAT, true },
        { CHAT_URL, "x-mock-fault: cut=2\r\n", CHAT_S, true },
        { CHAT_URL, "x-mock-fault: cut=0\r\n", CHAT, true },
        { CHAT_URL, "x-mock-fault: wrong-length=5\r\n", CHAT, true },
        { CHAT_URL, "x-mock-fault: status=500\r\n", CHAT, true },
        { CHAT_URL, NULL, "{", true },
        { "/v1/embeddings", NULL, "{\"input\":\"a\"}", false },
        { "/v1/embeddings", NULL, "{\"input\":1}", true },
        { "/v1/rerank", NULL, "{", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned long finished = counted("\"finished\":"), failed = counted("\"failed\":");
        struct answer a = ask("POST", rows[i].path, rows[i].header, rows[i].body);

        assert_int_equal(counted("\"finished\":"), finished + !rows[i].failed);
        assert_int_equal(counted("\"failed\":"), failed + rows[i].failed);
        assert_int_equal(counted("\"running\":"), 0);
        forget(&a);
    }
}

static void a_fault_that_is_not_known_is_an_error_of_the_test(void **state)
{
    struct answer a = ask("POST", CHAT_URL, "x-mock-fault: kut=5\r\n", CHAT);

    assert_int_equal(a.status, 400);
    assert_has(&a, "kut=5");
    forget(&a);
}

static void a_cut_stream_ends_in_the_middle(void **state)
{
    static const char *const headers[] = { "x-mock-fault: cut=1\r\n", "x-mock-fault: cut=5\r\n", "x-mock-fault: cut=8\r\n" };
    static const unsigned tokens[] = { 1, 5, 8 };

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct answer a = ask("POST", CHAT_URL, headers[i], CHAT_S);

        assert_int_equal(a.status, 200);
        assert_false(a.complete);
        assert_int_equal(count(&a, "{\"content\":"), tokens[i]);
        assert_false(has(&a, "[DONE]"));
        forget(&a);
    }
}

static void a_cut_behind_the_end_cuts_nothing(void **state)
{
    struct answer a = ask("POST", CHAT_URL, "x-mock-fault: cut=9 stall=9\r\n", CHAT_S);

    assert_true(a.complete);
    assert_has(&a, "[DONE]");
    forget(&a);
}

static void a_cut_at_nothing_leaves_no_head(void **state)
{
    struct answer a = ask("POST", CHAT_URL, "x-mock-fault: cut=0\r\n", CHAT_S),
                  b = ask("POST", CHAT_URL, "x-mock-fault: cut=0\r\n", CHAT);

    assert_int_equal(a.status, 0);
    assert_int_equal(b.status, 0);
    forget(&a);
    forget(&b);
}

static void a_cut_reply_is_half_and_a_lying_one_has_the_wrong_length(void **state)
{
    struct answer half = ask("POST", CHAT_URL, "x-mock-fault: cut=3\r\n", CHAT),
                  more = ask("POST", CHAT_URL, "x-mock-fault: wrong-length=5\r\n", CHAT),
                  less = ask("POST", CHAT_URL, "x-mock-fault: wrong-length=-5\r\n", CHAT);

    assert_false(half.complete);
    assert_int_equal(half.status, 200);
    assert_false(more.complete);
    assert_true(str_has_suffix(buf_str(&more.body), STR("}}}")));
    assert_true(less.complete);
    assert_false(str_has_suffix(buf_str(&less.body), STR("}}}")));
    forget(&half);
    forget(&more);
    forget(&less);
}

static void a_stalled_answer_waits_until_the_client_leaves(void **state)
{
    static const char *const bodies[] = { CHAT_S, CHAT };

    for (size_t i = 0; i < 2; i++) {
        unsigned long aborted = counted("\"aborted\":");
        int fd = say("POST", CHAT_URL, "x-mock-fault: stall=2\r\n", bodies[i]);

        wait_until("\"running\":", 1);
        usleep(30000);
        assert_int_equal(counted("\"running\":"), 1);
        close(fd);
        wait_until("\"running\":", 0);
        assert_int_equal(counted("\"aborted\":"), aborted + 1);
    }
}

static void a_delay_is_waited_for(void **state)
{
    struct answer a = ask("POST", CHAT_URL, "x-mock-fault: delay=60\r\n", CHAT),
                  b = ask("POST", CHAT_URL, "x-mock-fault: delay=60 status=500\r\n", CHAT);

    assert_int_equal(a.status, 200);
    assert_true(a.took_us >= 60000);
    assert_int_equal(b.status, 500);
    assert_true(b.took_us >= 60000);
    forget(&a);
    forget(&b);
}

static void who_leaves_during_the_delay_is_forgotten(void **state)
{
    int fd = say("POST", CHAT_URL, "x-mock-fault: delay=60000\r\n", CHAT);

    wait_until("\"running\":", 1);
    close(fd);
    wait_until("\"running\":", 0);
}

static void faults_change_while_the_engine_runs(void **state)
{
    struct answer a =
        ask("POST", "/mock/faults", NULL, "{\"fail_rate\":1,\"fail_status\":418,\"retry_after_s\":3,\"unhealthy\":true}");

    assert_has(&a, "\"fail_rate\":1.0,\"fail_status\":418,\"retry_after_s\":3");
    forget(&a);
    a = ask("POST", CHAT_URL, NULL, CHAT);
    assert_int_equal(a.status, 418);
    forget(&a);
    a = ask("GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 503);
    forget(&a);
    a = ask("POST", "/mock/faults", NULL, "{\"fail_rate\":0,\"unhealthy\":false,\"slow_health_ms\":300}");
    forget(&a);
    a = ask("GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_true(a.took_us >= 100000); /* a timer counts from the beginning of its loop's turn, which a busy machine makes long */
    forget(&a);
    a = ask("POST", CHAT_URL, NULL, CHAT);
    assert_int_equal(a.status, 200);
    forget(&a);
}

static unsigned failures_of(uint64_t seed, uint32_t instance)
{
    struct mock_conf conf = MOCK_DEFAULTS;
    unsigned failed = 0;

    conf.seed = seed;
    conf.instance = instance;
    conf.faults.fail_rate = 0.5;
    start(conf);
    for (unsigned i = 0; i < 24; i++) {
        struct answer a = ask("POST", CHAT_URL, NULL, CHAT);

        failed |= (unsigned)(a.status == 500) << i;
        forget(&a);
    }
    stop();
    return failed;
}

static void random_failures_are_determined_by_the_seed(void **state)
{
    unsigned first = failures_of(1, 0);

    assert_true(first != 0 && first != (1u << 24) - 1);
    assert_int_equal(failures_of(1, 0), first);
    assert_int_not_equal(failures_of(2, 0), first);
    assert_int_not_equal(failures_of(1, 1), first);
}

static void an_engine_that_starts_up_is_not_healthy_yet(void **state)
{
    struct mock_conf conf = MOCK_DEFAULTS;
    struct answer a;

    conf.startup_ms = 150;
    start(conf);
    a = ask("GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 503);
    forget(&a);
    usleep(160000);
    a = ask("GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 200);
    forget(&a);
    stop();
}

/* ---- pace ---- */

static void tokens_come_at_the_rate_that_was_asked_for(void **state)
{
    static const char *const bodies[] = { CHAT_S, CHAT };
    struct mock_conf conf = MOCK_DEFAULTS;

    conf.tokens_per_second = 200;
    conf.output_tokens = 21;
    conf.flush_each = true;
    start(conf);
    for (size_t i = 0; i < 2; i++) {
        struct answer a = ask("POST", CHAT_URL, NULL, bodies[i]);

        assert_true(a.complete);
        assert_in_range(a.took_us, 100000, 400000); /* the last of 21 tokens is due after 20 / 200 s */
        forget(&a);
    }
    stop();
}

/* The engine puts what it sends at once into one chunk: so many of them end with an event. */
static size_t chunks_of_events(const struct answer *a)
{
    size_t n = 0;

    for (const char *p = a->raw.p; (p = strstr(p, "\n\n\r\n")) != NULL; p++)
        n++;
    return n;
}

static void events_of_a_burst_come_together(void **state)
{
    struct mock_conf conf = MOCK_DEFAULTS;
    struct answer a;

    conf.tokens_per_second = 100;
    conf.output_tokens = 21;
    conf.burst = 8;
    start(conf);
    a = ask("POST", CHAT_URL, NULL, CHAT_S);
    assert_true(a.complete);
    assert_int_equal(assert_events(&a), 1 + 21 + 1 + 1);
    assert_in_range(a.took_us, 200000, 600000);  /* the last of 21 tokens is due after 20 / 100 s */
    assert_in_range(chunks_of_events(&a), 2, 4); /* the role, 8, 8, 5 and the end; a late engine sends two bursts at once */
    forget(&a);
    stop();
}

static void several_tokens_share_a_chunk(void **state)
{
    struct mock_conf conf = MOCK_DEFAULTS;
    struct answer a;

    conf.tokens_per_chunk = 3;
    start(conf);
    a = ask("POST", CHAT_URL, NULL, CHAT_S);
    assert_int_equal(assert_events(&a), 1 + 3 + 1 + 1);
    forget(&a);
    a = ask("POST", CHAT_URL, "x-mock-fault: cut=4\r\n", CHAT_S);
    assert_int_equal(count(&a, "{\"content\":"), 2);
    assert_false(a.complete);
    forget(&a);
    stop();
}

static void a_slow_client_holds_up_only_its_own_stream(void **state)
{
    struct answer a, slow;
    int fd = say("POST", "/v1/completions", NULL, "{\"prompt\":\"x\",\"stream\":true,\"max_tokens\":60000,\"ignore_eos\":true}");

    usleep(50000);
    a = ask("POST", CHAT_URL, NULL, CHAT);
    assert_int_equal(a.status, 200);
    forget(&a);
    assert_int_equal(counted("\"running\":"), 1);
    hear(fd, &slow);
    assert_true(slow.complete);
    assert_int_equal(count(&slow, "data: "), 60000 + 1 + 1);
    forget(&slow);
}

static void closing_cuts_what_runs(void **state)
{
    struct mock_conf conf = MOCK_DEFAULTS;
    struct answer a;
    int fds[3];

    conf.tokens_per_second = 1;
    start(conf);
    fds[0] = say("POST", CHAT_URL, NULL, CHAT_S);
    fds[1] = say("POST", CHAT_URL, "x-mock-fault: stall=0\r\n", CHAT);
    fds[2] = say("POST", CHAT_URL, "x-mock-fault: delay=60000\r\n", CHAT);
    wait_until("\"running\":", 3);
    stop();
    for (size_t i = 0; i < 3; i++) {
        hear(fds[i], &a);
        assert_false(a.complete);
        forget(&a);
    }
}

/* ---- realistic ---- */

static void a_realistic_answer_takes_its_steps(void **state)
{
    static const char *const bodies[] = { CHAT_S, CHAT };
    struct answer a;

    start(realistic());
    for (size_t i = 0; i < 2; i++) {
        a = ask("POST", CHAT_URL, NULL, bodies[i]);
        assert_int_equal(a.status, 200);
        assert_true(a.complete);
        assert_in_range(a.took_us, 100000, 400000); /* 20 steps of 5 ms */
        forget(&a);
    }
    stop();
}

static void a_conversation_finds_its_prefix_in_the_cache(void **state)
{
    struct buf body = { 0 };
    struct answer first, next;

    start(realistic());
    first = ask("POST", CHAT_URL, NULL,
                "{\"messages\":[{\"role\":\"user\",\"content\":\"tell me something about rivers, lakes and the sea, please: as "
                "much as you can\"}]}");
    assert_has(&first, "\"cached_tokens\":0");
    buf_printf(&body,
               "{\"messages\":[{\"role\":\"user\",\"content\":\"tell me something about rivers, lakes and the sea, please: as much "
               "as you can\"},"
               "{\"role\":\"assistant\",\"content\":\"%.*s\"},{\"role\":\"user\",\"content\":\"and more\"}]}%c",
               STR_FMT(content(&first)), 0);
    next = ask("POST", CHAT_URL, NULL, body.p);
    assert_has(&next, "\"cached_tokens\":32"); /* 73 + 4 + 9 bytes of prompt and 80 of answer hold two blocks of 64 */
    forget(&first);
    forget(&next);
    first = ask("GET", "/mock/requests", NULL, "");
    assert_has(&first, "\"cached_tokens\":32,");
    forget(&first);
    buf_fini(&body);
    stop();
}

static void load_shows_what_runs_and_what_waits(void **state)
{
    struct mock_conf conf = realistic();
    struct answer a;
    int fds[3];

    conf.max_running = 2;
    conf.output_tokens = 1000;
    start(conf);
    for (size_t i = 0; i < 3; i++)
        fds[i] = say("POST", CHAT_URL, NULL, CHAT_S);
    wait_until("\"running\":", 3);
    usleep(50000);
    a = ask("GET", "/v1/loads", NULL, NULL);
    assert_json(buf_str(&a.body));
    assert_has(&a, "\"num_running_reqs\":2,\"num_waiting_reqs\":1,\"num_waiting_uncached_tokens\":6,\"num_total_reqs\":3");
    assert_false(has(&a, "\"gen_throughput\":0.0"));
    assert_false(has(&a, "\"num_used_tokens\":0,"));
    forget(&a);
    a = ask("GET", "/metrics", NULL, NULL);
    assert_has(&a, "\nsglang:num_queue_reqs{model_name=\"mock-model\"} 1\n");
    forget(&a);
    a = ask("POST", "/flush_cache", NULL, NULL);
    assert_int_equal(a.status, 400);
    forget(&a);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    wait_until("\"running\":", 0);
    a = ask("GET", "/v1/loads", NULL, NULL);
    assert_has(&a, "\"num_running_reqs\":0,\"num_waiting_reqs\":0,\"num_waiting_uncached_tokens\":0,\"num_total_reqs\":0,\"num_"
                   "used_tokens\":0,");
    forget(&a);
    a = ask("POST", "/flush_cache", NULL, NULL);
    assert_int_equal(a.status, 200);
    forget(&a);
    stop();
}

static void a_realistic_answer_can_be_cut_and_stalled(void **state)
{
    struct answer a;
    int fd;

    start(realistic());
    a = ask("POST", CHAT_URL, "x-mock-fault: cut=3\r\n", CHAT_S);
    assert_int_equal(count(&a, "{\"content\":"), 3);
    assert_false(a.complete);
    forget(&a);
    fd = say("POST", CHAT_URL, "x-mock-fault: stall=3\r\n", CHAT_S);
    wait_until("\"running\":", 1);
    usleep(50000);
    a = ask("GET", "/v1/loads", NULL, NULL);
    assert_has(&a, "\"num_running_reqs\":0"); /* it gave its place in the batch back */
    forget(&a);
    close(fd);
    wait_until("\"running\":", 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(a_failure_is_answered_with_its_status),
        WITH_ENGINE(vectors_know_failures_and_refuse_other_faults),
        WITH_ENGINE(every_generation_is_counted_once_by_its_end),
        WITH_ENGINE(a_fault_that_is_not_known_is_an_error_of_the_test),
        WITH_ENGINE(a_cut_stream_ends_in_the_middle),
        WITH_ENGINE(a_cut_behind_the_end_cuts_nothing),
        WITH_ENGINE(a_cut_at_nothing_leaves_no_head),
        WITH_ENGINE(a_cut_reply_is_half_and_a_lying_one_has_the_wrong_length),
        WITH_ENGINE(a_stalled_answer_waits_until_the_client_leaves),
        WITH_ENGINE(a_delay_is_waited_for),
        WITH_ENGINE(who_leaves_during_the_delay_is_forgotten),
        WITH_ENGINE(faults_change_while_the_engine_runs),
        cmocka_unit_test(random_failures_are_determined_by_the_seed),
        cmocka_unit_test(an_engine_that_starts_up_is_not_healthy_yet),
        cmocka_unit_test(tokens_come_at_the_rate_that_was_asked_for),
        cmocka_unit_test(events_of_a_burst_come_together),
        cmocka_unit_test(several_tokens_share_a_chunk),
        WITH_ENGINE(a_slow_client_holds_up_only_its_own_stream),
        cmocka_unit_test(closing_cuts_what_runs),
        cmocka_unit_test(a_realistic_answer_takes_its_steps),
        cmocka_unit_test(a_conversation_finds_its_prefix_in_the_cache),
        cmocka_unit_test(load_shows_what_runs_and_what_waits),
        cmocka_unit_test(a_realistic_answer_can_be_cut_and_stalled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
