/* routing/power_of_two.c -- the less loaded of two random candidates (spec data-plane 6.4; Mitzenmacher 2001)
 *
 * Nearly as even as asking everybody, at the cost of two looks. Load is the number of requests in flight that this gateway sent; a tie goes to the first draw, so
 * that idle workers are drawn at random.
 */
#include "base/random.h"
#include "routing/policies.h"

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    size_t first, second;

    (void)p;
    choice->branch = n == 1 ? "only_one" : "request_counts";
    if (n == 1)
        return 0;
    first = random_below(hint->random, n);
    second = (first + 1 + random_below(hint->random, n - 1)) % n;
    return (int)(policy_load(hint, cand[second]) < policy_load(hint, cand[first]) ? second : first);
}

const struct policy_ops policy_power_of_two = {
    .name = "power_of_two",
    .size = sizeof(struct policy),
    .pick = pick,
};
