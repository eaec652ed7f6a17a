/* text/toolcall/tagged.h -- private to text/toolcall: formats that put JSON between two tags; qwen (hermes) and many others are rows of this machine
 *
 *   START --'[' first of all--> VALUE      only rows that may go without a tag; everything else goes to TEXT
 *   TEXT --opener--> VALUE --JSON--> CLOSER --closer--> TEXT              the calls in the value are told
 *                      |               +--something else--> SKIP
 *                      +--no JSON----> SKIP --closer--> TEXT              dropped
 *
 * first() leaves START, look() TEXT, value() VALUE, closer() CLOSER, skip() SKIP; leave() enters TEXT.
 * A block whose closer is missing counts when its JSON is whole and the reply ends, or the next block begins, behind it.
 * Where the tags are words that also stand in prose (a row with `plain`), nothing is skipped or dropped: a closer is taken when it is there, and what is no call is text.
 */
#pragma once

#include "text/toolcall/json_calls.h"

#define TAGGED_OPENERS 6

struct tagged {
    struct str openers[TAGGED_OPENERS]; /* the first is the usual one; the last stays empty */
    unsigned openers_n;
    unsigned kept;                      /* a bit per opener: it is content too, in front of the call */
    unsigned shared;                    /* so many bytes at an opener's end belong to the value: "functools[" */
    struct str closer;                  /* empty = none: the value's end is the block's */
    struct str closers[TAGGED_OPENERS]; /* of openers that have their own */
    struct str ignored[2];              /* left out of the text wherever they stand */
    unsigned ignored_n;
    struct json_call_keys keys;
    bool plain;      /* see above */
    bool bare;       /* a reply may be a list of calls without any tag */
    bool drop_after; /* text behind the first block is left out */
};

struct tagged_state {
    struct markers markers; /* the openers, then what is ignored */
    struct json_scan scan;
    uint8_t phase;   /* enum in tagged.c */
    uint8_t opener;  /* which; openers_n: none */
    size_t json_end; /* behind the value, from the opener's first byte */
};

void tagged_start(struct toolcall_parser *p, const struct tagged *t);
size_t tagged_step(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended);
