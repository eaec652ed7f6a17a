/* plugin/counters.h -- numbers that outlive a call: what the import smg:gateway/shared-counter counts in
 *
 *   absent --first increment--> counting until its window ends --> absent
 *
 * An instance of a plugin starts afresh with every call and is thrown away behind it, so a plugin cannot count for itself. These counters can: one table for all modules, each counter known by the module's
 * name and a key, so that modules do not see each other's. A counter of a module that is registered again under its name goes on.
 * Bounded: COUNTERS_MAX counters, keys of COUNTER_KEY_MAX bytes, windows of COUNTER_WINDOW_MAX_MS. A full table forgets nobody (a limit could be escaped by inventing keys): it takes no new counter until
 * a window ends. Any thread; each call holds one lock for well under a microsecond.
 */
#pragma once

#include "base/attr.h"
#include "base/str.h"

#define COUNTERS_MAX          65536
#define COUNTER_KEY_MAX       256
#define COUNTER_NAME_MAX      256 /* of a module's name: longer ones share what their first bytes name */
#define COUNTER_WINDOW_MAX_MS 86400000

struct counters;

struct counters *counters_new(size_t max); /* MAX counters at a time; NULL: no memory */
void counters_free(struct counters *c);    /* NULL is fine */

/* Adds AMOUNT and returns the sum, which stops at UINT64_MAX. 0: nothing was counted, because a limit is passed or memory is out (or AMOUNT is 0 and there is no such counter: that only looks).
 * NOW_MS: any monotonic clock, always the same. The window of a running counter does not change. */
uint64_t counters_add(struct counters *c, struct str module, struct str key, uint64_t amount, uint64_t window_ms, uint64_t now_ms);

size_t counters_count(struct counters *c); /* those kept, ended ones that nobody asked for since included */
