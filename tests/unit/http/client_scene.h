/* client_scene.h -- one scene of the client's tests: a scripted server, calls that run one after another, and what became of them
 *
 * Each call leaves a line of text that says what its caller saw: "200 hello =0" is a head, a body, an end with status 0. The callbacks do what the test sets
 * besides recording. The scene ends a moment (late_ms) after its last call.
 */
#pragma once

#include "script_server.h"

#include "http/client.h"

#define CALLS_MAX 400
#define GUARD_MS  20000

struct scene;

struct seen {
    struct scene *scene;
    struct http_call call;
    struct buf text;
    enum http_call_step ended_in;
    unsigned ends, heads, batches;
    bool reused, fresh_retry;
};

struct scene {
    /* set by the test */
    const struct script *scripts;
    size_t scripts_n;
    unsigned calls_n;  /* run one after another, each started by the end of the one before; 0 = 1 */
    unsigned together; /* so many of them at once, at the beginning; 0 = 1 */
    enum http_method method;
    struct str body, host; /* host: empty = 127.0.0.1 */
    uint32_t connect_ms, head_ms, idle_ms;
    uint16_t port; /* 0 = the server's */
    bool quiet;    /* the body is counted, not recorded */
    struct http_client_conf conf;
    void (*on_start)(struct seen *s);
    void (*on_head)(struct seen *s);
    void (*on_body)(struct seen *s);
    void (*on_batch)(struct seen *s);
    void (*on_end)(struct seen *s);
    void (*on_time)(struct scene *t); /* once, time_ms after the start */
    void (*on_late)(
        struct scene *t); /* late_ms after the last call's end, before the end of the scene; without it the scene ends at once */
    uint32_t time_ms, late_ms;

    /* what became of it */
    struct seen seen[CALLS_MAX];
    struct http_client_stats stats, late_stats; /* when the last call had ended; when the scene ended */
    struct script_server server;
    struct http_client *client;
    struct loop *loop;
    unsigned started, ended;
    size_t bytes, bytes_at_time;
    struct deferred begin;
    struct timer guard, time, late;
    bool over;
};

static struct scene scene; /* too large for the stack; one test at a time */

/* ---- the director ---- */

static void end_scene(struct scene *t)
{
    if (t->over)
        return;
    t->over = true;
    http_client_stats(t->client, &t->late_stats);
    timer_stop(&t->guard);
    timer_stop(&t->time);
    timer_stop(&t->late);
    http_client_free(t->client);
    script_server_close(&t->server);
    loop_stop(t->loop);
}

static void on_late(struct timer *timer)
{
    struct scene *t = CONTAINER_OF(timer, struct scene, late);

    if (t->on_late)
        t->on_late(t);
    end_scene(t);
}

static void last_call_ended(struct scene *t)
{
    http_client_stats(t->client, &t->stats);
    timer_start(t->loop, &t->late, t->late_ms ? t->late_ms : 1, on_late);
}

static void on_guard(struct timer *timer)
{
    fail_msg("the scene hangs");
}

static void on_time(struct timer *timer)
{
    struct scene *t = CONTAINER_OF(timer, struct scene, time);

    t->on_time(t);
}

static const struct http_call_ops OPS;

static void start_call(struct scene *t)
{
    struct seen *s = &t->seen[t->started++];

    s->scene = t;
    s->call.ops = &OPS;
    s->call.owner = s;
    s->call.host = t->host.n ? t->host : STR("127.0.0.1");
    s->call.port = t->server.port;
    s->call.method = t->method ? t->method : HTTP_POST;
    s->call.head = STR("POST /v1/x HTTP/1.1\r\nhost: test\r\n\r\n");
    s->call.body = t->body;
    s->call.connect_ms = t->connect_ms;
    s->call.head_ms = t->head_ms;
    s->call.idle_ms = t->idle_ms;
    assert_int_equal(http_call_start(t->client, &s->call), 0);
    assert_int_equal(s->ends, 0); /* never from inside the start */
    if (t->on_start)
        t->on_start(s);
}

static void call_is_over(struct seen *s)
{
    struct scene *t = s->scene;

    t->ended++;
    if (t->started < t->calls_n)
        start_call(t);
    else if (t->ended == t->calls_n)
        last_call_ended(t);
}

static void on_head(struct http_call *c, const struct http_head *head)
{
    struct seen *s = c->owner;

    assert_int_equal(c->step, CALL_BODY);
    assert_true(head->status >= 200);
    s->heads++;
    buf_put_u64(&s->text, head->status);
    buf_puts(&s->text, " ");
    if (s->scene->on_head)
        s->scene->on_head(s);
}

static void on_body(struct http_call *c, struct str part)
{
    struct seen *s = c->owner;

    assert_true(part.n > 0 && s->heads == 1 && s->ends == 0);
    s->scene->bytes += part.n;
    if (!s->scene->quiet)
        buf_put(&s->text, part);
    if (s->scene->on_body)
        s->scene->on_body(s);
}

static void on_batch(struct http_call *c)
{
    struct seen *s = c->owner;

    s->batches++;
    if (s->scene->on_batch)
        s->scene->on_batch(s);
}

static void on_end(struct http_call *c, int status)
{
    struct seen *s = c->owner;

    s->ends++;
    s->ended_in = c->step;
    s->reused = c->reused;
    s->fresh_retry = c->fresh_retry;
    buf_printf(&s->text, "=%d", status);
    http_call_cancel(c); /* changes nothing any more */
    if (s->scene->on_end)
        s->scene->on_end(s);
    call_is_over(s);
}

static const struct http_call_ops OPS = { .on_head = on_head, .on_body = on_body, .on_batch = on_batch, .on_end = on_end };

static void begin(struct deferred *d)
{
    struct scene *t = CONTAINER_OF(d, struct scene, begin);
    unsigned n = t->together ? t->together : 1;

    timer_start(t->loop, &t->guard, GUARD_MS, on_guard);
    if (t->on_time)
        timer_start(t->loop, &t->time, t->time_ms, on_time);
    while (n--)
        start_call(t);
}

static void play(struct scene *t)
{
    if (t->calls_n == 0)
        t->calls_n = 1;
    assert_int_equal(loop_new("test", 0, &t->loop, NULL), 0);
    script_server_start(&t->server, t->loop, t->scripts, t->scripts_n);
    assert_int_equal(http_client_new(t->loop, &t->conf, &t->client), 0);
    if (t->port)
        t->server.port = t->port;
    t->begin.run = begin;
    loop_defer(t->loop, &t->begin);
    loop_run(t->loop);
    assert_int_equal(t->server.open, 0);
    loop_free(t->loop);
}

static int end_test(void **state)
{
    for (unsigned i = 0; i < CALLS_MAX; i++)
        buf_fini(&scene.seen[i].text);
    return 0;
}

#define SCENE(...)                                \
    do {                                          \
        end_test(NULL); /* of the scene before */ \
        scene = (struct scene){ __VA_ARGS__ };    \
        play(&scene);                             \
    } while (0)
#define SCRIPTS(s)           .scripts = (s), .scripts_n = ARRAY_LEN(s)
#define assert_seen(i, want) assert_str(buf_str(&scene.seen[i].text), want)

#define LENGTH_REPLY  "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
#define CHUNKED_REPLY "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX: y\r\n\r\n"
#define CLOSE_REPLY   "HTTP/1.1 200 OK\r\n\r\nhello world"
#define EMPTY_REPLY   "HTTP/1.1 204 No Content\r\n\r\n"
