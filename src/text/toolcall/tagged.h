/* text/toolcall/tagged.h -- private to text/toolcall: formats that put JSON between two tags; qwen (hermes) and many others are rows of this machine
 *
 *   text --opener--> JSON value --> white space --> closer       the calls in the value are told
 *                        |               +--> something else ---+
 *                        +--> no JSON --------------------------+--> skip to the closer: dropped
 *
 * tagged_step() is the machine. A block whose closer is missing counts when its JSON is whole and the reply ends, or the next block begins, behind it.
 */
#pragma once

#include "text/toolcall/json_calls.h"

struct tagged {
    struct str openers[3]; /* the first is the usual one */
    unsigned openers_n;
    struct str closer; /* empty = none: the value's end is the block's */
    struct json_call_keys keys;
    bool drop_after; /* text behind the first block is left out */
};

struct tagged_state {
    struct markers markers;
    struct json_scan scan;
    uint8_t phase;   /* enum in tagged.c */
    uint8_t opener;  /* which */
    size_t json_end; /* behind the value, from the opener's first byte */
};

void tagged_start(struct toolcall_parser *p, const struct tagged *t);
size_t tagged_step(struct toolcall_parser *p, const struct tagged *t, struct str text, bool ended);
