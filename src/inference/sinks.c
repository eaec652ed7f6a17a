/* inference/sinks.c -- how a worker's reply becomes the client's: relayed as it comes, or gathered and reshaped
 *
 *   dispatch --on_head/on_part/on_batch/on_end/on_error--> sink --exchange_*--> client
 *   dispatch <--pause, resume, abort--------------------- sink <--on_ready, on_abort-- exchange
 *
 * A new way of shaping (gRPC replies, prefill/decode merging) is a new sink here or beside (sink_parsed.c), not a new dispatch.
 */
#include "base/budget.h"
#include "base/clock.h"
#include "http/error.h"
#include "inference/carry.h"

static void on_ready(struct exchange *ex, void *arg)
{
    struct exchange_sink *s = arg;

    (void)ex;
    if (s->dispatch)
        dispatch_resume(s->dispatch);
}

static void on_abort(struct exchange *ex, void *arg)
{
    struct exchange_sink *s = arg;
    struct dispatch *d = s->dispatch;

    (void)ex;
    s->dispatch = NULL;
    if (d)
        dispatch_abort(d);
    if (s->dropped)
        s->dropped(s);
}

static const struct exchange_owner OWNER = { .on_ready = on_ready, .on_abort = on_abort };

void sink_attach(struct reply_sink *sink, struct dispatch *dispatch)
{
    struct exchange_sink *s = CONTAINER_OF(sink, struct exchange_sink, sink);

    s->dispatch = dispatch;
    exchange_own(s->ex, &OWNER, s);
}

void sink_reply_failure(struct exchange *ex, const struct dispatch_failure *f)
{
    if (f->retry_after_s)
        http_error_retry_after(ex, f->retry_after_s);
    http_error(ex, f->status, f->code, f->message);
}

/* What a worker says that is the gateway's to say, or true of one connection only. */
static bool is_withheld(const struct http_field *f)
{
    if (http_is_hop_by_hop(f->id))
        return true;
    switch (f->id) {
    case HF_CONTENT_LENGTH: /* written from the framing */
    case HF_DATE:
    case HF_X_REQUEST_ID:
        return true;
    case HF_UNKNOWN:
        return str_has_prefix_nocase(f->name, STR("access-control-")) || /* the gateway has a CORS policy of its own */
               str_has_prefix_nocase(f->name, STR("x-smg-route")) ||     /* nobody else explains the gateway's choices */
               str_eq_nocase(f->name, STR("x-smg-plugins"));
    default:
        return false;
    }
}

/* Fields named in the reply's Connection field are hop-by-hop too (RFC 9110 7.6.1). */
static bool is_named_by_connection(const struct http_fields *fields, struct str name)
{
    for (unsigned i = 0; i < fields->n; i++)
        if (fields->v[i].id == HF_CONNECTION && http_list_has(fields->v[i].value, name))
            return true;
    return false;
}

/* Our replies' field names are lowercase on every wire (HTTP/2 allows nothing else, RFC 9113 8.2.1). Most engines write them so: then NAME itself. */
static struct str lowercase(struct arena *arena, struct str name)
{
    char *p = NULL;

    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < 'A' || name.p[i] > 'Z')
            continue;
        if (!p) {
            p = arena_alloc(arena, name.n);
            if (!p)
                return name;
            memcpy(p, name.p, name.n);
        }
        p[i] = (char)(name.p[i] | 0x20);
    }
    return p ? (struct str){ p, name.n } : name;
}

void sink_copy_fields(struct exchange *ex, const struct http_fields *from)
{
    bool has_connection = http_find(from, HF_CONNECTION) != NULL;

    for (unsigned i = 0; i < from->n; i++) {
        const struct http_field *f = &from->v[i];

        if (is_withheld(f) || (has_connection && is_named_by_connection(from, f->name)))
            continue;
        if (f->id != HF_UNKNOWN)
            exchange_add(ex, f->id, f->value);
        else
            exchange_add_name(ex, lowercase(&ex->arena, f->name), f->value);
    }
}

/* ---- relay ---- */

static void relay_head(struct reply_sink *sink, const struct http_head *head)
{
    struct exchange *ex = CONTAINER_OF(sink, struct exchange_sink, sink)->ex;

    sink_copy_fields(ex, &head->fields);
    exchange_reply_head(ex, head->status,
                        head->body == HTTP_BODY_LENGTH ? head->length
                        : head->body == HTTP_BODY_NONE ? 0
                                                       : HTTP_LENGTH_UNKNOWN);
}

static void relay_part(struct reply_sink *sink, struct str part)
{
    struct exchange_sink *s = CONTAINER_OF(sink, struct exchange_sink, sink);

    if (exchange_send(s->ex, part) == SEND_FULL)
        dispatch_pause(s->dispatch);
}

static void relay_batch(struct reply_sink *sink)
{
    struct exchange_sink *s = CONTAINER_OF(sink, struct exchange_sink, sink);

    if (exchange_flush(s->ex) == SEND_FULL)
        dispatch_pause(s->dispatch);
}

static void relay_end(struct reply_sink *sink)
{
    struct exchange_sink *s = CONTAINER_OF(sink, struct exchange_sink, sink);

    s->dispatch = NULL;
    exchange_end(s->ex);
}

static void relay_error(struct reply_sink *sink, const struct dispatch_failure *f, bool after_head)
{
    struct exchange_sink *s = CONTAINER_OF(sink, struct exchange_sink, sink);

    s->dispatch = NULL;
    if (after_head)
        exchange_break(s->ex);
    else
        sink_reply_failure(s->ex, f);
}

const struct reply_sink_ops SINK_RELAY = {
    .on_head = relay_head, .on_part = relay_part, .on_batch = relay_batch, .on_end = relay_end, .on_error = relay_error
};

struct reply_sink *sink_relay(struct exchange *ex, struct inference *inf, const struct api_request *request)
{
    struct exchange_sink *s = arena_new(&ex->arena, struct exchange_sink);

    (void)inf;
    (void)request;
    if (!s)
        return NULL;
    s->sink.ops = &SINK_RELAY;
    s->ex = ex;
    return &s->sink;
}

/* ---- whole body: rerank ---- */

#define WHOLE_BODY_MAX (64u << 20) /* bytes; a rerank reply of a million documents fits */

struct rerank_sink {
    struct exchange_sink base;
    const struct api_request *request; /* arena */
    unsigned status;
    struct str content_type; /* arena */
    struct buf body;         /* owned; freed by rerank_done() on every way out */
    size_t budgeted;         /* bytes of the memory budget that the body holds */
};

static struct rerank_sink *rerank_of(struct reply_sink *sink)
{
    return CONTAINER_OF(sink, struct rerank_sink, base.sink);
}

static void rerank_done(struct rerank_sink *s)
{
    s->base.dispatch = NULL;
    buf_fini(&s->body);
    budget_give(s->budgeted);
    s->budgeted = 0;
}

static void rerank_head(struct reply_sink *sink, const struct http_head *head)
{
    struct rerank_sink *s = rerank_of(sink);

    s->status = head->status;
    s->content_type = arena_str(&s->base.ex->arena, http_value(&head->fields, HF_CONTENT_TYPE));
}

/* The worker is let go at once: the rest, which may never end, is of no use. */
static void rerank_refuse(struct rerank_sink *s)
{
    dispatch_abort(s->base.dispatch);
    rerank_done(s);
    http_error(s->base.ex, 502, STR("read_response_body_failed"), STR("The worker's reply is larger than the gateway can hold"));
}

static void rerank_part(struct reply_sink *sink, struct str part)
{
    struct rerank_sink *s = rerank_of(sink);

    if (s->body.n + part.n > WHOLE_BODY_MAX || !budget_take(part.n)) {
        rerank_refuse(s);
        return;
    }
    s->budgeted += part.n;
    buf_put(&s->body, part);
    if (s->body.failed)
        rerank_refuse(s);
}

static void rerank_reshape(struct rerank_sink *s)
{
    struct exchange *ex = s->base.ex;
    struct buf out = { 0 };
    struct str model = ex->facts.model;

    if (api_rerank_reply(s->request, model, clock_wall_s(), buf_str(&s->body), &ex->arena, &out) < 0 || out.failed)
        http_error(ex, 500, STR("rerank_response_build_failed"), STR("Failed to build rerank response"));
    else
        exchange_reply(ex, 200, TYPE_JSON, buf_str(&out));
    buf_fini(&out);
}

static void rerank_end(struct reply_sink *sink)
{
    struct rerank_sink *s = rerank_of(sink);
    struct buf body = s->body;

    if (s->status >= 200 && s->status <= 299)
        rerank_reshape(s);
    else
        exchange_reply(s->base.ex, s->status, s->content_type.n ? s->content_type : TYPE_JSON, buf_str(&body));
    /* The exchange may be over, but its arena, where S lives, stays until the end of the turn. */
    rerank_done(s);
}

static void rerank_error(struct reply_sink *sink, const struct dispatch_failure *f, bool after_head)
{
    struct rerank_sink *s = rerank_of(sink);

    (void)after_head; /* nothing went out yet: a whole body is sent at its end */
    rerank_done(s);
    sink_reply_failure(s->base.ex, f);
}

static void rerank_dropped(struct exchange_sink *base)
{
    rerank_done(CONTAINER_OF(base, struct rerank_sink, base));
}

static const struct reply_sink_ops RERANK = {
    .on_head = rerank_head, .on_part = rerank_part, .on_end = rerank_end, .on_error = rerank_error
};

struct reply_sink *sink_rerank(struct exchange *ex, struct inference *inf, const struct api_request *request)
{
    struct rerank_sink *s = arena_new(&ex->arena, struct rerank_sink);

    (void)inf;
    if (!s)
        return NULL;
    s->base.sink.ops = &RERANK;
    s->base.ex = ex;
    s->base.dropped = rerank_dropped;
    s->request = request;
    return &s->base.sink;
}
