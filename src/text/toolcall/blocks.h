/* text/toolcall/blocks.h -- private to text/toolcall: formats whose calls are elements in a section; minimax, DSML, step3 and glm are rows of this machine
 *
 *   TEXT --opener--> SECTION --unit opener--> UNIT --unit closer--> SECTION      the call in the unit is told
 *    ^                  |                      |
 *    +------closer------+----------closer------+                                 a unit without its end counts when the format says so
 *
 * text() leaves TEXT, section() SECTION, unit() UNIT; leave() enters TEXT. A row may say behind what in a unit there is JSON: then unit() goes over to VALUE and value() comes back to UNIT behind
 * it, so that no marker in its strings counts. A row without a unit opener has sections that are units themselves.
 * A row may say what its values stand between. Then a unit opener in a unit, outside its values, begins another unit: what stood in front of it counts as a call when it holds a value or the beginning of an end, and is
 * text where the format has no sections and it is more than white space. The end of the last unit ends the search, so that each byte is looked at once more.
 * Until its first call a section is kept: without any it is dropped, or text, or gone, as the row says. Behind the first call what stands between units is left out as it comes.
 */
#pragma once

#include "text/toolcall/format.h"

enum blocks_empty {
    BLOCKS_DROPPED, /* text when the whole reply holds no call, else left out */
    BLOCKS_TEXT,    /* text as long as there was no call */
    BLOCKS_GONE     /* left out, and so is all text behind it */
};

struct blocks {
    const struct blocks *other;            /* the same format in another spelling, told apart by the opener; may be NULL */
    struct str opener, closer;             /* of the section */
    struct str unit_opener;                /* of a call; may be empty */
    struct str unit_closer;                /* empty when unit_opener is */
    struct str json_behind;                /* what stands in front of a unit's JSON; may be empty */
    struct str value_opener, value_closer; /* what stands around a value in a unit; may be empty: then no unit begins in another */
    bool json_body;                        /* a unit may be JSON behind its tag: no unit begins in it */
    bool reopens;                          /* behind the first section a unit may stand without one: a closer in a value ended it */
    enum blocks_empty empty;
    bool keep_after;  /* text behind the first call is content too */
    bool trim_before; /* white space in front of a section is not content */
    /* UNIT is what stands behind unit_opener: tells the call in it, or returns false. !CLOSED: its end is not there, nor will it come. */
    bool (*unit)(struct toolcall_parser *p, struct str unit, bool closed);
};

struct blocks_state {
    const struct blocks *row; /* the spelling of the section that is open */
    struct markers openers;
    struct markers between; /* in a section: the opener of a unit, the closer */
    struct markers again;   /* in a unit that is all there: the opener of another, of a value */
    struct markers within;  /* in a unit: its closer, the section's, what JSON stands behind */
    uint8_t phase;          /* enum in blocks.c */
    bool calls;             /* told from this section */
    bool opened;            /* a section was seen */
    bool gone;              /* BLOCKS_GONE, and a section was seen */
    size_t unit_at;         /* in UNIT: behind unit_opener */
    size_t value_at;        /* in UNIT, VALUE: behind json_behind; 0 = it was not seen */
    struct json_scan scan;  /* in VALUE */
};

void blocks_start(struct toolcall_parser *p, const struct blocks *b);
size_t blocks_step(struct toolcall_parser *p, const struct blocks *b, struct str text, bool ended);
