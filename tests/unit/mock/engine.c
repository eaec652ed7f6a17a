/* engine.c -- a simulated engine over the wire: every endpoint's JSON is valid, answers are determined by the seed, faults do what they say */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "json/json.h"
#include "mock/mock.h"

/* ---- an engine on a thread of its own ---- */

static struct engine {
    struct loop *loop;
    struct mock_engine *mock;
    uint16_t port;
    struct message stop;
} engine;

static void start(struct mock_conf conf)
{
    struct err err = { 0 };

    assert_int_equal(loop_new("mock", 0, &engine.loop, &err), 0);
    assert_int_equal(mock_engine_new(engine.loop, &conf, &engine.mock, &err), 0);
    assert_int_equal(mock_engine_listen(engine.mock, STR("127.0.0.1"), 0, MOCK_ALONE, &engine.port, &err), 0);
    assert_int_equal(loop_start_thread(engine.loop, &err), 0);
}

static void close_engine(struct loop *l, struct message *m)
{
    mock_engine_close(engine.mock);
    mock_engine_free(engine.mock);
    loop_stop(l);
}

static void stop(void)
{
    engine.stop.run = close_engine;
    loop_post(engine.loop, &engine.stop);
    loop_join(engine.loop);
    loop_free(engine.loop);
    assert_int_equal(budget_used(), 0);
}

static int start_default(void **state)
{
    start(MOCK_DEFAULTS);
    return 0;
}

static int stop_default(void **state)
{
    stop();
    return 0;
}

/* ---- a client ---- */

struct answer {
    struct buf raw;
    unsigned status; /* 0 = no head came */
    struct str head;
    struct buf body; /* chunks joined */
    bool complete;   /* the body ended as its framing says */
    uint64_t took_us;
};

static int say(const char *method, const char *path, const char *headers, const char *body)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(engine.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 8 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct buf out = { 0 };

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    buf_printf(&out, "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s", method, path,
               body ? strlen(body) : 0, headers ? headers : "", body ? body : "");
    assert_int_equal(send(fd, out.p, out.n, MSG_NOSIGNAL), out.n);
    buf_fini(&out);
    return fd;
}

static void join_chunks(struct answer *a, const char *p)
{
    for (;;) {
        char *end;
        size_t n = strtoul(p, &end, 16);

        if (end == p || end[0] != '\r')
            return;
        if (n == 0) {
            a->complete = true;
            return;
        }
        if ((size_t)(a->raw.p + a->raw.n - end) < n + 4)
            return;
        buf_put(&a->body, (struct str){ end + 2, n });
        p = end + 2 + n + 2;
    }
}

static void hear(int fd, struct answer *a)
{
    uint64_t began = clock_now_us();
    char *end, *length;
    ssize_t r;

    memset(a, 0, sizeof(*a));
    do {
        char *to = buf_reserve(&a->raw, 65536);

        r = recv(fd, to, 65535, 0);
        if (r > 0)
            a->raw.n += (size_t)r;
        assert_false(r < 0 && errno == EAGAIN);
    } while (r > 0);
    close(fd);
    a->took_us = clock_now_us() - began;
    buf_put_char(&a->raw, 0);
    a->raw.n--;
    end = strstr(a->raw.p, "\r\n\r\n");
    if (!end)
        return;
    assert_int_equal(sscanf(a->raw.p, "HTTP/1.1 %u ", &a->status), 1);
    a->head = str_range(a->raw.p, end + 2);
    length = strstr(a->raw.p, "\r\ncontent-length: ");
    if (length && length < end) {
        buf_put(&a->body, str_range(end + 4, a->raw.p + a->raw.n));
        a->complete = a->body.n == strtoul(length + 18, NULL, 10);
    } else {
        join_chunks(a, end + 4);
    }
    buf_put_char(&a->body, 0);
    a->body.n--;
}

static void forget(struct answer *a)
{
    buf_fini(&a->raw);
    buf_fini(&a->body);
}

static struct answer ask(const char *method, const char *path, const char *headers, const char *body)
{
    struct answer a;

    hear(say(method, path, headers, body), &a);
    return a;
}

static void assert_json(struct str text)
{
    struct json_doc doc;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    if (json_parse(text, &arena, &doc, NULL) < 0)
        fail_msg("not JSON: %.*s", STR_FMT(text));
    arena_fini(&arena);
}

static bool has(const struct answer *a, const char *text)
{
    return strstr(a->body.p, text) != NULL;
}

static void assert_has(const struct answer *a, const char *text)
{
    if (!has(a, text))
        fail_msg("\"%s\" is not in: %s", text, a->body.p);
}

static unsigned count(const struct answer *a, const char *text)
{
    struct str left = buf_str(&a->body);
    unsigned n = 0;

    for (size_t at; (at = str_find(left, str_of(text))) != STR_NPOS; n++)
        left = str_skip(left, at + 1);
    return n;
}

/* Every data line but [DONE] is JSON. Returns how many there are. */
static unsigned assert_events(const struct answer *a)
{
    struct str left = buf_str(&a->body), line;
    unsigned n = 0;

    while (left.n > 0) {
        (void)str_split(left, '\n', &line, &left);
        if (!str_has_prefix(line, STR("data: ")))
            continue;
        n++;
        if (!str_eq(line, STR("data: [DONE]")))
            assert_json(str_skip(line, 6));
    }
    return n;
}

#define CHAT     "{\"messages\":[{\"role\":\"user\",\"content\":\"hello world\"}]}"
#define CHAT_S   "{\"messages\":[{\"role\":\"user\",\"content\":\"hello world\"}],\"stream\":true}"
#define CHAT_URL "/v1/chat/completions"

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
        { MOCK_SGLANG, "/server_info", 200 }, { MOCK_SGLANG, "/version", 404 },     { MOCK_SGLANG, "/v1/loads", 200 },
        { MOCK_VLLM, "/version", 200 },       { MOCK_VLLM, "/server_info", 404 },   { MOCK_VLLM, "/v1/loads", 404 },
        { MOCK_VLLM, "/metrics", 200 },       { MOCK_TRTLLM, "/v1/loads", 200 },    { MOCK_TRTLLM, "/version", 404 },
        { MOCK_OPENAI, "/metrics", 404 },     { MOCK_OPENAI, "/server_info", 404 }, { MOCK_OPENAI, "/v1/models", 200 },
        { MOCK_OPENAI, "/health", 200 },
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

static struct str content(const struct answer *a)
{
    const char *from = strstr(a->body.p, "\"content\":\"");

    assert_non_null(from);
    from += 11;
    return str_range(from, strchr(from, '"'));
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

/* What GET /mock/requests counts under NAME. */
static unsigned long counted(const char *name)
{
    struct answer a = ask("GET", "/mock/requests", NULL, NULL);
    unsigned long n = strtoul(strstr(a.body.p, name) + strlen(name), NULL, 10);

    forget(&a);
    return n;
}

static void wait_until(const char *name, unsigned long value)
{
    for (unsigned i = 0; counted(name) != value; i++) {
        assert_true(i < 1000);
        usleep(2000);
    }
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
    struct answer a = ask("POST", "/mock/faults", NULL, "{\"fail_rate\":1,\"fail_status\":418,\"unhealthy\":true}");

    assert_has(&a, "\"fail_rate\":1.0,\"fail_status\":418");
    forget(&a);
    a = ask("POST", CHAT_URL, NULL, CHAT);
    assert_int_equal(a.status, 418);
    forget(&a);
    a = ask("GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 503);
    forget(&a);
    a = ask("POST", "/mock/faults", NULL, "{\"fail_rate\":0,\"unhealthy\":false,\"slow_health_ms\":40}");
    forget(&a);
    a = ask("GET", "/health", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_true(a.took_us >= 40000);
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

static struct mock_conf realistic(void)
{
    struct mock_conf conf = MOCK_DEFAULTS;

    conf.mode = MOCK_REALISTIC;
    conf.decode_base_ms = 4;
    conf.decode_per_req_ms = 1;
    conf.output_tokens = 20;
    return conf;
}

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

/* ---- start ---- */

static void a_configuration_that_cannot_work_is_refused(void **state)
{
    struct mock_conf bad[6];
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
    assert_int_equal(loop_new("mock", 0, &loop, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };

        assert_int_equal(mock_engine_new(loop, &bad[i], &e, &err), ERR_INVALID);
        assert_true(err.message[0]);
    }
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

#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, start_default, stop_default)

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
        cmocka_unit_test(the_same_seed_and_prompt_give_the_same_answer),
        cmocka_unit_test(an_echo_is_the_last_text_of_the_user),
        WITH_ENGINE(received_requests_are_recorded_and_can_be_cleared),
        WITH_ENGINE(the_record_keeps_the_last_256_and_counts_large_bodies),
        WITH_ENGINE(a_failure_is_answered_with_its_status),
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
        cmocka_unit_test(several_tokens_share_a_chunk),
        WITH_ENGINE(a_slow_client_holds_up_only_its_own_stream),
        cmocka_unit_test(closing_cuts_what_runs),
        cmocka_unit_test(a_realistic_answer_takes_its_steps),
        cmocka_unit_test(a_conversation_finds_its_prefix_in_the_cache),
        cmocka_unit_test(load_shows_what_runs_and_what_waits),
        cmocka_unit_test(a_realistic_answer_can_be_cut_and_stalled),
        cmocka_unit_test(a_configuration_that_cannot_work_is_refused),
        cmocka_unit_test(two_loops_serve_one_engine),
        cmocka_unit_test(a_realistic_engine_has_one_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
