/* dispatch/pick.c -- from a model's name to one worker: candidates, then the policy
 *
 * The table is read from this turn's snapshot. What outlives the turn is referenced: the worker (by the attempt) and the model's name (copied).
 */
#include "dispatch/dispatch_internal.h"

#include <stdlib.h>

#define RETRY_AFTER_S 1 /* health checks may bring a worker back at any moment; a client should not wait long to ask again */

/* Ready HTTP workers that serve requests by themselves and were not tried yet. */
static bool is_candidate(const struct worker *w, const struct worker *const *tried, unsigned tried_n)
{
    if (!worker_is_ready(w) || w->spec.type != WORKER_REGULAR || w->spec.mode != WORKER_HTTP)
        return false;
    for (unsigned i = 0; i < tried_n; i++)
        if (tried[i]->live == w->live)
            return false;
    return true;
}

static bool reserve(struct dispatcher *d, size_t n)
{
    const struct worker **grown;

    if (n <= d->candidates_cap)
        return true;
    grown = realloc(d->candidates, n * sizeof(*grown));
    if (!grown)
        return false;
    d->candidates = grown;
    d->candidates_cap = n;
    return true;
}

static size_t gather(struct dispatcher *d, const struct worker_model *m, const struct worker *const *tried, unsigned tried_n)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n; i++)
        if (is_candidate(m->workers[i], tried, tried_n))
            d->candidates[n++] = m->workers[i];
    return n;
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

const struct worker *dispatch_pick(struct dispatcher *d, const struct dispatch_request *r, const struct worker *const *tried,
                                   unsigned tried_n, struct str *ret_model, struct dispatch_failure *failure)
{
    const struct worker_table *table = registry_table(d->registry, d->loop);
    struct str model = r->model.n ? r->model : STR("unknown");
    const struct worker_model *entry = worker_table_find(table, model);
    struct policy_hint hint = {
        .text = r->routing_text,
        .routing_key = http_value(&r->ex->req.fields, HF_X_SMG_ROUTING_KEY),
        .random = &d->loop->random,
    };
    size_t n;
    int at;

    if (!entry || entry->n == 0) {
        no_model(r->ex, model, failure);
        return NULL;
    }
    if (!reserve(d, entry->n)) {
        dispatch_out_of_memory(failure);
        return NULL;
    }
    n = gather(d, entry, tried, tried_n);
    hint.model = entry->id.n ? entry->id : model;
    at = policy_pick(d->policy, d->candidates, n, &hint);
    if (at < 0) {
        none_available(failure);
        return NULL;
    }
    if (!ret_model->p)
        *ret_model = arena_str(&r->ex->arena, hint.model);
    worker_load_begin(d->candidates[at]);
    return worker_ref(d->candidates[at]);
}
