/* worker/worker_parts.h -- the objects inside a worker's description that are kept as JSON: health, http_pool, resilience
 *
 * They are checked against their shapes and then written again, compact and in the order of the shape, with what was given and nothing else: so a GET shows what a
 * POST said, whatever a client put around it. Pure; used by worker_spec.c (reading) and worker_patch.c (merging).
 */
#pragma once

#include "worker/registry.h"

#define SPEC_ITEMS_MAX 1024 /* labels, models: looked through one by one */

/* A member with a default that is no null, and one that is optional; GIVEN of the optional ones count from 0 in each struct. */
#define DEFAULTED(S, member, shape)                                                           \
    {                                                                                         \
        .name = #member, .type = shape, .at = offsetof(S, member), .at_given = SHAPE_NO_GIVEN \
    }
#define OPTIONAL(S, i, member, shape)                                                                                            \
    {                                                                                                                            \
        .name = #member, .type = shape, .flags = SHAPE_NULLABLE, .at = offsetof(S, member), .at_given = offsetof(S, given) + (i) \
    }

struct raw_health {
    uint64_t timeout_secs, check_interval_secs, drain_settle_secs;
    uint32_t success_threshold, failure_threshold;
    bool disable_health_check;
    bool given[6];
};

struct raw_pool {
    uint64_t pool_max_idle_per_host, pool_idle_timeout_secs, timeout_secs, connect_timeout_secs;
    bool given[4];
};

struct raw_resilience {
    uint64_t initial_backoff_ms, max_backoff_ms, cb_timeout_secs, cb_window_secs;
    uint32_t max_retries, cb_failure_threshold, cb_success_threshold;
    float backoff_multiplier, jitter_factor;
    bool disable_retry, disable_circuit_breaker;
    struct json_shape_array retryable_status_codes; /* uint16_t */
    bool given[12];
};

enum { HEALTH_TIMEOUT, HEALTH_INTERVAL, HEALTH_SUCCESS, HEALTH_FAILURE, HEALTH_DISABLE, HEALTH_DRAIN };
enum { POOL_MAX_IDLE, POOL_IDLE, POOL_TIMEOUT, POOL_CONNECT };
enum {
    RESILIENCE_RETRIES,
    RESILIENCE_INITIAL,
    RESILIENCE_MAX,
    RESILIENCE_MULTIPLIER,
    RESILIENCE_JITTER,
    RESILIENCE_NO_RETRY,
    RESILIENCE_CB_FAILURE,
    RESILIENCE_CB_SUCCESS,
    RESILIENCE_CB_TIMEOUT,
    RESILIENCE_CB_WINDOW,
    RESILIENCE_NO_BREAKER,
    RESILIENCE_CODES
};

extern const struct json_shape WORKER_HEALTH_SHAPE, WORKER_POOL_SHAPE, WORKER_RESILIENCE_SHAPE;

/* What OBJECT (a struct of SHAPE) was given, as JSON in ARENA; empty when nothing was. */
struct str worker_part_write(const struct json_shape *shape, const void *object, struct arena *arena);

/* The members of NEWER over those of OLDER (both as worker_part_write wrote them, or empty), in ARENA. Without memory: empty, and ARENA says so. */
struct str worker_part_merge(const struct json_shape *shape, struct str older, struct str newer, struct arena *arena);

struct worker_health_update worker_health_given(const struct raw_health *h);
struct worker_resilience worker_resilience_given(const struct raw_resilience *r);
struct worker_pool worker_pool_given(const struct raw_pool *p);
