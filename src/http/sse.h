/* http/sse.h -- server-sent events (WHATWG HTML 9.2): cutting a stream of bytes into events, and writing them; no I/O
 *
 * The reader copes with every cut of the input, with LF, CR and CRLF, comments, multi-line data, a leading BOM. Only `data` and `event` are kept.
 * Bound: an event longer than `max` bytes is ERR_LIMIT.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct sse_reader {
    struct buf line;  /* owned: an unfinished line */
    struct buf data;  /* owned: data lines of the current event, joined by LF */
    struct buf event; /* owned: the event's name; empty = "message" */
    size_t max;
    bool has_data, after_cr, begun;
};

void sse_init(struct sse_reader *r, size_t max_event_bytes);
void sse_fini(struct sse_reader *r);

/* Feeds bytes; calls ON_EVENT for each whole event (views good until it returns). 0, ERR_LIMIT or ERR_NOMEM. */
int sse_feed(struct sse_reader *r, struct str bytes, void (*on_event)(void *arg, struct str event, struct str data),
             void *arg) _must_check_;

/* "data: <line>\n" for each line of DATA, then an empty line; EVENT empty = no event field. */
void sse_put(struct buf *out, struct str event, struct str data);
