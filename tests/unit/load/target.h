/* target.h -- something to make load on: a server on a thread of its own whose paths behave in one way each
 *
 * What it counts is read by the test when no load runs any more; the loads of this room end with all their connections closed or idle.
 */
#pragma once

#include "test.h"

#include <semaphore.h>
#include <stdatomic.h>

#include "http/server.h"

#define TARGET_LOOP (LOOP_MAX - 1) /* far from the indices of the load's own loops */

static struct target {
    struct loop *loop;
    struct http_server *server;
    struct router *router;
    uint16_t port;
    sem_t ready;
    struct message message;
    _Atomic unsigned requests, held, aborted;
    char bodies[64][1024]; /* the first ones, cut */
} target;

#define CHUNK(content) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" content "\"}}]}\n\n"
#define DONE           "data: [DONE]\n\n"

static inline void note(struct exchange *ex)
{
    unsigned n = target.requests++;

    if (n < ARRAY_LEN(target.bodies) && ex->body.n)
        memcpy(target.bodies[n], ex->body.p, MIN(ex->body.n, sizeof target.bodies[n] - 1));
}

static inline void stream_head(struct exchange *ex)
{
    note(ex);
    exchange_add(ex, HF_CONTENT_TYPE, STR("text/event-stream"));
    exchange_reply_head(ex, 200, HTTP_LENGTH_UNKNOWN);
}

static inline void on_whole(struct exchange *ex, void *context)
{
    note(ex);
    exchange_reply(ex, 200, TYPE_JSON,
                   STR("{\"choices\":[{\"message\":{\"content\":\"hi\"}}],\"usage\":{\"completion_tokens\":7}}"));
}

static inline void on_stream(struct exchange *ex, void *context)
{
    stream_head(ex);
    (void)exchange_send(ex, STR(CHUNK("") CHUNK("one") CHUNK("two")));
    (void)exchange_flush(ex);
    (void)exchange_send(ex, STR(CHUNK("three") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" DONE));
    exchange_end(ex);
}

static inline void on_no_done(struct exchange *ex, void *context)
{
    stream_head(ex);
    (void)exchange_send(ex, STR(CHUNK("one")));
    exchange_end(ex);
}

static inline void on_break(struct exchange *ex, void *context)
{
    stream_head(ex);
    (void)exchange_send(ex, STR(CHUNK("one")));
    (void)exchange_flush(ex);
    exchange_break(ex);
}

static inline void on_error_event(struct exchange *ex, void *context)
{
    stream_head(ex);
    (void)exchange_send(ex, STR("data: {\"error\":{\"message\":\"no\"}}\n\n" DONE));
    exchange_end(ex);
}

static inline void on_garbage(struct exchange *ex, void *context)
{
    stream_head(ex);
    (void)exchange_send(ex, STR("data: garbage\n\n" DONE));
    exchange_end(ex);
}

static inline void on_busy(struct exchange *ex, void *context)
{
    note(ex);
    exchange_reply(ex, 503, TYPE_JSON, STR("{\"error\":{\"message\":\"busy\"}}"));
}

/* Two thirds succeed. */
static inline void on_sometimes(struct exchange *ex, void *context)
{
    if (target.requests % 3 == 2)
        on_busy(ex, context);
    else
        on_whole(ex, context);
}

static inline void held_abort(struct exchange *ex, void *arg)
{
    target.aborted++;
}

static const struct exchange_owner HELD = { .on_abort = held_abort };

static inline void on_hold(struct exchange *ex, void *context)
{
    note(ex);
    target.held++;
    exchange_own(ex, &HELD, NULL);
}

/* A stream that says one thing and then nothing. */
static inline void on_stall(struct exchange *ex, void *context)
{
    stream_head(ex);
    (void)exchange_send(ex, STR(CHUNK("one")));
    (void)exchange_flush(ex);
    exchange_own(ex, &HELD, NULL);
}

/* One request at a time takes 5 ms: the server's only thread sleeps. */
static inline void on_slow(struct exchange *ex, void *context)
{
    uv_sleep(5);
    on_whole(ex, context);
}

#define POST(PATH, HANDLER)                                                                  \
    {                                                                                        \
        .method = HTTP_POST, .path = (PATH), .body = ROUTE_BODY_BUFFER, .handler = (HANDLER) \
    }

static const struct route TARGET_ROUTES[] = {
    POST("/v1/chat/completions", on_whole),
    POST("/v1/completions", on_whole),
    POST("/generate", on_whole),
    POST("/stream", on_stream),
    POST("/no-done", on_no_done),
    POST("/break", on_break),
    POST("/error", on_error_event),
    POST("/garbage", on_garbage),
    POST("/busy", on_busy),
    POST("/sometimes", on_sometimes),
    POST("/hold", on_hold),
    POST("/stall", on_stall),
    POST("/slow", on_slow),
    { .method = HTTP_GET, .path = "/get", .handler = on_whole },
};

static inline void target_listen(struct loop *l, struct message *m)
{
    struct http_server_conf conf = { .router = target.router };
    struct net_address address;

    assert_int_equal(net_address_parse(STR("127.0.0.1"), 0, &address), 0);
    assert_int_equal(http_server_new(l, &conf, &target.server), 0);
    assert_int_equal(http_server_listen(target.server, &address, LISTENER_ALONE, &target.port, NULL), 0);
    sem_post(&target.ready);
}

static inline void target_close(struct loop *l, struct message *m)
{
    http_server_close(target.server);
    http_server_free(target.server);
    loop_stop(l);
}

static inline int target_start(void **state)
{
    memset(&target, 0, sizeof target);
    sem_init(&target.ready, 0, 0);
    assert_int_equal(router_new(TARGET_ROUTES, ARRAY_LEN(TARGET_ROUTES), &target.router, NULL), 0);
    assert_int_equal(loop_new("target", TARGET_LOOP, &target.loop, NULL), 0);
    target.message.run = target_listen;
    loop_post(target.loop, &target.message);
    assert_int_equal(loop_start_thread(target.loop, NULL), 0);
    while (sem_wait(&target.ready) < 0)
        ;
    return 0;
}

static inline int target_stop(void **state)
{
    target.message.run = target_close;
    loop_post(target.loop, &target.message);
    loop_join(target.loop);
    loop_free(target.loop);
    router_free(target.router);
    return 0;
}
