/* routing/least_load.c -- where a request would wait least, by what the engines report (spec data-plane 6.5)
 *
 *   seconds = (tokens that wait + tokens sent since the report) / throughput  +  weight * k / (1 - k)        k: share of the KV cache in use
 *
 * A worker that reports nothing while others do is judged by its requests in flight, each of an average length; when nobody reports, requests in flight are compared
 * as they are. The first of equals wins. The tokens of a request are credited to its worker until the next report covers them.
 */
#include <math.h>

#include "routing/choose.h"
#include "routing/policies.h"

#define USAGE_MAX 0.999 /* a full cache counts for so much, not for ever */

static bool reports(const struct worker *w)
{
    return atomic_load_explicit(&w->live->report.at_us, memory_order_relaxed) != 0;
}

static double throughput(const struct policy_conf *conf, const struct worker *w)
{
    double t = atomic_load_explicit(&w->live->report.throughput, memory_order_relaxed);

    return t > 0 ? t : conf->default_throughput;
}

static double wait_by_report(const struct policy_conf *conf, const struct worker *w)
{
    const struct worker_report *r = &w->live->report;
    double usage = fmin(fmax(atomic_load_explicit(&r->kv_usage, memory_order_relaxed), 0), USAGE_MAX);
    double tokens = (double)atomic_load_explicit(&r->queued_tokens, memory_order_relaxed) +
                    (double)atomic_load_explicit(&w->live->credited_tokens, memory_order_relaxed);

    return tokens / throughput(conf, w) + conf->kv_pressure_weight * usage / (1 - usage);
}

/* The mean throughput of those that tell one. *RET_ANY: does anybody report? */
static double nominal_throughput(const struct policy_conf *conf, const struct worker *const *cand, size_t n, bool *ret_any)
{
    double sum = 0;
    size_t tellers = 0;

    for (size_t i = 0; i < n; i++) {
        double t;

        if (!reports(cand[i]))
            continue;
        *ret_any = true;
        t = atomic_load_explicit(&cand[i]->live->report.throughput, memory_order_relaxed);
        sum += t > 0 ? t : 0;
        tellers += t > 0;
    }
    return tellers ? sum / (double)tellers : conf->default_throughput;
}

static void credit(const struct policy_conf *conf, const struct worker *w, const struct policy_hint *hint)
{
    int64_t tokens = hint->tokens_n ? (int64_t)hint->tokens_n : conf->mean_prefill_tokens;

    if (!hint->shadow)
        atomic_fetch_add_explicit(&w->live->credited_tokens, tokens, memory_order_relaxed);
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    const struct policy_conf *conf = &p->conf;
    double least = INFINITY, nominal;
    bool any = false;
    size_t at = 0;

    choice->branch = "only_one";
    if (n == 1)
        return 0;
    nominal = nominal_throughput(conf, cand, n, &any);
    choice->branch = any ? "reports" : "request_counts";
    choice->score_name = any ? "seconds" : "load";
    for (size_t i = 0; i < n; i++) {
        double score = (double)policy_load(hint, cand[i]);

        if (any)
            score = reports(cand[i]) ? wait_by_report(conf, cand[i]) : score * conf->mean_prefill_tokens / nominal;
        if (choice->scores)
            choice->scores[i] = score;
        if (score < least) {
            least = score;
            at = i;
        }
    }
    credit(conf, cand[at], hint);
    return (int)at;
}

const struct policy_ops policy_least_load = {
    .name = "least_load",
    .size = sizeof(struct policy),
    .wants_loads = true,
    .pick = pick,
};
