/* routing/round_robin.c -- one candidate after the other (spec data-plane 6.3)
 *
 * One counter for all models and loops, from 0; relaxed, because only its being spread matters. It wraps after 2^64 picks.
 */
#include <stdatomic.h>

#include "routing/policies.h"

struct round_robin {
    struct policy policy;
    _Atomic uint64_t counter;
};

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    struct round_robin *rr = CONTAINER_OF(p, struct round_robin, policy);

    (void)cand;
    (void)hint;
    choice->branch = "next";
    return (int)(atomic_fetch_add_explicit(&rr->counter, 1, memory_order_relaxed) % n);
}

const struct policy_ops policy_round_robin = {
    .name = "round_robin",
    .size = sizeof(struct round_robin),
    .pick = pick,
};
