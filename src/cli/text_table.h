/* cli/text_table.h -- a table of text for a terminal: columns as wide as their widest cell, shortened where the terminal is narrow
 *
 *   text_table_init, text_table_cell (row by row, left to right) ..., text_table_render
 *
 * A cell that is too long loses its beginning ("..0.0.12:8000"): names of models, hosts and ports tell themselves apart at their end. Only columns that may shrink do, the
 * widest first, never below TEXT_TABLE_SHORT. Widths count code points; text from outside must have gone through text_clean.
 * Failure is sticky, in the buf that is rendered into. One owner, one thread.
 */
#pragma once

#include "base/arena.h"

#define TEXT_TABLE_COLUMNS 16
#define TEXT_TABLE_SHORT   8 /* columns that a shortened column keeps at least */

struct text_column {
    const char *title;
    bool right;   /* numbers */
    bool shrinks; /* may lose its beginning */
};

struct text_table {
    const struct text_column *columns; /* borrowed */
    size_t columns_n;                  /* at most TEXT_TABLE_COLUMNS */
    struct buf cells;                  /* owned; struct str each; the texts are borrowed */
};

void text_table_init(struct text_table *t, const struct text_column *columns, size_t n);
void text_table_fini(struct text_table *t);
void text_table_cell(struct text_table *t, struct str text);

/* Title and rows into OUT. WIDTH in columns; 0 = nothing is shortened. */
void text_table_render(const struct text_table *t, unsigned width, struct buf *out);
/* The same to stdout, for the terminal that it is; a pipe gets everything unshortened. Returns an enum cli_status. */
int text_table_print(const struct text_table *t) _must_check_;

/* Code points of S, and the width that stdout has: 0 when it is no terminal. */
size_t text_width(struct str s);
unsigned text_terminal_width(void);

/* S in WIDTH columns: shortened at its beginning, or blanks added before (RIGHT) or behind it. */
void text_put_cell(struct str s, unsigned width, bool right, struct buf *out);

/* Text from outside made fit for a terminal: control characters become '?'. A view of S when there are none; empty when memory is out. */
struct str text_clean(struct str s, struct arena *arena);

/* "850 ms", "12 s", "3 min", "5 h", "2 d". */
void text_put_duration(uint64_t ms, struct buf *out);
