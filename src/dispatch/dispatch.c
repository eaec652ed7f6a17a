/* dispatch/dispatch.c -- one request on its way through one worker after another
 *
 *     dispatch_start --> SENT ----------on_head-----------> REPLYING --on_end(0)--> DONE
 *                        ^ |  |                                |
 *             try_again  | |  +--on_head: worth a retry--> HOLDING   call_ended(<0): on_error(after_head) --> DONE
 *                        | |                                |
 *                        | +--call_ended(<0)--+             | its body came, or is not waited for
 *                        |                    v             v
 *                        +--on_pause_over-- WAITING <--fall_back   (a pause; none where another worker can be asked at once)
 *                                             |             |
 *                                             +-------------+--nobody left, or no attempt: the last attempt's reply or failure--> DONE
 *     dispatch_abort: from any to DONE, silently.
 *
 * Invariants: (1) d->worker != NULL exactly in SENT, HOLDING and REPLYING, with its load counted once and one reference; what was held is replayed in REPLYING without one.
 * (2) The sink hears nothing before REPLYING; after it there is no other worker. (3) Exactly one of on_end, on_error, dispatch_abort ends a dispatch. (4) The sink call that ends it is
 * the last statement: the exchange may be gone after it. (5) A worker's breaker is told once how an attempt went, in release_worker or, of a probe that goes on replying, before.
 */
#include "dispatch/pair.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "dispatch/held.h"

#define TARGET "smg::dispatch"

/* How the next attempt comes about, if there may be one (retry.h). */
enum again {
    AGAIN_NEVER,
    AGAIN_REPLACED,  /* this worker never saw the request: another one at once, even where retries are off; none left: later */
    AGAIN_AT_ONCE,   /* another one at once; none left: later */
    AGAIN_ELSEWHERE, /* another one at once, or none */
    AGAIN_LATER,     /* after a pause */
};

enum dispatch_step { SENT, HOLDING, WAITING, REPLYING, DONE };

struct dispatch {
    struct pair *pair;             /* arena: prefill and decode carry it, and nothing below is used; NULL = one worker does */
    struct dispatcher *dispatcher; /* borrowed */
    struct dispatch_request request;
    struct reply_sink *sink; /* borrowed until DONE */
    struct http_call call;
    enum dispatch_step step;
    const struct worker *worker;                    /* reference; invariant 1 */
    struct key_hold key;                            /* counted beside the worker's load */
    const struct worker *tried[DISPATCH_TRIED_MAX]; /* references, to compare with; the latest last */
    unsigned tried_n;
    bool probe;                  /* this attempt is the probe of the worker's breaker, which is still to be told how it went */
    bool judged;                 /* the breaker knows that it went well, so far */
    const struct worker *shadow; /* what shadow_begin gave; until DONE */
    struct str model;            /* canonical, arena */
    struct str body;             /* what prepare() gave; arena */
    bool prepared;
    unsigned attempts; /* begun */
    struct retry_conf retry;
    struct held held;                                     /* owned: the reply of the last attempt, if it had one */
    struct dispatch_failure failure;                      /* of the last attempt, if it had no reply */
    struct timer timer;                                   /* HOLDING: the body takes too long. WAITING: the pause is over */
    unsigned status;                                      /* of the reply's head */
    uint64_t began_us, picked_us, head_us, first_part_us; /* loop clock; picked_us and head_us of the worker that has it now */
};

static int attempt(struct dispatch *d);
static void on_head(struct http_call *call, const struct http_head *head);
static void on_body(struct http_call *call, struct str part);
static void on_batch(struct http_call *call);
static void on_end(struct http_call *call, int status);
static void on_hold_over(struct timer *t);
static void fall_back(struct dispatch *d, enum again again);
static void on_pause_over(struct timer *t);
static void answer_last(struct dispatch *d);

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
        board_fini(&d->lists[i].board);
    }
    free(d->untried.rows);
    free(d);
}

void dispatcher_set_retry(struct dispatcher *d, const struct retry_conf *retry)
{
    d->conf.retry = *retry;
    for (unsigned i = 0; i < CANDIDATE_LISTS; i++) /* they hold what the workers say over it */
        d->lists[i].of = NULL;
}

const struct worker_table *dispatcher_table(struct dispatcher *d)
{
    return registry_table(d->registry, d->loop);
}

/* The one place where a worker is let go: its breaker is told, its load ends, and the reference stays only in tried[]. */
static void release_worker(struct dispatch *d, enum breaker_outcome outcome)
{
    if (!d->judged || outcome == BREAKER_FAILURE)
        dispatch_report(d->dispatcher, d->worker, outcome, d->probe);
    d->probe = d->judged = false;
    worker_count_busy(d->worker, loop_now_us(d->dispatcher->loop) - d->picked_us);
    worker_load_end(d->worker);
    key_loads_end(&d->key, d->worker);
    d->worker = NULL;
}

/* The one place that changes d->step. */
static void enter(struct dispatch *d, enum dispatch_step step)
{
    static const unsigned FOLLOWERS[] = {
        [SENT] = 1u << SENT | 1u << HOLDING | 1u << WAITING | 1u << REPLYING | 1u << DONE,
        [HOLDING] = 1u << SENT | 1u << WAITING | 1u << REPLYING | 1u << DONE,
        [WAITING] = 1u << SENT | 1u << REPLYING | 1u << DONE,
        [REPLYING] = 1u << DONE,
    };

    assert(FOLLOWERS[d->step] >> step & 1);
    (void)FOLLOWERS;
    timer_stop(&d->timer);
    d->step = step;
}

/* But for the latest KEEP ones. */
static void forget_tried(struct dispatch *d, unsigned keep)
{
    unsigned gone = d->tried_n > keep ? d->tried_n - keep : 0;

    for (unsigned i = 0; i < gone; i++)
        worker_unref(d->tried[i]);
    d->tried_n -= gone;
    memmove(d->tried, d->tried + gone, d->tried_n * sizeof(d->tried[0]));
}

static void become_done(struct dispatch *d, enum breaker_outcome outcome)
{
    enter(d, DONE);
    if (d->worker)
        release_worker(d, outcome);
    forget_tried(d, /* keep= */ 0);
    held_fini(&d->held);
    shadow_end(STEAL(d->shadow));
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

static uint32_t ms_of(int64_t s)
{
    return (uint32_t)MIN(s, (int64_t)HEALTH_SECONDS_MAX) * 1000;
}

/* What the worker's `http_pool` says of connections to it; 0 seconds of a time-out mean the gateway's, as for health checks. */
void dispatch_heed_pool(const struct worker_pool *p, struct http_call *call)
{
    if (p->connect_s > 0)
        call->connect_ms = ms_of(p->connect_s);
    if (p->timeout_s > 0)
        call->head_ms = call->idle_ms = ms_of(p->timeout_s);
    call->own_pool = p->idle_max >= 0 || p->idle_s >= 0;
    call->pool_idle_max = p->idle_max >= 0 ? (unsigned)p->idle_max : UINT_MAX;
    call->pool_idle_ms = p->idle_s >= 0 ? ms_of(p->idle_s) : UINT32_MAX;
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
        .content_type = d->request.content_type,
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
    dispatch_heed_pool(&w->spec.pool, &d->call);
    if (!d->call.head.p)
        return ERR_NOMEM;
    d->attempts++;
    ex->facts.attempts++;
    ex->facts.worker = arena_str(&ex->arena, w->spec.url);
    ex->facts.provider = w->spec.runtime == RUNTIME_EXTERNAL;
    return http_call_start(d->dispatcher->client, &d->call);
}

/* An untried worker; else one that was not tried last; else that one. */
static struct dispatch_pick pick_again(struct dispatch *d, struct dispatch_failure *failure)
{
    struct dispatch_pick p = { 0 };

    for (unsigned keep = DISPATCH_TRIED_MAX;; keep = d->tried_n > 1) {
        forget_tried(d, keep);
        p = dispatch_pick(d->dispatcher, &d->request, d->request.leg, d->tried, d->tried_n, &d->model, failure);
        if (p.worker || d->tried_n == 0)
            return p;
    }
}

/* Picks the next worker into d->worker and tried[]. 0, or ERR_NOT_FOUND with *FAILURE. */
static int pick(struct dispatch *d, struct dispatch_failure *failure)
{
    struct dispatch_pick p = pick_again(d, failure);

    if (!p.worker)
        return ERR_NOT_FOUND;
    if (p.shadow)
        d->shadow = p.shadow;
    forget_tried(d, DISPATCH_TRIED_MAX - 1);
    d->worker = p.worker;
    d->probe = p.probe;
    d->retry = p.retry;
    d->key = p.key;
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
    if (request->pair) {
        r = pair_start(dispatcher, request, sink, &d->pair, failure);
        if (r == 0)
            *ret = d;
        return r;
    }
    d->dispatcher = dispatcher;
    d->request = *request;
    d->sink = sink;
    d->began_us = ex->began_us;
    r = pick(d, failure);
    ex->facts.model = d->model.p ? d->model : request->model;
    dispatch_count_request(dispatcher, ex->facts.model, request->endpoint, request->stream);
    if (r < 0) {
        dispatch_count_attempt(dispatcher, failure->status, failure->code); /* SMG's: the gateway's own answers count too */
        dispatch_count_failed(dispatcher, ex->facts.model, request->endpoint, failure->status);
        return r;
    }
    r = attempt(d); /* from here on the step is SENT, which is 0 */
    if (r < 0) {
        become_done(d, BREAKER_NOTHING);
        dispatch_out_of_memory(failure);
        dispatch_count_failed(dispatcher, ex->facts.model, request->endpoint, failure->status);
        return r;
    }
    *ret = d;
    return 0;
}

/* May there be another attempt at all? Where none is to come, the reply need not be held. */
static bool may_try_again(const struct dispatch *d)
{
    const struct dispatcher *dd = d->dispatcher;

    return !d->request.no_retries && d->attempts < d->retry.attempts_max &&
           (!dd->conf.head_ms || loop_now_us(dd->loop) < d->began_us + (uint64_t)dd->conf.head_ms * 1000);
}

/* A reply that says "not now" or "not me", and that nobody has seen yet. */
static bool hold(struct dispatch *d, const struct http_head *head)
{
    if (!retry_status(head->status))
        return false;
    if (!may_try_again(d)) {
        dispatch_count_retries_exhausted(d->dispatcher, d->request.endpoint);
        return false;
    }
    if (held_begin(&d->held, head) < 0)
        return false;
    enter(d, HOLDING);
    timer_start(d->dispatcher->loop, &d->timer, DISPATCH_HOLD_MS, on_hold_over);
    return true;
}

static void on_head(struct http_call *call, const struct http_head *head)
{
    struct dispatch *d = call->owner;

    assert(d->step == SENT);
    d->status = head->status;
    d->head_us = loop_now_us(d->dispatcher->loop);
    dispatch_count_attempt(d->dispatcher, head->status, STR_NONE);
    dispatch_heed(d->dispatcher, d->worker, head);
    if (head->status >= 500) {
        dispatch_count_worker_error(d->dispatcher, head->status);
        worker_count_failure(d->worker);
    }
    if (hold(d, head))
        return;
    enter(d, REPLYING);
    d->sink->ops->on_head(d->sink, head);
}

static void on_body(struct http_call *call, struct str part)
{
    struct dispatch *d = call->owner;

    if (d->step == HOLDING) {
        held_put(&d->held, part);
        return;
    }
    assert(d->step == REPLYING);
    if (!d->first_part_us)
        d->first_part_us = loop_now_exact_us(d->dispatcher->loop);
    d->sink->ops->on_part(d->sink, part);
}

/* A stream may go on for hours: the breaker does not wait for its end. */
static void judge_probe(struct dispatch *d, uint64_t now)
{
    if (!d->probe || now < d->head_us + DISPATCH_PROBE_MS * 1000ull)
        return;
    dispatch_report(d->dispatcher, d->worker, worker_judge_status(&d->worker->spec.judge, d->status), /* probe= */ true);
    d->probe = false;
    d->judged = true;
}

static void on_batch(struct http_call *call)
{
    struct dispatch *d = call->owner;

    if (d->step != REPLYING)
        return;
    if (d->status < 300) {
        uint64_t now = loop_now_us(d->dispatcher->loop);

        worker_heard(d->worker, now);
        judge_probe(d, now);
    }
    if (d->sink->ops->on_batch)
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

void dispatch_describe(int status, struct dispatch_failure *f)
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

/* ---- another attempt ---- */

/* What a failed attempt's end calls for. */
static enum again what_next(const struct dispatch *d, int status)
{
    if (err_is_tls(status))
        return AGAIN_REPLACED;
    switch (status) {
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_RESOLVE:
        return AGAIN_REPLACED;
    case ERR_TIMEOUT:
        return d->call.step == CALL_CONNECTING ? AGAIN_REPLACED : AGAIN_ELSEWHERE;
    case ERR_RESET:
    case ERR_CLOSED:
    case ERR_PROTOCOL:
        return AGAIN_AT_ONCE;
    default:
        return AGAIN_NEVER;
    }
}

uint32_t dispatch_waited_ms(const struct http_call *call)
{
    return call->step == CALL_BODY ? call->idle_ms : call->step == CALL_CONNECTING ? 0 : call->head_ms;
}

static void end_well(struct dispatch *d)
{
    enum breaker_outcome outcome = worker_judge_status(&d->worker->spec.judge, d->status);

    if (d->status < 300)
        worker_heard(d->worker, loop_now_us(d->dispatcher->loop));
    count_finished(d);
    become_done(d, outcome);
    d->sink->ops->on_end(d->sink);
}

static void end_broken(struct dispatch *d, const struct dispatch_failure *failure, enum breaker_outcome outcome)
{
    dispatch_count_failed(d->dispatcher, d->model, d->request.endpoint, failure->status);
    become_done(d, outcome);
    d->sink->ops->on_error(d->sink, failure, /* after_head= */ true);
}

/* The failed reply is here, as far as it goes. */
static void end_held(struct dispatch *d)
{
    log_warn(TARGET, "attempt failed", LF_STR("request_id", d->request.ex->request_id), LF_STR("worker", d->worker->spec.url),
             LF_UINT("status", d->status), LF_UINT("attempt", d->attempts));
    release_worker(d, worker_judge_status(&d->worker->spec.judge, d->status));
    fall_back(d, AGAIN_LATER);
}

static void on_hold_over(struct timer *t)
{
    struct dispatch *d = CONTAINER_OF(t, struct dispatch, timer);

    assert(d->step == HOLDING);
    d->held.lost = true;
    http_call_cancel(&d->call);
    end_held(d);
}

static void on_end(struct http_call *call, int status)
{
    struct dispatch *d = call->owner;
    bool after_head = d->step == REPLYING;
    enum breaker_outcome outcome;

    assert(d->step != DONE && d->step != WAITING);
    if (d->step == HOLDING) {
        d->held.lost |= status < 0;
        end_held(d);
        return;
    }
    if (status == 0) {
        end_well(d);
        return;
    }
    log_warn(TARGET, "attempt failed", LF_STR("request_id", d->request.ex->request_id), LF_STR("worker", d->worker->spec.url),
             LF_CSTR("reason", err_text(status)), LF_BOOL("reply_begun", after_head), LF_UINT("attempt", d->attempts));
    worker_count_failure(d->worker);
    outcome = dispatch_blame(d->dispatcher, d->worker, status, dispatch_waited_ms(call));
    dispatch_describe(status, &d->failure);
    dispatch_count_worker_error(d->dispatcher, d->failure.status);
    if (after_head) {
        end_broken(d, &d->failure, outcome);
        return;
    }
    dispatch_count_attempt(d->dispatcher, d->failure.status, d->failure.code);
    held_drop(&d->held);
    release_worker(d, outcome);
    fall_back(d, what_next(d, status));
}

#define NO_PAUSE UINT32_MAX

/* How long to wait before the next attempt; 0 = not at all. NO_PAUSE: there is none. */
static uint32_t pause_ms(struct dispatch *d, enum again again)
{
    enum dispatch_outlook outlook = dispatch_outlook(d->dispatcher, &d->request, d->request.leg, d->tried, d->tried_n);
    bool allowed = may_try_again(d);
    uint64_t asked_ms;
    uint32_t ms;

    if (again == AGAIN_REPLACED && d->attempts < DISPATCH_REPLACED_MAX && outlook == OUTLOOK_UNTRIED)
        allowed = true;
    if (!allowed || again == AGAIN_NEVER || outlook == OUTLOOK_NOBODY)
        return NO_PAUSE;
    if (outlook == OUTLOOK_UNTRIED && again != AGAIN_LATER)
        return 0;
    if (again == AGAIN_ELSEWHERE)
        return NO_PAUSE;
    ms = retry_backoff_ms(&d->retry, d->attempts - 1, &d->dispatcher->loop->random);
    if (outlook == OUTLOOK_UNTRIED || !d->held.any)
        return ms;
    asked_ms = MIN(worker_retry_after_s(http_value(&d->held.head.fields, HF_RETRY_AFTER)), (uint64_t)HEALTH_SECONDS_MAX) * 1000;
    return (uint32_t)MIN(MAX((uint64_t)ms, MIN(asked_ms, (uint64_t)d->retry.max_ms)), NO_PAUSE - 1);
}

/* 0: another worker is at it. */
static int try_again(struct dispatch *d)
{
    struct dispatch_failure none;
    int r = pick(d, &none);

    if (r < 0)
        return r;
    log_info(TARGET, "trying again", LF_STR("request_id", d->request.ex->request_id), LF_STR("worker", d->worker->spec.url),
             LF_UINT("attempt", d->attempts + 1));
    enter(d, SENT);
    r = attempt(d);
    if (r < 0) {
        dispatch_out_of_memory(&d->failure);
        held_drop(&d->held);
    }
    return r;
}

/* The worker of the failed attempt is released. */
static void fall_back(struct dispatch *d, enum again again)
{
    uint32_t ms = pause_ms(d, again);

    if (ms == NO_PAUSE) {
        if (again != AGAIN_NEVER)
            dispatch_count_retries_exhausted(d->dispatcher, d->request.endpoint);
        answer_last(d);
        return;
    }
    dispatch_count_retry(d->dispatcher, d->request.endpoint);
    if (ms == 0) {
        if (try_again(d) < 0)
            answer_last(d);
        return;
    }
    dispatch_count_backoff(d->dispatcher, d->attempts, ms);
    enter(d, WAITING);
    timer_start(d->dispatcher->loop, &d->timer, ms, on_pause_over);
}

static void on_pause_over(struct timer *t)
{
    struct dispatch *d = CONTAINER_OF(t, struct dispatch, timer);

    assert(d->step == WAITING);
    if (try_again(d) < 0)
        answer_last(d);
}

/* ---- the last attempt's answer ---- */

/* What was held goes out as if it came now. A sink may abort in between. */
static void replay(struct dispatch *d)
{
    struct reply_sink *sink = d->sink;
    struct http_head *head = &d->held.head;

    if (head->body != HTTP_BODY_NONE) {
        head->body = HTTP_BODY_LENGTH;
        head->length = d->held.body.n;
    }
    enter(d, REPLYING);
    sink->ops->on_head(sink, head);
    if (d->step == REPLYING && d->held.body.n)
        sink->ops->on_part(sink, buf_str(&d->held.body));
    if (d->step != REPLYING)
        return;
    count_finished(d);
    become_done(d, BREAKER_NOTHING);
    sink->ops->on_end(sink);
}

/* There is no further attempt: the last one's reply, unchanged, or why it had none. It says more than "no worker is available". */
static void answer_last(struct dispatch *d)
{
    if (d->held.any && !d->held.lost) {
        replay(d);
        return;
    }
    if (d->held.any)
        d->failure =
            (struct dispatch_failure){ .status = d->status,
                                       .code = STR("call_upstream_status_error"),
                                       .message = STR("The worker answered with an error whose text was cut or too long") };
    dispatch_count_failed(d->dispatcher, d->model, d->request.endpoint, d->failure.status);
    become_done(d, BREAKER_NOTHING);
    d->sink->ops->on_error(d->sink, &d->failure, /* after_head= */ false);
}

void dispatch_pause(struct dispatch *d)
{
    if (d->pair)
        pair_pause(d->pair);
    else if (d->step != DONE)
        http_call_pause(&d->call);
}

void dispatch_resume(struct dispatch *d)
{
    if (d->pair)
        pair_resume(d->pair);
    else if (d->step != DONE)
        http_call_resume(&d->call);
}

void dispatch_abort(struct dispatch *d)
{
    if (d->pair) {
        pair_abort(d->pair);
        return;
    }
    if (d->step == DONE)
        return;
    http_call_cancel(&d->call);
    dispatch_count_aborted(d->dispatcher, d->model, d->request.endpoint);
    become_done(d, BREAKER_NOTHING);
}
