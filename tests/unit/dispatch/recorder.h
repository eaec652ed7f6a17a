/* recorder.h -- a sink that writes down what it hears, for the tests of dispatch.c
 *
 * The handler under the server starts a dispatch with a sink that writes down what it hears ("head 200, part hello, batch, end") and answers the client like a relay.
 */
#pragma once

#include "stage.h"

#include "http/error.h"

#define CHAT     "POST /v1/chat/completions"
#define REPLY_OK "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

/* What one request left behind; the loop's, but for a moment after stage_do or the client's hearing of the end. */
static struct record {
    struct buf text;
    unsigned terminals, prepared;
    bool starting, running, after_head, started;
    int prepare_result;
    struct dispatch_failure failure;
    char facts[512];
    enum exchange_outcome outcome;
    char bound_model[64];
} rec;

struct test_sink {
    struct reply_sink sink;
    struct exchange *ex;
    struct dispatch *dispatch;
};

static struct test_sink *sink_of(struct reply_sink *s)
{
    return CONTAINER_OF(s, struct test_sink, sink);
}

static void heard_by_sink(const char *what)
{
    assert_false(rec.starting); /* never from inside dispatch_start */
    assert_int_equal(rec.terminals, 0);
    buf_printf(&rec.text, "%s%s", rec.text.n ? ", " : "", what);
}

static void test_head(struct reply_sink *s, const struct http_head *head)
{
    char text[32];

    snprintf(text, sizeof text, "head %u", head->status);
    heard_by_sink(text);
    exchange_reply_head(sink_of(s)->ex, head->status, head->body == HTTP_BODY_LENGTH ? head->length : HTTP_LENGTH_UNKNOWN);
}

static void test_part(struct reply_sink *s, struct str part)
{
    char text[64];

    if (part.n <= 32) {
        snprintf(text, sizeof text, "part %.*s", STR_FMT(part));
        heard_by_sink(text);
    }
    if (exchange_send(sink_of(s)->ex, part) == SEND_FULL)
        dispatch_pause(sink_of(s)->dispatch);
}

static void test_batch(struct reply_sink *s)
{
    if (exchange_flush(sink_of(s)->ex) == SEND_FULL)
        dispatch_pause(sink_of(s)->dispatch);
}

static void test_end(struct reply_sink *s)
{
    heard_by_sink("end");
    rec.terminals++;
    sink_of(s)->dispatch = NULL;
    exchange_end(sink_of(s)->ex);
}

static void test_error(struct reply_sink *s, const struct dispatch_failure *f, bool after_head)
{
    heard_by_sink("error");
    rec.terminals++;
    rec.after_head = after_head;
    rec.failure = *f;
    sink_of(s)->dispatch = NULL;
    if (after_head)
        exchange_break(sink_of(s)->ex);
    else
        http_error(sink_of(s)->ex, f->status, f->code, f->message);
}

static const struct reply_sink_ops TEST_SINK = {
    .on_head = test_head, .on_part = test_part, .on_batch = test_batch, .on_end = test_end, .on_error = test_error
};

static void client_ready(struct exchange *ex, void *arg)
{
    struct test_sink *s = arg;

    if (s->dispatch)
        dispatch_resume(s->dispatch);
}

static void client_left(struct exchange *ex, void *arg)
{
    struct test_sink *s = arg;
    struct dispatch *d = STEAL(s->dispatch);

    if (!d)
        return;
    rec.terminals++; /* nothing may follow */
    dispatch_abort(d);
    dispatch_abort(d); /* changes nothing any more */
    dispatch_pause(d);
    dispatch_resume(d);
}

static const struct exchange_owner OWNER = { .on_ready = client_ready, .on_abort = client_left };

static int prepare(struct dispatch_request *r, enum upstream_dialect dialect, struct str model, struct str *ret_body)
{
    rec.prepared++;
    snprintf(rec.bound_model, sizeof rec.bound_model, "%.*s", STR_FMT(model));
    if (rec.prepare_result == 0)
        *ret_body = r->ex->body;
    return rec.prepare_result;
}

/* The model is the body. */
static void handle(struct exchange *ex, void *context)
{
    struct test_sink *s = arena_new(&ex->arena, struct test_sink);
    struct dispatch_request r = {
        .ex = ex,
        .model = ex->body,
        .method = HTTP_POST,
        .path = STR("/v1/chat/completions"),
        .endpoint = "chat",
        .stream = true,
        .prepare = prepare,
    };
    int result;

    s->sink.ops = &TEST_SINK;
    s->ex = ex;
    rec.starting = true;
    result = dispatch_start(stage.dispatcher, &r, &s->sink, &s->dispatch, &rec.failure);
    rec.starting = false;
    if (result < 0) {
        rec.terminals++;
        if (rec.failure.retry_after_s)
            http_error_retry_after(ex, rec.failure.retry_after_s);
        http_error(ex, rec.failure.status, rec.failure.code, rec.failure.message);
        return;
    }
    exchange_own(ex, &OWNER, s);
}

/* A label over 63 bytes: no name server needs to be asked. */
#define NO_HOST "a123456789a123456789a123456789a123456789a123456789a123456789a123456789.invalid"

static const struct route ROUTES[] = {
    { .method = HTTP_POST, .path = "/v1/chat/completions", .body = ROUTE_BODY_BUFFER, .handler = handle },
};

static void remember(struct exchange *ex, void *context)
{
    rec.outcome = ex->outcome;
    snprintf(rec.facts, sizeof rec.facts, "model=%.*s worker=%.*s attempts=%u", STR_FMT(ex->facts.model), STR_FMT(ex->facts.worker),
             ex->facts.attempts);
}

static const struct filter FILTERS[] = { { .name = "facts", .on_end = remember } };

/* ---- scenes ---- */

static void open_with(const struct engine *engines, struct dispatcher_conf conf)
{
    rec = (struct record){ 0 };
    stage_open(engines,
               (struct stage_conf){ .routes = ROUTES, .routes_n = 1, .filters = FILTERS, .filters_n = 1, .dispatch = conf });
}

#define OPEN(...) open_with((const struct engine[]){ __VA_ARGS__, { 0 } }, (struct dispatcher_conf){ 0 })
#define ONCE      ((struct dispatcher_conf){ .retry = { .attempts_max = 1 } })
#define TWICE     ((struct dispatcher_conf){ .retry = { .attempts_max = 2, .initial_ms = 1, .max_ms = 10, .multiplier = 1 } })
#define UP                                \
    {                                     \
        .kind = ENGINE_OPEN, .model = "m" \
    }
#define DOWN                                \
    {                                       \
        .kind = ENGINE_CLOSED, .model = "m" \
    }

static int close_stage(void **state)
{
    stage_close();
    buf_fini(&rec.text);
    return 0;
}

static int ask(const char *model)
{
    return ask_with(CHAT, "", model);
}

static void nothing(void *arg)
{
}

/* What the sink heard, and that it was told the end once. */
#define assert_sink(want)                     \
    do {                                      \
        stage_do(nothing, NULL);              \
        assert_str(buf_str(&rec.text), want); \
        assert_int_equal(rec.terminals, 1);   \
    } while (0)

static inline void end_well(unsigned i, int client)
{
    int e = engine_hear(i);

    say(e, REPLY_OK);
    hear_all(client);
    assert_status(200);
    assert_heard("hello");
    close(e);
}

#define RULE(f) cmocka_unit_test_teardown(f, close_stage)

/* The labels of what OPEN's requests are counted as. */
#define MINE "router_type=\"http\",backend_type=\"regular\",connection_mode=\"http\",model=\"m\",endpoint=\"chat\""
