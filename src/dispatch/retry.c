#include "dispatch/retry.h"

#include <math.h>

struct retry_conf retry_conf_over(const struct worker_resilience *g, const struct retry_conf *conf)
{
    struct retry_conf c = *conf;

    if (g->max_retries >= 0)
        c.attempts_max = (unsigned)MAX(g->max_retries, 1);
    if (g->initial_backoff_ms >= 0)
        c.initial_ms = (uint32_t)g->initial_backoff_ms;
    if (g->max_backoff_ms >= 0)
        c.max_ms = (uint32_t)g->max_backoff_ms;
    if (g->backoff_multiplier >= 0)
        c.multiplier = MAX(g->backoff_multiplier, 1.0);
    if (g->jitter_factor >= 0)
        c.jitter = MIN(g->jitter_factor, 1.0);
    if (g->disable_retry == 1)
        c.attempts_max = 1;
    return c;
}

uint32_t retry_backoff_ms(const struct retry_conf *conf, unsigned k, struct random *random)
{
    double ms = floor((double)conf->initial_ms * pow(conf->multiplier, k));

    ms = MIN(ms, (double)conf->max_ms); /* an infinite power too */
    if (conf->jitter > 0)
        ms += round(ms * conf->jitter * (2 * random_unit(random) - 1));
    return (uint32_t)MAX(ms, 0.0);
}

bool retry_status(unsigned status)
{
    switch (status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return true;
    default:
        return false;
    }
}
