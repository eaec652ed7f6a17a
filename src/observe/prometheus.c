/* observe/prometheus.c -- cells of all shards, grouped and summed, as text
 *
 * The walk collects pointers only (cells live as long as their shard); sorting brings equal series of different shards together.
 */
#include "observe/prometheus.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const TYPE_TEXTS[] = {
    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"
};

void prometheus_number(struct buf *out, double v)
{
    char text[64];
    int precision;

    if (isnan(v) || isinf(v)) {
        buf_put(out, isnan(v) ? STR("NaN") : v > 0 ? STR("+Inf") : STR("-Inf"));
        return;
    }
    if (v == floor(v) && fabs(v) < 1e15) {
        buf_put_i64(out, (int64_t)v);
        return;
    }
    for (precision = 1; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*f", precision, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_put(out, str_of(text));
}

static void put_escaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '\\')
            buf_puts(out, "\\\\");
        else if (c == '"')
            buf_puts(out, "\\\"");
        else if (c == '\n')
            buf_puts(out, "\\n");
        else
            buf_put_char(out, c);
    }
}

static void put_label(struct buf *out, bool first, const char *name, struct str value)
{
    buf_put_char(out, first ? '{' : ',');
    buf_put(out, str_of(name));
    buf_puts(out, "=\"");
    put_escaped(out, value);
    buf_put_char(out, '"');
}

static void put_family(struct buf *out, const char *name, enum metric_type type, const char *help)
{
    if (help)
        buf_printf(out, "# HELP %s %s\n", name, help);
    buf_printf(out, "# TYPE %s %s\n", name, TYPE_TEXTS[type]);
}

void prometheus_family(struct prometheus_writer *w, const char *name, enum metric_type type, const char *help)
{
    if (w->out->n)
        buf_put_char(w->out, '\n');
    put_family(w->out, name, type, help);
    w->family = name;
}

void prometheus_sample(struct prometheus_writer *w, const struct prometheus_label *labels, size_t n, double value)
{
    buf_put(w->out, str_of(w->family));
    for (size_t i = 0; i < n; i++)
        put_label(w->out, i == 0, labels[i].name, labels[i].value);
    if (n)
        buf_put_char(w->out, '}');
    buf_put_char(w->out, ' ');
    prometheus_number(w->out, value);
    buf_put_char(w->out, '\n');
}

/* ---- cells ---- */

struct cells {
    const struct metric_cell **v; /* owned array of borrowed cells */
    size_t n, cap;
    bool failed;
};

static void gather(const struct metric_cell *cell, void *arg)
{
    struct cells *c = arg;

    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 256;
        const struct metric_cell **grown = realloc(c->v, cap * sizeof(*grown));

        if (!grown) {
            c->failed = true;
            return;
        }
        c->v = grown;
        c->cap = cap;
    }
    c->v[c->n++] = cell;
}

static int compare(const void *pa, const void *pb)
{
    const struct metric_cell *a = *(const struct metric_cell *const *)pa, *b = *(const struct metric_cell *const *)pb;
    int r = strcmp(a->family->name, b->family->name);

    for (unsigned i = 0; r == 0 && i < METRIC_LABELS_MAX && a->family->labels[i]; i++)
        r = str_cmp(a->values[i], b->values[i]);
    return r;
}

static void put_name(struct buf *out, const struct metric_cell *c, const char *suffix, const char *le)
{
    unsigned i = 0;

    buf_put(out, str_of(c->family->name));
    buf_put(out, str_of(suffix));
    for (; c->family->labels[i]; i++)
        put_label(out, i == 0, c->family->labels[i], c->values[i]);
    if (le)
        put_label(out, i++ == 0, "le", str_of(le));
    if (i)
        buf_put_char(out, '}');
    buf_put_char(out, ' ');
}

static void put_bound(char text[64], double bound)
{
    struct buf b = { 0 };
    size_t n;

    prometheus_number(&b, bound);
    n = b.n < 63 ? b.n : 63;
    if (n)
        memcpy(text, b.p, n);
    text[n] = 0;
    buf_fini(&b);
}

/* SAME: the N cells of one series, one per shard. */
static void put_histogram(struct buf *out, const struct metric_cell *const *same, size_t n)
{
    const struct metric_cell *first = same[0];
    uint64_t cumulative = 0, sum_ns = 0;
    char le[64];

    for (unsigned b = 0; b <= first->bounds_n; b++) {
        for (size_t i = 0; i < n; i++)
            cumulative += atomic_load_explicit(&same[i]->buckets[b], memory_order_relaxed);
        if (b < first->bounds_n)
            put_bound(le, first->bounds[b]);
        else
            memcpy(le, "+Inf", 5);
        put_name(out, first, "_bucket", le);
        buf_put_u64(out, cumulative);
        buf_put_char(out, '\n');
    }
    for (size_t i = 0; i < n; i++)
        sum_ns += atomic_load_explicit(&same[i]->sum_ns, memory_order_relaxed);
    put_name(out, first, "_sum", NULL);
    prometheus_number(out, (double)sum_ns / 1e9);
    buf_put_char(out, '\n');
    put_name(out, first, "_count", NULL);
    buf_put_u64(out, cumulative);
    buf_put_char(out, '\n');
}

static void put_value(struct buf *out, const struct metric_cell *const *same, size_t n)
{
    int64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += atomic_load_explicit(&same[i]->value, memory_order_relaxed);
    put_name(out, same[0], "", NULL);
    buf_put_i64(out, sum);
    buf_put_char(out, '\n');
}

static void put_cells(struct buf *out, const struct cells *c)
{
    const char *family = NULL;

    for (size_t i = 0, end; i < c->n; i = end) {
        for (end = i + 1; end < c->n && compare(&c->v[i], &c->v[end]) == 0; end++)
            ;
        if (!family || strcmp(family, c->v[i]->family->name) != 0) {
            if (family)
                buf_put_char(out, '\n');
            family = c->v[i]->family->name;
            put_family(out, family, c->v[i]->family->type, c->v[i]->family->help);
        }
        if (c->v[i]->family->type == METRIC_HISTOGRAM)
            put_histogram(out, &c->v[i], end - i);
        else
            put_value(out, &c->v[i], end - i);
    }
}

void prometheus_render(struct buf *out, const struct prometheus_collector *collectors, size_t n)
{
    struct cells cells = { 0 };
    struct prometheus_writer w = { .out = out };

    metrics_each(gather, &cells);
    if (cells.failed)
        out->failed = true;
    if (cells.n)
        qsort(cells.v, cells.n, sizeof(*cells.v), compare);
    put_cells(out, &cells);
    free(cells.v);
    for (size_t i = 0; i < n; i++)
        collectors[i].collect(&w, collectors[i].arg);
}
