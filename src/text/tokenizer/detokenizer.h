/* text/tokenizer/detokenizer.h -- ids to text, one at a time: what a stream needs (spec 7)
 *
 * Nothing is given out that ends in an incomplete character or in U+FFFD: that may still become something else. All pieces and the flush together are what decoding all ids at once gives; the
 * one exception is a run of byte tokens that turns invalid after a character of it went out (decoder_direct.c).
 * A handful of bytes of state, no allocation per token. Chains of decoders without a direct way are decoded anew for each token, over a window of the last few.
 * Never fails on an id: unknown ones are skipped.
 */
#pragma once

#include "text/tokenizer/decoder.h"
#include "text/tokenizer/tokenizer.h"

#define DETOKENIZER_HELD_MAX 4096 /* bytes of U+FFFD that wait; more go out as they are */

#define DETOKENIZER_WINDOW_MAX 256 /* tokens without text of their own that wait; then the oldest leave */

struct detokenizer {
    const struct tokenizer *t;
    bool skip_specials;
    struct decoder_stream stream;
    struct buf held; /* U+FFFD that may still turn into text of another kind: what a stream of Hugging Face's holds too */
    struct buf work;
    /* Without a direct way: the last tokens, what the first old_n of them give, and a place to decode in. */
    struct ids window;
    size_t old_n;
    struct buf old, fresh;
};

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool skip_specials); /* T outlives it */
void detokenizer_fini(struct detokenizer *d);
void detokenizer_reset(struct detokenizer *d);
int detokenizer_put(struct detokenizer *d, uint32_t id,
                    struct buf *out) _must_check_; /* appends what may go out now, possibly nothing. ERR_NOMEM */
int detokenizer_flush(struct detokenizer *d,
                      struct buf *out) _must_check_; /* the end: what is held goes out, broken characters as U+FFFD */

/* For detokenizer.c: what a tokenizer decodes with. */
const struct decoder *tokenizer_decoder(const struct tokenizer *t);
const struct decoder_source *tokenizer_decoder_source(const struct tokenizer *t);
