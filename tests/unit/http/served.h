/* served.h -- a server on a loop thread of its own, and a raw client with blocking sockets on the test's thread
 *
 * The application behind it is a script: routes that answer at once, echo, hold the exchange until the test acts, or generate; and one filter that records what
 * passes. Everything of `app` belongs to the server's thread: the test looks at it and acts through served_do(), which waits, so no lock is needed.
 */
#pragma once

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/url.h"
#include "http/cors.h"
#include "http/error.h"
#include "http/request_id.h"
#include "http/server.h"

enum { CTX_APP, CTX_CORS, CTX_ID, CTX_N };

/* What the recording filter does with the next request. */
enum script { PASS, WAIT_HEAD, WAIT_BODY, ANSWER_HEAD, ANSWER_BODY };

static struct app {
    /* set by tests before they send */
    enum script script;
    uint64_t generate_bytes, generate_step;
    void (*probe)(struct exchange *ex); /* called by GET /probe */
    void (*at_end)(void);               /* called by the filters' on_end; NULL = nothing */

    /* what happened */
    struct exchange *held; /* of /hold and of a waiting filter; NULL after its end */
    struct exchange_ref ref;
    unsigned heads, bodies, replies, ends, aborts, readies, handled, stops;
    enum exchange_outcome outcome;
    unsigned status;
    char label[64], method[16], code[64];
    uint64_t generated;
    bool full;
    size_t body_n;
} app;

static struct served {
    struct loop *loop;
    struct http_server *server;
    struct router *router;
    uint16_t port;
    struct cors cors;
    struct request_id_conf ids;
    void *contexts[CTX_N];
    struct http_server_conf conf;
    sem_t done;
    int drained;
} served;

/* ---- acting on the server's thread ---- */

struct served_call {
    struct message message;
    void (*fn)(void *arg);
    void *arg;
};

static inline void served_run(struct loop *l, struct message *m)
{
    struct served_call *call = CONTAINER_OF(m, struct served_call, message);

    call->fn(call->arg);
    sem_post(&served.done);
}

static inline void served_do(void (*fn)(void *arg), void *arg)
{
    struct served_call call = { .message.run = served_run, .fn = fn, .arg = arg };

    loop_post(served.loop, &call.message);
    while (sem_wait(&served.done) < 0)
        ;
}

static inline void nothing(void *arg)
{
}

/* Everything that the kernel had for the server before this call was read by it. */
static inline void let_it_read(void)
{
    for (int i = 0; i < 3; i++)
        served_do(nothing, NULL);
}

/* One member of app, copied on the server's thread; and set while that thread waits for us. */
static struct app seen;

static inline void look(void *arg)
{
    seen = app;
}

#define SEEN(member)       (served_do(look, NULL), seen.member)
#define SET(member, value) (served_do(nothing, NULL), app.member = (value), served_do(nothing, NULL))

struct question {
    bool (*asked)(void);
    bool answer;
};

static inline void ask(void *arg)
{
    struct question *q = arg;

    q->answer = q->asked();
}

/* Waits until ASKED (on the server's thread) says yes; fails the test after 5 s. */
static inline void wait_for(bool (*asked)(void))
{
    for (int i = 0; i < 1000; i++) {
        struct question q = { asked, false };

        served_do(ask, &q);
        if (q.answer)
            return;
        usleep(5000);
    }
    fail_msg("waited 5 s in vain");
}

static inline bool one_ended(void)
{
    return app.ends >= 1;
}

static inline bool one_held(void)
{
    return app.held != NULL;
}

static inline bool no_connections(void)
{
    struct http_server_stats st;

    http_server_stats(served.server, &st);
    return st.connections == 0;
}

static inline void read_stats(void *arg)
{
    http_server_stats(served.server, arg);
}

/* ---- the application ---- */

static inline void app_abort(struct exchange *ex, void *arg)
{
    app.aborts++;
    app.held = NULL;
}

static inline void app_ready(struct exchange *ex, void *arg)
{
    app.readies++;
}

static const struct exchange_owner APP_OWNER = { .on_ready = app_ready, .on_abort = app_abort };

static inline void hold(struct exchange *ex)
{
    app.held = ex;
    app.ref = exchange_refer(ex);
    exchange_own(ex, &APP_OWNER, &app);
}

static inline void handle_hello(struct exchange *ex, void *context)
{
    app.handled++;
    exchange_reply(ex, 200, TYPE_JSON, STR("{\"hello\":1}"));
}

static inline void handle_echo(struct exchange *ex, void *context)
{
    app.handled++;
    app.body_n = ex->body.n;
    exchange_reply(ex, 200, TYPE_TEXT, ex->body);
}

static inline void handle_hold(struct exchange *ex, void *context)
{
    app.handled++;
    hold(ex);
}

static inline void handle_item(struct exchange *ex, void *context)
{
    app.handled++;
    exchange_reply(ex, 200, TYPE_TEXT, ex->params[0]);
}

static inline void handle_probe(struct exchange *ex, void *context)
{
    app.handled++;
    app.probe(ex);
}

static inline bool app_proceed(struct exchange *ex, struct buf *out, void *arg)
{
    uint64_t n = MIN(app.generate_step, app.generate_bytes - app.generated);
    char *p = buf_reserve(out, n);

    if (!p)
        return true; /* more than there is room for: the server breaks the reply */
    for (uint64_t i = 0; i < n; i++)
        p[i] = (char)('a' + (app.generated + i) % 26);
    out->n += n;
    app.generated += n;
    return app.generated == app.generate_bytes;
}

static inline void app_stop(struct exchange *ex, void *arg)
{
    app.stops++;
}

static const struct exchange_generator APP_GENERATOR = { .proceed = app_proceed, .stop = app_stop };

static inline void handle_generate(struct exchange *ex, void *context)
{
    app.handled++;
    exchange_generate(ex, 200, TYPE_TEXT, &APP_GENERATOR, NULL);
}

static const struct route ROUTES[] = {
    { .method = HTTP_GET, .path = "/hello", .handler = handle_hello },
    { .method = HTTP_POST, .path = "/echo", .body = ROUTE_BODY_BUFFER, .handler = handle_echo },
    { .method = HTTP_POST, .path = "/drop", .body = ROUTE_BODY_NONE, .handler = handle_hello },
    { .method = HTTP_GET, .path = "/hold", .handler = handle_hold },
    { .method = HTTP_POST, .path = "/hold", .body = ROUTE_BODY_BUFFER, .handler = handle_hold },
    { .method = HTTP_POST, .path = "/hold_drop", .body = ROUTE_BODY_NONE, .handler = handle_hold },
    { .method = HTTP_GET, .path = "/items/{item_id}", .handler = handle_item },
    { .method = HTTP_GET, .path = "/generate", .handler = handle_generate },
    { .method = HTTP_GET, .path = "/probe", .handler = handle_probe },
    { .method = HTTP_GET, .path = "/v1/messages", .handler = handle_probe, .errors = ROUTE_ERRORS_ANTHROPIC },
};

static inline enum filter_verdict record_head(struct exchange *ex, void *context)
{
    app.heads++;
    if (app.script == WAIT_HEAD) {
        hold(ex);
        return FILTER_WAITING;
    }
    if (app.script == ANSWER_HEAD) {
        http_error(ex, 429, STR("busy"), STR("later"));
        return FILTER_ANSWERED;
    }
    return FILTER_GO_ON;
}

static inline enum filter_verdict record_body(struct exchange *ex, void *context)
{
    app.bodies++;
    app.body_n = ex->body.n;
    if (app.script == WAIT_BODY) {
        hold(ex);
        return FILTER_WAITING;
    }
    if (app.script == ANSWER_BODY) {
        http_error(ex, 422, STR("no"), STR("not this body"));
        return FILTER_ANSWERED;
    }
    return FILTER_GO_ON;
}

static inline void record_reply(struct exchange *ex, void *context)
{
    app.replies++;
    exchange_add_name(ex, STR("x-filter"), STR("seen"));
}

static inline void record_end(struct exchange *ex, void *context)
{
    if (app.at_end)
        app.at_end();
    app.ends++;
    app.held = NULL;
    app.outcome = ex->outcome;
    app.status = ex->status;
    snprintf(app.label, sizeof(app.label), "%s", ex->route_label);
    snprintf(app.method, sizeof(app.method), "%.*s", STR_FMT(http_method_text(ex->req.method)));
    snprintf(app.code, sizeof(app.code), "%.*s", STR_FMT(ex->facts.error_code));
}

static const struct filter FILTERS[] = {
    { .name = "cors", .on_head = cors_on_head, .on_reply = cors_on_reply, .context = CTX_CORS },
    { .name = "request id", .on_head = request_id_on_head, .on_reply = request_id_on_reply, .context = CTX_ID },
    { .name = "recorded end", .on_reply = record_reply, .on_end = record_end, .context = CTX_APP },
    { .name = "route", .on_head = route_check_on_head },
    { .name = "body limit", .on_head = body_limit_on_head },
    { .name = "expect", .on_head = expect_check_on_head },
    { .name = "recorded", .on_head = record_head, .on_body = record_body, .context = CTX_APP },
};

static inline void reply_to_held(void *arg)
{
    struct exchange *ex = app.held;

    app.held = NULL;
    exchange_reply(ex, 200, TYPE_TEXT, STR("held"));
}

/* ---- start and stop ---- */

static inline void serve(void *arg)
{
    struct net_address address;

    assert_int_equal(net_address_parse(STR("127.0.0.1"), 0, &address), 0);
    assert_int_equal(http_server_new(served.loop, &served.conf, &served.server), 0);
    assert_int_equal(http_server_listen(served.server, &address, LISTENER_ALONE, &served.port, NULL), 0);
}

static inline void stop_serving(void *arg)
{
    http_server_close(served.server);
    http_server_free(served.server);
    loop_stop(served.loop);
}

/* CONF: what differs from the defaults; router, filters and contexts are filled in. */
static inline void served_start(struct http_server_conf conf)
{
    struct err err;

    memset(&app, 0, sizeof(app));
    memset(&served, 0, sizeof(served));
    sem_init(&served.done, 0, 0);
    assert_int_equal(router_new(ROUTES, ARRAY_LEN(ROUTES), &served.router, &err), 0);
    served.contexts[CTX_APP] = &app;
    served.contexts[CTX_CORS] = &served.cors;
    served.contexts[CTX_ID] = &served.ids;
    served.conf = conf;
    served.conf.router = served.router;
    served.conf.filters = FILTERS;
    served.conf.filters_n = ARRAY_LEN(FILTERS);
    served.conf.contexts = served.contexts;
    assert_int_equal(loop_new("test", 0, &served.loop, &err), 0);
    assert_int_equal(loop_start_thread(served.loop, &err), 0);
    served_do(serve, NULL);
}

static inline void served_stop(void)
{
    served_do(stop_serving, NULL);
    loop_join(served.loop);
    loop_free(served.loop);
    router_free(served.router);
    sem_destroy(&served.done);
    assert_int_equal(budget_used(), 0);
}

static inline int default_server(void **state)
{
    served_start((struct http_server_conf){ 0 });
    return 0;
}

static inline int stop_server(void **state)
{
    served_stop();
    return 0;
}

/* ---- the client ---- */

/* RECEIVE_BUFFER 0 = the kernel's default. */
static inline int client_small(int receive_buffer)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(served.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 8 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    assert_true(fd >= 0);
    if (receive_buffer)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static inline int client(void)
{
    return client_small(0);
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

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

#define HEARD_MAX (256 * 1024)

/* What the client heard; `closed`: FIN came; `reset`: RST came. */
struct heard {
    char text[HEARD_MAX];
    size_t n;
    bool closed, reset;
    unsigned status;
    char *body; /* of the first reply in text */
    size_t body_n;
};

static struct heard heard;

static inline bool hear_some(int fd)
{
    ssize_t r = recv(fd, heard.text + heard.n, HEARD_MAX - 1 - heard.n, 0);

    if (r > 0) {
        heard.n += (size_t)r;
        heard.text[heard.n] = 0;
        return true;
    }
    if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fail_msg("nothing came for 8 s; so far: %s", heard.text);
    heard.closed = r == 0;
    heard.reset = r < 0;
    return false;
}

static inline void hear_nothing_yet(void)
{
    memset(&heard, 0, offsetof(struct heard, text) + 1);
    heard.n = 0;
    heard.closed = heard.reset = false;
    heard.status = 0;
    heard.body = NULL;
    heard.body_n = 0;
}

/* Until the connection ends. */
static inline void hear_all(int fd)
{
    hear_nothing_yet();
    while (hear_some(fd))
        ;
    if (sscanf(heard.text, "HTTP/1.1 %u ", &heard.status) != 1)
        heard.status = 0;
}

/* Until TEXT was heard. */
static inline void hear_until(int fd, const char *text)
{
    hear_nothing_yet();
    while (!strstr(heard.text, text))
        if (!hear_some(fd))
            fail_msg("the connection ended before \"%s\"; heard: %s", text, heard.text);
}

/* One reply with a content-length (or none: HEAD, 204). */
static inline void hear_reply_to(int fd, bool head_only)
{
    char *end, *length;

    hear_nothing_yet();
    while (!(end = strstr(heard.text, "\r\n\r\n")))
        if (!hear_some(fd))
            fail_msg("the connection ended inside a head: %s", heard.text);
    assert_int_equal(sscanf(heard.text, "HTTP/1.1 %u ", &heard.status), 1);
    heard.body = end + 4;
    length = strstr(heard.text, "\r\ncontent-length: ");
    heard.body_n = length && length < end && !head_only ? strtoul(length + 18, NULL, 10) : 0;
    while (heard.n < (size_t)(heard.body - heard.text) + heard.body_n)
        if (!hear_some(fd))
            fail_msg("the connection ended inside a body: %s", heard.text);
}

static inline void hear_reply(int fd)
{
    hear_reply_to(fd, false);
}

static inline bool heard_field(const char *line)
{
    char text[256];

    snprintf(text, sizeof(text), "\r\n%s\r\n", line);
    return strstr(heard.text, text) != NULL;
}

/* The server's FIN (or RST) comes, and nothing before it. */
static inline void expect_closed(int fd)
{
    hear_all(fd);
    assert_int_equal(heard.n, 0);
    close(fd);
}

static inline void expect_still_open(int fd)
{
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
}
