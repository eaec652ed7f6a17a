/* worker/resilience.h -- `resilience` and `http_pool` of a worker: how its failures are judged, how often a request for it is tried again, how its connections are kept
 *
 *   JSON of a worker --worker_parts--> struct worker_resilience, struct worker_pool: what was given
 *   gateway's flags -------------------+--> struct worker_judge: in force, part of the description (registry_in_force)
 *
 * Blame. An attempt's outcome, for the worker's breaker:
 *
 *   a reply whose status is none of those below, whole     success (4xx included: the client's fault, whatever `retryable_status_codes` says)
 *   429, 503                                               nothing: it is busy, not broken. It cools down for Retry-After (COOLDOWN_S without one, at most COOLDOWN_S_MAX)
 *   500, 502, 504; or the list `retryable_status_codes`    failure (a list may name 429 and 503, which count then, and cool down all the same)
 *   no connection, reset, reply that is no HTTP or is cut  failure
 *   no reply in time                                       failure, unless others got good replies from it meanwhile: then it is at work, and nothing is said
 *   the client left, our own memory was out                nothing
 *
 * Read next: breaker.h. Threads: pure.
 */
#pragma once

#include "worker/breaker.h"

#define COOLDOWN_S     1
#define COOLDOWN_S_MAX 60 /* a worker that asks for more is asked again anyway: nobody else would learn that it is back */

/* The statuses 500 to 599, and 429, as bits. */
struct status_set {
    uint64_t bits[2];
};
#define STATUS_SET_DEFAULT                                                     \
    {                                                                          \
        {                                                                      \
            1ull << (500 - 500) | 1ull << (502 - 500) | 1ull << (504 - 500), 0 \
        }                                                                      \
    }
void status_set_add(struct status_set *s, unsigned status); /* one that is in no set is ignored: it never counts */
bool status_set_has(const struct status_set *s, unsigned status);

/* What was given; -1 = nothing: the gateway's. */
struct worker_resilience {
    int64_t max_retries, initial_backoff_ms, max_backoff_ms; /* attempts in all, as SMG counts */
    double backoff_multiplier, jitter_factor;
    int disable_retry;
    int64_t cb_failure_threshold, cb_success_threshold, cb_timeout_s, cb_window_s;
    int disable_breaker;
    bool has_codes;
    struct status_set codes;
};
#define WORKER_RESILIENCE_NONE                             \
    {                                                      \
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, false, \
        {                                                  \
            {                                              \
                0, 0                                       \
            }                                              \
        }                                                  \
    }

struct worker_pool {
    int64_t idle_max, idle_s, timeout_s, connect_s;
};
#define WORKER_POOL_NONE \
    {                    \
        -1, -1, -1, -1   \
    }

/* Members that NEWER was given take the place of OLDER's. */
struct worker_resilience worker_resilience_over(const struct worker_resilience *newer, const struct worker_resilience *older);
struct worker_pool worker_pool_over(const struct worker_pool *newer, const struct worker_pool *older);

bool worker_resilience_has_retry(const struct worker_resilience *r); /* any member about retries was given */

/* How a worker is judged: in force. */
struct worker_judge {
    struct breaker_conf breaker;
    struct status_set failures;
};
struct worker_judge worker_judge_of(const struct breaker_conf *gateway, const struct worker_resilience *r);

enum breaker_outcome worker_judge_status(const struct worker_judge *j, unsigned status);

/* How long a worker that answered STATUS wants to be left alone, in seconds; 0 = it said nothing of the kind. RETRY_AFTER: the field's value, empty = none. */
unsigned worker_cooldown_s(unsigned status, struct str retry_after);

/* "120": seconds. A date, or nonsense: 0. */
uint64_t worker_retry_after_s(struct str value);
