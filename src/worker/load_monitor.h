/* worker/load_monitor.h -- polls the ready workers for their load, for gauges (--engine-metrics, --load-monitor-interval)
 *
 *   timer --fanout--> every ready engine --> the rows of this tick take the place of the last tick's --load_monitor_each--> /metrics
 *
 * A worker that is removed, not ready, or did not answer has no row: its series end (BETTER: SMG sets them to -1 for ever).
 * Threads: the control thread. Bounds: those of a fan-out; one tick at a time: the next one begins an interval after the end of the last.
 */
#pragma once

#include "worker/loads.h"

struct load_monitor;

/* CLIENT and REGISTRY: borrowed, until load_monitor_stop. NULL: memory is out. The first tick begins at once. */
struct load_monitor *load_monitor_new(struct loop *control, struct http_client *client, struct registry *registry,
                                      uint64_t interval_s) _must_check_;
void load_monitor_stop(struct load_monitor *m); /* cancels what runs and forgets what is known. NULL is fine, as below */
void load_monitor_free(struct load_monitor *m); /* when the loop runs no more */

/* The workers of the last tick that told their load, in order of registration, with the rows of RANK (-1: all). */
void load_monitor_each(const struct load_monitor *m,
                       void (*fn)(const struct worker *w, const struct worker_loads *l, int rank, void *arg), void *arg);
