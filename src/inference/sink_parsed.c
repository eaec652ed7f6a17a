/* inference/sink_parsed.c -- a chat reply on its way through the parsers
 *
 *    (new) --> RELAYED    decide: nothing to look for in this reply (status, type, encoding, a provider's, no format for the model): sink_relay's ways from here on
 *        |---> GATHERED --(end)--> ANSWERED               finish_whole: short, in this turn
 *        |        |  |----(end)--> PARSING --> ANSWERED   parse_later, on_worked: long, on a pool thread
 *        |        |---> RELAYED                           give_up: too long to be held; what is there goes out as it came
 *        '---> STREAMED --(end)--> ANSWERED               stream_part, stream_end
 *    any --> ANSWERED  the worker failed, or a parser reached its bound; the client left (dropped)
 *
 * All changes of state: enter(). Gathered bytes draw on the memory budget.
 */
#include "base/budget.h"
#include "base/log.h"
#include "base/metric.h"
#include "http/error.h"
#include "inference/carry.h"
#include "inference/parsed.h"
#include "json/json_write.h"

#include <assert.h>
#include <stdlib.h>

#define TARGET "smg::inference"

enum parsed_state { PARSED_NEW, PARSED_RELAYED, PARSED_GATHERED, PARSED_STREAMED, PARSED_PARSING, PARSED_ANSWERED };

struct parsed_sink {
    struct exchange_sink base;
    struct inference *inf; /* borrowed */
    enum parsed_state state;
    struct parse_order order;
    struct http_fields fields;   /* arena copies: of a reply that is gathered */
    uint64_t length;             /* its announced length, or HTTP_LENGTH_UNKNOWN */
    struct buf body;             /* owned: what was gathered */
    struct parse_stream *stream; /* owned */
    struct buf out;              /* owned: what goes out of a stream */
    size_t budgeted;             /* bytes of the memory budget that `body` holds */
};

struct parse_job {
    struct pool_job work;
    struct list link; // inference.parse_jobs
    struct exchange_ref exchange;
    struct parsed_sink *sink; /* good while the exchange is */
    struct arena arena;       /* owned: what `order` points to */
    struct parse_order order;
    struct buf body, out; /* owned */
    size_t budgeted;
    struct parse_outcome outcome;
    struct err err;
    int status;
};

static struct parsed_sink *parsed_of(struct reply_sink *sink)
{
    return CONTAINER_OF(sink, struct parsed_sink, base.sink);
}

static void enter(struct parsed_sink *s, enum parsed_state state)
{
    assert(state > s->state || (s->state == PARSED_GATHERED && state == PARSED_RELAYED));
    s->state = state;
    if (state == PARSED_GATHERED || state == PARSED_STREAMED)
        return;
    parse_stream_free(STEAL(s->stream));
    buf_fini(&s->out);
    buf_fini(&s->body);
    budget_give(s->budgeted);
    s->budgeted = 0;
    if (state == PARSED_ANSWERED)
        s->base.dispatch = NULL;
}

/* ---- counting ---- */

static const struct metric_family REPLIES = { .name = "smg_parsed_replies_total",
                                              .help = "Chat replies that the gateway looked into for thoughts and tool calls",
                                              .type = METRIC_COUNTER,
                                              .labels = { "streaming", "result" } };
static const struct metric_family CALLS = { .name = "smg_parsed_tool_calls_total",
                                            .help = "Tool calls that the gateway told from the text of replies",
                                            .type = METRIC_COUNTER,
                                            .labels = { "parser" } };
static const struct metric_family THOUGHTS = { .name = "smg_parsed_thoughts_total",
                                               .help = "Choices of replies whose thought the gateway told from the text",
                                               .type = METRIC_COUNTER,
                                               .labels = { "parser" } };

static void count(struct loop *l, bool streaming, const char *result)
{
    struct str labels[] = { streaming ? STR("true") : STR("false"), str_of(result) };

    metric_add(metric_cell(l->metrics, &REPLIES, labels), 1);
}

static void count_outcome(struct loop *l, const struct parse_order *o, bool streaming, const struct parse_outcome *outcome)
{
    count(l, streaming, outcome->changed ? "changed" : "unchanged");
    if (outcome->calls)
        metric_add(metric_cell(l->metrics, &CALLS, (struct str[]){ toolcall_name(o->calls) }), outcome->calls);
    if (outcome->thoughts)
        metric_add(metric_cell(l->metrics, &THOUGHTS, (struct str[]){ reasoning_name(o->reasoning) }), outcome->thoughts);
}

static void log_failure(const struct parsed_sink *s, const struct err *err)
{
    log_warn(TARGET, "a reply could not be parsed", LF_STR("request_id", s->base.ex->request_id), LF_STR("model", s->order.model),
             LF_CSTR("error", err->message[0] ? err->message : err_text(err->code)));
}

/* ---- whole replies ---- */

/* The fields outlive the read that brought them. */
static bool keep_fields(struct parsed_sink *s, const struct http_fields *from)
{
    struct arena *a = &s->base.ex->arena;

    for (unsigned i = 0; i < from->n; i++) {
        const struct http_field *f = &from->v[i];

        if (f->id != HF_UNKNOWN)
            http_add(&s->fields, a, f->id, arena_str(a, f->value));
        else
            http_add_name(&s->fields, a, arena_str(a, f->name), arena_str(a, f->value));
    }
    return !a->failed;
}

static void answer(struct exchange *ex, const struct http_fields *fields, struct str body)
{
    sink_copy_fields(ex, fields);
    exchange_reply_head(ex, 200, body.n);
    (void)exchange_send(ex, body); /* whether the client is slow does not matter any more */
    exchange_end(ex);
}

/* Too long to be held: what is there goes out as it came, and the rest behind it. */
static void give_up(struct parsed_sink *s)
{
    struct exchange *ex = s->base.ex;
    struct dispatch *d = s->base.dispatch;
    struct buf body = s->body;
    bool full;

    s->body = (struct buf){ 0 };
    count(s->inf->loop, false, "too_large");
    sink_copy_fields(ex, &s->fields);
    exchange_reply_head(ex, 200, s->length);
    full = exchange_send(ex, buf_str(&body)) == SEND_FULL;
    buf_fini(&body);
    enter(s, PARSED_RELAYED);
    s->base.sink.ops = &SINK_RELAY;
    if (full)
        dispatch_pause(d);
}

static void whole_part(struct parsed_sink *s, struct str part)
{
    bool fits = s->body.n + part.n <= PARSE_WHOLE_MAX && budget_take(part.n);

    if (fits) {
        s->budgeted += part.n;
        buf_put(&s->body, part);
        if (!s->body.failed)
            return;
        s->body.failed = false; /* what is there is good */
    }
    give_up(s);
    SINK_RELAY.on_part(&s->base.sink, part);
}

static void finish_whole(struct parsed_sink *s)
{
    struct exchange *ex = s->base.ex;
    struct loop *l = s->inf->loop;
    struct parse_outcome outcome = { 0 };
    struct buf body = s->body, out = { 0 };
    struct err err = { 0 };

    if (parse_whole(&s->order, buf_str(&body), &out, &outcome, &err) < 0) {
        log_failure(s, &err);
        count(l, false, "failed");
    } else {
        count_outcome(l, &s->order, false, &outcome);
    }
    s->body = (struct buf){ 0 };
    enter(s, PARSED_ANSWERED);
    answer(ex, &s->fields, outcome.changed ? buf_str(&out) : buf_str(&body));
    buf_fini(&body);
    buf_fini(&out);
}

static void work(struct pool_job *work)
{
    struct parse_job *j = CONTAINER_OF(work, struct parse_job, work);

    j->status = parse_whole(&j->order, buf_str(&j->body), &j->out, &j->outcome, &j->err);
}

static void job_free(struct parse_job *j)
{
    list_remove(&j->link);
    buf_fini(&j->body);
    buf_fini(&j->out);
    budget_give(j->budgeted);
    arena_fini(&j->arena);
    free(j);
}

static void on_worked(struct pool_job *work)
{
    struct parse_job *j = CONTAINER_OF(work, struct parse_job, work);
    struct exchange *ex = exchange_from_ref(j->exchange);

    if (j->status < 0)
        count(work->loop, false, "failed");
    else
        count_outcome(work->loop, &j->order, false, &j->outcome);
    if (ex) {
        struct parsed_sink *s = j->sink;

        if (j->status < 0)
            log_failure(s, &j->err);
        enter(s, PARSED_ANSWERED);
        answer(ex, &s->fields, j->outcome.changed ? buf_str(&j->out) : buf_str(&j->body));
    }
    job_free(j);
}

static struct parse_job *job_new(const struct parsed_sink *s)
{
    struct parse_job *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    list_init(&j->link);
    arena_init(&j->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    j->order = s->order;
    j->order.model = arena_str(&j->arena, s->order.model);
    j->order.tools = arena_str(&j->arena, s->order.tools);
    j->order.function = arena_str(&j->arena, s->order.function);
    j->work.work = work;
    j->work.done = on_worked;
    if (!j->arena.failed)
        return j;
    job_free(j);
    return NULL;
}

/* Better raw than not at all: the engine has done its work. */
static void answer_raw(struct parsed_sink *s)
{
    struct buf body = s->body;

    count(s->inf->loop, false, "busy");
    s->body = (struct buf){ 0 };
    enter(s, PARSED_ANSWERED);
    answer(s->base.ex, &s->fields, buf_str(&body));
    buf_fini(&body);
}

static void move_body(struct buf *to, size_t *to_budgeted, struct buf *from, size_t *from_budgeted)
{
    *to = *from;
    *to_budgeted = *from_budgeted;
    *from = (struct buf){ 0 };
    *from_budgeted = 0;
}

/* The client may leave meanwhile: the job owns what it works on, whole before it is submitted, for a thread may begin at once. */
static void parse_later(struct parsed_sink *s)
{
    struct parse_job *j = job_new(s);

    if (!j) {
        answer_raw(s);
        return;
    }
    j->exchange = exchange_refer(s->base.ex);
    j->sink = s;
    move_body(&j->body, &j->budgeted, &s->body, &s->budgeted);
    if (pool_submit(s->inf->pool, s->inf->loop, &j->work) < 0) {
        move_body(&s->body, &s->budgeted, &j->body, &j->budgeted);
        job_free(j);
        answer_raw(s);
        return;
    }
    list_append(&s->inf->parse_jobs, &j->link);
    s->base.dispatch = NULL;
    enter(s, PARSED_PARSING);
}

void parsed_free_jobs(struct inference *inf)
{
    struct parse_job *j;

    LIST_EACH(j, &inf->parse_jobs, link)
    job_free(j);
}

/* ---- streams ---- */

static void put_error(struct buf *out, int status, const struct err *err)
{
    struct json_writer w;

    buf_clear(out);
    buf_puts(out, "data: ");
    json_begin(&w, out);
    json_object(&w);
    json_put_object(&w, "error");
    json_put_str(&w, "message", str_of(err->message[0] ? err->message : err_text(status)));
    json_put_str(&w, "type", status == ERR_NOMEM ? STR("Service Unavailable") : STR("Bad Gateway"));
    json_put_null(&w, "param");
    json_put_str(&w, "code", status == ERR_NOMEM ? STR("out_of_memory") : STR("reply_parse_failed"));
    json_end(&w);
    json_end(&w);
    buf_puts(out, "\n\n");
}

/* The worker is let go; the client is told why, as the last event. */
static void fail_stream(struct parsed_sink *s, int status, const struct err *err)
{
    struct exchange *ex = s->base.ex;
    struct dispatch *d = s->base.dispatch;
    struct buf last = { 0 };

    log_failure(s, err);
    count(s->inf->loop, true, "failed");
    if (d)
        dispatch_abort(d);
    put_error(&last, status, err);
    enter(s, PARSED_ANSWERED);
    if (last.failed) {
        exchange_break(ex);
    } else {
        (void)exchange_send(ex, buf_str(&last)); /* whether the client is slow does not matter any more */
        exchange_end(ex);
    }
    buf_fini(&last);
}

static void stream_part(struct parsed_sink *s, struct str part)
{
    struct err err = { 0 };
    int r;

    buf_clear(&s->out);
    r = parse_stream_feed(s->stream, part, &s->out, &err);
    if (s->out.n && exchange_send(s->base.ex, buf_str(&s->out)) == SEND_FULL)
        dispatch_pause(s->base.dispatch);
    if (r < 0)
        fail_stream(s, r, &err);
}

static void stream_end(struct parsed_sink *s)
{
    struct exchange *ex = s->base.ex;
    struct err err = { 0 };
    int r;

    s->base.dispatch = NULL;
    buf_clear(&s->out);
    r = parse_stream_end(s->stream, &s->out, &err);
    if (s->out.n)
        (void)exchange_send(ex, buf_str(&s->out)); /* whether the client is slow does not matter any more */
    if (r < 0) {
        fail_stream(s, r, &err);
        return;
    }
    count_outcome(s->inf->loop, &s->order, true, parse_stream_outcome(s->stream));
    enter(s, PARSED_ANSWERED);
    exchange_end(ex);
}

/* ---- the sink ---- */

static bool is_type(struct str value, struct str type)
{
    struct str head, rest;

    (void)str_split(value, ';', &head, &rest);
    return str_eq_nocase(str_trim(head), type);
}

/* By the head of the reply alone. */
static enum parsed_state decide(struct parsed_sink *s, const struct http_head *head)
{
    struct exchange *ex = s->base.ex;
    struct str encoding = http_value(&head->fields, HF_CONTENT_ENCODING), type = http_value(&head->fields, HF_CONTENT_TYPE);

    if (head->status != 200 || ex->facts.provider || (encoding.n && !str_eq_nocase(encoding, STR("identity"))))
        return PARSED_RELAYED;
    if (!parse_order_choose(&s->order, &s->inf->parsing, ex->facts.model))
        return PARSED_RELAYED;
    if (is_type(type, STR("text/event-stream")))
        return parse_stream_new(&s->order, &s->inf->loop->arena_cache, &s->stream) < 0 ? PARSED_RELAYED : PARSED_STREAMED;
    if (!is_type(type, TYPE_JSON))
        return PARSED_RELAYED;
    if (head->body == HTTP_BODY_LENGTH && head->length > PARSE_WHOLE_MAX) {
        count(s->inf->loop, false, "too_large");
        return PARSED_RELAYED;
    }
    s->length = head->body == HTTP_BODY_LENGTH ? head->length : HTTP_LENGTH_UNKNOWN;
    return keep_fields(s, &head->fields) ? PARSED_GATHERED : PARSED_RELAYED;
}

static void parsed_head(struct reply_sink *sink, const struct http_head *head)
{
    struct parsed_sink *s = parsed_of(sink);

    enter(s, decide(s, head));
    if (s->state == PARSED_GATHERED)
        return;
    if (s->state == PARSED_RELAYED) {
        sink->ops = &SINK_RELAY;
        SINK_RELAY.on_head(sink, head);
        return;
    }
    sink_copy_fields(s->base.ex, &head->fields);
    exchange_reply_head(s->base.ex, 200, HTTP_LENGTH_UNKNOWN);
}

static void parsed_part(struct reply_sink *sink, struct str part)
{
    struct parsed_sink *s = parsed_of(sink);

    if (s->state == PARSED_STREAMED)
        stream_part(s, part);
    else
        whole_part(s, part);
}

static void parsed_batch(struct reply_sink *sink)
{
    struct parsed_sink *s = parsed_of(sink);

    if (s->state == PARSED_STREAMED)
        SINK_RELAY.on_batch(sink);
}

static void parsed_end(struct reply_sink *sink)
{
    struct parsed_sink *s = parsed_of(sink);

    if (s->state == PARSED_STREAMED)
        stream_end(s);
    else if (s->body.n > PARSE_INLINE_MAX)
        parse_later(s);
    else
        finish_whole(s);
}

static void parsed_error(struct reply_sink *sink, const struct dispatch_failure *f, bool after_head)
{
    struct parsed_sink *s = parsed_of(sink);
    struct exchange *ex = s->base.ex;
    bool began = s->state == PARSED_STREAMED;

    (void)after_head; /* of the worker's reply; what matters is whether ours has begun */
    enter(s, PARSED_ANSWERED);
    if (began)
        exchange_break(ex);
    else
        sink_reply_failure(ex, f);
}

static void parsed_dropped(struct exchange_sink *base)
{
    struct parsed_sink *s = CONTAINER_OF(base, struct parsed_sink, base);

    if (s->state != PARSED_ANSWERED)
        enter(s, PARSED_ANSWERED);
}

static const struct reply_sink_ops PARSED = {
    .on_head = parsed_head, .on_part = parsed_part, .on_batch = parsed_batch, .on_end = parsed_end, .on_error = parsed_error
};

struct reply_sink *sink_chat(struct exchange *ex, struct inference *inf, const struct api_request *request)
{
    struct parsed_sink *s;
    struct parse_order order;

    if (!inf->parsing.on || !parse_order_read(request->root, &order))
        return sink_relay(ex, inf, request);
    s = arena_new(&ex->arena, struct parsed_sink);
    if (!s)
        return NULL;
    s->base.sink.ops = &PARSED;
    s->base.ex = ex;
    s->base.dropped = parsed_dropped;
    s->inf = inf;
    s->order = order;
    return &s->base.sink;
}
