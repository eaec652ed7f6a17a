/* text/reasoning/reasoning.h -- tells a model's thoughts from its answer
 *
 *   text, in pieces --reasoning_feed--> one parser per reply --> THOUGHT and TEXT pieces --> the caller's sink
 *
 * For every way of cutting a text into pieces the thoughts together and the text together are the same: a complete parse is one feed and a finish. Held back is only the longest suffix that may
 * still become a marker; it goes out at finish.
 * No input or output, no threads, no globals; linear time; what is held is a marker's length (kimi_k3 and inkling: as they say), so nothing needs a bound but a whole text (REASONING_BYTES_MAX).
 * Source of behaviour: spec parsers 8 to 10.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define REASONING_BYTES_MAX (4u << 20) /* of a text parsed at once (spec 2.2): more is ERR_LIMIT, but for passthrough */

struct reasoning_format;
struct reasoning_parser;

/* TEXT is never empty and valid until the sink returns. */
typedef void reasoning_sink(void *owner, bool thought, struct str text);

struct reasoning_config {
    bool started;       /* the prompt ended inside a thought (mark_reasoning_started) */
    bool tag_was_given; /* the start tag was in the prompt (mark_think_start_stripped): a second one is text */
    bool content_only;  /* thinking is off: a parser that always starts in a thought does not */
    reasoning_sink *sink;
    void *owner;
};

int reasoning_parser_new(const struct reasoning_format *f, const struct reasoning_config *c,
                         struct reasoning_parser **ret) _must_check_;
void reasoning_parser_free(struct reasoning_parser *p);                       /* NULL is fine */
int reasoning_feed(struct reasoning_parser *p, struct str text) _must_check_; /* ERR_NOMEM */
int reasoning_finish(struct reasoning_parser *p) _must_check_;
void reasoning_reset(struct reasoning_parser *p);
bool reasoning_in_thought(const struct reasoning_parser *p); /* tool calls are not looked for meanwhile */

/* A whole text at once; results in ARENA. ERR_LIMIT: "Buffer overflow: <n> bytes exceeds maximum". */
int reasoning_parse(const struct reasoning_format *f, struct str text, struct arena *arena, struct str *ret_text,
                    struct str *ret_thoughts, struct err *err) _must_check_;

const struct reasoning_format *reasoning_find(struct str name);       /* as toolcall_find */
const struct reasoning_format *reasoning_for_model(struct str model); /* spec 8.2 with the corrections of 3.3; NULL = none */
const struct reasoning_format *const *reasoning_formats(size_t *ret_n);
struct str reasoning_name(const struct reasoning_format *f);
struct str reasoning_summary(const struct reasoning_format *f);
const struct str *reasoning_aliases(const struct reasoning_format *f, size_t *ret_n);
bool reasoning_needs_specials(const struct reasoning_format *f); /* special tokens must reach it as text */
