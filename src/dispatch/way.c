/* dispatch/way.c -- who carries a request for a model: a pair of engines, one engine, or a provider (spec data-plane 2.2)
 *
 *   one way for all models ------------------------------------> pairs with --pd-disaggregation, else one worker
 *   by model (--enable-igw):
 *     a provider serves it, any engines beside it or not ------> one worker, of that provider's kind: way_provider, which candidates heed (pick.c)
 *     else, prefill and decode workers understand each other --> drawn: pairs with the weight of both sides' workers, one engine with that of the others
 *     else ----------------------------------------------------> one worker; nobody serves the model: its pick says so
 *
 * Weights count workers that nothing speaks against; where there are none, those in reserve; where all are down, the way that has workers says what is wrong. They are those
 * of the lists that the pick uses, so that a draw costs three looks at numbers. Without a model (`unknown`) all workers are weighed, a provider's as engines.
 * A request asks once: its retries and the bodies it is sent with stay with what was drawn.
 */
#include "dispatch/dispatch_internal.h"
#include "dispatch/pair_body.h"

/* SMG has a router for each. */
enum provider_kind { PROVIDER_OPENAI, PROVIDER_ANTHROPIC, PROVIDER_GEMINI };

/* As the card of the model says, else the worker. */
static enum provider_kind kind_of(const struct worker *w, struct str model)
{
    struct str provider = w->spec.provider;

    for (size_t i = 0; i < w->spec.models_n; i++) {
        if (!str_eq(w->spec.models[i].id, model))
            continue;
        if (w->spec.models[i].provider.n)
            provider = w->spec.models[i].provider;
        break;
    }
    if (str_eq(provider, STR("anthropic")))
        return PROVIDER_ANTHROPIC;
    return str_eq(provider, STR("gemini")) ? PROVIDER_GEMINI : PROVIDER_OPENAI;
}

const struct worker *way_provider(const struct dispatcher *d, const struct worker_table *table, const struct worker_model *m)
{
    if (!d->conf.by_model || m == &table->all)
        return NULL;
    for (size_t i = 0; i < m->n; i++)
        if (m->workers[i]->spec.runtime == RUNTIME_EXTERNAL)
            return m->workers[i];
    return NULL;
}

bool way_is_of(const struct worker *w, const struct worker *leader, const struct worker_model *m)
{
    return !leader || (w->spec.runtime == RUNTIME_EXTERNAL && kind_of(w, m->id) == kind_of(leader, m->id));
}

bool dispatcher_goes_by_model(const struct dispatcher *d)
{
    return d->conf.by_model;
}

/* What speaks for each leg. */
struct weights {
    size_t of[POLICY_LEGS];
};

static bool draw(struct dispatcher *d, const struct weights *w, bool *ret_pair)
{
    size_t pair = w->of[POLICY_PREFILL] && w->of[POLICY_DECODE] ? w->of[POLICY_PREFILL] + w->of[POLICY_DECODE] : 0;
    size_t all = pair + w->of[POLICY_REGULAR];

    if (all == 0)
        return false;
    *ret_pair = pair == all || (pair && random_below(&d->loop->random, all) < pair);
    return true;
}

static bool draw_by_model(struct dispatcher *d, struct str model)
{
    const struct worker_table *table = registry_table(d->registry, d->loop);
    const struct worker_model *m = worker_table_find(table, model);
    struct weights now = { 0 }, later = { 0 }, ever = { 0 };
    unsigned handovers[POLICY_LEGS];
    bool pair;

    if (!m || m->n == 0)
        return false;
    for (enum policy_leg leg = 0; leg < POLICY_LEGS; leg++) {
        const struct candidates *c = dispatch_candidates(d, table, m, leg);

        if (!c)
            return false; /* the pick will say that memory is out */
        now.of[leg] = c->n;
        later.of[leg] = c->n + c->reserve_n;
        ever.of[leg] = c->registered;
        handovers[leg] = c->handovers;
    }
    if (!(handovers[POLICY_PREFILL] & handovers[POLICY_DECODE]))
        now.of[POLICY_PREFILL] = later.of[POLICY_PREFILL] = 0; /* no two of them understand each other */
    if (draw(d, &now, &pair) || draw(d, &later, &pair))
        return pair;
    return !ever.of[POLICY_REGULAR] && ever.of[POLICY_PREFILL] && ever.of[POLICY_DECODE];
}

bool dispatcher_wants_pair(struct dispatcher *d, struct str model)
{
    return d->conf.by_model ? draw_by_model(d, model) : d->conf.pairs;
}
