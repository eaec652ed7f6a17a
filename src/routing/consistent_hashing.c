/* routing/consistent_hashing.c -- the same key to the same worker, and few keys move when workers come and go (spec data-plane 6.6)
 *
 *   x-smg-target-worker: a number (place among the model's available workers), a worker's id, or its URL --there is none such--> nobody
 *   x-smg-routing-key, else the first present of authorization, x-forwarded-for, cookie --> the ring (hash_ring.h)
 *   nothing of all this --> any
 *
 * BETTER than SMG: a number denotes another worker as soon as one fails; an id or a URL does not. Behind a prefill/decode pair a worker of the other side is no target.
 */
#include "base/random.h"
#include "routing/blake3.h"
#include "routing/choose.h"
#include "routing/policies.h"

static enum worker_type type_of(enum policy_leg leg)
{
    static const enum worker_type TYPES[] = {
        [POLICY_REGULAR] = WORKER_REGULAR, [POLICY_PREFILL] = WORKER_PREFILL, [POLICY_DECODE] = WORKER_DECODE
    };

    return TYPES[leg];
}

/* The place in CAND of the model's available worker number INDEX. Counted over the whole model: a worker that was tried already still has its number. */
static int by_number(const struct worker *const *cand, size_t n, const struct policy_hint *hint, uint64_t index)
{
    uint64_t recheck_us = UINT64_MAX;

    for (size_t i = 0; i < hint->group->n; i++) {
        const struct worker *w = hint->group->workers[i];

        if (w->spec.type != type_of(hint->leg) || w->spec.mode != WORKER_HTTP || !worker_is_available(w, hint->now_us, &recheck_us))
            continue;
        if (index-- == 0)
            return choose_by_order(cand, n, w->order);
    }
    return -1;
}

static bool is_named(const struct worker *w, struct str name)
{
    struct str url = str_has_suffix(name, STR("/")) ? str_first(name, name.n - 1) : name;

    return str_eq(w->spec.url, url) || str_eq_nocase((struct str){ w->id, strlen(w->id) }, name);
}

/* The place in CAND, -1: not there. *RET_OTHERS: it is a worker of the pair's other side. */
static int by_name(const struct worker *const *cand, size_t n, const struct policy_hint *hint, bool *ret_others)
{
    for (size_t i = 0; i < hint->group->n; i++) {
        const struct worker *w = hint->group->workers[i];

        if (!is_named(w, hint->target_worker))
            continue;
        *ret_others = w->spec.type != type_of(hint->leg);
        return choose_by_order(cand, n, w->order);
    }
    return -1;
}

/* False: the request names no target. */
static bool find_target(const struct worker *const *cand, size_t n, const struct policy_hint *hint, int *ret)
{
    uint64_t index;
    bool others = false;

    if (!hint->target_worker.n)
        return false;
    if (str_to_u64(hint->target_worker, &index) == 0)
        *ret = by_number(cand, n, hint, index);
    else
        *ret = by_name(cand, n, hint, &others);
    return !others;
}

/* What an HTTP field's value may be made of when it is text. */
static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    struct str key = hint->routing_key.n ? hint->routing_key : hint->implicit_key;
    int at = -1;

    (void)p;
    if (find_target(cand, n, hint, &at)) {
        choice->branch = at < 0 ? "target_worker_miss" : "target_worker_hit";
        return at;
    }
    if (!key.n || (!hint->routing_key.n && !is_text(key))) {
        choice->branch = "random_fallback";
        return (int)random_below(hint->random, n);
    }
    choice->branch = "routing_key_hit";
    return choose_by_position(cand, n, hint, blake3_u64(key));
}

const struct policy_ops policy_consistent_hashing = {
    .name = "consistent_hashing",
    .size = sizeof(struct policy),
    .wants_ring = true,
    .pick = pick,
};
