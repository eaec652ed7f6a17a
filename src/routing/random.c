/* routing/random.c -- any candidate, all equally often (spec data-plane 6.3) */
#include "base/random.h"
#include "routing/policies.h"

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    (void)p;
    (void)cand;
    choice->branch = "random";
    return (int)random_below(hint->random, n);
}

const struct policy_ops policy_random = {
    .name = "random",
    .size = sizeof(struct policy),
    .pick = pick,
};
