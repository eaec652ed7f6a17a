/* cli/top_screen.c -- the frame */
#include "cli/top_screen.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/text_table.h"

#define FRAME_LINES 5 /* around the rows: three above the titles, the titles, the keys */
#define URL_MIN     20

#define BOLD    "\x1b[1m"
#define REVERSE "\x1b[7m"
#define PLAIN   "\x1b[0m"
#define RED     "\x1b[31m"
#define YELLOW  "\x1b[33m"
#define CYAN    "\x1b[36m"
#define CLEAR   "\x1b[K"

enum column {
    COLUMN_URL,
    COLUMN_MODEL,
    COLUMN_STATE,
    COLUMN_LOAD,
    COLUMN_WAIT,
    COLUMN_RATE,
    COLUMN_LATENCY,
    COLUMN_ERRORS,
    COLUMN_KV,
    COLUMN_N
};

/* RANK: the columns with the highest go first when the terminal is narrow. */
static const struct {
    const char *title;
    unsigned width, rank;
} COLUMNS[COLUMN_N] = {
    [COLUMN_URL] = { "WORKER", URL_MIN, 0 }, [COLUMN_MODEL] = { "MODEL", 24, 8 }, [COLUMN_STATE] = { "STATE", 9, 1 },
    [COLUMN_LOAD] = { "LOAD", 5, 2 },        [COLUMN_WAIT] = { "WAIT", 5, 7 },    [COLUMN_RATE] = { "REQ/S", 7, 3 },
    [COLUMN_LATENCY] = { "LATENCY", 8, 5 },  [COLUMN_ERRORS] = { "ERR/S", 6, 4 }, [COLUMN_KV] = { "KV", 4, 6 },
};

static const char *const SORT_NAMES[SORT_N] = { "order", "load", "rate", "latency", "errors", "KV use", "state", "worker" };

void top_view_fini(struct top_view *v)
{
    buf_fini(&v->trouble);
    buf_fini(&v->news);
    free(v->order);
    v->order = NULL;
    v->order_n = v->order_cap = 0;
}

/* ---- the sorted list ---- */

struct sorting {
    const struct top_state *s;
    enum top_sort by;
};

/* Greater first, then the gateway's order. */
static int by_number(double a, double b)
{
    return (a < b) - (a > b);
}

static int compare(const void *pa, const void *pb, void *arg)
{
    const struct sorting *how = arg;
    uint32_t ia = *(const uint32_t *)pa, ib = *(const uint32_t *)pb;
    const struct top_row *a = &how->s->rows[ia], *b = &how->s->rows[ib];
    int r = 0;

    switch (how->by) {
    case SORT_LOAD:
        r = by_number((double)a->load, (double)b->load);
        break;
    case SORT_RATE:
        r = by_number(a->rate, b->rate);
        break;
    case SORT_LATENCY:
        r = by_number(a->latency_s, b->latency_s);
        break;
    case SORT_ERRORS:
        r = by_number(a->errors, b->errors);
        break;
    case SORT_KV:
        r = by_number(a->engine.kv_use, b->engine.kv_use);
        break;
    case SORT_STATE:
        r = str_cmp(a->status, b->status);
        break;
    case SORT_URL:
        r = str_cmp(a->url, b->url);
        break;
    default:
        break;
    }
    return r ? r : (ia > ib) - (ia < ib);
}

static bool sort_rows(struct top_view *v, const struct top_state *s)
{
    struct sorting how = { s, v->sort };

    if (s->n > v->order_cap) {
        uint32_t *more = reallocarray(v->order, s->n, sizeof *more);

        if (!more)
            return false;
        v->order = more;
        v->order_cap = s->n;
    }
    v->order_n = s->n;
    for (size_t i = 0; i < s->n; i++)
        v->order[i] = (uint32_t)i;
    if (s->n)
        qsort_r(v->order, s->n, sizeof *v->order, compare, &how);
    return true;
}

/* ---- the selection ---- */

static size_t selected_place(const struct top_view *v, const struct top_state *s)
{
    for (size_t i = 0; i < v->order_n && v->order[i] < s->n; i++)
        if (str_eq(s->rows[v->order[i]].id, str_of(v->selected)))
            return i;
    return MIN(v->first, v->order_n ? v->order_n - 1 : 0); /* its worker is gone: the one that took its place on the screen */
}

const struct top_row *top_selected(const struct top_view *v, const struct top_state *s)
{
    size_t at = selected_place(v, s);

    return at < v->order_n && v->order[at] < s->n ? &s->rows[v->order[at]] : NULL;
}

static void select_place(struct top_view *v, const struct top_state *s, size_t at)
{
    struct str id = s->rows[v->order[at]].id;

    snprintf(v->selected, sizeof v->selected, "%.*s", STR_FMT(str_first(id, sizeof v->selected - 1)));
}

void top_move(struct top_view *v, const struct top_state *s, long n)
{
    long at = (long)selected_place(v, s) + n, last = (long)MIN(v->order_n, s->n) - 1;

    if (last >= 0)
        select_place(v, s, (size_t)MAX(MIN(at, last), 0L));
}

unsigned top_page(const struct top_view *v)
{
    return v->lines > FRAME_LINES ? v->lines - FRAME_LINES : 1;
}

/* Scrolls so that the selected row is on the screen. */
static void scroll(struct top_view *v, const struct top_state *s)
{
    size_t page = top_page(v), at;

    if (v->order_n == 0 || v->lines == 0) {
        v->first = 0;
        return;
    }
    at = selected_place(v, s);
    select_place(v, s, at);
    if (at < v->first)
        v->first = at;
    if (at >= v->first + page)
        v->first = at - page + 1;
    if (v->first + page > v->order_n)
        v->first = v->order_n > page ? v->order_n - page : 0;
}

/* ---- lines ---- */

/* TEXT cut to the terminal's width, with what ends a line. */
static void put_line(const struct top_view *v, struct str text, const char *style, struct buf *out)
{
    size_t columns = 0, i = 0;

    for (; i < text.n; i++) {
        if (((unsigned char)text.p[i] & 0xC0) != 0x80 && columns++ == v->columns)
            break;
    }
    if (v->escapes && style)
        buf_put(out, str_of(style));
    buf_put(out, str_first(text, i));
    if (v->escapes && style)
        buf_puts(out, PLAIN);
    if (v->escapes)
        buf_puts(out, CLEAR "\r\n");
    else
        buf_puts(out, "\n");
}

static void put_rate(double v, struct buf *out)
{
    if (v < 0)
        buf_puts(out, "-");
    else if (v >= 100000)
        buf_printf(out, "%.0fk", v / 1000);
    else
        buf_printf(out, v < 100 ? "%.1f" : "%.0f", v);
}

static void put_latency(double s, struct buf *out)
{
    if (s < 0)
        buf_puts(out, "-");
    else if (s < 1)
        buf_printf(out, s < 0.01 ? "%.1f ms" : "%.0f ms", s * 1000);
    else
        buf_printf(out, s < 100 ? "%.2f s" : "%.0f s", s);
}

static void put_value(enum column c, const struct top_row *row, struct buf *out)
{
    static const struct str SCHEME = STR_INIT("http://");

    switch (c) {
    case COLUMN_URL:
        buf_put(out, str_has_prefix(row->url, SCHEME) ? str_skip(row->url, SCHEME.n) : row->url);
        break;
    case COLUMN_MODEL:
        buf_put(out, row->model.n ? row->model : STR("(any)"));
        break;
    case COLUMN_STATE:
        buf_put(out, row->status);
        break;
    case COLUMN_LOAD:
        buf_put_u64(out, row->load);
        break;
    case COLUMN_WAIT:
        if (row->engine.known)
            buf_put_u64(out, row->engine.waiting);
        else
            buf_puts(out, "-");
        break;
    case COLUMN_RATE:
        put_rate(row->rate, out);
        break;
    case COLUMN_LATENCY:
        put_latency(row->latency_s, out);
        break;
    case COLUMN_ERRORS:
        put_rate(row->errors, out);
        break;
    default:
        if (row->engine.kv_use >= 0)
            buf_printf(out, "%.0f%%", row->engine.kv_use * 100);
        else
            buf_puts(out, "-");
    }
}

/* Widths of the columns; 0 = not shown. The first takes what is left. */
static void lay_out(const struct top_view *v, unsigned widths[COLUMN_N])
{
    unsigned sum = 0;

    for (int c = 0; c < COLUMN_N; c++) {
        widths[c] = COLUMNS[c].width;
        sum += widths[c] + (c > 0);
    }
    while (sum > v->columns) {
        int least = 0;

        for (int c = 1; c < COLUMN_N; c++)
            if (widths[c] && COLUMNS[c].rank > COLUMNS[least].rank)
                least = c;
            else if (widths[c] && !widths[least])
                least = c;
        if (least == 0)
            break;
        sum -= widths[least] + 1;
        widths[least] = 0;
    }
    widths[COLUMN_URL] = sum > v->columns ? MAX(v->columns, 1u) : widths[COLUMN_URL] + v->columns - sum;
}

static void put_cells(const struct top_row *row, const unsigned *widths, struct buf *line)
{
    for (int c = 0; c < COLUMN_N; c++) {
        _cleanup_(buf_fini) struct buf value = { 0 };
        bool right = c > COLUMN_STATE;

        if (!widths[c])
            continue;
        if (c)
            buf_put_char(line, ' ');
        if (row)
            put_value((enum column)c, row, &value);
        else
            buf_put(&value, str_of(COLUMNS[c].title));
        text_put_cell(buf_str(&value), widths[c], right, line);
        line->failed |= value.failed;
    }
}

static const char *style_of(const struct top_view *v, const struct top_row *row, bool selected)
{
    if (selected)
        return REVERSE;
    if (!v->colours || str_eq(row->status, STR("ready")))
        return NULL;
    if (str_eq(row->status, STR("failed")))
        return RED;
    return str_eq(row->status, STR("draining")) ? CYAN : YELLOW;
}

static void put_rows(struct top_view *v, const struct top_state *s, struct buf *out)
{
    size_t shown = v->lines ? top_page(v) : v->order_n, selected = selected_place(v, s);
    unsigned widths[COLUMN_N];

    lay_out(v, widths);
    for (size_t i = 0; i <= shown; i++) {
        _cleanup_(buf_fini) struct buf line = { 0 };
        size_t at = v->first + i - 1;
        const struct top_row *row = i && at < v->order_n ? &s->rows[v->order[at]] : NULL;

        if (i == 0 || row)
            put_cells(row, widths, &line);
        if (i == 0)
            put_line(v, buf_str(&line), v->lines ? BOLD : NULL, out);
        else
            put_line(v, buf_str(&line), row ? style_of(v, row, v->lines && at == selected) : NULL, out);
        out->failed |= line.failed;
    }
}

/* ---- the lines around ---- */

static void put_sum(const struct top_view *v, const struct top_state *s, struct buf *out)
{
    static const struct str STATES[] = { STR_INIT("ready"), STR_INIT("not_ready"), STR_INIT("failed"), STR_INIT("draining") };
    _cleanup_(buf_fini) struct buf line = { 0 };
    double rate = 0, errors = 0;
    uint64_t load = 0;
    bool first = true;

    buf_printf(&line, "%zu worker%s", s->n, s->n == 1 ? "" : "s");
    for (size_t k = 0; k < ARRAY_LEN(STATES); k++) {
        size_t n = 0;

        for (size_t i = 0; i < s->n; i++)
            n += str_eq(s->rows[i].status, STATES[k]);
        if (n)
            buf_printf(&line, "%s%zu %.*s", first ? ": " : ", ", n, STR_FMT(STATES[k]));
        first &= n == 0;
    }
    for (size_t i = 0; i < s->n; i++) {
        load += s->rows[i].load;
        rate += MAX(s->rows[i].rate, 0.0);
        errors += MAX(s->rows[i].errors, 0.0);
    }
    buf_printf(&line, "; %llu in flight", (unsigned long long)load);
    if (s->rated) {
        buf_puts(&line, ", ");
        put_rate(rate, &line);
        buf_puts(&line, " requests/s, ");
        put_rate(errors, &line);
        buf_puts(&line, " errors/s");
    }
    put_line(v, s->listed ? buf_str(&line) : STR("no list of workers yet"), NULL, out);
    out->failed |= line.failed;
}

static void put_top(const struct top_view *v, const struct top_state *s, struct buf *out)
{
    _cleanup_(buf_fini) struct buf line = { 0 };

    buf_printf(&line, "smg top %.*s, every %g s, sorted by %s", STR_FMT(v->gateway), v->interval_s, SORT_NAMES[v->sort]);
    put_line(v, buf_str(&line), v->lines ? BOLD : NULL, out);
    put_sum(v, s, out);
    if (v->trouble.n)
        put_line(v, buf_str(&v->trouble), v->colours ? RED : NULL, out);
    else if (v->news.n)
        put_line(v, buf_str(&v->news), NULL, out);
    else if (!v->metrics)
        put_line(v, STR("no rates: the metrics page does not answer; name it with --metrics URL"), NULL, out);
    else
        put_line(v, STR_NONE, NULL, out);
    out->failed |= line.failed;
}

static void put_bottom(const struct top_view *v, const struct top_state *s, struct buf *out)
{
    _cleanup_(buf_fini) struct buf line = { 0 };
    const struct top_row *row = top_selected(v, s);

    if (v->mode == TOP_ASK_DRAIN && row)
        buf_printf(&line, "Drain %.*s (%llu in flight) and remove it? y/n", STR_FMT(row->url), (unsigned long long)row->load);
    else if (v->mode == TOP_ASK_FLUSH)
        buf_printf(&line, "Flush the caches of all %zu workers? y/n", s->n);
    else
        buf_puts(&line, "Up/Down select   d drain   f flush   s sort   ? help   q quit");
    put_line(v, buf_str(&line), v->mode == TOP_WATCH ? NULL : REVERSE, out);
    if (v->escapes && !out->failed)
        out->n -= 2; /* without the newline of the last line, which would scroll */
    out->failed |= line.failed;
}

static void put_help(const struct top_view *v, struct buf *out)
{
    static const struct str LINES[] = {
        STR_INIT("Up Down k j         select a worker; PageUp, PageDown, Home and End go farther"),
        STR_INIT("d                   drain the selected worker: no new requests; it goes when empty"),
        STR_INIT("f                   flush the prefix caches of all workers"),
        STR_INIT("s S                 sort by the next, the previous column"),
        STR_INIT("r                   ask again now"),
        STR_INIT("q Ctrl+C            quit"),
        STR_INIT(""),
        STR_INIT("LOAD      requests in flight through this gateway"),
        STR_INIT("WAIT      requests that wait inside the engine"),
        STR_INIT("REQ/S     finished requests a second     LATENCY  their mean duration"),
        STR_INIT("ERR/S     failed attempts and 5xx replies a second"),
        STR_INIT("KV        share of the engine's KV cache in use"),
        STR_INIT(""),
        STR_INIT("Any key goes back."),
    };

    for (unsigned i = 0; i < v->lines; i++) {
        put_line(v, i < ARRAY_LEN(LINES) ? LINES[i] : STR_NONE, NULL, out);
        if (i + 1 == v->lines && v->escapes && !out->failed)
            out->n -= 2;
    }
}

void top_render(struct top_view *v, const struct top_state *s, struct buf *out)
{
    if (!sort_rows(v, s)) {
        out->failed = true;
        return;
    }
    scroll(v, s);
    if (v->escapes)
        buf_puts(out, "\x1b[H"); /* home; nothing is cleared first, so nothing flickers */
    if (v->mode == TOP_HELP) {
        put_help(v, out);
        return;
    }
    put_top(v, s, out);
    put_rows(v, s, out);
    if (v->lines)
        put_bottom(v, s, out);
    if (v->escapes)
        buf_puts(out, "\x1b[J");
}
