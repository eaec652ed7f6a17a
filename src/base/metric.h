/* base/metric.h -- counting: one shard per thread, summed when somebody asks
 *
 *   loop thread i --metric_add--> its own shard        (relaxed stores to its own cells: no lock, no shared cache line)
 *   control thread --metrics_each--> walks all shards  (observe/ writes the Prometheus text)
 *
 * A family is a static definition; a series is a family with label values; a cell is a series in one shard. Finding a cell costs one hash
 * lookup: hot paths keep the pointer (cells live as long as their shard).
 * Bound: METRIC_SERIES_MAX series per family and shard; further label values share one series whose labels all read "other".
 * Threads: metrics_shard_*: any thread (they share a lock with metrics_each). metric_cell, _add, _set, _observe: the owner of
 * the shard. metrics_each: any thread. A cell's list link is published with release and read with acquire; its numbers are relaxed atomics.
 */
#pragma once

#include <stdatomic.h>

#include "base/str.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX  8
#define METRIC_BUCKETS_MAX 64
#define METRIC_SERIES_MAX  2000 /* the one for "other" included */
#define METRIC_VALUE_MAX   256  /* bytes of a label value; the rest of a longer one is cut off */

struct metric_family {
    const char *name, *help;
    enum metric_type type;
    const char *labels[METRIC_LABELS_MAX + 1]; /* in output order, NULL-terminated */
    const double *bounds;                      /* histograms: upper bounds, ascending, without +Inf; NULL = the duration buckets */
    unsigned bounds_n;                         /* of bounds; 1..METRIC_BUCKETS_MAX; unused when bounds is NULL */
};

/* One series of one shard. */
struct metric_cell {
    const struct metric_family *family;
    struct metric_cell *_Atomic next;     /* in the shard, newest first */
    struct str values[METRIC_LABELS_MAX]; /* owned by the cell */
    _Atomic int64_t value;                /* counter or gauge */
    _Atomic uint64_t sum_ns;              /* histogram: sum in billionths of the unit */
    unsigned bounds_n;
    const double *bounds;
    _Atomic uint64_t buckets[]; /* bounds_n + 1; the last is +Inf; not cumulative */
};

struct metrics_shard;

/* The duration buckets of every histogram whose family gives none: the 29 of spec operations 8.3 unless replaced here, before the first shard is made.
 * ERR_LIMIT: none or more than METRIC_BUCKETS_MAX; ERR_INVALID: not ascending or not finite. */
extern const double METRIC_DURATION_BOUNDS[];
int metrics_set_duration_bounds(const double *bounds, size_t n) _must_check_;

struct metrics_shard *metrics_shard_new(void) _must_check_; /* joins the process's list of shards */
void metrics_shard_free(struct metrics_shard *s);

/* The cell of FAMILY with these label values (as many as the family has labels; copied when new). NULL only when memory is out: the calls below accept that. */
struct metric_cell *metric_cell(struct metrics_shard *s, const struct metric_family *family, const struct str *values);

void metric_add(struct metric_cell *c, int64_t n);
void metric_set(struct metric_cell *c, int64_t value);
void metric_observe_us(struct metric_cell *c, uint64_t us); /* a duration into a histogram of seconds */
void metric_observe(struct metric_cell *c, double value);   /* negative values and NaN are ignored */

/* Calls FN for every cell of every shard. FN must not call back into this file. */
void metrics_each(void (*fn)(const struct metric_cell *cell, void *arg), void *arg);
