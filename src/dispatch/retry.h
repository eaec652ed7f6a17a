/* dispatch/retry.h -- when an attempt is worth another one, and after which pause (spec data-plane 7; decisions 6, 7)
 *
 *   status of the failed attempt                              next
 *   refused, unreachable, unresolved, TLS, connect timeout    another worker, at once: this one never saw the request
 *   reset or closed before the head, no HTTP                  another worker, at once; none left: a pause, then anyone
 *   408 429 500 502 503 504 from the worker                   a pause, then another worker; none left: anyone
 *   no head in time                                           another worker, at once, while the request is younger than --request-timeout-secs: where the
 *                                                             time that ran out was the worker's own (`http_pool.timeout_secs`)
 *   anything else; after the first byte of a reply            none
 *
 * A pause grows: initial * multiplier^k, cut to whole milliseconds and to max, then moved by up to jitter times itself. Where only workers that were tried are left, it lasts at least
 * as long as Retry-After said, up to max.
 * Pure.
 */
#pragma once

#include "base/random.h"
#include "worker/resilience.h"

struct retry_conf {
    unsigned attempts_max; /* in all; at least 1 */
    uint32_t initial_ms, max_ms;
    double multiplier; /* at least 1 */
    double jitter;     /* 0..1 */
};

/* The defaults of the command line. Initialiser. */
#define RETRY_CONF_DEFAULT                                                                     \
    {                                                                                          \
        .attempts_max = 5, .initial_ms = 50, .max_ms = 30000, .multiplier = 1.5, .jitter = 0.2 \
    }

/* What a worker was given, over CONF. */
struct retry_conf retry_conf_over(const struct worker_resilience *given, const struct retry_conf *conf);

/* The pause after failed attempt K (0 = the first). */
uint32_t retry_backoff_ms(const struct retry_conf *conf, unsigned k, struct random *random);

bool retry_status(unsigned status);
