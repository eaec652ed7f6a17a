/* dispatch/pick.c -- from a model's name to one worker: candidates, then the policy
 *
 * The table is read from this turn's snapshot. What outlives the turn is referenced: the worker (by the attempt) and the model's name (copied).
 * The list of candidates is kept per loop and model until the table or a status changes; its workers are alive as long as the table with its serial is the current one.
 */
#include "dispatch/dispatch_internal.h"

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

/* The candidates of M, a model of TABLE; NULL: memory is out. */
static struct candidates *candidates_of(struct dispatcher *d, const struct worker_table *table, const struct worker_model *m,
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
    c->n = 0;
    c->recheck_us = UINT64_MAX;
    board_reset(&c->boards[0]);
    board_reset(&c->boards[1]);
    for (size_t i = 0; i < m->n; i++)
        if (is_of_leg(m->workers[i], leg) && worker_is_available(m->workers[i], now, &c->recheck_us))
            c->rows[c->n++] = m->workers[i];
    c->of = m;
    c->leg = leg;
    c->table_serial = table->serial;
    c->status_changes = changes;
    return c;
}

/* ALL without those that were tried, and without providers where an engine is wanted. */
static struct candidates *leave_out(struct dispatcher *d, struct candidates *all, bool engines_only,
                                    const struct worker *const *tried, unsigned tried_n)
{
    struct candidates *c = &d->untried;

    if (tried_n == 0 && !engines_only)
        return all;
    if (!reserve(c, all->n))
        return NULL;
    c->n = 0;
    for (size_t i = 0; i < all->n; i++)
        if (!was_tried(all->rows[i], tried, tried_n) && !(engines_only && all->rows[i]->spec.runtime == RUNTIME_EXTERNAL))
            c->rows[c->n++] = all->rows[i];
    return c;
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
    hint->now_us = loop_now_us(d->loop);
    hint->random = &d->loop->random;
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
    struct candidates *c;
    struct policy *policy;
    int at;

    if (!entry || entry->n == 0) {
        no_model(r->ex, model, failure);
        return pick;
    }
    c = candidates_of(d, table, entry, leg);
    if (c)
        c = leave_out(d, c, r->engines_only, tried, tried_n);
    if (!c) {
        dispatch_out_of_memory(failure);
        return pick;
    }
    hint.model = entry->id.n ? entry->id : model;
    policy = policy_set_find(d->policies, d->loop, hint.model, leg);
    fill_hint(d, r, policy, &hint);
    hint.board = c == &d->untried ? NULL : c->boards;
    if (explain_is_wanted(r->ex))
        pick.choice.scores = arena_array(&r->ex->arena, c->n, sizeof(double)); /* without memory for it: no scores */
    for (size_t i = 0; pick.choice.scores && i < c->n; i++)
        pick.choice.scores[i] = NAN;
    at = policy_pick(policy, c->rows, c->n, &hint, &pick.choice);
    explain(d, &(struct explained){ .ex = r->ex,
                                    .attempt = tried_n + 1,
                                    .leg = leg,
                                    .model = hint.model,
                                    .policy = policy->ops->name,
                                    .choice = &pick.choice,
                                    .chosen = at < 0 ? NULL : c->rows[at],
                                    .cand = c->rows,
                                    .n = c->n,
                                    .group = entry,
                                    .tried = tried,
                                    .tried_n = tried_n });
    if (at < 0) {
        none_available(failure);
        return pick;
    }
    if (!ret_model->p)
        *ret_model = arena_str(&r->ex->arena, hint.model);
    worker_load_begin(c->rows[at]);
    pick.worker = worker_ref(c->rows[at]);
    pick.policy = policy->ops->name;
    if (tried_n == 0 && leg == POLICY_REGULAR)
        shadow_begin(d, r, c->rows, c->n, &hint, &pick);
    return pick;
}
