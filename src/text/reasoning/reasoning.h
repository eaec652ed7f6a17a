/* text/reasoning/reasoning.h -- tells a model's thoughts from its answer
 *
 *   text, in pieces --reasoning_feed--> one parser per reply --> THOUGHT and TEXT pieces --> the caller's sink
 *
 * A format is a value (registry.c lists them) with a step function (format.h): tags.c serves all that are a pair of tags, kimi_k3.c and inkling.c the two that have channels. The engine
 * around them (parser.c) keeps what may still become a marker, the longest such suffix and no more, until the next piece or the finish.
 * The law: for every way of cutting a text into pieces the thoughts together and the text together are the same; a complete parse is one feed and a finish. Results are SMG's complete ones
 * with the fixes that the spec marks BETTER, as far as the law lets them stand. A thing once said cannot be taken back, so what a later byte would have to change is out:
 *   - text in front of the start tag is text (BETTER; SMG: a thought). Of an end tag that comes before any start tag nothing is made: it is text like what stands before it, and the thought
 *     begins at the start tag (SMG, whole text: it would end the thought that had not begun).
 *   - an end tag alone in a parser that did not start in a thought is text. (BETTER would make a thought of what stood before it: that text has gone out.) Who knows that the prompt opened
 *     the thought says so: `started`.
 *   - the first end tag ends the thought for good. Start tags are taken out wherever they stand, in the thought and behind it; later end tags are text. (As SMG does with a whole text. Its
 *     streaming begins a second thought in some states and lets the tag through in others.) With `tag_was_given` start tags are text instead.
 *   - a thought that is not ended is a thought. White space is never trimmed, but for the line ends that belong to the tags of ernie45 and hunyuan_a13b.
 *   - kimi_k3 and inkling: at the head of their files.
 * No input or output, no threads, no globals; linear time; what is held is less than MARKER_MAX bytes and feeding allocates nothing, but for kimi_k3, which may hold up to
 * REASONING_BYTES_MAX of what it cannot judge yet. So nothing needs a bound but a whole text.
 * Source of behaviour: spec parsers 8 to 10.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define REASONING_BYTES_MAX (4u << 20) /* of a text parsed at once (spec 2.2): more is ERR_LIMIT, but for passthrough */

#define REASONING_INTERRUPTS_MAX 4

struct reasoning_format; /* format.h */
struct reasoning_parser;

/* TEXT is never empty and valid until the sink returns. */
typedef void reasoning_sink(void *owner, bool thought, struct str text);

struct reasoning_config {
    bool started;       /* the prompt ended inside a thought (mark_reasoning_started) */
    bool tag_was_given; /* the start tag was in the prompt (mark_think_start_stripped): a second one is text */
    bool content_only;  /* thinking is off: a parser that always starts in a thought does not */
    /* What also ends a thought and is text itself: where a tool call begins that the model writes without closing its thought (BETTER; engines do so for Kimi K2 and GLM). Borrowed for the
     * parser's life; at most REASONING_INTERRUPTS_MAX of at most MARKER_MAX bytes. None: a call inside a thought is part of it. kimi_k3 and inkling know their own and heed no others. */
    const struct str *interrupts;
    size_t interrupts_n;
    reasoning_sink *sink;
    void *owner;
};

int reasoning_parser_new(const struct reasoning_format *f, const struct reasoning_config *c,
                         struct reasoning_parser **ret) _must_check_;
void reasoning_parser_free(struct reasoning_parser *p); /* NULL is fine */
/* ERR_NOMEM (kimi_k3 only): then nothing but reset and free. */
int reasoning_feed(struct reasoning_parser *p, struct str text) _must_check_;
int reasoning_finish(struct reasoning_parser *p) _must_check_; /* the end of the reply: what is held goes out */
void reasoning_reset(struct reasoning_parser *p);              /* a new reply */
/* Does what comes next belong to a thought, as far as is known? Tool calls are not looked for meanwhile. */
bool reasoning_in_thought(const struct reasoning_parser *p);

/* A whole text at once; results in ARENA. ERR_LIMIT: "Buffer overflow: <n> bytes exceeds maximum". */
int reasoning_parse(const struct reasoning_format *f, struct str text, struct arena *arena, struct str *ret_text,
                    struct str *ret_thoughts, struct err *err) _must_check_;

/* NAME in any case, '-' and '.' as '_', blanks around it ignored; aliases too (spec 10). NULL = unknown. */
const struct reasoning_format *reasoning_find(struct str name);
const struct reasoning_format *reasoning_for_model(struct str model);   /* spec 8.2 with the corrections of 3.3; NULL = none */
const struct reasoning_format *const *reasoning_formats(size_t *ret_n); /* all, by name */
struct str reasoning_name(const struct reasoning_format *f);
struct str reasoning_summary(const struct reasoning_format *f);                       /* one line: what the format looks like */
const struct str *reasoning_aliases(const struct reasoning_format *f, size_t *ret_n); /* normalised */
bool reasoning_needs_specials(const struct reasoning_format *f);                      /* special tokens must reach it as text */
