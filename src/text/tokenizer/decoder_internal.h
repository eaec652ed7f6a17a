/* text/tokenizer/decoder_internal.h -- a decoder as its own files see it; nobody else includes this
 *
 *   decoder.c         reading, and which KIND of way a chain gets
 *   decoder_direct.c  KIND_BYTES and KIND_DIRECT: token by token into one buffer, whole texts and streams
 *   decoder_steps.c   KIND_STEPS: any chain, step by step over lists of texts; whole texts only
 */
#pragma once

#include "text/tokenizer/decoder.h"
#include "text/tokenizer/regex.h"

#define STEPS_MAX 64

#define BROKEN_CHAR STR("\xef\xbf\xbd") /* U+FFFD */

enum step_type {
    STEP_JOINED, /* no decoder at all: one space between tokens */
    STEP_BYTE_LEVEL,
    STEP_BYTE_FALLBACK,
    STEP_METASPACE,
    STEP_REPLACE,
    STEP_FUSE,
    STEP_STRIP,
    STEP_WORD_PIECE,
    STEP_BPE,
    STEP_CTC,
    STEP_BYTES, /* tiktoken: the texts are bytes */
};

struct step {
    enum step_type type;
    bool flag;           /* metaspace: the first token loses its replacements; word piece, CTC: clean up */
    struct str from;     /* arena; what is looked for: replacement, pattern, prefix, suffix, content, pad token */
    struct str to;       /* arena; content; CTC: the word delimiter */
    struct regex *regex; /* owned; replace: instead of `from`; NULL = none */
    size_t start, stop;  /* strip */
};

enum decoder_kind {
    KIND_BYTES,  /* ByteLevel or tiktoken and nothing else: tokens are bytes */
    KIND_DIRECT, /* steps[0, before_n) on each token, then perhaps ByteFallback, then perhaps Fuse and steps[joined_at, steps_n) on the text so far */
    KIND_STEPS,
};

struct decoder {
    struct arena arena; /* owned: the texts of the steps */
    enum decoder_kind kind;
    size_t steps_n, before_n, joined_at;
    bool fallback;  /* KIND_DIRECT: ByteFallback is among the steps */
    bool has_regex; /* KIND_STEPS */
    struct step steps[STEPS_MAX];
};

/* ---- decoder_steps.c ---- */

/* As decoder_decode, for every kind. */
int decoder_decode_steps(const struct decoder *d, const struct decoder_source *s, const uint32_t *ids, size_t n, bool skip_specials,
                         struct buf *out, struct err *err) _must_check_;

/* ---- decoder_direct.c; d->kind is not KIND_STEPS ---- */

int decoder_decode_direct(const struct decoder *d, const struct decoder_source *s, const uint32_t *ids, size_t n,
                          bool skip_specials, struct buf *out, struct err *err) _must_check_;

/* What both use. */
bool decoder_is_byte_token(struct str s, char *ret);         /* <0xHH> */
void decoder_put_spelled(struct buf *out, struct str bytes); /* in the byte-level alphabet */

/* Texts that WordPiece's and CTC's clean-up changes, in order; none becomes longer. */
struct cleanup {
    struct str from, to;
};
#define CLEANUPS 11
extern const struct cleanup decoder_cleanups[CLEANUPS];
