/* observe/metrics_text.h -- reading the Prometheus exposition format 0.0.4, line by line
 *
 *   struct str rest = text;
 *   while (metrics_next(&rest, &line) != METRICS_END) ... line.kind, line.name, line.labels ...
 *
 * Views into the text; nothing is allocated and nothing is kept. Beyond the format as it is written down, what engines really send is taken: carriage returns before
 * the line's end, an exemplar behind a sample (OpenMetrics; left out), "# EOF" and other comments (METRICS_OTHER). A line that no reader could understand is
 * METRICS_BAD, and the reader goes on behind it: the caller decides whether one such line spoils the text.
 */
#pragma once

#include "base/str.h"

#define METRICS_LINE_LABELS_MAX 64 /* labels of a sample; engines have at most a dozen; a line with more is METRICS_BAD */

enum metrics_line_kind { METRICS_END, METRICS_SAMPLE, METRICS_HELP, METRICS_TYPE, METRICS_OTHER, METRICS_BAD };

struct metrics_label {
    struct str name, value; /* the value as it stands between its quotes, escapes not undone */
};

struct metrics_line {
    enum metrics_line_kind kind;
    struct str whole;     /* without its end */
    struct str name;      /* of the metric: SAMPLE, HELP, TYPE */
    struct str text;      /* HELP: the text, escapes not undone; TYPE: counter, gauge, histogram, summary, untyped */
    struct str timestamp; /* SAMPLE: digits, milliseconds; empty = none */
    double value;         /* SAMPLE; may be NaN or infinite */
    struct metrics_label labels[METRICS_LINE_LABELS_MAX];
    unsigned labels_n;
};

/* Takes the next line off *REST. */
enum metrics_line_kind metrics_next(struct str *rest, struct metrics_line *ret);

bool metrics_is_name(struct str s);       /* [a-zA-Z_:][a-zA-Z0-9_:]* */
bool metrics_is_label_name(struct str s); /* the same without ':' */
