/* smg_counter.h -- counters that outlive a call, for plugins of the world smg-counting
 *
 * An import of this gateway: a component that uses it does not run in other gateways.
 */
#pragma once

#include "smg_plugin.h"

/* Adds AMOUNT to the counter KEY (at most 256 bytes) and returns the sum. The first increment opens a window of WINDOW_MS (at most a day); with its end the counter is gone.
 * An AMOUNT of 0 only looks. 0: nothing was counted; the gateway keeps 65,536 counters at a time. A plugin sees its own counters only. */
__attribute__((import_module("smg:gateway/shared-counter"), import_name("increment"))) uint64_t smg_increment_(const char *key,
                                                                                                               uint32_t key_n,
                                                                                                               uint64_t amount,
                                                                                                               uint64_t window_ms);

static inline uint64_t smg_increment(struct smg_str key, uint64_t amount, uint64_t window_ms)
{
    return smg_increment_(key.p, key.n, amount, window_ms);
}
