/* text/reasoning/format.h -- private to text/reasoning: what a format is, and what its step function may do
 *
 * The engine calls step() with what was not used yet, and more behind it. A step says all that can be said about it, by reasoning_say(), and returns how many bytes that were; what it leaves
 * may still become a marker and is shorter than MARKER_MAX. When `ended` is true nothing more comes: it uses all.
 */
#pragma once

#include "text/reasoning/reasoning.h"
#include "text/scan/markers.h"

#define REASONING_STARTS_MAX 2
#define REASONING_ENDS_MAX   10
#define REASONING_CLOSES_MAX 4

/* What tags.c needs to know; unused places are empty. Of several that fit at one place the longest counts. */
struct reasoning_tags {
    struct str starts[REASONING_STARTS_MAX]; /* none: everything is text */
    struct str ends[REASONING_ENDS_MAX];
    unsigned answer_ends;                    /* so many of `ends`, the first ones, also open the answer's own tag ... */
    struct str closes[REASONING_CLOSES_MAX]; /* ... and then the first of these is taken out of the answer */
    struct str prefix;                       /* said in front of the reply's first text */
    bool starts_in_thought;
    bool starts_once; /* a phrase, not a tag: it counts at the beginning of the reply only, behind white space */
};

struct reasoning_format {
    struct str name, summary;
    const struct str *aliases; /* normalised */
    size_t aliases_n;
    const struct reasoning_tags *tags; /* of tags.c */
    bool needs_specials;
    bool unbounded;                            /* a whole text may have any length */
    void (*start)(struct reasoning_parser *p); /* a new reply */
    size_t (*step)(struct reasoning_parser *p, struct str text, bool ended);
    void (*end)(struct reasoning_parser *p); /* behind the last step; may be NULL */
};

struct reasoning_parser {
    const struct reasoning_format *format;
    struct reasoning_config config;
    struct markers markers; /* what is looked for now */
    uint8_t phase;          /* the format's own; written only by its enter() */
    bool in_thought;        /* written with phase */
    bool began;             /* tags.c: the prefix is out */
    bool unsure;            /* kimi_k3: what comes is kept, thought or text */
    struct buf kept;        /* owned; kimi_k3's */
    size_t held_n;
    char held[MARKER_MAX]; /* not used yet */
};

/* TEXT may be empty: then nothing is said. */
static inline void reasoning_say(struct reasoning_parser *p, bool thought, struct str text)
{
    if (text.n)
        p->config.sink(p->config.owner, thought, text);
}

void reasoning_tags_start(struct reasoning_parser *p);
size_t reasoning_tags_step(struct reasoning_parser *p, struct str text, bool ended);

extern const struct reasoning_format REASONING_INKLING, REASONING_KIMI_K3;
