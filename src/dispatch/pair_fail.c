/* dispatch/pair_fail.c -- what ends an attempt of a pair early, whether another one follows, and what the client is told if not
 *
 *   an engine's error status --pair_refuse--> its body --pair_refusal_ends--+--> try_again --(pause)--> again --> pair_attempt
 *   a connection's failure --pair_leg_failed----------------------------------+--> pair_give_up
 *
 * Whoever fails ends the other leg first: it waits for something that will not come.
 */
#include "base/log.h"
#include "dispatch/pair_internal.h"

#define TARGET "smg::dispatch"

/* How the next attempt comes about (retry.h). */
enum how {
    HOW_NEVER,
    HOW_AT_ONCE,   /* with somebody else at once; nobody else left: after a pause */
    HOW_ELSEWHERE, /* with somebody else at once, or not at all */
    HOW_LATER,     /* after a pause */
};

static bool try_again(struct pair *p, enum how how, const struct dispatch_failure *failure);
static void again(struct timer *t);

/* ---- an engine says no ---- */

static void spare(struct pair_tried *t, const struct worker *w)
{
    if (t->n < DISPATCH_TRIED_MAX)
        t->of[t->n++] = worker_ref(w);
}

/* The leg that is to blame: others come first from now on. */
static void let_go(struct leg *leg, enum breaker_outcome outcome)
{
    spare(leg->role == POLICY_PREFILL ? &leg->pair->tried_prefill : &leg->pair->tried_decode, leg->worker);
    pair_release(leg, outcome);
}

static unsigned retry_after(const struct http_head *head)
{
    uint64_t seconds;

    return str_to_u64(http_value(&head->fields, HF_RETRY_AFTER), &seconds) == 0 ? (unsigned)MIN(seconds, 3600u) : 0;
}

/* The other leg has nothing to wait for: it ends now. The error's body is read, up to a bound. */
void pair_refuse(struct leg *leg, const struct http_head *head)
{
    struct pair *p = leg->pair;

    if (head->status >= 500) {
        pair_count_worker_error(p->dispatcher, leg->role, head->status);
        worker_count_failure(leg->worker);
    }
    pair_release(leg->role == POLICY_PREFILL ? &p->decode : &p->prefill, BREAKER_NOTHING);
    pair_drop_gathered(p);
    buf_fini(&p->held);
    pair_keep_fields(p, head);
    p->refused = leg;
    p->retry_after_s = retry_after(head);
    pair_enter(p, PAIR_REFUSED);
}

static struct str refusal_code(enum policy_leg role, unsigned status)
{
    static const struct {
        unsigned status;
        struct str prefill, decode;
    } CODES[] = {
        { 400, STR_INIT("prefill_bad_request"), STR_INIT("decode_bad_request") },
        { 404, STR_INIT("prefill_not_found"), STR_INIT("decode_not_found") },
        { 500, STR_INIT("prefill_internal_error"), STR_INIT("decode_internal_error") },
        { 502, STR_INIT("prefill_bad_gateway"), STR_INIT("decode_bad_gateway") },
        { 503, STR_INIT("prefill_unavailable"), STR_INIT("decode_unavailable") },
    };

    for (size_t i = 0; i < ARRAY_LEN(CODES); i++)
        if (CODES[i].status == status)
            return role == POLICY_PREFILL ? CODES[i].prefill : CODES[i].decode;
    return role == POLICY_PREFILL ? STR("prefill_error") : STR("decode_error");
}

static void describe_refusal(struct pair *p, struct dispatch_failure *f)
{
    struct arena *arena = &p->request.ex->arena;
    unsigned status = p->refused->status;
    struct str said = pair_error_message(buf_str(&p->gathered), arena);

    *f = (struct dispatch_failure){
        .status = status, .code = refusal_code(p->refused->role, status), .message = said, .retry_after_s = p->retry_after_s
    };
    if (p->refused->role == POLICY_PREFILL)
        f->message = arena_printf(arena, "Prefill server error (%u %s): %.*s", status, http_reason(status), STR_FMT(said));
}

/* A stream's error is an event, under the engine's own status and fields (spec data-plane 13.4). */
static void reply_error_event(struct pair *p)
{
    struct http_fields fields = { 0 };
    struct http_head head = p->head;

    for (unsigned i = 0; i < head.fields.n; i++) {
        const struct http_field *f = &head.fields.v[i];

        if (f->id == HF_CONTENT_TYPE || f->id == HF_CONTENT_LENGTH || f->id == HF_CONTENT_ENCODING)
            continue; /* they belong to the body that is not sent */
        if (f->id != HF_UNKNOWN)
            http_add(&fields, &p->arena, f->id, f->value);
        else
            http_add_name(&fields, &p->arena, f->name, f->value);
    }
    http_add(&fields, &p->arena, HF_CONTENT_TYPE, STR("text/event-stream"));
    buf_clear(&p->merged);
    pair_error_event(buf_str(&p->gathered), head.status, &p->arena, &p->merged);
    head.fields = fields;
    head.body = HTTP_BODY_LENGTH;
    head.length = p->merged.n;
    pair_count_failed(p->dispatcher, p->model, p->request.endpoint, head.status);
    pair_enter(p, PAIR_REPLYING);
    p->sink->ops->on_head(p->sink, &head);
    if (p->step == PAIR_REPLYING)
        p->sink->ops->on_part(p->sink, buf_str(&p->merged));
    if (p->step != PAIR_REPLYING)
        return;
    pair_enter(p, PAIR_DONE);
    p->sink->ops->on_end(p->sink);
}

/* The error's body is there, or as much of it as is wanted. */
void pair_refusal_ends(struct pair *p)
{
    struct leg *leg = p->refused;
    struct dispatch_failure failure;

    log_warn(TARGET, "an engine refused its part of a request", LF_STR("request_id", p->request.ex->request_id),
             LF_STR("worker", leg->worker->spec.url), LF_UINT("status", leg->status), LF_UINT("attempt", p->attempts));
    describe_refusal(p, &failure);
    let_go(leg, worker_judge_status(&leg->worker->spec.judge, leg->status));
    if (retry_status(failure.status) && try_again(p, HOW_LATER, &failure))
        return;
    if (leg->role == POLICY_DECODE && p->request.stream)
        reply_error_event(p);
    else
        pair_give_up(p, &failure, /* after_head= */ false);
}

/* ---- a connection fails ---- */

static void describe_transport(struct pair *p, int status, struct dispatch_failure *f)
{
    dispatch_describe(status, f);
    if (status == ERR_LIMIT) {
        *f = (struct dispatch_failure){
            .status = 502, .code = STR("read_response_failed"), .message = STR("Failed to read response"), .cause = status
        };
        return;
    }
    if (status == ERR_NOMEM)
        return;
    f->code = STR("pd_transport_error");
    f->message = arena_printf(&p->request.ex->arena, "Transport error: %.*s", STR_FMT(f->message));
}

/* What a failed connection calls for, as dispatch.c has it for one worker. */
static enum how what_next(const struct leg *leg, int status)
{
    if (err_is_tls(status))
        return HOW_AT_ONCE;
    switch (status) {
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_RESOLVE:
    case ERR_RESET:
    case ERR_CLOSED:
    case ERR_PROTOCOL:
        return HOW_AT_ONCE;
    case ERR_TIMEOUT:
        return leg->call.step == CALL_CONNECTING ? HOW_AT_ONCE : HOW_ELSEWHERE;
    default:
        return HOW_NEVER;
    }
}

void pair_leg_failed(struct leg *leg, int status)
{
    struct pair *p = leg->pair;
    struct dispatch_failure failure;
    bool after_head = p->step == PAIR_REPLYING;
    enum how how = what_next(leg, status);

    if (after_head && p->done.found) { /* all that the client was to get is there */
        pair_finish(p);
        return;
    }
    log_warn(TARGET, "attempt failed", LF_STR("request_id", p->request.ex->request_id),
             LF_STR("worker", leg->worker ? leg->worker->spec.url : STR_NONE),
             LF_CSTR("leg", leg->role == POLICY_PREFILL ? "prefill" : "decode"), LF_CSTR("reason", err_text(status)),
             LF_BOOL("reply_begun", after_head), LF_UINT("attempt", p->attempts));
    describe_transport(p, status, &failure);
    if (leg->worker && status != ERR_NOMEM && status != ERR_LIMIT) {
        worker_count_failure(leg->worker);
        pair_count_worker_error(p->dispatcher, leg->role, failure.status);
        let_go(leg, dispatch_blame(p->dispatcher, leg->worker, status, dispatch_waited_ms(&leg->call)));
    }
    if (!after_head && how != HOW_NEVER && try_again(p, how, &failure))
        return;
    pair_give_up(p, &failure, after_head);
}

/* ---- another attempt ---- */

/* How long to wait before the next attempt; 0 = not at all. UINT32_MAX: there is none. */
static uint32_t pause_ms(struct pair *p, enum how how, const struct dispatch_failure *failure)
{
    enum dispatch_outlook outlook = pair_outlook(p->dispatcher, &p->request, &p->tried_prefill, &p->tried_decode);
    uint32_t head_ms = p->dispatcher->conf.head_ms, ms;

    if (p->attempts >= p->retry.attempts_max || (head_ms && pair_now(p) >= p->began_us + (uint64_t)head_ms * 1000))
        return UINT32_MAX;
    if (outlook == OUTLOOK_NOBODY || (how == HOW_ELSEWHERE && outlook != OUTLOOK_UNTRIED))
        return UINT32_MAX;
    if (outlook == OUTLOOK_UNTRIED && how != HOW_LATER)
        return 0;
    ms = retry_backoff_ms(&p->retry, p->attempts - 1, &pair_loop(p)->random);
    if (outlook == OUTLOOK_UNTRIED)
        return ms;
    return (uint32_t)MAX((uint64_t)ms, MIN((uint64_t)failure->retry_after_s * 1000, (uint64_t)p->retry.max_ms));
}

/* True: another attempt is coming, FAILURE is the answer should nobody be there for it. The side that failed is not picked again while another candidate stands; the other
 * side may be. */
static bool try_again(struct pair *p, enum how how, const struct dispatch_failure *failure)
{
    uint32_t ms = pause_ms(p, how, failure);

    if (ms == UINT32_MAX) {
        pair_count_retries_exhausted(p->dispatcher, p->request.endpoint);
        return false;
    }
    p->failure = *failure;
    pair_count_retry(p->dispatcher, p->request.endpoint);
    pair_enter(p, PAIR_WAITING);
    if (ms == 0) {
        again(&p->timer);
        return true;
    }
    dispatch_count_backoff(p->dispatcher, p->attempts, ms);
    timer_start(pair_loop(p), &p->timer, ms, again);
    return true;
}

/* The pause is over, if there was one. */
static void again(struct timer *t)
{
    struct pair *p = CONTAINER_OF(t, struct pair, timer);
    struct dispatch_failure none;

    if (pair_pick_both(p, &none) < 0) {
        pair_count_retries_exhausted(p->dispatcher, p->request.endpoint);
        pair_give_up(p, &p->failure, /* after_head= */ false);
        return;
    }
    if (pair_attempt(p) < 0) {
        dispatch_out_of_memory(&p->failure);
        pair_give_up(p, &p->failure, /* after_head= */ false);
    }
}

/* ---- the ways out ---- */

void pair_give_up(struct pair *p, const struct dispatch_failure *failure, bool after_head)
{
    struct dispatch_failure f = *failure;

    pair_count_failed(p->dispatcher, p->model, p->request.endpoint, f.status);
    pair_enter(p, PAIR_DONE);
    p->sink->ops->on_error(p->sink, &f, after_head);
}
