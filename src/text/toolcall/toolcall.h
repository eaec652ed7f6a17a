/* text/toolcall/toolcall.h -- finds tool calls in what a model writes
 *
 *   text, in pieces --toolcall_feed--> one parser per reply --> events: TEXT, BEGIN(name), ARGUMENTS, END --> the caller's sink
 *
 * A format is a value (registry.c lists them): its name, what opens a call, and one step function that looks at text that has not been used yet (format.h). The engine around it (parser.c)
 * keeps what is unfinished, holds back no more than the longest suffix that may still become a marker, and bounds all of it.
 * For every way of cutting a text into pieces the events are the same but for how TEXT and ARGUMENTS are cut: a complete parse is one feed and a finish. To make that true a call is told
 * when its block has been read to its end and found whole, because a block that turns out to be no call is text (spec parsers 6, complete results).
 * What is no call although a marker promised one: given out as text when the whole reply holds no call, else left out, as SMG does.
 * Calls to functions that were not offered are told like any other (decisions 19).
 * No input or output, no threads, no globals; linear time whatever the pieces; memory bounded by max_bytes.
 * Source of behaviour: spec parsers 3 to 7, 10, 11.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "json/json.h"

struct toolcall_format; /* format.h */
struct toolcall_parser;
struct toolcall_tools; /* tools.h: what the request offered */

enum toolcall_event_type {
    TOOLCALL_TEXT,      /* text: content for people, never empty */
    TOOLCALL_BEGIN,     /* text: the function's name; a new call, index counts from 0 */
    TOOLCALL_ARGUMENTS, /* text: a piece of the arguments, JSON; all pieces together are whole at END */
    TOOLCALL_END        /* text: empty */
};
struct toolcall_event {
    enum toolcall_event_type type;
    unsigned index;
    struct str text; /* valid until the sink returns; never cuts a character in two where the input did not */
};
typedef void toolcall_sink(void *owner, const struct toolcall_event *event);

#define TOOLCALL_BYTES_DEFAULT (4u << 20)
struct toolcall_config {
    const struct toolcall_tools *tools; /* borrowed; NULL = none */
    size_t max_bytes;                   /* of unfinished text; 0 = TOOLCALL_BYTES_DEFAULT */
    toolcall_sink *sink;
    void *owner;
};

int toolcall_parser_new(const struct toolcall_format *f, const struct toolcall_config *c,
                        struct toolcall_parser **ret) _must_check_;
void toolcall_parser_free(struct toolcall_parser *p); /* NULL is fine */
/* ERR_LIMIT ("Tool call too long: ... bytes (max: ...)"), ERR_NOMEM. After a failure nothing but reset and free. */
int toolcall_feed(struct toolcall_parser *p, struct str text, struct err *err) _must_check_;
int toolcall_finish(struct toolcall_parser *p, struct err *err) _must_check_; /* the end of the reply: what is held goes out */
void toolcall_reset(struct toolcall_parser *p);                               /* a new reply */
/* Is a block open (a marker was seen whose end is not there yet)? */
bool toolcall_in_call(const struct toolcall_parser *p);
/* What the open block holds so far, for showing to people: the JSON value in it, closed where it is still open (partial_json.h). Appends nothing when no block is open, none has begun in it, or
 * the format's calls are no JSON. No part of the events: what is shown may turn out to be text. Looks at the whole block, so not for each byte. OUT's failure is sticky. */
void toolcall_so_far(const struct toolcall_parser *p, struct buf *out);

/* A whole text at once. */
struct toolcall_call {
    struct str name, arguments;
};
struct toolcall_result {
    struct str text;
    struct toolcall_call *calls;
    size_t calls_n;
};
int toolcall_parse(const struct toolcall_format *f, const struct toolcall_tools *tools, struct str text, struct arena *arena,
                   struct toolcall_result *ret, struct err *err) _must_check_;

/* ---- formats by name (registry.c) ---- */

/* NAME in any case, '-' and '.' as '_', blanks around it ignored; aliases too (spec 10). NULL = unknown. */
const struct toolcall_format *toolcall_find(struct str name);
/* The corrected mapping of spec 3.2 and 3.3; NULL = no pattern matches. */
const struct toolcall_format *toolcall_for_model(struct str model);
const struct toolcall_format *const *toolcall_formats(size_t *ret_n); /* all, by name */
struct str toolcall_name(const struct toolcall_format *f);
struct str toolcall_summary(const struct toolcall_format *f);         /* one line: what the format looks like */
const char *const *toolcall_aliases(const struct toolcall_format *f); /* normalised; NULL at the end */

/* ---- ids (ids.c, spec 4.2) ---- */

/* The id of call INDEX to NAME; HISTORY counts the calls of earlier messages. MILLIS and RANDOM (16 bytes) make the part that must differ. */
void toolcall_id(struct str model, const struct toolcall_format *f, struct str name, unsigned index, unsigned history,
                 uint64_t millis, const uint8_t random[16], struct buf *out);
