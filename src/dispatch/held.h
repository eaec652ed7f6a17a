/* dispatch/held.h -- the reply of a failed attempt, kept while other workers are tried: if they do no better, the client gets it unchanged
 *
 * Owner: the dispatch; memory from the heap, counted in the memory budget, given back by held_fini. One at a time: a new one takes the old one's place.
 * Bounds: DISPATCH_HELD_MAX bytes of body. A longer one, or one that was cut, cannot be shown any more: `lost`.
 */
#pragma once

#include "base/buf.h"
#include "http/message.h"

struct held {
    bool any;                  /* a reply is held */
    bool lost;                 /* its body is not whole */
    struct http_head head;     /* fields: the array below; texts: in `text` */
    struct http_field *fields; /* owned */
    struct buf text, body;     /* owned */
    size_t budgeted;           /* bytes of the memory budget */
};

int held_begin(struct held *h, const struct http_head *head) _must_check_; /* 0 or ERR_NOMEM: nothing is held */
void held_put(struct held *h, struct str part);
void held_drop(struct held *h); /* nothing is held; the memory stays for the next one */
void held_fini(struct held *h);
