/* stage.h -- a gateway's loop with real server, client and dispatcher, and a test that plays both the client and the engines
 *
 *     test thread: client socket --> loop thread: http_server, handler, dispatcher, http_client --> test thread: engine sockets
 *
 * The test's sockets block, so a scene reads from top to bottom: the client says, the engine hears, the engine says, the client hears. Workers are real ones in a
 * real table; the registry around it holds nothing else, so nothing probes the engines. Which worker comes first is their order: the policy takes the first candidate.
 * What belongs to the loop is looked at through stage_do(), which waits.
 */
#pragma once

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "dispatch/dispatch_internal.h"
#include "http/server.h"
#include "inference/inference.h"
#include "observe/prometheus.h"
#include "worker/registry_internal.h"

#define ENGINES_MAX 10
#define PATIENCE_MS 8000

enum engine_kind {
    ENGINE_NONE,   /* ends the list */
    ENGINE_OPEN,   /* accepts; the test answers */
    ENGINE_CLOSED, /* refuses connections */
    ENGINE_DEAF,   /* its backlog is full: connecting hangs */
};

struct engine {
    enum engine_kind kind;
    const char *model;         /* NULL = serves any */
    const char *alias;         /* of the model, or NULL */
    const char *key;           /* its own API key, or NULL */
    const char *provider;      /* on the model's card, or NULL */
    enum worker_status status; /* WORKER_PENDING counts as ready: tests name only what is odd */
    enum worker_type type;
    enum worker_mode mode;
    enum worker_runtime runtime;
    const char *host; /* instead of 127.0.0.1 */
    /* filled in */
    int listener, fillers[4];
    uint16_t port;
    struct worker *worker;
};

enum { CTX_TEST, CTX_INFERENCE, CTX_N };

struct stage_conf {
    const struct route *routes;
    size_t routes_n;
    const struct filter *filters;
    size_t filters_n;
    void *test; /* the context CTX_TEST */
    struct dispatcher_conf dispatch;
};

static struct stage {
    struct engine engines[ENGINES_MAX];
    unsigned engines_n;
    struct loop *loop;
    struct registry registry; /* only its table */
    struct policy_set *policies;
    struct router *router;
    struct http_client *client;
    struct http_server *server;
    struct dispatcher *dispatcher;
    struct inference inference;
    void *contexts[CTX_N];
    struct stage_conf conf;
    uint16_t port;
} stage;

/* ---- acting on the loop's thread ---- */

struct stage_task {
    struct message message;
    void (*fn)(void *arg);
    void *arg;
    sem_t done;
};

static inline void stage_run(struct loop *l, struct message *m)
{
    struct stage_task *t = CONTAINER_OF(m, struct stage_task, message);

    t->fn(t->arg);
    sem_post(&t->done);
}

static inline void stage_do(void (*fn)(void *arg), void *arg)
{
    struct stage_task t = { .message.run = stage_run, .fn = fn, .arg = arg };

    sem_init(&t.done, 0, 0);
    loop_post(stage.loop, &t.message);
    while (sem_wait(&t.done) < 0)
        ;
    sem_destroy(&t.done);
}

static inline void nap_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
}

/* ---- sockets of the test ---- */

static inline void be_patient(int fd)
{
    struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline int dial(uint16_t port, int receive_buffer)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (receive_buffer)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    be_patient(fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void say_n(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

        assert_true(w > 0);
        p += w;
        n -= (size_t)w;
    }
}

static inline void say(int fd, const char *text)
{
    say_n(fd, text, strlen(text));
}

/* Closes with RST. */
static inline void slam(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* What was heard last, NUL-terminated. */
#define HEARD_MAX (1024 * 1024)
static char heard[HEARD_MAX];
static size_t heard_n;

static inline bool hear_some(int fd)
{
    ssize_t r = recv(fd, heard + heard_n, HEARD_MAX - 1 - heard_n, 0);

    if (r > 0)
        heard_n += (size_t)r;
    heard[heard_n] = 0;
    if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fail_msg("nothing came for %d ms; so far: %s", PATIENCE_MS, heard);
    return r > 0;
}

/* Until TEXT was heard. */
static inline void hear_until(int fd, const char *text)
{
    heard_n = 0;
    heard[0] = 0;
    while (!strstr(heard, text))
        if (!hear_some(fd))
            fail_msg("the connection ended before \"%s\"; heard: %s", text, heard);
}

/* Until the connection ends; closes it. */
static inline void hear_all(int fd)
{
    heard_n = 0;
    heard[0] = 0;
    while (hear_some(fd))
        ;
    close(fd);
}

/* One request with its body. */
static inline void hear_request(int fd)
{
    char *end, *length;
    size_t want;

    heard_n = 0;
    heard[0] = 0;
    while (!(end = strstr(heard, "\r\n\r\n")))
        if (!hear_some(fd))
            fail_msg("the connection ended inside a request: %s", heard);
    length = strstr(heard, "\r\ncontent-length: ");
    want = (size_t)(end + 4 - heard) + (length ? strtoul(length + 18, NULL, 10) : 0);
    while (heard_n < want)
        if (!hear_some(fd))
            fail_msg("the connection ended inside a request's body: %s", heard);
}

#define assert_heard(text)                                       \
    do {                                                         \
        if (!strstr(heard, (text)))                              \
            fail_msg("did not hear \"%s\" in: %s", text, heard); \
    } while (0)
#define assert_not_heard(text)                               \
    do {                                                     \
        if (strstr(heard, (text)))                           \
            fail_msg("did hear \"%s\" in: %s", text, heard); \
    } while (0)
#define assert_status(code) assert_heard("HTTP/1.1 " #code " ")

/* A request on a connection of its own that ends with the reply. */
static inline int ask_with(const char *line, const char *fields, const char *body)
{
    int fd = dial(stage.port, 0);
    char head[2048];

    snprintf(head, sizeof head, "%s HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n%scontent-length: %zu\r\n\r\n", line, fields,
             strlen(body));
    say(fd, head);
    say(fd, body);
    return fd;
}

/* ---- engines ---- */

/* The connection of the next attempt at engine I. */
static inline int engine_take(unsigned i)
{
    struct pollfd p = { .fd = stage.engines[i].listener, .events = POLLIN };
    int fd;

    if (poll(&p, 1, PATIENCE_MS) != 1)
        fail_msg("nobody connected to engine %u", i);
    fd = accept4(stage.engines[i].listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    be_patient(fd);
    return fd;
}

/* The same, its request heard. */
static inline int engine_hear(unsigned i)
{
    int fd = engine_take(i);

    hear_request(fd);
    return fd;
}

/* Nobody connects to engine I (any more), as far as MS of waiting can tell. */
static inline void engine_is_left_alone(unsigned i, int ms)
{
    struct pollfd p = { .fd = stage.engines[i].listener, .events = POLLIN };

    assert_int_equal(poll(&p, 1, ms), 0);
}

static inline int64_t load(unsigned i)
{
    return worker_load(stage.engines[i].worker);
}

/* Fails the test when the load does not become WANT soon. */
static inline void wait_for_load(unsigned i, int64_t want)
{
    for (unsigned waited = 0; load(i) != want; waited += 2) {
        if (waited > PATIENCE_MS)
            fail_msg("the load of engine %u stays %lld", i, (long long)load(i));
        nap_ms(2);
    }
}

static inline uint64_t picks(unsigned i)
{
    return atomic_load(&stage.engines[i].worker->live->processed);
}

static inline void engine_bind(struct engine *e)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;

    e->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(e->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(e->listener, (struct sockaddr *)&at, &n), 0);
    e->port = ntohs(at.sin_port);
    if (e->kind == ENGINE_CLOSED)
        return;
    assert_int_equal(listen(e->listener, e->kind == ENGINE_DEAF ? 0 : 64), 0);
    for (size_t i = 0; e->kind == ENGINE_DEAF && i < ARRAY_LEN(e->fillers); i++) {
        e->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(e->fillers[i], (struct sockaddr *)&at, sizeof at);
    }
}

static inline void engine_unbind(struct engine *e)
{
    close(e->listener);
    for (size_t i = 0; e->kind == ENGINE_DEAF && i < ARRAY_LEN(e->fillers); i++)
        close(e->fillers[i]);
    worker_unref(e->worker);
}

static inline struct worker *engine_describe(const struct engine *e, unsigned i)
{
    char url[128], id[UUID_TEXT_LEN + 1];
    struct str alias = e->alias ? str_of(e->alias) : STR_NONE;
    struct model_card card = { .id = e->model ? str_of(e->model) : STR_NONE, .aliases = &alias, .aliases_n = e->alias ? 1 : 0 };
    struct worker_spec spec;
    struct worker *w;

    if (e->provider)
        card.provider = str_of(e->provider);
    worker_spec_defaults(&spec);
    snprintf(url, sizeof url, "http://%s:%u", e->host ? e->host : "127.0.0.1", e->port);
    uuid_text(uuid_v7(), id);
    spec.url = str_of(url);
    spec.models = e->model ? &card : NULL;
    spec.models_n = e->model ? 1 : 0;
    spec.type = e->type;
    spec.mode = e->mode;
    spec.runtime = e->runtime;
    spec.api_key = e->key ? str_of(e->key) : STR_NONE;
    w = worker_new(&spec, id, 0, i, NULL);
    assert_non_null(w);
    atomic_store(&w->live->status, e->status == WORKER_PENDING ? WORKER_READY : e->status);
    return w;
}

/* ---- the stage ---- */

static inline int pick_first(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                             struct policy_choice *choice)
{
    return 0;
}

static const struct policy_ops FIRST = { .name = "first", .size = sizeof(struct policy), .pick = pick_first };

static inline void stage_policies(const struct policy_ops *ops)
{
    struct policy_set_conf conf = { .policy = ops, .params = POLICY_CONF_DEFAULTS };

    assert_int_equal(policy_set_new(stage.loop, &conf, &stage.policies, NULL), 0);
}

static inline void free_table(void *table)
{
    worker_table_free(table);
}

/* ENGINES and their table; no loop runs. */
static inline void stage_engines(const struct engine *engines)
{
    const struct worker *rows[ENGINES_MAX];
    struct worker_table *table;

    for (unsigned n = 0; engines && n < ENGINES_MAX && engines[n].kind != ENGINE_NONE; n++) {
        stage.engines[n] = engines[n];
        engine_bind(&stage.engines[n]);
        rows[n] = stage.engines[n].worker = engine_describe(&stage.engines[n], n);
        stage.engines_n = n + 1;
    }
    table = worker_table_new(rows, stage.engines_n);
    assert_non_null(table);
    snapshot_init(&stage.registry.table, table, free_table);
}

static inline void stage_serve(void *arg)
{
    struct http_server_conf conf = {
        .router = stage.router, .filters = stage.conf.filters, .filters_n = stage.conf.filters_n, .contexts = stage.contexts
    };
    struct net_address address;

    assert_int_equal(net_address_parse(STR("127.0.0.1"), 0, &address), 0);
    assert_int_equal(http_server_new(stage.loop, &conf, &stage.server), 0);
    assert_int_equal(http_server_listen(stage.server, &address, LISTENER_ALONE, &stage.port, NULL), 0);
}

static inline void stage_stop(void *arg)
{
    http_server_close(stage.server);
    http_server_free(stage.server);
    http_client_free(stage.client);
    loop_stop(stage.loop);
}

static inline void stage_open(const struct engine *engines, struct stage_conf conf)
{
    memset(&stage, 0, sizeof stage);
    stage.conf = conf;
    if (!stage.conf.dispatch.connect_ms)
        stage.conf.dispatch.connect_ms = PATIENCE_MS;
    if (!stage.conf.dispatch.retry.attempts_max)
        stage.conf.dispatch.retry = (struct retry_conf){ .attempts_max = 5, .initial_ms = 1, .max_ms = 10, .multiplier = 1 };
    stage_engines(engines);
    assert_int_equal(loop_new("stage", 0, &stage.loop, NULL), 0);
    assert_int_equal(router_new(conf.routes, conf.routes_n, &stage.router, NULL), 0);
    stage_policies(&FIRST);
    assert_int_equal(http_client_new(stage.loop, &(struct http_client_conf){ 0 }, &stage.client), 0);
    assert_int_equal(
        dispatcher_new(stage.loop, stage.client, &stage.registry, stage.policies, &stage.conf.dispatch, &stage.dispatcher), 0);
    stage.inference = (struct inference){ .loop = stage.loop, .dispatcher = stage.dispatcher };
    stage.contexts[CTX_TEST] = conf.test;
    stage.contexts[CTX_INFERENCE] = &stage.inference;
    assert_int_equal(loop_start_thread(stage.loop, NULL), 0);
    stage_do(stage_serve, NULL);
}

/* Nothing may be left: every load back at 0, the memory budget untouched. */
static inline void stage_close(void)
{
    for (unsigned i = 0; i < stage.engines_n; i++)
        wait_for_load(i, 0);
    stage_do(stage_stop, NULL);
    loop_join(stage.loop);
    dispatcher_free(stage.dispatcher);
    policy_set_free(stage.policies);
    router_free(stage.router);
    loop_free(stage.loop);
    snapshot_fini(&stage.registry.table);
    for (unsigned i = 0; i < stage.engines_n; i++) {
        assert_int_equal(atomic_load(&stage.engines[i].worker->refs), 1); /* ours: nobody forgot one */
        engine_unbind(&stage.engines[i]);
    }
    assert_int_equal(budget_used(), 0);
}

/* ---- metrics ---- */

static inline bool page_says(const char *page, const char *what)
{
    for (const char *at = page; (at = strstr(at, what)); at++)
        if ((at == page || at[-1] == '\n') && (at[strlen(what)] == '\n' || at[strlen(what)] == '{' || at[strlen(what)] == ' '))
            return true;
    return false;
}

/* Whether the page of /metrics has WHAT: a whole line, or a line that begins with it. */
static inline void expect_on_page(const char *what, bool want)
{
    struct buf out = { 0 };

    prometheus_render(&out, NULL, 0);
    buf_put_char(&out, 0);
    assert_false(out.failed);
    if (page_says(out.p, what) != want)
        fail_msg("%s: %s\n%s", want ? "not counted" : "counted", what, out.p);
    buf_fini(&out);
}

#define assert_counted(line)     expect_on_page(line, true)
#define assert_not_counted(name) expect_on_page(name, false)
