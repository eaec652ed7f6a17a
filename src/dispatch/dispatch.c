/* dispatch/dispatch.c -- one request on its way through one worker after another
 *
 *     dispatch_start --> SENT --on_head--> REPLYING --on_end(0)--> DONE
 *                        |  ^                  |
 *          call_ended(<0)|  | try_another      | call_ended(<0): on_error(after_head)
 *                        +--+                  +--------------------> DONE
 *                        |
 *                        +-- nobody left, or not retryable: on_error --> DONE
 *     dispatch_abort: from SENT or REPLYING to DONE, silently.
 *
 * Invariants: (1) d->worker != NULL exactly in SENT and REPLYING, with its load counted once and one reference. (2) After on_head there is no other worker.
 * (3) Exactly one of on_end, on_error, dispatch_abort ends a dispatch. (4) The sink call that ends it is the last statement: the exchange may be gone after it.
 */
#include "dispatch/dispatch_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define TARGET "smg::dispatch"

enum dispatch_step { SENT, REPLYING, DONE };

struct dispatch {
    struct dispatcher *dispatcher; /* borrowed */
    struct dispatch_request request;
    struct reply_sink *sink; /* borrowed until DONE */
    struct http_call call;
    enum dispatch_step step;
    const struct worker *worker;                       /* reference; invariant 1 */
    const struct worker *tried[DISPATCH_ATTEMPTS_MAX]; /* references, to compare with */
    unsigned tried_n;
    const struct worker *shadow; /* what shadow_begin gave; until DONE */
    struct str model;            /* canonical, arena */
    struct str body;             /* what prepare() gave; arena */
    bool prepared;
    unsigned status;                             /* of the reply's head */
    uint64_t began_us, picked_us, first_part_us; /* loop clock; picked_us of the worker that has it now */
};

static int attempt(struct dispatch *d);
static void on_head(struct http_call *call, const struct http_head *head);
static void on_body(struct http_call *call, struct str part);
static void on_batch(struct http_call *call);
static void on_end(struct http_call *call, int status);
static bool try_another(struct dispatch *d, int status);

static const struct http_call_ops CALL_OPS = { .on_head = on_head, .on_body = on_body, .on_batch = on_batch, .on_end = on_end };

int dispatcher_new(struct loop *loop, struct http_client *client, struct registry *registry, struct policy_set *policies,
                   const struct dispatcher_conf *conf, struct dispatcher **ret)
{
    struct dispatcher *d = calloc(1, sizeof(*d));

    if (!d)
        return ERR_NOMEM;
    d->loop = loop;
    d->client = client;
    d->registry = registry;
    d->policies = policies;
    d->conf = *conf;
    *ret = d;
    return 0;
}

void dispatcher_free(struct dispatcher *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < CANDIDATE_LISTS; i++) {
        free(d->lists[i].rows);
        board_fini(&d->lists[i].boards[0]);
        board_fini(&d->lists[i].boards[1]);
    }
    free(d->untried.rows);
    free(d);
}

const struct worker_table *dispatcher_table(struct dispatcher *d)
{
    return registry_table(d->registry, d->loop);
}

/* The one place where a worker is let go: its load ends and the reference stays only in tried[]. */
static void release_worker(struct dispatch *d)
{
    worker_count_busy(d->worker, loop_now_us(d->dispatcher->loop) - d->picked_us);
    worker_load_end(d->worker);
    d->worker = NULL;
}

static void become_done(struct dispatch *d)
{
    assert(d->step != DONE);
    if (d->worker)
        release_worker(d);
    for (unsigned i = 0; i < d->tried_n; i++)
        worker_unref(d->tried[i]);
    d->tried_n = 0;
    shadow_end(STEAL(d->shadow));
    d->step = DONE;
}

static int prepare_body(struct dispatch *d)
{
    int r;

    if (d->prepared || !d->request.prepare)
        return 0;
    r = d->request.prepare(&d->request, UPSTREAM_OPENAI_HTTP, d->model, &d->body);
    d->prepared = r == 0;
    return r;
}

/* A rank's engine learns from the body which rank is meant. Put last: of two members of a name, the last one is what engines take. */
static int add_rank(struct exchange *ex, const struct worker *w, struct str *body)
{
    size_t end = body->n;
    struct str before;
    char tail[64], *text;
    int n;

    while (end > 0 && body->p[end - 1] != '}')
        end--;
    if (end == 0)
        return 0; /* no body */
    before = str_first(*body, end - 1);
    n = snprintf(tail, sizeof tail, "%s\"data_parallel_rank\":%lld}", str_has_suffix(str_trim(before), STR("{")) ? "" : ",",
                 (long long)w->spec.dp_rank);
    text = arena_alloc(&ex->arena, before.n + (size_t)n);
    if (!text)
        return ERR_NOMEM;
    memcpy(text, before.p, before.n);
    memcpy(text + before.n, tail, (size_t)n);
    *body = (struct str){ text, before.n + (size_t)n };
    return 0;
}

/* Sends to d->worker (picked, counted, in tried[]). */
static int attempt(struct dispatch *d)
{
    struct exchange *ex = d->request.ex;
    const struct worker *w = d->worker;
    struct upstream_target to = {
        .authority = w->authority, .base_path = w->base_path, .api_key = w->spec.api_key, .anthropic = worker_is_anthropic(w)
    };
    struct upstream_request r = {
        .method = d->request.method,
        .path = d->request.path,
        .client = &ex->req.fields,
        .request_id = ex->request_id,
        .forward_authorization = !ex->principal.credential_is_ours,
    };
    struct str body;
    int status = prepare_body(d);

    body = d->body;
    if (status == 0 && w->spec.dp_base_url.n && d->request.method == HTTP_POST)
        status = add_rank(ex, w, &body);
    if (status < 0)
        return status;
    r.body_bytes = body.n;
    d->call = (struct http_call){
        .ops = &CALL_OPS,
        .owner = d,
        .host = w->host,
        .port = w->port,
        .tls = w->tls,
        .method = r.method,
        .head = upstream_http_head(&ex->arena, &to, &r),
        .body = body,
        .connect_ms = d->dispatcher->conf.connect_ms,
        .head_ms = d->dispatcher->conf.head_ms,
        .idle_ms = d->dispatcher->conf.idle_ms,
    };
    if (!d->call.head.p)
        return ERR_NOMEM;
    ex->facts.attempts++;
    ex->facts.worker = arena_str(&ex->arena, w->spec.url);
    return http_call_start(d->dispatcher->client, &d->call);
}

/* Picks the next worker into d->worker and tried[]. 0, or ERR_NOT_FOUND with *FAILURE. */
static int pick(struct dispatch *d, struct dispatch_failure *failure)
{
    struct dispatch_pick p = dispatch_pick(d->dispatcher, &d->request, POLICY_REGULAR, d->tried, d->tried_n, &d->model, failure);

    if (!p.worker)
        return ERR_NOT_FOUND;
    if (p.shadow)
        d->shadow = p.shadow;
    d->worker = p.worker;
    d->picked_us = loop_now_us(d->dispatcher->loop);
    d->tried[d->tried_n++] = p.worker;
    d->request.ex->facts.policy = str_of(p.policy);
    dispatch_count_selection(d->dispatcher, d->model, p.policy);
    return 0;
}

void dispatch_out_of_memory(struct dispatch_failure *f)
{
    *f = (struct dispatch_failure){ .status = 503,
                                    .code = STR("out_of_memory"),
                                    .message = STR("The gateway is out of memory for this request"),
                                    .retry_after_s = 1,
                                    .cause = ERR_NOMEM };
}

int dispatch_start(struct dispatcher *dispatcher, const struct dispatch_request *request, struct reply_sink *sink,
                   struct dispatch **ret, struct dispatch_failure *failure)
{
    struct exchange *ex = request->ex;
    struct dispatch *d = arena_new(&ex->arena, struct dispatch);
    int r;

    if (!d) {
        dispatch_out_of_memory(failure);
        return ERR_NOMEM;
    }
    d->dispatcher = dispatcher;
    d->request = *request;
    d->sink = sink;
    d->began_us = ex->began_us;
    r = pick(d, failure);
    ex->facts.model = d->model.p ? d->model : request->model;
    if (r < 0) {
        dispatch_count_attempt(dispatcher, failure->status, failure->code); /* SMG's: the gateway's own answers count too */
        dispatch_count_failed(dispatcher, ex->facts.model, request->endpoint, failure->status);
        return r;
    }
    dispatch_count_request(dispatcher, d->model, request->endpoint, request->stream);
    r = attempt(d);
    if (r < 0) {
        become_done(d);
        dispatch_out_of_memory(failure);
        dispatch_count_failed(dispatcher, ex->facts.model, request->endpoint, failure->status);
        return r;
    }
    d->step = SENT;
    *ret = d;
    return 0;
}

static void on_head(struct http_call *call, const struct http_head *head)
{
    struct dispatch *d = call->owner;

    assert(d->step == SENT);
    d->step = REPLYING;
    d->status = head->status;
    dispatch_count_attempt(d->dispatcher, head->status, STR_NONE);
    if (head->status >= 500) {
        dispatch_count_worker_error(d->dispatcher, head->status);
        worker_count_failure(d->worker);
    }
    d->sink->ops->on_head(d->sink, head);
}

static void on_body(struct http_call *call, struct str part)
{
    struct dispatch *d = call->owner;

    assert(d->step == REPLYING);
    if (!d->first_part_us)
        d->first_part_us = loop_now_exact_us(d->dispatcher->loop);
    d->sink->ops->on_part(d->sink, part);
}

static void on_batch(struct http_call *call)
{
    struct dispatch *d = call->owner;

    if (d->step == REPLYING && d->status < 300)
        worker_heard(d->worker, loop_now_us(d->dispatcher->loop));
    if (d->step == REPLYING && d->sink->ops->on_batch)
        d->sink->ops->on_batch(d->sink);
}

static void count_finished(struct dispatch *d)
{
    uint64_t now = loop_now_exact_us(d->dispatcher->loop);

    if (d->status < 200 || d->status > 299) {
        dispatch_count_failed(d->dispatcher, d->model, d->request.endpoint, d->status);
        return;
    }
    dispatch_count_finished(d->dispatcher, d->model, d->request.endpoint, d->request.stream, now - d->began_us,
                            d->first_part_us ? d->first_part_us - d->began_us : 0);
}

/* Could another worker do what this one could not begin? Refused, reset or unreachable before a reply: yes (decision 6). A timeout while waiting for the
 * head: no, the engine may be working on it, and the client has waited long enough. */
static bool is_retryable(const struct dispatch *d, int status)
{
    switch (status) {
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_RESOLVE:
    case ERR_RESET:
    case ERR_CLOSED:
        return d->step == SENT;
    case ERR_TIMEOUT:
        return d->step == SENT && d->call.step == CALL_CONNECTING;
    default:
        return d->step == SENT && err_is_tls(status);
    }
}

/* The answer for the last attempt's failure. Worker URLs stay out of it (decision 6). */
static void describe(int status, struct dispatch_failure *f)
{
    switch (err_is_tls(status) ? ERR_UNREACHABLE : status) {
    case ERR_TIMEOUT:
        *f = (struct dispatch_failure){ .status = 504,
                                        .code = STR("call_upstream_timeout"),
                                        .message = STR("The worker did not answer in time") };
        break;
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_RESOLVE:
        *f = (struct dispatch_failure){ .status = 502,
                                        .code = STR("call_upstream_connection_failed"),
                                        .message = STR("No connection to a worker could be made") };
        break;
    case ERR_PROTOCOL:
        *f = (struct dispatch_failure){ .status = 502,
                                        .code = STR("call_upstream_decode_error"),
                                        .message = STR("The worker's reply is not valid HTTP") };
        break;
    case ERR_NOMEM:
        dispatch_out_of_memory(f);
        break;
    default:
        *f = (struct dispatch_failure){ .status = 502,
                                        .code = STR("call_upstream_request_failed"),
                                        .message = STR("The worker closed the connection before its reply was complete") };
    }
    f->cause = status;
}

static void on_end(struct http_call *call, int status)
{
    struct dispatch *d = call->owner;
    struct dispatch_failure failure;
    bool after_head = d->step == REPLYING;

    assert(d->step != DONE);
    if (status == 0) {
        count_finished(d);
        become_done(d);
        d->sink->ops->on_end(d->sink);
        return;
    }
    log_warn(TARGET, "attempt failed", LF_STR("request_id", d->request.ex->request_id), LF_STR("worker", d->worker->spec.url),
             LF_CSTR("reason", err_text(status)), LF_BOOL("reply_begun", after_head), LF_UINT("attempt", d->tried_n));
    worker_count_failure(d->worker);
    describe(status, &failure);
    dispatch_count_worker_error(d->dispatcher, failure.status);
    if (!after_head)
        dispatch_count_attempt(d->dispatcher, failure.status, failure.code);
    if (is_retryable(d, status)) {
        if (try_another(d, status))
            return;
        dispatch_count_retries_exhausted(d->dispatcher, d->request.endpoint);
    }
    dispatch_count_failed(d->dispatcher, d->model, d->request.endpoint, failure.status);
    become_done(d);
    d->sink->ops->on_error(d->sink, &failure, after_head);
}

/* True: another worker is at it. A failure to find one leaves the last attempt's failure as the answer: it says more than "none available". */
static bool try_another(struct dispatch *d, int status)
{
    struct dispatch_failure none;

    release_worker(d);
    if (d->tried_n == DISPATCH_ATTEMPTS_MAX || pick(d, &none) < 0)
        return false;
    dispatch_count_retry(d->dispatcher, d->request.endpoint);
    log_info(TARGET, "trying another worker", LF_STR("request_id", d->request.ex->request_id),
             LF_STR("worker", d->worker->spec.url), LF_CSTR("after", err_text(status)));
    if (attempt(d) < 0)
        return false;
    return true;
}

void dispatch_pause(struct dispatch *d)
{
    if (d->step != DONE)
        http_call_pause(&d->call);
}

void dispatch_resume(struct dispatch *d)
{
    if (d->step != DONE)
        http_call_resume(&d->call);
}

void dispatch_abort(struct dispatch *d)
{
    if (d->step == DONE)
        return;
    http_call_cancel(&d->call);
    become_done(d);
}
