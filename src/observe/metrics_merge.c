/* observe/metrics_merge.c -- many engines' metrics on one page
 *
 * The texts are kept as they came and read twice: once to check them and to note which runs of lines belong to which family, once more, run by run, when the page
 * is written. Reading again is cheaper than keeping every sample's labels, and the page never stands in memory as a whole.
 */
#include "observe/metrics_merge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/map.h"
#include "observe/metrics_text.h"
#include "observe/prometheus.h"

/* Different labels of one family, over all texts: a line of the page has them all, the origin's, le and quantile, and must be readable. */
#define FAMILY_LABELS_MAX (METRICS_LINE_LABELS_MAX - 3)
/* A family costs about 1.2 KB. A large vLLM has some 200; a page of nothing but names must not turn 4 MiB into a gigabyte. */
#define TEXT_FAMILIES_MAX 4096  /* that one text brings */
#define FAMILIES_MAX      65536 /* of all texts */

/* Lines of one family that follow each other in one text; other lines may stand between them when they belong to no family. */
struct run {
    uint32_t text;     /* index into texts */
    uint32_t from, to; /* bytes */
};

struct family {
    struct family *next; /* in order of appearance */
    struct str name, help, type;
    uint32_t typed_by; /* index of the text */
    bool has_help, has_type, has_samples;
    struct run *runs; /* owned */
    size_t runs_n, runs_cap;
    struct str labels[FAMILY_LABELS_MAX]; /* names, sorted; without le and quantile */
    unsigned labels_n;
};

struct text {
    struct buf bytes; /* owned */
    struct str origin;
};

struct metrics_merge {
    struct str label, exported; /* "exported_" and the label */
    size_t text_max, text_n;
    struct arena arena; /* families and origins */
    struct map by_name;
    struct family *first, *last;
    size_t families_n, families_before; /* before the text that is being taken */
    struct text *texts;                 /* owned */
    size_t texts_n, texts_cap;
    /* the page: where writing goes on */
    struct family *at;
    size_t run;
    uint32_t line; /* offset in the run's text */
    bool begun, in_family;
};

struct metrics_merge *metrics_merge_new(struct str label, size_t text_max)
{
    struct metrics_merge *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    arena_init(&m->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    m->label = label;
    m->text_max = MIN(text_max, (size_t)UINT32_MAX);
    m->exported = label.n ? arena_printf(&m->arena, "exported_%.*s", STR_FMT(label)) : STR_NONE;
    if (m->arena.failed) {
        metrics_merge_free(m);
        return NULL;
    }
    return m;
}

void metrics_merge_free(struct metrics_merge *m)
{
    if (!m)
        return;
    for (struct family *f = m->first; f; f = f->next)
        free(f->runs);
    for (size_t i = 0; i < m->texts_n; i++)
        buf_fini(&m->texts[i].bytes);
    budget_give(m->text_n);
    free(m->texts);
    map_fini(&m->by_name);
    arena_fini(&m->arena);
    free(m);
}

size_t metrics_merge_texts(const struct metrics_merge *m)
{
    return m->texts_n;
}

/* ---- taking a text ---- */

/* The names in a text that we own, in place. */
static void replace_colons(struct str name)
{
    char *p = (char *)(uintptr_t)name.p;

    for (size_t i = 0; i < name.n; i++)
        if (p[i] == ':')
            p[i] = '_';
}

/* Every line is understood, and no family has two types. */
static int check(struct str text)
{
    struct str rest = text;
    struct metrics_line line;

    while (metrics_next(&rest, &line) != METRICS_END) {
        if (line.kind == METRICS_BAD)
            return ERR_SYNTAX;
        replace_colons(line.name);
    }
    return 0;
}

static int family_of(struct metrics_merge *m, struct str name, struct family **ret)
{
    struct family *f = map_get(&m->by_name, name);

    *ret = f;
    if (f)
        return 0;
    if (m->families_n >= FAMILIES_MAX || m->families_n - m->families_before >= TEXT_FAMILIES_MAX)
        return ERR_LIMIT;
    f = arena_new(&m->arena, struct family);
    if (!f)
        return ERR_NOMEM;
    f->name = arena_str(&m->arena, name);
    if (!f->name.p || map_put(&m->by_name, f->name, f, NULL) < 0)
        return ERR_NOMEM;
    if (m->last)
        m->last->next = f;
    else
        m->first = f;
    m->last = f;
    m->families_n++;
    *ret = f;
    return 0;
}

static bool is_type(const struct family *f, const char *type)
{
    return f->has_type && str_eq(f->type, str_of(type));
}

/* The histogram or summary that a sample of this name belongs to, or NULL. */
static struct family *family_of_part(const struct metrics_merge *m, struct str name)
{
    static const char *const SUFFIXES[] = { "_bucket", "_sum", "_count" };

    for (size_t i = 0; i < ARRAY_LEN(SUFFIXES); i++) {
        struct str suffix = str_of(SUFFIXES[i]);
        struct family *f;

        if (!str_has_suffix(name, suffix))
            continue;
        f = map_get(&m->by_name, str_first(name, name.n - suffix.n));
        if (f && (is_type(f, "histogram") || (i > 0 && is_type(f, "summary"))))
            return f;
    }
    return NULL;
}

/* A name that has a family of its own is that family's, whatever it looks like. */
static int family_of_sample(struct metrics_merge *m, struct str name, struct family **ret)
{
    struct family *f = map_get(&m->by_name, name);

    *ret = f ? f : family_of_part(m, name);
    return *ret ? 0 : family_of(m, name, ret);
}

static bool is_last(struct str label)
{
    return str_eq(label, STR("le")) || str_eq(label, STR("quantile"));
}

static struct str renamed(const struct metrics_merge *m, struct str label)
{
    return m->label.n && str_eq(label, m->label) ? m->exported : label;
}

static int note_labels(struct metrics_merge *m, struct family *f, const struct metrics_line *line)
{
    for (unsigned i = 0; i < line->labels_n; i++) {
        struct str name = renamed(m, line->labels[i].name);
        unsigned at = 0;

        if (is_last(name))
            continue;
        while (at < f->labels_n && str_cmp(f->labels[at], name) < 0)
            at++;
        if (at < f->labels_n && str_eq(f->labels[at], name))
            continue;
        if (f->labels_n == FAMILY_LABELS_MAX)
            return ERR_LIMIT;
        name = arena_str(&m->arena, name);
        if (!name.p)
            return ERR_NOMEM;
        memmove(&f->labels[at + 1], &f->labels[at], (f->labels_n - at) * sizeof(f->labels[0]));
        f->labels[at] = name;
        f->labels_n++;
    }
    return 0;
}

static int note_run(struct family *f, uint32_t text, uint32_t from, uint32_t to)
{
    struct run *last = f->runs_n ? &f->runs[f->runs_n - 1] : NULL;

    if (last && last->text == text && last->to == from) {
        last->to = to;
        return 0;
    }
    if (f->runs_n == f->runs_cap) {
        size_t cap = f->runs_cap ? f->runs_cap * 2 : 4;
        struct run *runs = reallocarray(f->runs, cap, sizeof(*runs));

        if (!runs)
            return ERR_NOMEM;
        f->runs = runs;
        f->runs_cap = cap;
    }
    f->runs[f->runs_n++] = (struct run){ text, from, to };
    return 0;
}

/* A type counts until samples are in: a line that comes later cannot change what was said. */
static int note_type(struct metrics_merge *m, const struct metrics_line *line, uint32_t text, struct err *err)
{
    struct family *f;
    int r = family_of(m, line->name, &f);

    if (r < 0)
        return r;
    if (f->has_type && !str_eq(f->type, line->text)) {
        if (f->typed_by == text)
            return ERR_SYNTAX;
        return err_set(err, ERR_INVALID, "%.*s is a %.*s at one worker and a %.*s at another", STR_FMT(str_first(f->name, 200)),
                       STR_FMT(f->type), STR_FMT(line->text));
    }
    if (f->has_type || f->has_samples)
        return 0;
    f->type = arena_str(&m->arena, line->text);
    f->has_type = f->type.p != NULL;
    f->typed_by = text;
    return f->has_type ? 0 : ERR_NOMEM;
}

static int note_help(struct metrics_merge *m, const struct metrics_line *line)
{
    struct family *f;
    int r = family_of(m, line->name, &f);

    if (r < 0)
        return r;
    if (!f->has_help) {
        f->help = arena_str(&m->arena, line->text);
        f->has_help = f->help.p != NULL;
    }
    return f->has_help ? 0 : ERR_NOMEM;
}

static int note_line(struct metrics_merge *m, const struct metrics_line *line, uint32_t text, uint32_t from, uint32_t to,
                     struct err *err)
{
    struct family *f;
    int r;

    switch (line->kind) {
    case METRICS_HELP:
        return note_help(m, line);
    case METRICS_TYPE:
        return note_type(m, line, text, err);
    case METRICS_SAMPLE:
        r = family_of_sample(m, line->name, &f);
        if (r < 0)
            return r;
        f->has_samples = true;
        r = note_labels(m, f, line);
        return r < 0 ? r : note_run(f, text, from, to);
    default:
        return 0;
    }
}

/* What a refused text left behind: its runs. */
static void forget_runs(struct metrics_merge *m, uint32_t text)
{
    for (struct family *f = m->first; f; f = f->next) {
        while (f->runs_n && f->runs[f->runs_n - 1].text == text)
            f->runs_n--;
        f->has_samples = f->runs_n > 0;
        if (f->has_type && f->typed_by == text)
            f->has_type = false;
    }
}

static int note_text(struct metrics_merge *m, struct str text, uint32_t index, struct err *err)
{
    struct str rest = text;
    struct metrics_line line;
    int r = 0;

    for (;;) {
        uint32_t from = (uint32_t)(rest.p - text.p);

        if (r < 0 || metrics_next(&rest, &line) == METRICS_END)
            return r;
        r = note_line(m, &line, index, from, (uint32_t)(rest.p - text.p), err);
    }
}

static int make_room(struct metrics_merge *m)
{
    size_t cap = m->texts_cap ? m->texts_cap * 2 : 16;
    struct text *texts;

    if (m->texts_n < m->texts_cap)
        return 0;
    texts = reallocarray(m->texts, cap, sizeof(*texts));
    if (!texts)
        return ERR_NOMEM;
    m->texts = texts;
    m->texts_cap = cap;
    return 0;
}

int metrics_merge_add(struct metrics_merge *m, struct buf *text, struct str origin, struct err *err)
{
    size_t bytes = text->n;
    uint32_t index = (uint32_t)m->texts_n;
    int r;

    r = check(buf_str(text));
    if (r < 0)
        return r;
    if (bytes > m->text_max - m->text_n || !budget_take(bytes))
        return ERR_LIMIT;
    r = make_room(m);
    m->families_before = m->families_n;
    if (r == 0) {
        m->texts[index].origin = arena_str(&m->arena, origin);
        r = m->texts[index].origin.p ? note_text(m, buf_str(text), index, err) : ERR_NOMEM;
        if (r < 0)
            forget_runs(m, index);
    }
    if (r < 0) {
        budget_give(bytes);
        return r;
    }
    m->texts[index].bytes = *text;
    *text = (struct buf){ 0 };
    m->texts_n++;
    m->text_n += bytes;
    return 0;
}

/* ---- writing the page ---- */

static void put_escaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' || s.p[i] == '"')
            buf_put_char(out, '\\');
        if (s.p[i] == '\n')
            buf_puts(out, "\\n");
        else
            buf_put_char(out, s.p[i]);
    }
}

/* Engines write help texts with lone backslashes; strict readers refuse those. */
static void put_help(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        buf_put_char(out, s.p[i]);
        if (s.p[i] != '\\')
            continue;
        if (i + 1 < s.n && (s.p[i + 1] == '\\' || s.p[i + 1] == 'n'))
            buf_put_char(out, s.p[++i]);
        else
            buf_put_char(out, '\\');
    }
}

static void put_family(struct buf *out, const struct family *f)
{
    if (f->has_help) {
        buf_puts(out, "# HELP ");
        buf_put(out, f->name);
        buf_put_char(out, ' ');
        put_help(out, f->help);
        buf_put_char(out, '\n');
    }
    if (f->has_type) {
        buf_puts(out, "# TYPE ");
        buf_put(out, f->name);
        buf_put_char(out, ' ');
        buf_put(out, f->type);
        buf_put_char(out, '\n');
    }
}

static void put_label(struct buf *out, bool *any, struct str name, struct str value)
{
    buf_put_char(out, *any ? ',' : '{');
    *any = true;
    buf_put(out, name);
    buf_puts(out, "=\"");
    buf_put(out, value); /* escaped already */
    buf_put_char(out, '"');
}

/* The sample's value of NAME, as the page calls it; empty when it has none. */
static struct str value_of(const struct metrics_merge *m, const struct metrics_line *line, struct str name)
{
    for (unsigned i = 0; i < line->labels_n; i++)
        if (str_eq(renamed(m, line->labels[i].name), name))
            return line->labels[i].value;
    return STR_NONE;
}

static void put_origin(const struct metrics_merge *m, struct buf *out, bool *any, struct str origin)
{
    buf_put_char(out, *any ? ',' : '{');
    *any = true;
    buf_put(out, m->label);
    buf_puts(out, "=\"");
    put_escaped(out, origin);
    buf_put_char(out, '"');
}

static void put_labels(const struct metrics_merge *m, struct buf *out, const struct family *f, const struct metrics_line *line,
                       struct str origin)
{
    bool any = false, told = m->label.n == 0;

    for (unsigned i = 0; i < f->labels_n; i++) {
        if (!told && str_cmp(m->label, f->labels[i]) < 0) {
            put_origin(m, out, &any, origin);
            told = true;
        }
        put_label(out, &any, f->labels[i], value_of(m, line, f->labels[i]));
    }
    if (!told)
        put_origin(m, out, &any, origin);
    for (unsigned i = 0; i < line->labels_n; i++)
        if (is_last(line->labels[i].name))
            put_label(out, &any, line->labels[i].name, line->labels[i].value);
    if (any)
        buf_put_char(out, '}');
}

/* Shortest decimal form; an exponent only where the plain form would be mostly zeros. */
static void put_number(struct buf *out, double v)
{
    char text[32];
    double back;

    if (!isfinite(v) || (v == floor(v) && fabs(v) < 1e15)) {
        prometheus_number(out, v);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (str_to_double(str_of(text), &back) == 0 && back == v)
            break;
    }
    buf_put(out, str_of(text));
}

static void put_sample(const struct metrics_merge *m, struct buf *out, const struct family *f, const struct metrics_line *line,
                       struct str origin)
{
    buf_put(out, line->name);
    put_labels(m, out, f, line, origin);
    buf_put_char(out, ' ');
    put_number(out, line->value);
    if (line->timestamp.n) {
        buf_put_char(out, ' ');
        buf_put(out, line->timestamp);
    }
    buf_put_char(out, '\n');
}

/* Python's client writes _count before _sum; the page has them the other way round. */
static bool is_pair(const struct family *f, const struct metrics_line *count, const struct metrics_line *sum)
{
    if (!(is_type(f, "histogram") || is_type(f, "summary")) || count->kind != METRICS_SAMPLE || sum->kind != METRICS_SAMPLE ||
        !str_has_suffix(count->name, STR("_count")) || !str_has_suffix(sum->name, STR("_sum")) || count->labels_n != sum->labels_n)
        return false;
    for (unsigned i = 0; i < sum->labels_n; i++)
        if (!str_eq(count->labels[i].name, sum->labels[i].name) || !str_eq(count->labels[i].value, sum->labels[i].value))
            return false;
    return true;
}

/* The next line or pair of lines of the run. */
static void put_next(struct metrics_merge *m, struct buf *out, const struct run *run)
{
    const struct text *t = &m->texts[run->text];
    struct str rest = { t->bytes.p + m->line, run->to - m->line }, behind;
    struct metrics_line line, next;

    if (metrics_next(&rest, &line) != METRICS_END) {
        behind = rest;
        if (metrics_next(&behind, &next) != METRICS_END && is_pair(m->at, &line, &next)) {
            put_sample(m, out, m->at, &next, t->origin);
            rest = behind;
        }
        if (line.kind == METRICS_SAMPLE)
            put_sample(m, out, m->at, &line, t->origin);
    }
    m->line = rest.n ? (uint32_t)(rest.p - t->bytes.p) : run->to;
}

static void next_family(struct metrics_merge *m, struct buf *out)
{
    if (m->in_family)
        buf_put_char(out, '\n');
    m->in_family = false;
    m->at = m->begun ? m->at->next : m->first;
    m->begun = true;
    m->run = 0;
    while (m->at && m->at->runs_n == 0)
        m->at = m->at->next;
    if (!m->at)
        return;
    put_family(out, m->at);
    m->in_family = true;
    m->line = m->at->runs[0].from;
}

bool metrics_merge_next(struct metrics_merge *m, struct buf *out, size_t room)
{
    size_t until = out->n + room;

    if (!m->begun)
        next_family(m, out);
    while (m->at && out->n < until && !out->failed) {
        const struct run *run = &m->at->runs[m->run];

        if (m->line < run->to)
            put_next(m, out, run);
        else if (++m->run < m->at->runs_n)
            m->line = m->at->runs[m->run].from;
        else
            next_family(m, out);
    }
    return !m->at;
}
