/* routing/power_of_two.c -- the less loaded of two random candidates (spec data-plane 6.4; Mitzenmacher 2001)
 *
 * Nearly as even as asking everybody, at the cost of two looks. When both report it, load is the share of the KV cache in use; otherwise the number of requests in
 * flight that this gateway sent. A tie goes to the first draw, so that idle workers are drawn at random.
 * BETTER: a report is up to a poll's interval old, and until the next one all would go where it was good. So what this gateway has in flight more (or less) than it had when the
 * report came counts, too, each request with the share that the two workers' requests had on average then.
 */
#include <math.h>

#include "base/random.h"
#include "routing/policies.h"

#define SHARE     (1.0 / 256) /* of the KV cache: what a request takes where reports do not tell; engines run some hundreds at a time */
#define SHARE_MAX (1.0 / 16) /* what others sent is not taken for ours */

static bool reports(const struct worker *w)
{
    return atomic_load_explicit(&w->live->report.at_us, memory_order_relaxed) != 0;
}

static double usage(const struct worker *w)
{
    return atomic_load_explicit(&w->live->report.kv_usage, memory_order_relaxed);
}

static int64_t load_then(const struct worker *w)
{
    return atomic_load_explicit(&w->live->report.load, memory_order_relaxed);
}

/* Of the cache: what one request had on average when A and B reported. */
static double share_of_one(const struct worker *a, const struct worker *b)
{
    double requests = (double)(load_then(a) + load_then(b)), used = usage(a) + usage(b);

    return requests > 0 && used > 0 ? fmin(used / requests, SHARE_MAX) : SHARE;
}

/* What the cache's use would be now. */
static double usage_now(const struct worker *w, const struct policy_hint *hint, double share)
{
    return usage(w) + (hint->shadow ? 0 : (double)(worker_load(w) - load_then(w)) * share);
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    size_t first, second;
    double a, b, share;

    (void)p;
    choice->branch = "only_one";
    if (n == 1)
        return 0;
    first = random_below(hint->random, n);
    second = (first + 1 + random_below(hint->random, n - 1)) % n;
    if (reports(cand[first]) && reports(cand[second])) {
        choice->branch = choice->score_name = "kv_usage";
        share = share_of_one(cand[first], cand[second]);
        a = usage_now(cand[first], hint, share);
        b = usage_now(cand[second], hint, share);
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
