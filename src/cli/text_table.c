/* cli/text_table.c -- columns of text */
#include "cli/text_table.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "json/utf8.h"

#define GAP 2 /* blanks between columns */

void text_table_init(struct text_table *t, const struct text_column *columns, size_t n)
{
    *t = (struct text_table){ .columns = columns, .columns_n = n };
}

void text_table_fini(struct text_table *t)
{
    buf_fini(&t->cells);
}

void text_table_cell(struct text_table *t, struct str text)
{
    buf_put(&t->cells, (struct str){ (const char *)&text, sizeof text });
}

size_t text_width(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += !utf8_is_continuation(s.p[i]);
    return n;
}

void text_put_cell(struct str s, unsigned width, bool right, struct buf *out)
{
    size_t have = text_width(s);

    if (have > width) {
        size_t drop = have - width + MIN(2u, width);

        while (s.n && drop) {
            do
                s = str_skip(s, 1);
            while (s.n && utf8_is_continuation(s.p[0]));
            drop--;
        }
        buf_put(out, str_first(STR(".."), MIN(2u, width)));
        buf_put(out, s);
        return;
    }
    if (right)
        buf_printf(out, "%*s", (int)(width - have), "");
    buf_put(out, s);
    if (!right)
        buf_printf(out, "%*s", (int)(width - have), "");
}

void text_put_duration(uint64_t ms, struct buf *out)
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } UNITS[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };

    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        if (ms >= UNITS[i].ms) {
            buf_printf(out, "%llu %s", (unsigned long long)(ms / UNITS[i].ms), UNITS[i].unit);
            return;
        }
    }
    buf_printf(out, "%llu ms", (unsigned long long)ms);
}

struct str text_clean(struct str s, struct arena *arena)
{
    char *copy = NULL;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xC2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xA0; /* U+0080 to U+009F: some terminals obey them */

        if (c >= 0x20 && c != 0x7F && !c1)
            continue;
        if (!copy) {
            copy = arena_alloc(arena, s.n);
            if (!copy)
                return STR_NONE;
            memcpy(copy, s.p, s.n);
        }
        copy[i] = '?';
        if (c1)
            copy[++i] = '?';
    }
    return copy ? (struct str){ copy, s.n } : s;
}

static const struct str *cells_of(const struct text_table *t, size_t *ret_rows)
{
    *ret_rows = t->columns_n ? t->cells.n / sizeof(struct str) / t->columns_n : 0;
    return (const struct str *)(const void *)t->cells.p;
}

static void measure(const struct text_table *t, unsigned widths[TEXT_TABLE_COLUMNS])
{
    size_t rows;
    const struct str *cells = cells_of(t, &rows);

    for (size_t c = 0; c < t->columns_n; c++) {
        size_t widest = strlen(t->columns[c].title);

        for (size_t r = 0; r < rows; r++)
            widest = MAX(widest, text_width(cells[r * t->columns_n + c]));
        widths[c] = (unsigned)MIN(widest, (size_t)4096);
    }
}

static void shrink(const struct text_table *t, unsigned width, unsigned widths[TEXT_TABLE_COLUMNS])
{
    for (;;) {
        unsigned sum = GAP * (unsigned)(t->columns_n - 1);
        size_t widest = t->columns_n;

        for (size_t c = 0; c < t->columns_n; c++) {
            sum += widths[c];
            if (t->columns[c].shrinks && widths[c] > TEXT_TABLE_SHORT && (widest == t->columns_n || widths[c] > widths[widest]))
                widest = c;
        }
        if (sum <= width || widest == t->columns_n)
            return;
        widths[widest]--;
    }
}

static void put_row(const struct text_table *t, const unsigned *widths, const struct str *cells, struct buf *out)
{
    for (size_t c = 0; c < t->columns_n; c++) {
        if (c)
            buf_printf(out, "%*s", GAP, "");
        text_put_cell(cells[c], widths[c], t->columns[c].right, out);
    }
    while (out->n && out->p[out->n - 1] == ' ')
        out->n--;
    buf_put_char(out, '\n');
}

void text_table_render(const struct text_table *t, unsigned width, struct buf *out)
{
    struct str titles[TEXT_TABLE_COLUMNS] = { 0 };
    unsigned widths[TEXT_TABLE_COLUMNS] = { 0 };
    size_t rows;
    const struct str *cells = cells_of(t, &rows);

    if (t->cells.failed) {
        out->failed = true;
        return;
    }
    measure(t, widths);
    if (width)
        shrink(t, width, widths);
    for (size_t c = 0; c < t->columns_n; c++)
        titles[c] = str_of(t->columns[c].title);
    put_row(t, widths, titles, out);
    for (size_t r = 0; r < rows; r++)
        put_row(t, widths, cells + r * t->columns_n, out);
}

unsigned text_terminal_width(void)
{
    struct winsize w;

    if (!isatty(STDOUT_FILENO))
        return 0;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

int text_table_print(const struct text_table *t)
{
    _cleanup_(buf_fini) struct buf out = { 0 };

    text_table_render(t, text_terminal_width(), &out);
    return cli_print(&out);
}
