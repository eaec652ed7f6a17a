/* text/tokenizer/decoder.h -- tokenizer.json's decoders (spec 3.7): ids to text
 *
 * At load the chain of decoders is looked at once and given a KIND: the kinds that models use have a direct way (bytes per id, no strings between); any other chain is done step by step.
 * Immutable after parsing: any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "json/json.h"

/* How a decoder gets at tokens: given by the tokenizer, so that decoders know neither models nor added tokens. */
struct decoder_token {
    struct str text; /* added: its content; byte-level and tiktoken vocabularies: raw bytes; else as the file spells it */
    bool added;
    bool special; /* added with special: true */
    bool literal; /* of a byte-level vocabulary, but no text of its alphabet: `text` is UTF-8 as it is */
};
struct decoder_source {
    const void *owner;
    bool byte_level;                                                          /* the model's texts are raw bytes */
    bool strict;                                                              /* unknown ids are an error (tiktoken) */
    bool (*token)(const void *owner, uint32_t id, struct decoder_token *ret); /* false: unknown id */
};

struct decoder;
int decoder_parse(struct json v, bool byte_level, struct decoder **ret,
                  struct err *err) _must_check_;          /* null: tokens joined with one space */
int decoder_new_bytes(struct decoder **ret) _must_check_; /* tiktoken: bytes, lossy UTF-8 */
void decoder_free(struct decoder *d);

/* Appends the text of the ids to OUT. ERR_INVALID (strict and unknown id), ERR_NOMEM. */
int decoder_decode(const struct decoder *d, const struct decoder_source *s, const uint32_t *ids, size_t n, bool skip_specials,
                   struct buf *out, struct err *err) _must_check_;
