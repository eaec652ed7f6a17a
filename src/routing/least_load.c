/* routing/least_load.c -- where a request would wait least, by what the engines report (spec data-plane 6.5)
 *
 *   seconds = (tokens that wait + tokens sent since the report - tokens done since) / throughput  +  weight * k / (1 - k)        k: share of the KV cache in use
 *
 * BETTER, because a report is up to a poll's interval old and all loops follow the same one: a request is credited with what its body's bytes come to rather than with a
 * constant, so that what was sent and what the engine reports are of one kind; each request that has ended since the report takes half as much away as this one would add,
 * so that a queue that is long gone does not keep requests away for a second; what is in flight counts at the least; and throughput is the most that the engine has shown of late (worker.h), because one that
 * got little to do generates little and would get less yet.
 * A worker that reports nothing while others do is judged by its requests in flight, each of an average length; when nobody reports, requests in flight are compared
 * as they are. The first of equals wins. The tokens of a request are credited to its worker until the next report covers them.
 */
#include <math.h>

#include "routing/choose.h"
#include "routing/policies.h"

#define USAGE_MAX   0.999 /* a full cache counts for so much, not for ever */
#define TOKEN_BYTES 4     /* of English text, about */
/* Of the requests that ended since the report some had left the queue before it and some after it: half of them are taken to be in it no more. */
#define ENDED_PART 0.5

static bool reports(const struct worker *w)
{
    return atomic_load_explicit(&w->live->report.at_us, memory_order_relaxed) != 0;
}

static double throughput(const struct policy_conf *conf, const struct worker *w)
{
    double t = atomic_load_explicit(&w->live->report.throughput, memory_order_relaxed);

    return t > 0 ? t : conf->default_throughput;
}

/* What this request adds to a queue. */
static int64_t tokens_of(const struct policy_conf *conf, const struct policy_hint *hint)
{
    if (hint->tokens_n)
        return (int64_t)hint->tokens_n;
    return hint->body_bytes ? (int64_t)(hint->body_bytes / TOKEN_BYTES) + 1 : conf->mean_prefill_tokens;
}

static double wait_by_report(const struct policy_conf *conf, const struct worker *w, int64_t tokens_of_one)
{
    const struct worker_report *r = &w->live->report;
    double usage = fmin(fmax(atomic_load_explicit(&r->kv_usage, memory_order_relaxed), 0), USAGE_MAX);
    double tokens = (double)atomic_load_explicit(&r->queued_tokens, memory_order_relaxed) +
                    (double)atomic_load_explicit(&w->live->credited_tokens, memory_order_relaxed) -
                    (double)worker_ended_since_report(w) * (double)tokens_of_one * ENDED_PART;

    return fmax(tokens, (double)worker_load(w) * (double)tokens_of_one) / throughput(conf, w) +
           conf->kv_pressure_weight * usage / (1 - usage);
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

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    const struct policy_conf *conf = &p->conf;
    double least = INFINITY, nominal;
    int64_t tokens;
    bool any = false;
    size_t at = 0;

    choice->branch = "only_one";
    if (n == 1)
        return 0;
    tokens = tokens_of(conf, hint);
    nominal = nominal_throughput(conf, cand, n, &any);
    choice->branch = any ? "reports" : "request_counts";
    choice->score_name = any ? "seconds" : "load";
    for (size_t i = 0; i < n; i++) {
        double score = (double)policy_load(hint, cand[i]);

        if (any)
            score = reports(cand[i]) ? wait_by_report(conf, cand[i], tokens) : score * conf->mean_prefill_tokens / nominal;
        if (choice->scores)
            choice->scores[i] = score;
        if (score < least) {
            least = score;
            at = i;
        }
    }
    if (!hint->shadow)
        atomic_fetch_add_explicit(&cand[at]->live->credited_tokens, tokens, memory_order_relaxed);
    return (int)at;
}

const struct policy_ops policy_least_load = {
    .name = "least_load",
    .size = sizeof(struct policy),
    .wants_loads = true,
    .pick = pick,
};
