/* dispatch/pick.c -- from a model's name to one worker: candidates, then the policy
 *
 * The table is read from this turn's snapshot. What outlives the turn is referenced: the worker (by the attempt) and the model's name (copied).
 * The list of candidates is kept per loop and model until the table, a status or a breaker changes, or the time comes at which one changes by itself; its workers are alive as long
 * as the table with its serial is the current one. The policy sees those that nothing speaks against, less those that were tried; where none is left, those in reserve. The list
 * may be a little old: the chosen worker's breaker has the last word (breaker_enter), and if it says no, the policy is asked again without that worker.
 */
#include "dispatch/dispatch_internal.h"
#include "dispatch/pair_body.h"

#include <math.h>
#include <stdlib.h>

#define RETRY_AFTER_S 1 /* health checks may bring a worker back at any moment; a client should not wait long to ask again */

/* Is W one that LEG may get? Whether it can take a request now is another question (worker_is_available). */
static bool is_of_leg(const struct worker *w, enum policy_leg leg)
{
    static const enum worker_type TYPES[] = {
        [POLICY_REGULAR] = WORKER_REGULAR, [POLICY_PREFILL] = WORKER_PREFILL, [POLICY_DECODE] = WORKER_DECODE
    };

    return w->spec.mode == WORKER_HTTP && w->spec.type == TYPES[leg];
}

static bool was_tried(const struct worker *w, const struct worker *const *tried, unsigned tried_n)
{
    for (unsigned i = 0; i < tried_n; i++)
        if (tried[i]->live == w->live)
            return true;
    return false;
}

static bool reserve(struct candidates *c, size_t n)
{
    const struct worker **grown;

    if (n <= c->cap)
        return true;
    grown = reallocarray(c->rows, n, sizeof(*grown));
    if (!grown)
        return false;
    c->rows = grown;
    c->cap = n;
    return true;
}

/* Puts the workers of M that may get a request in C, which has room; LEADER: way_provider. The reserve gathers at the end and moves up. */
static void fill(const struct dispatcher *d, struct candidates *c, const struct worker_model *m, const struct worker *leader,
                 enum policy_leg leg, uint64_t now)
{
    size_t at = m->n;

    c->n = c->registered = 0;
    c->recheck_us = UINT64_MAX;
    c->retry = d->conf.retry;
    for (size_t i = m->n; i-- > 0;) {
        const struct worker *w = m->workers[i];

        if (!is_of_leg(w, leg) || !way_is_of(w, leader, m))
            continue;
        c->registered++;
        if (worker_admission(w, now, &c->recheck_us) == BREAKER_RESERVE)
            c->rows[--at] = w;
    }
    for (size_t i = 0; i < m->n; i++) {
        const struct worker *w = m->workers[i];

        if (worker_resilience_has_retry(&w->spec.resilience)) /* the last one speaks for the model */
            c->retry = retry_conf_over(&w->spec.resilience, &d->conf.retry);
        if (is_of_leg(w, leg) && way_is_of(w, leader, m) && worker_is_available(w, now, &c->recheck_us) &&
            c->n < at) /* it may have left the reserve just now */
            c->rows[c->n++] = w;
    }
    c->reserve_n = m->n - at;
    memmove(c->rows + c->n, c->rows + at, c->reserve_n * sizeof(*c->rows));
    c->handovers = 0;
    for (size_t i = 0; i < c->n + c->reserve_n && leg != POLICY_REGULAR; i++)
        c->handovers |= 1u << pair_handover(c->rows[i]);
}

struct candidates *dispatch_candidates(struct dispatcher *d, const struct worker_table *table, const struct worker_model *m,
                                       enum policy_leg leg)
{
    struct candidates *c = &d->lists[((uintptr_t)m / sizeof(*m) * POLICY_LEGS + leg) % CANDIDATE_LISTS];
    uint64_t now = loop_now_us(d->loop);
    uint64_t changes =
        registry_status_changes(d->registry); /* before the statuses are read: a change in between is seen next time */

    if (c->of == m && c->leg == leg && c->table_serial == table->serial && c->status_changes == changes && now < c->recheck_us)
        return c;
    c->of = NULL;
    if (!reserve(c, m->n))
        return NULL;
    fill(d, c, m, way_provider(d, table, m), leg, now);
    board_reset(&c->board);
    c->of = m;
    c->leg = leg;
    c->table_serial = table->serial;
    c->status_changes = changes;
    return c;
}

/* What the policy gets to see. */
struct choice {
    const struct worker **rows; /* of the kept list, or of the scratch */
    size_t n;
};

static bool is_wanted(const struct worker *w, const struct dispatch_request *r)
{
    return !(r->engines_only && w->spec.runtime == RUNTIME_EXTERNAL) && (!r->suits || r->suits(w));
}

/* Copies those of ROWS into the scratch that were not tried and are wanted. */
static struct choice untried(struct dispatcher *d, const struct worker **rows, size_t n, const struct dispatch_request *r,
                             const struct worker *const *tried, unsigned tried_n)
{
    struct choice c = { d->untried.rows, 0 };

    for (size_t i = 0; i < n; i++)
        if (!was_tried(rows[i], tried, tried_n) && is_wanted(rows[i], r))
            c.rows[c.n++] = rows[i];
    return c;
}

/* False: memory is out. */
static bool narrow(struct dispatcher *d, const struct candidates *all, const struct dispatch_request *r,
                   const struct worker *const *tried, unsigned tried_n, struct choice *ret)
{
    *ret = (struct choice){ all->rows, all->n };
    if (tried_n == 0 && !r->engines_only && !r->suits && all->n)
        return true;
    if (!reserve(&d->untried, all->n + all->reserve_n))
        return false;
    *ret = untried(d, all->rows, all->n, r, tried, tried_n);
    if (ret->n == 0)
        *ret = untried(d, all->rows + all->n, all->reserve_n, r, tried, tried_n);
    return true;
}

/* C without the worker at AT, in the scratch. False: memory is out. */
static bool drop(struct dispatcher *d, struct choice *c, size_t at)
{
    if (!reserve(&d->untried, c->n))
        return false;
    memmove(d->untried.rows, c->rows, at * sizeof(*c->rows));
    memmove(d->untried.rows + at, c->rows + at + 1, (c->n - at - 1) * sizeof(*c->rows));
    *c = (struct choice){ d->untried.rows, c->n - 1 };
    return true;
}

static void no_model(struct exchange *ex, struct str model, struct dispatch_failure *f)
{
    *f = (struct dispatch_failure){
        .status = 404,
        .code = STR("model_not_found"),
        .message = arena_printf(&ex->arena, "No worker available for model '%.*s'", STR_FMT(model)),
    };
}

static void none_available(struct dispatch_failure *f)
{
    *f = (struct dispatch_failure){
        .status = 503,
        .code = STR("no_available_workers"),
        .message = STR("All workers are unavailable (circuit breaker open or unhealthy)"),
        .retry_after_s = RETRY_AFTER_S,
    };
}

/* What the policy may look at. The text is asked for only when somebody wants it. */
static void fill_hint(struct dispatcher *d, const struct dispatch_request *r, const struct policy *policy, struct policy_hint *hint)
{
    static const enum http_field_id IMPLICIT[] = { HF_AUTHORIZATION, HF_X_FORWARDED_FOR, HF_COOKIE };
    const struct http_fields *fields = &r->ex->req.fields;

    hint->routing_key = http_value(fields, HF_X_SMG_ROUTING_KEY);
    hint->target_worker = http_value(fields, HF_X_SMG_TARGET_WORKER);
    for (size_t i = 0; !hint->implicit_key.p && i < ARRAY_LEN(IMPLICIT); i++)
        hint->implicit_key = http_value(fields, IMPLICIT[i]);
    if (policy->ops->wants_text && r->routing_text)
        hint->text = r->routing_text(r);
    hint->body_bytes = r->ex->body.n;
    hint->now_us = loop_now_us(d->loop);
    hint->random = &d->loop->random;
}

/* The policy's choice, let in by its breaker; NULL: there is none. */
static const struct worker *choose(struct dispatcher *d, struct policy *policy, struct choice *c, struct policy_hint *hint,
                                   struct dispatch_pick *pick)
{
    int at;

    while ((at = policy_pick(policy, c->rows, c->n, hint, &pick->choice)) >= 0) {
        const struct worker *w = c->rows[at];
        enum breaker_pass pass = breaker_enter(&w->live->breaker, &w->spec.judge.breaker, hint->now_us);

        pick->probe = pass == BREAKER_PROBE;
        if (pick->probe)
            registry_admissions_changed(d->registry); /* there is one probe: for the others it is not there */
        if (pass != BREAKER_REFUSED)
            return w;
        if (!drop(d, c, (size_t)at))
            break;
        hint->board = NULL; /* it is about another list */
    }
    return NULL;
}

struct dispatch_pick dispatch_pick(struct dispatcher *d, const struct dispatch_request *r, enum policy_leg leg,
                                   const struct worker *const *tried, unsigned tried_n, struct str *ret_model,
                                   struct dispatch_failure *failure)
{
    const struct worker_table *table = registry_table(d->registry, d->loop);
    struct str model = r->model.n ? r->model : STR("unknown");
    const struct worker_model *entry = worker_table_find(table, model);
    struct dispatch_pick pick = { 0 };
    struct policy_hint hint = { .leg = leg, .group = entry, .table_serial = table->serial };
    struct candidates *all;
    struct policy *policy;
    struct choice c;

    if (!entry || entry->n == 0) {
        no_model(r->ex, model, failure);
        return pick;
    }
    all = dispatch_candidates(d, table, entry, leg);
    if (!all || !narrow(d, all, r, tried, tried_n, &c)) {
        dispatch_out_of_memory(failure);
        return pick;
    }
    hint.model = entry->id.n ? entry->id : model;
    policy = policy_set_find(d->policies, d->loop, hint.model, leg);
    policy = policy_set_override(d->policies, policy, http_value(&r->ex->req.fields, HF_X_SMG_ROUTING_KEY));
    fill_hint(d, r, policy, &hint);
    hint.board = c.rows == all->rows && c.n == all->n ? &all->board : NULL;
    if (explain_is_wanted(r->ex))
        pick.choice.scores = arena_array(&r->ex->arena, c.n, sizeof(double)); /* without memory for it: no scores */
    for (size_t i = 0; pick.choice.scores && i < c.n; i++)
        pick.choice.scores[i] = NAN;
    if (policy->ops->wants_ring)
        hint.ring = rings_find(policy_set_rings(d->policies), d->loop, table, entry);
    pick.worker = choose(d, policy, &c, &hint, &pick);
    dispatch_count_branch(d, policy->ops, pick.choice.branch);
    explain(d, &(struct explained){ .ex = r->ex,
                                    .attempt = tried_n + 1,
                                    .leg = leg,
                                    .model = hint.model,
                                    .policy = policy->ops->name,
                                    .choice = &pick.choice,
                                    .chosen = pick.worker,
                                    .cand = c.rows,
                                    .n = c.n,
                                    .group = entry,
                                    .tried = tried,
                                    .tried_n = tried_n });
    if (!pick.worker) {
        none_available(failure);
        return pick;
    }
    if (!ret_model->p)
        *ret_model = arena_str(&r->ex->arena, hint.model);
    worker_load_begin(pick.worker);
    worker_ref(pick.worker);
    pick.key = key_loads_begin(policy_set_key_loads(d->policies), pick.worker, hint.routing_key);
    pick.policy = policy->ops->name;
    if (tried_n == 0 && leg == POLICY_REGULAR)
        shadow_begin(d, r, c.rows, c.n, &hint, &pick);
    pick.retry = all->retry;
    return pick;
}

enum dispatch_outlook dispatch_outlook(struct dispatcher *d, const struct dispatch_request *r, enum policy_leg leg,
                                       const struct worker *const *tried, unsigned tried_n)
{
    const struct worker_table *table = registry_table(d->registry, d->loop);
    const struct worker_model *entry = worker_table_find(table, r->model.n ? r->model : STR("unknown"));
    const struct candidates *all = entry && entry->n ? dispatch_candidates(d, table, entry, leg) : NULL;
    struct choice c;

    if (!all || !narrow(d, all, r, tried, tried_n, &c))
        return OUTLOOK_NOBODY;
    if (c.n)
        return OUTLOOK_UNTRIED;
    return narrow(d, all, r, NULL, 0, &c) && c.n ? OUTLOOK_TRIED_ONLY : OUTLOOK_NOBODY;
}
