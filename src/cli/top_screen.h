/* cli/top_screen.h -- one frame of `smg top`: state and view in, text out; no terminal needed
 *
 *   line 1   which gateway, how often
 *   line 2   the sum of all workers
 *   line 3   what went wrong, or what was done
 *   line 4   the titles of the columns
 *   ...      workers, as many as fit, scrolled so that the selected one is seen
 *   last     the keys, or a question
 *
 * Never a line longer than the terminal is wide, nor more lines than it is high. The columns that are worth least go first when it is narrow.
 */
#pragma once

#include "cli/top_state.h"

enum top_sort { SORT_ORDER, SORT_LOAD, SORT_RATE, SORT_LATENCY, SORT_ERRORS, SORT_KV, SORT_STATE, SORT_URL, SORT_N };
enum top_mode { TOP_WATCH, TOP_ASK_DRAIN, TOP_ASK_FLUSH, TOP_HELP };

struct top_view {
    unsigned columns, lines; /* of the terminal; lines 0 = as many as there are workers, without keys (a frame for a pipe) */
    bool colours, escapes;   /* escapes: each line ends with "clear to its end", the selected one is shown reversed */
    struct str gateway;      /* borrowed, cleaned */
    double interval_s;
    enum top_mode mode;
    enum top_sort sort;
    struct buf trouble; /* owned; no answer from the gateway, and why */
    struct buf news;    /* owned; what the last key did */
    bool metrics;       /* rates come; else the frame says how to get them */

    char selected[64]; /* the id of the selected worker; "" = the first */
    size_t first;      /* place in the sorted list of the row on top */

    /* internal: the sorted list of the last frame */
    uint32_t *order; /* owned */
    size_t order_n, order_cap;
};

void top_view_fini(struct top_view *v);

/* Sorts, keeps the selection, and writes the frame into OUT (which fails stickily, also for want of memory for the sorted list). */
void top_render(struct top_view *v, const struct top_state *s, struct buf *out);

/* The row that is selected in the last frame, or NULL when there is none. */
const struct top_row *top_selected(const struct top_view *v, const struct top_state *s);
/* Moves the selection by N rows of the last frame. */
void top_move(struct top_view *v, const struct top_state *s, long n);
/* Rows that a frame has room for. */
unsigned top_page(const struct top_view *v);
