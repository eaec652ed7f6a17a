/* dispatch/pair_fail.c -- what ends an attempt of a pair early, whether another one follows, and what the client is told if not
 *
 *   an engine's error status --pair_refuse--> its body --pair_refusal_ends--+--> try_again --(pause)--> again --> pair_attempt
 *   a connection's failure --pair_leg_failed----------------------------------+--> pair_give_up
 *
 * Whoever fails ends the other leg first: it waits for something that will not come.
 */
#include "base/log.h"
#include "dispatch/pair_internal.h"

#define TARGET            "smg::dispatch"
#define RETRY_AFTER_MAX_S 30u

static bool try_again(struct pair *p, struct leg *blamed, const struct dispatch_failure *failure);
static void again(struct timer *t);

/* ---- an engine says no ---- */

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
    pair_release(leg->role == POLICY_PREFILL ? &p->decode : &p->prefill);
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
    if (try_again(p, leg, &failure))
        return;
    pair_release(leg);
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

/* Could other engines do what these could not? As dispatch.c: what timed out while an engine worked on it has had its time. */
static bool is_worth_another(const struct leg *leg, int status)
{
    switch (status) {
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_RESOLVE:
    case ERR_RESET:
    case ERR_CLOSED:
        return true;
    case ERR_TIMEOUT:
        return leg->call.step == CALL_CONNECTING;
    default:
        return err_is_tls(status);
    }
}

void pair_leg_failed(struct leg *leg, int status)
{
    struct pair *p = leg->pair;
    struct dispatch_failure failure;
    bool after_head = p->step == PAIR_REPLYING;

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
    }
    if (leg->worker)
        leg->outcome = dispatch_blame(p->dispatcher, leg->worker, status, dispatch_waited_ms(&leg->call));
    if (!after_head && is_worth_another(leg, status) && try_again(p, leg, &failure))
        return;
    pair_give_up(p, &failure, after_head);
}

/* ---- another attempt ---- */

static void spare(struct pair_tried *t, const struct worker *w)
{
    if (w && t->n < DISPATCH_TRIED_MAX)
        t->of[t->n++] = worker_ref(w);
}

/* True: another attempt is coming, FAILURE is the answer should nobody be there for it. The leg that failed is not picked again while another candidate stands; the
 * other one may be. A connection that failed is no reason to wait when somebody else can be asked. */
static bool try_again(struct pair *p, struct leg *blamed, const struct dispatch_failure *failure)
{
    struct pair_picked picked = { .model = p->model };
    struct dispatch_failure none;
    bool at_once;
    uint64_t pause_ms;

    if (!retry_status(failure->status))
        return false;
    spare(blamed->role == POLICY_PREFILL ? &p->tried_prefill : &p->tried_decode, blamed->worker);
    if (p->attempts >= p->retry.attempts_max ||
        !pair_pick(p->dispatcher, &p->request, &p->tried_prefill, &p->tried_decode, &picked, &none)) {
        pair_count_retries_exhausted(p->dispatcher, p->request.endpoint);
        return false;
    }
    p->failure = *failure;
    at_once = failure->cause < 0 && !picked.repeated;
    pause_ms = MAX(retry_backoff_ms(&p->retry, p->attempts - 1, &pair_loop(p)->random),
                   (uint64_t)MIN(failure->retry_after_s, RETRY_AFTER_MAX_S) * 1000);
    pair_count_retry(p->dispatcher, p->request.endpoint);
    pair_enter(p, PAIR_WAITING);
    if (!at_once) {
        pair_put_back(p->dispatcher, &picked.prefill);
        pair_put_back(p->dispatcher, &picked.decode);
        timer_start(pair_loop(p), &p->timer, pause_ms, again);
        return true;
    }
    pair_take(p, &picked);
    if (pair_attempt(p) < 0) {
        dispatch_out_of_memory(&p->failure);
        pair_give_up(p, &p->failure, /* after_head= */ false);
    }
    return true;
}

/* The pause is over. */
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
