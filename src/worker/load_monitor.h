/* worker/load_monitor.h -- polls the ready workers for their load: for policies that go by it, and for gauges (--load-monitor-interval, --engine-metrics)
 *
 *   timer --fanout--> the ready engines whose interval has passed --> what they said: worker_live.report (policies), load_monitor_each (/metrics, DP ranks)
 *
 * It polls while somebody wants it to. A worker's own load_monitor_interval_secs comes before the gateway's; less than a second is a second. A worker that is removed,
 * not ready, or did not answer has no row and no report: policies fall back to what they know themselves (BETTER: SMG keeps the last report for ever).
 * Threads: the control thread. Bounds: those of a fan-out; one tick at a time; one answer per engine is kept.
 */
#pragma once

#include "worker/loads.h"

struct load_monitor;

/* CLIENT and REGISTRY: borrowed, until load_monitor_stop. NULL: memory is out. It is idle until somebody wants it. */
struct load_monitor *load_monitor_new(struct loop *control, struct http_client *client, struct registry *registry,
                                      uint64_t interval_s) _must_check_;
/* Poll from now on, the first time at once; or no more, and what is known is forgotten. */
void load_monitor_want(struct load_monitor *m, bool wanted);

/* From a registry_subscribe callback: a worker that has become ready is asked soon, one that is not has no report. */
void load_monitor_on_registry(struct load_monitor *m, enum registry_event e, const struct worker *w);

/* TOLD is called after each tick. */
void load_monitor_on_told(struct load_monitor *m, void (*told)(void *arg), void *arg);

void load_monitor_stop(struct load_monitor *m); /* cancels what runs and forgets what is known. NULL is fine, as below */
void load_monitor_free(struct load_monitor *m); /* when the loop runs no more */

/* The workers of the last tick that told their load, in order of registration, with the rows of RANK (-1: all). */
void load_monitor_each(const struct load_monitor *m,
                       void (*fn)(const struct worker *w, const struct worker_loads *l, int rank, void *arg), void *arg);
