/* dispatch/pair.c -- the life of a request with two legs
 *
 *   (new) --pair_start--> SENT --decode's head, prefill's end: begin_reply--> REPLYING --pair_finish--> DONE
 *                         ^ |  \                                                  \--broken: pair_give_up--> DONE
 *                         | |   \--a leg answers with an error status: pair_refuse--> REFUSED --pair_refusal_ends--> WAITING or DONE
 *                         | \-----a leg's connection fails: pair_leg_failed----------------------------------> WAITING or DONE
 *                         +------------------------- again (fresh pair, fresh rooms) <----- the pause is over
 *   pair_abort: from any step to DONE, silently.
 *
 * In SENT, by handover:
 *   at once       both legs were sent; the client gets nothing before decode's head and the whole of prefill's reply are there
 *   in sequence   prefill was sent; when its reply is whole, decode is
 *
 * Invariants: (1) leg.worker != NULL exactly while the leg counts as load, with one reference. (2) After begin_reply there is no other attempt. (3) One leg's failure ends the
 * other in the same turn. (4) The sink call that ends a pair is the last statement: the exchange may be gone after it. (5) A sink may abort the pair from inside on_head and
 * on_part: the step is looked at after each.
 */
#include <assert.h>

#include "base/budget.h"
#include "base/log.h"
#include "dispatch/pair_internal.h"

#define TARGET         "smg::dispatch"
#define ERROR_BODY_MAX (64u << 10) /* bytes of an engine's error that are read */
#define REPLY_MAX      (64u << 20) /* bytes of a reply that must be held whole */
#define DONE_GRACE_MS  50          /* after [DONE]: how long the stream's end may take before the connection is given up */

/* In the order in which they happen; pair_fail.c has what goes wrong. */
static int send_leg(struct leg *leg, struct str body);
static void on_head(struct http_call *call, const struct http_head *head);
static void on_body(struct http_call *call, struct str part);
static void on_batch(struct http_call *call);
static void on_end(struct http_call *call, int status);
static void prefill_ended(struct pair *p);
static void begin_reply(struct pair *p, const struct http_head *head);
static void deliver(struct pair *p, struct str part);

static const struct http_call_ops LEG_OPS = { .on_head = on_head, .on_body = on_body, .on_batch = on_batch, .on_end = on_end };

/* ---- legs and steps ---- */

/* The one place where a leg is let go, whatever its call is doing. */
void pair_release(struct leg *leg, enum breaker_outcome outcome)
{
    http_call_cancel(&leg->call);
    if (!leg->worker)
        return;
    if (!leg->judged || outcome == BREAKER_FAILURE)
        dispatch_report(leg->pair->dispatcher, leg->worker, outcome, leg->probe);
    worker_count_busy(leg->worker, pair_now(leg->pair) - leg->picked_us);
    worker_load_end(leg->worker);
    key_loads_end(&leg->key, leg->worker);
    worker_unref(leg->worker);
    leg->worker = NULL;
    shadow_end(STEAL(leg->shadow));
}

void pair_drop_gathered(struct pair *p)
{
    buf_fini(&p->gathered);
    budget_give(p->budgeted);
    p->budgeted = 0;
}

static void drop_attempt(struct pair *p)
{
    pair_release(&p->prefill, BREAKER_NOTHING); /* who ended for a reason of its own has been let go before */
    pair_release(&p->decode, BREAKER_NOTHING);
    pair_drop_gathered(p);
    buf_fini(&p->held);
    buf_fini(&p->merged);
    logprob_stream_fini(&p->merging);
    arena_fini(&p->arena);
}

static void forget_tried(struct pair_tried *t)
{
    while (t->n > 0)
        worker_unref(t->of[--t->n]);
}

void pair_enter(struct pair *p, enum pair_step step)
{
    assert(p->step != PAIR_DONE);
    p->step = step;
    if (step != PAIR_WAITING && step != PAIR_DONE)
        return;
    timer_stop(&p->timer);
    drop_attempt(p);
    if (step == PAIR_DONE) {
        forget_tried(&p->tried_prefill);
        forget_tried(&p->tried_decode);
    }
}

/* Keeps a part of a reply; false: it is over MAX, or memory is out. */
static bool gather(struct pair *p, struct str part, size_t max)
{
    if (p->gathered.n + part.n > max || !budget_take(part.n))
        return false;
    p->budgeted += part.n;
    buf_put(&p->gathered, part);
    return !p->gathered.failed;
}

/* ---- an attempt ---- */

static void begin_leg(struct pair *p, struct leg *leg, enum policy_leg role, const struct dispatch_pick *pick)
{
    *leg = (struct leg){
        .pair = p,
        .role = role,
        .worker = pick->worker,
        .shadow = pick->shadow,
        .probe = pick->probe,
        .key = pick->key,
        .picked_us = pair_now(p),
    };
}

/* The rank that the worker is, or else the one of its engine that has the fewest tokens (--dp-minimum-tokens-scheduler); -1: the engine chooses. */
static int64_t rank_of(const struct pair *p, const struct worker *w)
{
    const struct dispatch_request *r = &p->request;
    struct dp_ranks *ranks = p->dispatcher->conf.dp_ranks;
    bool is_rank = w->spec.dp_base_url.n > 0;
    int64_t rank = -1;

    if (ranks)
        rank = dp_ranks_choose(ranks, pair_loop(p), w, dp_rank_cost(r->routing_text ? r->routing_text(r) : STR_NONE));
    return rank < 0 && is_rank ? w->spec.dp_rank : rank;
}

void pair_take(struct pair *p, const struct pair_picked *picked)
{
    struct exchange *ex = p->request.ex;

    ex->facts.pair = arena_printf(&ex->arena, "prefill=%s, decode=%s", picked->prefill.worker->id, picked->decode.worker->id);
    p->model = picked->model;
    p->retry = picked->prefill.retry;
    p->runtime = worker_runtime_text(picked->prefill.worker->spec.runtime);
    begin_leg(p, &p->prefill, POLICY_PREFILL, &picked->prefill);
    begin_leg(p, &p->decode, POLICY_DECODE, &picked->decode);
    p->handover = p->request.prepare ? pair_handover(picked->prefill.worker)
                                     : HANDOVER_AT_ONCE; /* without a body there is nothing to hand over */
    p->ranks = (struct pair_ranks){ rank_of(p, picked->prefill.worker), rank_of(p, picked->decode.worker) };
}

/* Picks both workers. 0, or ERR_NOT_FOUND with *FAILURE. */
int pair_pick_both(struct pair *p, struct dispatch_failure *failure)
{
    struct pair_picked picked = { .model = p->model };

    if (!pair_pick(p->dispatcher, &p->request, &p->tried_prefill, &p->tried_decode, &picked, failure))
        return ERR_NOT_FOUND;
    pair_take(p, &picked);
    return 0;
}

static int prepare_body(struct pair *p)
{
    if (p->body.p || !p->request.prepare)
        return 0;
    return p->request.prepare(&p->request, UPSTREAM_OPENAI_HTTP, p->model, &p->body);
}

static int send_both(struct pair *p)
{
    struct pair_bodies bodies = { 0 };
    int r = 0;

    if (p->body.p)
        r = pair_bodies_at_once(p->body, p->prefill.worker, &p->ranks, p->request.batch, &pair_loop(p)->random, &p->arena, &bodies);
    if (r < 0) {
        pair_count_bootstrap_failure(p->dispatcher);
        return r;
    }
    r = send_leg(&p->prefill, bodies.prefill);
    return r < 0 ? r : send_leg(&p->decode, bodies.decode);
}

static int send_decode(struct pair *p, struct str params)
{
    struct str body = STR_NONE;
    int r = p->body.p ? pair_body_second(p->body, params, p->ranks.decode, &p->arena, &body) : 0;

    return r < 0 ? r : send_leg(&p->decode, body);
}

/* Blocks can be handed to one answer only: with several, the decode engine computes the prompt itself, as it would without a prefill engine. */
static int send_first(struct pair *p)
{
    struct str body = STR_NONE;
    int r;

    if (p->request.answers > 1) {
        pair_release(&p->prefill, BREAKER_NOTHING);
        p->prefill.ended = true;
        return send_decode(p, STR_NONE);
    }
    pair_kv_params(p->prefill.worker, &p->ranks, &p->arena, &p->kv);
    pair_count_connector(p->dispatcher, p->kv.mode);
    r = p->body.p ? pair_body_first(p->body, p->kv.prefill, p->ranks.prefill, &p->arena, &body) : 0;
    return r < 0 ? r : send_leg(&p->prefill, body);
}

/* Both workers are picked. */
int pair_attempt(struct pair *p)
{
    struct arena *arena = &p->request.ex->arena;
    int r;

    arena_init(&p->arena, arena->cache, /* max_bytes= */ 0);
    p->arena.budgeted = arena->budgeted;
    p->head = (struct http_head){ 0 };
    p->refused = NULL;
    p->retry_after_s = 0;
    p->logprobs = NULL;
    p->merging = (struct logprob_stream){ 0 };
    p->done = (struct done_scan){ 0 };
    p->sent_us = loop_now_exact_us(pair_loop(p));
    p->prefilled_us = 0;
    p->attempts++;
    r = prepare_body(p);
    if (r == 0)
        r = p->handover == HANDOVER_IN_SEQUENCE ? send_first(p) : send_both(p);
    if (r == 0)
        pair_enter(p, PAIR_SENT);
    return r;
}

static int send_leg(struct leg *leg, struct str body)
{
    struct pair *p = leg->pair;
    struct exchange *ex = p->request.ex;
    const struct worker *w = leg->worker;
    struct upstream_target to = { .authority = w->authority, .base_path = w->base_path, .api_key = w->spec.api_key };
    struct upstream_request r = {
        .method = p->request.method,
        .path = p->request.path,
        .client = &ex->req.fields,
        .request_id = ex->request_id,
        .forward_authorization = !ex->principal.credential_is_ours,
        .body_bytes = body.n,
    };

    leg->call = (struct http_call){
        .ops = &LEG_OPS,
        .owner = leg,
        .host = w->host,
        .port = w->port,
        .tls = w->tls,
        .method = r.method,
        .head = upstream_http_head(&p->arena, &to, &r),
        .body = body,
        .connect_ms = p->dispatcher->conf.connect_ms,
        .head_ms = p->dispatcher->conf.head_ms,
        .idle_ms = p->dispatcher->conf.idle_ms,
    };
    dispatch_heed_pool(&w->spec.pool, &leg->call);
    if (!leg->call.head.p)
        return ERR_NOMEM;
    ex->facts.attempts++;
    if (leg->role == POLICY_DECODE)
        ex->facts.worker = arena_str(&ex->arena, w->spec.url);
    return http_call_start(p->dispatcher->client, &leg->call);
}

int pair_start(struct dispatcher *dispatcher, const struct dispatch_request *request, struct reply_sink *sink, struct pair **ret,
               struct dispatch_failure *failure)
{
    struct exchange *ex = request->ex;
    struct pair *p = arena_new(&ex->arena, struct pair);
    int r;

    if (!p) {
        dispatch_out_of_memory(failure);
        return ERR_NOMEM;
    }
    p->dispatcher = dispatcher;
    p->request = *request;
    p->sink = sink;
    p->began_us = ex->began_us;
    if (request->batch > PAIR_BATCH_MAX) {
        *failure = (struct dispatch_failure){
            .status = 400,
            .code = STR("batch_too_large"),
            .message = arena_printf(&ex->arena, "A request may have at most %d prompts where prefill and decode run apart, not %u",
                                    PAIR_BATCH_MAX, request->batch)
        };
        return ERR_LIMIT;
    }
    r = pair_pick_both(p, failure);
    ex->facts.model = p->model.p ? p->model : request->model;
    if (r < 0) {
        pair_count_failed(dispatcher, ex->facts.model, request->endpoint, failure->status);
        return r;
    }
    pair_count_request(dispatcher, p->model, request->endpoint, request->stream);
    r = pair_attempt(p);
    if (r < 0) {
        pair_enter(p, PAIR_DONE);
        dispatch_out_of_memory(failure);
        pair_count_failed(dispatcher, ex->facts.model, request->endpoint, failure->status);
        return r;
    }
    *ret = p;
    return 0;
}

/* ---- replies ---- */

/* Is prefill's reply of use, or only its end? */
static bool prefill_is_kept(const struct pair *p)
{
    return p->handover == HANDOVER_IN_SEQUENCE || p->request.merge_logprobs;
}

/* A whole reply is merged when all of it is there; a stream event by event. */
static bool merges_whole(const struct pair *p)
{
    return p->logprobs && !p->request.stream;
}

void pair_keep_fields(struct pair *p, const struct http_head *head)
{
    struct http_fields fields = { 0 };

    for (unsigned i = 0; i < head->fields.n; i++) {
        const struct http_field *f = &head->fields.v[i];
        struct str value = arena_str(&p->arena, f->value);

        if (f->id != HF_UNKNOWN)
            http_add(&fields, &p->arena, f->id, value);
        else
            http_add_name(&fields, &p->arena, arena_str(&p->arena, f->name), value);
    }
    p->head = (struct http_head){ .status = head->status, .body = head->body, .length = head->length, .fields = fields };
}

static void on_head(struct http_call *call, const struct http_head *head)
{
    struct leg *leg = call->owner;
    struct pair *p = leg->pair;

    assert(p->step == PAIR_SENT);
    leg->status = head->status;
    leg->head_us = pair_now(p);
    dispatch_heed(p->dispatcher, leg->worker, head);
    if (head->status < 200 || head->status > 299) {
        pair_refuse(leg, head);
        return;
    }
    if (leg->role == POLICY_PREFILL)
        return;
    if (p->prefill.ended && !merges_whole(p)) {
        begin_reply(p, head);
        return;
    }
    pair_keep_fields(p, head);
    if (!p->prefill.ended)
        http_call_pause(call);
}

static void on_body(struct http_call *call, struct str part)
{
    struct leg *leg = call->owner;
    struct pair *p = leg->pair;
    bool kept = true;

    if (p->step == PAIR_REFUSED) {
        if (!gather(p, str_first(part, ERROR_BODY_MAX - p->gathered.n), ERROR_BODY_MAX) || p->gathered.n == ERROR_BODY_MAX)
            pair_refusal_ends(p);
        return;
    }
    if (leg->role == POLICY_PREFILL)
        kept = !prefill_is_kept(p) || gather(p, part, REPLY_MAX);
    else if (p->step == PAIR_REPLYING)
        deliver(p, part);
    else if (merges_whole(p))
        kept = gather(p, part, REPLY_MAX);
    else
        buf_put(&p->held, part);
    if (!kept || p->held.failed)
        pair_leg_failed(leg, ERR_LIMIT);
}

/* A stream may go on for hours: the breaker does not wait for its end. */
static void judge_probe(struct leg *leg)
{
    if (!leg->probe || pair_now(leg->pair) < leg->head_us + DISPATCH_PROBE_MS * 1000ull)
        return;
    dispatch_report(leg->pair->dispatcher, leg->worker, worker_judge_status(&leg->worker->spec.judge, leg->status),
                    /* probe= */ true);
    leg->probe = false;
    leg->judged = true;
}

static void on_batch(struct http_call *call)
{
    struct leg *leg = call->owner;
    struct pair *p = leg->pair;

    if (leg->worker && leg->status >= 200 && leg->status <= 299) {
        worker_heard(leg->worker, pair_now(p));
        judge_probe(leg);
    }
    if (leg->role != POLICY_DECODE || p->step != PAIR_REPLYING)
        return;
    if (p->sink->ops->on_batch)
        p->sink->ops->on_batch(p->sink);
}

static void on_end(struct http_call *call, int status)
{
    struct leg *leg = call->owner;
    struct pair *p = leg->pair;

    if (p->step == PAIR_REFUSED) {
        pair_refusal_ends(p); /* whether its body was whole does not matter */
        return;
    }
    if (status < 0) {
        pair_leg_failed(leg, status);
        return;
    }
    leg->ended = true;
    pair_release(leg, worker_judge_status(&leg->worker->spec.judge, leg->status));
    if (leg->role == POLICY_PREFILL)
        prefill_ended(p);
    else if (p->step == PAIR_REPLYING || merges_whole(p))
        pair_finish(p);
}

/* What prefill knows of the prompt's log-probabilities, out of `gathered` into the attempt's arena: decode's reply may need the room. */
static void keep_logprobs(struct pair *p)
{
    struct prompt_logprobs *found = arena_new(&p->arena, struct prompt_logprobs);

    p->prefill_reply = arena_str(&p->arena, buf_str(&p->gathered));
    if (!found || !p->prefill_reply.p)
        return; /* without memory: decode's own go out */
    prompt_logprobs_read(p->prefill_reply, &p->arena, found);
    if (found->n == 0)
        return;
    p->logprobs = found;
    p->merging.from = found;
}

/* In sequence: decode's turn, with what prefill answered. */
static void hand_over(struct pair *p)
{
    struct str params = p->kv.decode;

    if (!params.n)
        params = pair_kv_answer(arena_str(&p->arena, buf_str(&p->gathered)), &p->arena);
    if (!params.n) {
        pair_count_transfer_failure(p->dispatcher);
        log_warn(TARGET, "prefill answered without kv_transfer_params: decode computes the prompt itself",
                 LF_STR("request_id", p->request.ex->request_id));
        params = p->kv.when_none;
    }
    pair_drop_gathered(p);
    if (send_decode(p, params) < 0)
        pair_leg_failed(&p->decode, ERR_NOMEM);
}

static void prefill_ended(struct pair *p)
{
    p->prefilled_us = loop_now_exact_us(pair_loop(p));
    pair_count_prefill(p->dispatcher, p->model, p->runtime, p->prefilled_us - p->sent_us);
    if (p->handover == HANDOVER_IN_SEQUENCE) {
        hand_over(p);
        return;
    }
    if (p->request.merge_logprobs)
        keep_logprobs(p);
    pair_drop_gathered(p);
    if (!p->decode.status)
        return; /* its head is to come */
    if (merges_whole(p)) {
        if (!gather(p, buf_str(&p->held), REPLY_MAX)) {
            pair_leg_failed(&p->decode, ERR_LIMIT);
            return;
        }
        buf_fini(&p->held);
        if (p->decode.ended)
            pair_finish(p);
        else
            http_call_resume(&p->decode.call);
        return;
    }
    http_call_resume(&p->decode.call);
    begin_reply(p, &p->head);
}

/* Passes decode's head on, and what came of its body while it waited. May end the pair: the caller's last statement. */
static void begin_reply(struct pair *p, const struct http_head *head)
{
    struct http_head ours = *head;

    pair_enter(p, PAIR_REPLYING);
    if (p->request.stream && ours.body == HTTP_BODY_LENGTH)
        ours.body = HTTP_BODY_CHUNKED; /* a stream may end before its announced length, or grow */
    p->sink->ops->on_head(p->sink, &ours);
    if (p->step == PAIR_REPLYING && p->held.n > 0)
        deliver(p, buf_str(&p->held));
    if (p->step != PAIR_REPLYING)
        return;
    buf_fini(&p->held);
    if (p->decode.ended)
        pair_finish(p);
    else if (p->sink->ops->on_batch)
        p->sink->ops->on_batch(p->sink);
}

static void on_done_grace(struct timer *t)
{
    struct pair *p = CONTAINER_OF(t, struct pair, timer);

    pair_finish(p);
}

/* A part of decode's body for the client. */
static void deliver(struct pair *p, struct str part)
{
    if (!p->first_part_us) {
        p->first_part_us = loop_now_exact_us(pair_loop(p));
        pair_count_first_token(p->dispatcher, p->model, p->runtime, p->first_part_us - p->sent_us);
        if (p->handover == HANDOVER_IN_SEQUENCE && p->prefilled_us)
            pair_count_transfer(p->dispatcher, p->model, p->runtime, p->first_part_us - p->prefilled_us);
    }
    if (p->request.stream) {
        if (p->done.found)
            return;
        part = str_first(part, done_scan(&p->done, part));
        if (p->done.found)
            timer_start(pair_loop(p), &p->timer, DONE_GRACE_MS, on_done_grace);
    }
    if (p->request.stream && p->logprobs) {
        buf_clear(&p->merged);
        logprob_stream_feed(&p->merging, part, &p->merged);
        if (p->merged.failed) {
            pair_leg_failed(&p->decode, ERR_NOMEM);
            return;
        }
        part = buf_str(&p->merged);
    }
    if (part.n > 0)
        p->sink->ops->on_part(p->sink, part);
}

static void count_finished(struct pair *p)
{
    pair_count_finished(p->dispatcher, p->model, p->request.endpoint, loop_now_exact_us(pair_loop(p)) - p->began_us);
}

/* The whole reply of decode, merged with prefill's part of it. */
static void finish_merged(struct pair *p)
{
    struct http_head head = p->head;

    buf_clear(&p->merged);
    (void)prompt_logprobs_merge(p->logprobs, buf_str(&p->gathered), &p->arena, &p->merged);
    if (p->merged.failed) {
        pair_leg_failed(&p->decode, ERR_NOMEM);
        return;
    }
    head.body = HTTP_BODY_LENGTH;
    head.length = p->merged.n;
    pair_enter(p, PAIR_REPLYING);
    p->sink->ops->on_head(p->sink, &head);
    if (p->step == PAIR_REPLYING)
        p->sink->ops->on_part(p->sink, buf_str(&p->merged));
    if (p->step != PAIR_REPLYING)
        return;
    count_finished(p);
    pair_enter(p, PAIR_DONE);
    p->sink->ops->on_end(p->sink);
}

/* Decode's reply is whole: it ended, or its stream said so. */
void pair_finish(struct pair *p)
{
    if (p->decode.worker)
        pair_release(&p->decode, worker_judge_status(&p->decode.worker->spec.judge, p->decode.status));
    if (merges_whole(p)) {
        finish_merged(p);
        return;
    }
    if (p->logprobs) {
        buf_clear(&p->merged);
        logprob_stream_end(&p->merging, &p->merged);
        if (p->merged.n > 0)
            p->sink->ops->on_part(p->sink, buf_str(&p->merged));
        if (p->step != PAIR_REPLYING)
            return;
    }
    count_finished(p);
    pair_enter(p, PAIR_DONE);
    p->sink->ops->on_end(p->sink);
}

/* ---- the handle ---- */

void pair_pause(struct pair *p)
{
    if (p->step == PAIR_REPLYING)
        http_call_pause(&p->decode.call);
}

void pair_resume(struct pair *p)
{
    if (p->step == PAIR_REPLYING)
        http_call_resume(&p->decode.call);
}

void pair_abort(struct pair *p)
{
    if (p->step != PAIR_DONE)
        pair_enter(p, PAIR_DONE);
}
