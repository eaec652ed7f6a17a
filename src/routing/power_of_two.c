/* routing/power_of_two.c -- the less loaded of two random candidates (spec data-plane 6.4; Mitzenmacher 2001)
 *
 * Nearly as even as asking everybody, at the cost of two looks. When both report it, load is the share of the KV cache in use; otherwise the number of requests in
 * flight that this gateway sent. A tie goes to the first draw, so that idle workers are drawn at random.
 */
#include <math.h>

#include "base/random.h"
#include "routing/policies.h"

static bool reports(const struct worker *w)
{
    return atomic_load_explicit(&w->live->report.at_us, memory_order_relaxed) != 0;
}

static double usage(const struct worker *w)
{
    return atomic_load_explicit(&w->live->report.kv_usage, memory_order_relaxed);
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    size_t first, second;
    double a, b;

    (void)p;
    choice->branch = "only_one";
    if (n == 1)
        return 0;
    first = random_below(hint->random, n);
    second = (first + 1 + random_below(hint->random, n - 1)) % n;
    if (reports(cand[first]) && reports(cand[second])) {
        choice->branch = choice->score_name = "kv_usage";
        a = usage(cand[first]);
        b = usage(cand[second]);
    } else {
        choice->branch = "request_counts";
        choice->score_name = "load";
        a = (double)policy_load(hint, cand[first]);
        b = (double)policy_load(hint, cand[second]);
    }
    for (size_t i = 0; choice->scores && i < n; i++)
        choice->scores[i] = i == first ? a : i == second ? b : NAN;
    return (int)(b < a ? second : first);
}

const struct policy_ops policy_power_of_two = {
    .name = "power_of_two",
    .size = sizeof(struct policy),
    .wants_loads = true,
    .pick = pick,
};
