/* text/tokenizer/decoder.h -- tokenizer.json's decoders (spec 3.7): ids to text
 *
 * At load the chain of decoders is looked at once and given a KIND: the kinds that models use have a direct way (token by token into one buffer, no malloc); any other chain is done
 * step by step over lists of texts (CTC, BPEDecoder, regexes, Strip of an end).
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

/* Appends the text of the ids to OUT (after a failure it may have grown by a part). ERR_INVALID (strict and unknown id), ERR_LIMIT (a regex gave up), ERR_NOMEM. */
int decoder_decode(const struct decoder *d, const struct decoder_source *s, const uint32_t *ids, size_t n, bool skip_specials,
                   struct buf *out, struct err *err) _must_check_;

/* ---- token by token: for detokenizer.c ---- */

/* Where a text stands. Zeroed = its start. */
struct decoder_stream {
    char pending[4]; /* bytes that may become a character */
    uint8_t pending_n;
    bool any;        /* there was a token */
    bool broken;     /* the run of byte tokens is no UTF-8 and never will be */
    bool text_begun; /* nothing more is stripped from the front */
    size_t stripped; /* characters */
    /* when all tokens are there at once: */
    bool whole;
    bool in_run;
    size_t run_at; /* in the buffer: where the run of byte tokens begins */
};

bool decoder_is_direct(const struct decoder *d); /* false: only decoder_decode knows the way */
/* Appends what T adds, whole characters only. WORK is memory between calls. Failure: out->failed. */
void decoder_stream_put(const struct decoder *d, const struct decoder_source *s, struct decoder_stream *st,
                        const struct decoder_token *t, struct buf *out, struct buf *work);
/* Appends what waits, broken. */
void decoder_stream_end(const struct decoder *d, struct decoder_stream *st, struct buf *out, struct buf *work);
