/* observe/prometheus.h -- the text that GET /metrics answers with (Prometheus exposition format 0.0.4; spec operations 8.2)
 *
 * Sources: every shard's cells (base/metric.h), summed over the shards; then collectors, which write families from somebody's live state (gauges of workers, loops).
 * Values in shortest decimal form without exponent; histograms cumulative with `le` last, then _sum and _count; label values escaped.
 * One thread at a time; runs on the control thread.
 */
#pragma once

#include "base/buf.h"
#include "base/metric.h"

struct prometheus_writer {
    struct buf *out;
    const char *family; /* of the samples that follow */
};

struct prometheus_label {
    const char *name;
    struct str value;
};

/* For collectors: one call per family, then its samples. */
void prometheus_family(struct prometheus_writer *w, const char *name, enum metric_type type, const char *help);
void prometheus_sample(struct prometheus_writer *w, const struct prometheus_label *labels, size_t n, double value);

struct prometheus_collector {
    void (*collect)(struct prometheus_writer *w, void *arg);
    void *arg;
};

/* Appends the whole text. */
void prometheus_render(struct buf *out, const struct prometheus_collector *collectors, size_t n);

/* "1", "0.25", "-1", "+Inf": shortest form that reads back as V, without an exponent. */
void prometheus_number(struct buf *out, double v);
