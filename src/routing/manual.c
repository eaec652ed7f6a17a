/* routing/manual.c -- sticky sessions: a routing key stays with the worker that it was given (spec data-plane 6.9)
 *
 *   no key ---------------------> assign, remember nothing                                                   "no_routing_id"
 *   unknown key ----------------> assign, remember                                                           "vacant"
 *   known, one of its two there -> the first of them: a worker that comes back has its sessions again        "occupied_hit"
 *   known, both away -----------> assign, remember beside the first, in place of the older one of two        "occupied_miss"
 *
 * Assigning: any, the one with the fewest requests, or the one with the fewest routing keys; of equals any. New workers take no keys away from others.
 * Keys are remembered per model and leg (BETTER: SMG's models share them, and push each other's workers out). An instance also serves as the gateway-wide
 * --routing-key-override (policy_set.h).
 */
#include <stdlib.h>

#include "base/random.h"
#include "routing/choose.h"
#include "routing/policies.h"
#include "routing/sticky.h"

struct manual {
    struct policy policy;
    struct sticky *sticky; /* owned */
    uint64_t swept_us;     /* loop clock; control thread */
};

static int init(struct policy *p, struct err *err)
{
    struct manual *m = CONTAINER_OF(p, struct manual, policy);

    return sticky_new(&m->sticky) < 0 ? err_set(err, ERR_NOMEM, "policy manual: out of memory") : 0;
}

static void fini(struct policy *p)
{
    sticky_free(CONTAINER_OF(p, struct manual, policy)->sticky);
}

static int64_t routing_keys(const struct policy_hint *hint, const struct worker *w)
{
    (void)hint;
    return atomic_load_explicit(&w->live->routing_keys, memory_order_relaxed);
}

static int assign(const struct policy_conf *conf, const struct worker *const *cand, size_t n, const struct policy_hint *hint)
{
    switch (conf->assignment) {
    case POLICY_ASSIGN_MIN_LOAD:
        return choose_least(cand, n, hint, policy_load);
    case POLICY_ASSIGN_MIN_GROUP:
        return choose_least(cand, n, hint, routing_keys);
    case POLICY_ASSIGN_RANDOM:
        break;
    }
    return (int)random_below(hint->random, n);
}

/* The first of the pair that is a candidate, or -1. */
static int present(struct sticky_pair pair, const struct worker *const *cand, size_t n)
{
    int at = pair.first ? choose_by_order(cand, n, pair.first - 1) : -1;

    return at < 0 && pair.second ? choose_by_order(cand, n, pair.second - 1) : at;
}

static struct sticky_pair with(struct sticky_pair pair, const struct worker *w)
{
    if (!pair.first)
        return (struct sticky_pair){ w->order + 1, 0 };
    return (struct sticky_pair){ pair.second ? pair.second : pair.first, w->order + 1 };
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    struct manual *m = CONTAINER_OF(p, struct manual, policy);
    uint32_t now_s = (uint32_t)(hint->now_us / 1000000);
    struct sticky_pair pair = { 0 };
    uint64_t hash;
    bool known;
    int at, settled;

    choice->branch = "no_routing_id";
    if (!hint->routing_key.n)
        return assign(&p->conf, cand, n, hint);
    hash = sticky_hash(hint->routing_key, hint->model, hint->leg);
    known = sticky_get(m->sticky, hash, now_s, &pair);
    at = known ? present(pair, cand, n) : -1;
    choice->branch = !known ? "vacant" : at < 0 ? "occupied_miss" : "occupied_hit";
    if (at >= 0)
        return at;
    at = assign(&p->conf, cand, n, hint);
    settled = present(sticky_settle(m->sticky, hash, pair, with(pair, cand[at]), now_s), cand, n);
    return settled < 0 ? at : settled;
}

static void tick(struct policy *p, uint64_t now_us)
{
    struct manual *m = CONTAINER_OF(p, struct manual, policy);
    uint64_t now_s = now_us / 1000000;

    if (p->conf.max_idle_s == 0 || p->conf.eviction_interval_s == 0 || now_s < p->conf.max_idle_s ||
        now_s < m->swept_us / 1000000 + p->conf.eviction_interval_s)
        return;
    m->swept_us = now_us;
    sticky_sweep(m->sticky, (uint32_t)(now_s - p->conf.max_idle_s));
}

size_t policy_manual_entries(const struct policy *p)
{
    return p->ops == &policy_manual ? sticky_count(CONTAINER_OF(p, struct manual, policy)->sticky) : 0;
}

const struct policy_ops policy_manual = {
    .name = "manual",
    .size = sizeof(struct manual),
    .init = init,
    .pick = pick,
    .tick = tick,
    .fini = fini,
};
