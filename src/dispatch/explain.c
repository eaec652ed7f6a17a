/* dispatch/explain.c -- saying why a worker was chosen: to an administrator who asks (x-smg-debug: route), to the debug log, as a counter
 *
 *   x-smg-route: attempt=1; leg=regular; model="m"; policy=power_of_two; branch=request_counts; worker="http://a:1"; candidates=2; left_out=1
 *   x-smg-route-candidates: "http://a:1"; load=0; score=0, "http://b:1"; load=3; score=3
 *   x-smg-route-left-out: "http://c:1"; reason=not_ready
 *
 * One set of fields for each pick of a request. Whoever may not ask has been refused before (auth/guard.c). Lists end after EXPLAINED_MAX workers with "more=N".
 */
#include "dispatch/dispatch_internal.h"

#include <math.h>

#include "base/log.h"

#define TARGET        "smg::dispatch"
#define EXPLAINED_MAX 32

static const struct metric_family DECISIONS = { .name = "smg_routing_decisions_total",
                                                .help = "Choices of a worker, by policy and by what decided",
                                                .type = METRIC_COUNTER,
                                                .labels = { "policy", "branch" } };

static const char *const LEGS[] = { [POLICY_REGULAR] = "regular", [POLICY_PREFILL] = "prefill", [POLICY_DECODE] = "decode" };

bool explain_is_wanted(const struct exchange *ex)
{
    return str_eq_nocase(http_value(&ex->req.fields, HF_X_SMG_DEBUG), STR("route"));
}

/* The field NAME with the text that OUT holds, which is freed. Out of memory: the field is missing, the request goes on. */
static void add_field(struct exchange *ex, struct str name, struct buf *out)
{
    struct str value = out->failed ? STR_NONE : arena_str(&ex->arena, buf_str(out));

    if (value.p && value.n)
        exchange_add_name(ex, name, value);
    buf_fini(out);
}

static void add_decision(const struct explained *e)
{
    struct buf out = { 0 };

    buf_printf(&out, "attempt=%u; leg=%s; model=\"%.*s\"; policy=%s; branch=%s", e->attempt, LEGS[e->leg], STR_FMT(e->model),
               e->policy, e->choice->branch);
    if (e->chosen)
        buf_printf(&out, "; worker=\"%.*s\"", STR_FMT(e->chosen->spec.url));
    if (e->choice->total)
        buf_printf(&out, "; matched=%llu; prompt=%llu", (unsigned long long)e->choice->matched,
                   (unsigned long long)e->choice->total);
    buf_printf(&out, "; candidates=%zu; left_out=%zu", e->n, e->group->n - e->n);
    add_field(e->ex, STR("x-smg-route"), &out);
}

static void begin_entry(struct buf *out, const struct worker *w)
{
    buf_printf(out, "%s\"%.*s\"", out->n ? ", " : "", STR_FMT(w->spec.url));
}

static void add_candidates(const struct explained *e)
{
    struct buf out = { 0 };

    for (size_t i = 0; i < e->n && i < EXPLAINED_MAX; i++) {
        begin_entry(&out, e->cand[i]);
        buf_printf(&out, "; load=%lld", (long long)worker_load(e->cand[i]));
        if (e->choice->score_name && strcmp(e->choice->score_name, "load") != 0 && e->choice->scores &&
            !isnan(e->choice->scores[i]))
            buf_printf(&out, "; %s=%g", e->choice->score_name, e->choice->scores[i]);
    }
    if (e->n > EXPLAINED_MAX)
        buf_printf(&out, ", more=%zu", e->n - EXPLAINED_MAX);
    add_field(e->ex, STR("x-smg-route-candidates"), &out);
}

static bool is_candidate(const struct explained *e, const struct worker *w)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->cand[i] == w)
            return true;
    return false;
}

/* Why W could not be chosen. */
static struct str reason_of(const struct explained *e, const struct worker *w)
{
    uint64_t never = UINT64_MAX;

    for (unsigned i = 0; i < e->tried_n; i++)
        if (e->tried[i]->live == w->live)
            return STR("tried");
    if (!worker_is_ready(w))
        return worker_status_text(worker_status(w));
    if (!worker_is_available(w, loop_now_us(e->ex->loop), &never))
        return STR("unavailable");
    if (w->spec.mode != WORKER_HTTP)
        return worker_mode_text(w->spec.mode);
    return worker_type_text(w->spec.type);
}

static void add_left_out(const struct explained *e)
{
    struct buf out = { 0 };
    size_t told = 0;

    for (size_t i = 0; i < e->group->n && told < EXPLAINED_MAX; i++) {
        const struct worker *w = e->group->workers[i];

        if (is_candidate(e, w))
            continue;
        begin_entry(&out, w);
        buf_printf(&out, "; reason=%.*s", STR_FMT(reason_of(e, w)));
        told++;
    }
    if (e->group->n - e->n > told)
        buf_printf(&out, ", more=%zu", e->group->n - e->n - told);
    add_field(e->ex, STR("x-smg-route-left-out"), &out);
}

void explain(struct dispatcher *d, const struct explained *e)
{
    struct str v[] = { str_of(e->policy), str_of(e->choice->branch) };

    metric_add(metric_cell(d->loop->metrics, &DECISIONS, v), 1);
    log_debug(TARGET, "route", LF_STR("request_id", e->ex->request_id), LF_UINT("attempt", e->attempt),
              LF_CSTR("leg", LEGS[e->leg]), LF_STR("model", e->model), LF_CSTR("policy", e->policy),
              LF_CSTR("branch", e->choice->branch), LF_STR("worker", e->chosen ? e->chosen->spec.url : STR_NONE),
              LF_UINT("candidates", e->n), LF_UINT("left_out", e->group->n - e->n), LF_UINT("matched", e->choice->matched),
              LF_UINT("prompt", e->choice->total));
    if (!explain_is_wanted(e->ex))
        return;
    add_decision(e);
    add_candidates(e);
    add_left_out(e);
}
