#include "worker/resilience.h"

#define BIT_429 100 /* behind 500 to 599 */

static unsigned bit_of(unsigned status)
{
    if (status == 429)
        return BIT_429;
    return status >= 500 && status <= 599 ? status - 500 : 128;
}

void status_set_add(struct status_set *s, unsigned status)
{
    unsigned bit = bit_of(status);

    if (bit < 128)
        s->bits[bit / 64] |= 1ull << bit % 64;
}

bool status_set_has(const struct status_set *s, unsigned status)
{
    unsigned bit = bit_of(status);

    return bit < 128 && (s->bits[bit / 64] >> bit % 64 & 1);
}

/* ---- what was given, over something else ---- */

static int64_t newer_int(int64_t newer, int64_t older)
{
    return newer >= 0 ? newer : older;
}

struct worker_resilience worker_resilience_over(const struct worker_resilience *n, const struct worker_resilience *o)
{
    return (struct worker_resilience){
        .max_retries = newer_int(n->max_retries, o->max_retries),
        .initial_backoff_ms = newer_int(n->initial_backoff_ms, o->initial_backoff_ms),
        .max_backoff_ms = newer_int(n->max_backoff_ms, o->max_backoff_ms),
        .backoff_multiplier = n->backoff_multiplier >= 0 ? n->backoff_multiplier : o->backoff_multiplier,
        .jitter_factor = n->jitter_factor >= 0 ? n->jitter_factor : o->jitter_factor,
        .disable_retry = (int)newer_int(n->disable_retry, o->disable_retry),
        .cb_failure_threshold = newer_int(n->cb_failure_threshold, o->cb_failure_threshold),
        .cb_success_threshold = newer_int(n->cb_success_threshold, o->cb_success_threshold),
        .cb_timeout_s = newer_int(n->cb_timeout_s, o->cb_timeout_s),
        .cb_window_s = newer_int(n->cb_window_s, o->cb_window_s),
        .disable_breaker = (int)newer_int(n->disable_breaker, o->disable_breaker),
        .has_codes = n->has_codes || o->has_codes,
        .codes = n->has_codes ? n->codes : o->codes,
    };
}

struct worker_pool worker_pool_over(const struct worker_pool *n, const struct worker_pool *o)
{
    return (struct worker_pool){
        .idle_max = newer_int(n->idle_max, o->idle_max),
        .idle_s = newer_int(n->idle_s, o->idle_s),
        .timeout_s = newer_int(n->timeout_s, o->timeout_s),
        .connect_s = newer_int(n->connect_s, o->connect_s),
    };
}

bool worker_resilience_has_retry(const struct worker_resilience *r)
{
    return r->max_retries >= 0 || r->initial_backoff_ms >= 0 || r->max_backoff_ms >= 0 || r->backoff_multiplier >= 0 ||
           r->jitter_factor >= 0 || r->disable_retry >= 0;
}

/* ---- judging ---- */

struct worker_judge worker_judge_of(const struct breaker_conf *gateway, const struct worker_resilience *r)
{
    struct worker_judge j = { .breaker = *gateway, .failures = STATUS_SET_DEFAULT };

    if (r->cb_failure_threshold >= 0)
        j.breaker.failure_threshold = (uint32_t)r->cb_failure_threshold;
    if (r->cb_success_threshold >= 0)
        j.breaker.success_threshold = (uint32_t)r->cb_success_threshold;
    if (r->cb_timeout_s >= 0)
        j.breaker.timeout_ms = (uint64_t)r->cb_timeout_s * 1000;
    if (r->cb_window_s >= 0)
        j.breaker.window_ms = (uint64_t)r->cb_window_s * 1000;
    if (r->disable_breaker >= 0)
        j.breaker.disabled = r->disable_breaker;
    if (r->has_codes)
        j.failures = r->codes;
    return j;
}

static bool asks_for_a_pause(unsigned status)
{
    return status == 429 || status == 503;
}

enum breaker_outcome worker_judge_status(const struct worker_judge *j, unsigned status)
{
    if (status_set_has(&j->failures, status))
        return BREAKER_FAILURE;
    return asks_for_a_pause(status) ? BREAKER_NOTHING : BREAKER_SUCCESS;
}

uint64_t worker_retry_after_s(struct str value)
{
    uint64_t s;

    return str_to_u64(value, &s) == 0 ? s : 0;
}

unsigned worker_cooldown_s(unsigned status, struct str retry_after)
{
    uint64_t s = worker_retry_after_s(retry_after);

    if (!asks_for_a_pause(status))
        return 0;
    if (s == 0)
        return COOLDOWN_S;
    return s < COOLDOWN_S_MAX ? (unsigned)s : COOLDOWN_S_MAX;
}
