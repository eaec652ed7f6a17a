/* admission/rate.h -- so many requests per second, for all loops together, without a lock
 *
 * A token bucket of one second's tokens, full at the start, refilled continuously, kept as one number: the time at which the bucket will be full again (the generic cell
 * rate algorithm). A request moves that time by 1/rate; it may not come to lie more than a second ahead. Tokens are not given back. Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rate {
    _Atomic uint64_t full_at_ns; /* clock_now_ns() */
    _Atomic uint64_t token_ns;   /* 1/rate; 0 = no limit. Written by rate_configure */
};

void rate_configure(struct rate *r, uint32_t per_second); /* 0 = no limit */

/* Takes one token. False: there is none; *RET_WAIT_NS = when there will be. */
bool rate_take(struct rate *r, uint64_t now_ns, uint64_t *ret_wait_ns);
