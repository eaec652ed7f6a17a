/* dispatch/pair_pick.c -- from a model's name to a prefill and a decode worker that understand each other
 *
 *   the model's workers --which ways of handing over blocks do both sides know?--> pick prefill (its policy) --its way--> pick decode (its policy)
 *
 * In a fleet of one kind, the usual case, nothing is filtered. A worker that failed the request before is taken again only when no other one stands.
 */
#include "dispatch/pair.h"
#include "dispatch/pair_body.h"

#define RETRY_AFTER_S 1

/* Bits of enum handover that the workers of each side know. */
struct ways {
    unsigned prefill, decode;
};

static struct ways ways_of(const struct worker_model *m)
{
    struct ways ways = { 0 };

    for (size_t i = 0; i < m->n; i++) {
        const struct worker *w = m->workers[i];

        if (w->spec.mode != WORKER_HTTP)
            continue;
        if (w->spec.type == WORKER_PREFILL)
            ways.prefill |= 1u << pair_handover(w);
        else if (w->spec.type == WORKER_DECODE)
            ways.decode |= 1u << pair_handover(w);
    }
    return ways;
}

static bool suits_at_once(const struct worker *w)
{
    return pair_handover(w) == HANDOVER_AT_ONCE;
}

static bool suits_in_sequence(const struct worker *w)
{
    return pair_handover(w) == HANDOVER_IN_SEQUENCE;
}

typedef bool suits_fn(const struct worker *w);

static suits_fn *suits_way(enum handover h)
{
    return h == HANDOVER_AT_ONCE ? suits_at_once : suits_in_sequence;
}

static void unavailable(struct exchange *ex, struct dispatch_failure *f, const char *why)
{
    *f = (struct dispatch_failure){ .status = 503,
                                    .code = STR("server_selection_failed"),
                                    .message = arena_printf(&ex->arena, "No available servers: %s", why),
                                    .retry_after_s = RETRY_AFTER_S };
}

/* SMG's words for a leg that found nobody although there are workers. */
static const char *nobody(enum policy_leg leg)
{
    return leg == POLICY_PREFILL ? "No available prefill workers (all circuits open or unhealthy)"
                                 : "No available decode workers (all circuits open or unhealthy)";
}

static struct dispatch_pick pick_leg(struct dispatcher *d, const struct dispatch_request *r, enum policy_leg leg, suits_fn *suits,
                                     const struct pair_tried *tried, struct pair_picked *ret, struct dispatch_failure *failure)
{
    struct dispatch_request request = *r;
    struct dispatch_pick p;

    request.suits = suits;
    p = dispatch_pick(d, &request, leg, tried->of, tried->n, &ret->model, failure);
    if (!p.worker && tried->n > 0)
        p = dispatch_pick(d, &request, leg, NULL, 0, &ret->model, failure);
    if (p.worker)
        pair_count_selection(d, leg, ret->model, p.policy);
    else if (failure->status == 503 && failure->cause == 0)
        unavailable(r->ex, failure, nobody(leg));
    return p;
}

/* Which ways both sides know; 0 with *FAILURE. */
static unsigned common_ways(struct dispatcher *d, const struct dispatch_request *r, struct ways *ret,
                            struct dispatch_failure *failure)
{
    const struct worker_model *m = worker_table_find(registry_table(d->registry, d->loop), r->model.n ? r->model : STR("unknown"));

    *ret = m ? ways_of(m) : (struct ways){ 0 };
    if (!m || m->n == 0)
        *failure = (struct dispatch_failure){ .status = 404,
                                              .code = STR("model_not_found"),
                                              .message = arena_printf(&r->ex->arena, "No worker available for model '%.*s'",
                                                                      STR_FMT(r->model.n ? r->model : STR("unknown"))) };
    else if (!ret->prefill)
        unavailable(r->ex, failure, "No prefill workers available. Please check if prefill servers are configured and healthy.");
    else if (!ret->decode)
        unavailable(r->ex, failure, "No decode workers available. Please check if decode servers are configured and healthy.");
    else if (!(ret->prefill & ret->decode))
        unavailable(
            r->ex, failure,
            "Prefill and decode workers hand over KV blocks in different ways (vLLM's, and the bootstrap server's of SGLang)");
    else
        return ret->prefill & ret->decode;
    return 0;
}

/* A pick that is not used after all. */
static void put_back(struct dispatcher *d, struct dispatch_pick *pick)
{
    dispatch_report(d, pick->worker, BREAKER_NOTHING, pick->probe);
    worker_load_end(pick->worker);
    key_loads_end(&pick->key, pick->worker);
    worker_unref(pick->worker);
    shadow_end(pick->shadow);
    *pick = (struct dispatch_pick){ 0 };
}

enum dispatch_outlook pair_outlook(struct dispatcher *d, const struct dispatch_request *r, const struct pair_tried *prefill,
                                   const struct pair_tried *decode)
{
    enum dispatch_outlook a = dispatch_outlook(d, r, POLICY_PREFILL, prefill->of, prefill->n),
                          b = dispatch_outlook(d, r, POLICY_DECODE, decode->of, decode->n);

    return MIN(a, b);
}

bool pair_pick(struct dispatcher *d, const struct dispatch_request *r, const struct pair_tried *prefill,
               const struct pair_tried *decode, struct pair_picked *ret, struct dispatch_failure *failure)
{
    suits_fn *suits_prefill = NULL, *suits_decode = NULL;
    struct ways ways;
    unsigned common = common_ways(d, r, &ways, failure);

    if (!common)
        return false;
    if (ways.prefill != common) /* of the two ways one is common */
        suits_prefill = suits_way(common & (1u << HANDOVER_AT_ONCE) ? HANDOVER_AT_ONCE : HANDOVER_IN_SEQUENCE);
    ret->prefill = pick_leg(d, r, POLICY_PREFILL, suits_prefill, prefill, ret, failure);
    if (!ret->prefill.worker)
        return false;
    if (ways.decode & ~(1u << pair_handover(ret->prefill.worker)))
        suits_decode = suits_way(pair_handover(ret->prefill.worker));
    ret->decode = pick_leg(d, r, POLICY_DECODE, suits_decode, decode, ret, failure);
    if (!ret->decode.worker) {
        put_back(d, &ret->prefill);
        return false;
    }
    r->ex->facts.policy = str_of(ret->decode.policy);
    return true;
}
