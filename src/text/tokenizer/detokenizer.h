/* text/tokenizer/detokenizer.h -- ids to text, one at a time: what a stream needs (spec 7)
 *
 * Nothing is given out while the text ends in an incomplete character or in U+FFFD; all pieces and the flush together are what decoding all ids at once gives (for byte-fallback runs that
 * turn invalid late see detokenizer.c). A handful of bytes of state, no allocation per token.
 * Never fails on an id: unknown ones are skipped.
 */
#pragma once

#include "text/tokenizer/decoder.h"
#include "text/tokenizer/tokenizer.h"

struct detokenizer {
    const struct tokenizer *t;
    bool skip_specials;
    struct buf held; /* bytes that may not go out yet; the rest of the state is the decoder's */
    uint64_t state[4];
};

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool skip_specials);
void detokenizer_fini(struct detokenizer *d);
void detokenizer_reset(struct detokenizer *d);
int detokenizer_put(struct detokenizer *d, uint32_t id,
                    struct buf *out) _must_check_; /* appends what may go out now, possibly nothing. ERR_NOMEM */
int detokenizer_flush(struct detokenizer *d,
                      struct buf *out) _must_check_; /* the end: what is held goes out, broken characters as U+FFFD */

/* For detokenizer.c: what a tokenizer decodes with. */
const struct decoder *tokenizer_decoder(const struct tokenizer *t);
const struct decoder_source *tokenizer_decoder_source(const struct tokenizer *t);
