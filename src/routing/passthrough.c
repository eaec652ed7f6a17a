/* routing/passthrough.c -- always the first candidate: for one worker, or where something else balances (spec data-plane 6.3) */
#include "routing/policies.h"

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    (void)p;
    (void)cand;
    (void)n;
    (void)hint;
    choice->branch = "first";
    return 0;
}

const struct policy_ops policy_passthrough = {
    .name = "passthrough",
    .size = sizeof(struct policy),
    .pick = pick,
};
