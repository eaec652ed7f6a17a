/* dispatch/shadow.c -- a second policy beside the one that serves: it is asked, counted and not followed (--shadow-policy)
 *
 * It chooses among the same candidates, with its own memory (indexes, stickiness) and its own loads: a request counts on the worker that the shadow chose until it ends, as
 * if it had run there for as long. So its counts say what would have happened, as far as that can be said without doing it.
 */
#include "dispatch/dispatch_internal.h"

static void count(_Atomic uint64_t *what, uint64_t n)
{
    atomic_fetch_add_explicit(what, n, memory_order_relaxed);
}

void shadow_begin(struct dispatcher *d, const struct dispatch_request *r, const struct worker *const *cand, size_t n,
                  const struct policy_hint *hint, struct dispatch_pick *pick)
{
    struct policy *policy = policy_set_shadow(d->policies, d->loop);
    struct shadow_counts *counts = policy_set_shadow_counts(d->policies);
    struct policy_choice choice = { 0 };
    struct policy_hint own = *hint;
    const struct worker *chosen;
    int at;

    if (!policy)
        return;
    own.shadow = true;
    own.board = NULL; /* it counts what was served */
    if (policy->ops->wants_text && !own.text.n && r->routing_text)
        own.text = r->routing_text(r);
    at = policy_pick(policy, cand, n, &own, &choice);
    if (at < 0)
        return;
    chosen = cand[at];
    count(&counts->decisions, 1);
    count(&counts->agreed, chosen->live == pick->worker->live);
    count(&counts->prompt, choice.total);
    count(&counts->matched, choice.matched);
    count(&counts->served_matched, pick->choice.matched);
    count(&counts->load_met, (uint64_t)MAX(0, policy_load(&own, chosen)));
    count(&counts->served_load_met, (uint64_t)MAX(0, worker_load(pick->worker) - 1)); /* this request counts already */
    atomic_fetch_add_explicit(&chosen->live->shadow_load, 1, memory_order_relaxed);
    pick->shadow = worker_ref(chosen);
}

void shadow_end(const struct worker *shadow)
{
    if (!shadow)
        return;
    atomic_fetch_sub_explicit(&shadow->live->shadow_load, 1, memory_order_relaxed);
    worker_unref(shadow);
}
