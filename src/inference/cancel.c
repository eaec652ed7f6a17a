/* inference/cancel.c -- POST /v1/responses/{response_id}/cancel: nobody knows which worker runs the response, so all are asked (spec data-plane 5.9)
 *
 * The first worker that says yes answers; the others' questions end then. When nobody does, the client gets the last worker's own refusal.
 */
#include "http/error.h"
#include "inference/carry.h"

#define CANCEL_EACH_MS  10000
#define CANCEL_ALL_MS   15000
#define CANCEL_BODY_MAX (1u << 20) /* a response object with its output */

struct cancel {
    struct exchange *ex;
    struct fanout *fanout;
    struct str token; /* the client's own, for workers without a key; empty: none goes along */
    unsigned status;  /* of the best reply so far; 0: none came */
    struct buf body;  /* owned: of that reply */
};

/* A provider without a key of its own would be shown a token that was meant for another. */
static bool is_asked(const struct worker *w, void *owner)
{
    (void)owner;
    return w->spec.mode == WORKER_HTTP && (w->spec.runtime != RUNTIME_EXTERNAL || w->spec.api_key.n);
}

static bool question_for(struct fanout *f, struct fanout_target *t, struct probe_ask *ask)
{
    const struct cancel *c = f->owner;

    if (t->asked)
        return false;
    *ask = (struct probe_ask){ .method = HTTP_POST,
                               .path = c->ex->req.path,
                               .bearer = t->worker->spec.api_key.n ? STR_NONE : c->token,
                               .total_ms = CANCEL_EACH_MS,
                               .body_max = CANCEL_BODY_MAX };
    return true;
}

static bool on_answered(struct fanout *f, struct fanout_target *t, struct buf *body)
{
    struct cancel *c = f->owner;

    if (t->result <= 0)
        return true;
    c->status = (unsigned)t->result;
    buf_fini(&c->body);
    c->body = *body;
    *body = (struct buf){ 0 };
    return !fanout_succeeded(t->result);
}

static void on_done(struct fanout *f)
{
    static const struct exchange_owner NOBODY = { 0 };
    struct cancel *c = f->owner;
    struct buf body = c->body;
    struct exchange *ex = c->ex;

    exchange_own(ex, &NOBODY, NULL);
    c->body = (struct buf){ 0 };
    if (f->targets_n == 0) {
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("no_workers"), STR("No available workers"));
    } else if (c->status == 0) {
        http_error(ex, 502, STR("no_worker_response"), STR("No worker response"));
    } else {
        exchange_reply(ex, c->status, TYPE_JSON, buf_str(&body));
    }
    buf_fini(&body);
    fanout_free(f);
}

static void on_abort(struct exchange *ex, void *arg)
{
    struct cancel *c = arg;

    (void)ex;
    fanout_free(STEAL(c->fanout));
    buf_fini(&c->body);
}

/* The client's own token goes along as it would with the request itself. */
static struct str client_token(const struct exchange *ex)
{
    struct str value = http_value(&ex->req.fields, HF_AUTHORIZATION);

    if (ex->principal.credential_is_ours || !str_has_prefix_nocase(value, STR("Bearer ")))
        return STR_NONE;
    return str_trim(str_skip(value, strlen("Bearer ")));
}

void inference_cancel(struct exchange *ex, void *context)
{
    static const struct exchange_owner WAITING = { .on_abort = on_abort };
    struct inference *inf = context;
    struct cancel *c = arena_new(&ex->arena, struct cancel);
    struct fanout_ask ask = { .kind = FANOUT_PUBLIC,
                              .all_ms = CANCEL_ALL_MS,
                              .wants = is_asked,
                              .question_for = question_for,
                              .answered = on_answered,
                              .done = on_done,
                              .owner = c };
    int r = ERR_NOMEM;

    if (!dispatcher_goes_by_model(inf->dispatcher) && dispatcher_wants_pair(inf->dispatcher, STR_NONE)) {
        http_error(ex, 501, STR("not_implemented"), STR("Cancel response not implemented"));
        return;
    }
    if (c) {
        c->ex = ex;
        c->token = client_token(ex);
        r = fanout_start(inf->fanouts, &ask, &c->fanout);
    }
    if (r == 0) {
        exchange_own(ex, &WAITING, c);
        return;
    }
    http_error_retry_after(ex, 1);
    if (r == ERR_BUSY)
        http_error(ex, 503, STR("too_many_fanouts"),
                   STR("Too many requests are asking all workers already; try again in a moment"));
    else
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
}
