/* text/toolcall/quoted.h -- private to text/toolcall: blocks between two tags in which the closing tag may stand inside a quoted value; Gemma and MiniCPM are rows of this machine
 *
 *   TEXT --opener--> BLOCK --closer, or the next opener--> TEXT      the calls in the block are told
 *                     |  ^
 *                   quote end
 *                     v  |
 *                    QUOTED      tags are data
 *
 * look() leaves TEXT, block() the others; leave() enters TEXT. A block without calls is dropped.
 */
#pragma once

#include "text/toolcall/format.h"

struct quoted {
    struct str opener, closer;
    struct str quote, quote_end; /* may be the same */
    /* BLOCK is what stands behind the opener: tells the calls in it; false: there is none. !CLOSED: the closer is not there. */
    bool (*unit)(struct toolcall_parser *p, struct str block, bool closed);
};

struct quoted_state {
    struct markers opener;
    struct markers tags;  /* in a block: the closer, an opening quote, the opener */
    struct markers quote; /* in a quoted value: its end */
    uint8_t phase;        /* enum in quoted.c */
};

/* start() and step() of a format whose row is a struct quoted. */
void quoted_start(struct toolcall_parser *p);
size_t quoted_step(struct toolcall_parser *p, struct str text, bool ended);
