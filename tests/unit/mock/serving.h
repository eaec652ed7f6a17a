/* serving.h -- a simulated engine on a thread of its own, and a client with blocking sockets on the test's thread */
#pragma once

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
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

static inline void start(struct mock_conf conf)
{
    struct err err = { 0 };

    assert_int_equal(loop_new("mock", 0, &engine.loop, &err), 0);
    assert_int_equal(mock_engine_new(engine.loop, &conf, &engine.mock, &err), 0);
    assert_int_equal(mock_engine_listen(engine.mock, STR("127.0.0.1"), 0, MOCK_ALONE, &engine.port, &err), 0);
    assert_int_equal(loop_start_thread(engine.loop, &err), 0);
}

static inline void close_engine(struct loop *l, struct message *m)
{
    mock_engine_close(engine.mock);
    mock_engine_free(engine.mock);
    loop_stop(l);
}

static inline void stop(void)
{
    engine.stop.run = close_engine;
    loop_post(engine.loop, &engine.stop);
    loop_join(engine.loop);
    loop_free(engine.loop);
    assert_int_equal(budget_used(), 0);
}

static inline int start_default(void **state)
{
    start(MOCK_DEFAULTS);
    return 0;
}

static inline int stop_default(void **state)
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

static inline int say(const char *method, const char *path, const char *headers, const char *body)
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

static inline void join_chunks(struct answer *a, const char *p)
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

static inline void hear(int fd, struct answer *a)
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

static inline void forget(struct answer *a)
{
    buf_fini(&a->raw);
    buf_fini(&a->body);
}

static inline struct answer ask(const char *method, const char *path, const char *headers, const char *body)
{
    struct answer a;

    hear(say(method, path, headers, body), &a);
    return a;
}

static inline void assert_json(struct str text)
{
    struct json_doc doc;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    if (json_parse(text, &arena, &doc, NULL) < 0)
        fail_msg("not JSON: %.*s", STR_FMT(text));
    arena_fini(&arena);
}

static inline bool has(const struct answer *a, const char *text)
{
    return strstr(a->body.p, text) != NULL;
}

static inline void assert_has(const struct answer *a, const char *text)
{
    if (!has(a, text))
        fail_msg("\"%s\" is not in: %s", text, a->body.p);
}

static inline unsigned count(const struct answer *a, const char *text)
{
    struct str left = buf_str(&a->body);
    unsigned n = 0;

    for (size_t at; (at = str_find(left, str_of(text))) != STR_NPOS; n++)
        left = str_skip(left, at + 1);
    return n;
}

/* Every data line but [DONE] is JSON. Returns how many there are. */
static inline unsigned assert_events(const struct answer *a)
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

static inline struct str content(const struct answer *a)
{
    const char *from = strstr(a->body.p, "\"content\":\"");

    assert_non_null(from);
    from += 11;
    return str_range(from, strchr(from, '"'));
}

/* What GET /mock/requests counts under NAME. */
static inline unsigned long counted(const char *name)
{
    struct answer a = ask("GET", "/mock/requests", NULL, NULL);
    unsigned long n = strtoul(strstr(a.body.p, name) + strlen(name), NULL, 10);

    forget(&a);
    return n;
}

static inline void wait_until(const char *name, unsigned long value)
{
    for (unsigned i = 0; counted(name) != value; i++) {
        assert_true(i < 1000);
        usleep(2000);
    }
}

static inline struct mock_conf realistic(void)
{
    struct mock_conf conf = MOCK_DEFAULTS;

    conf.mode = MOCK_REALISTIC;
    conf.decode_base_ms = 4;
    conf.decode_per_req_ms = 1;
    conf.output_tokens = 20;
    return conf;
}

#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, start_default, stop_default)
