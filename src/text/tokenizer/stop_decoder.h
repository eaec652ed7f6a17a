/* text/tokenizer/stop_decoder.h -- streams text until a stop string or a stop token (spec 8)
 *
 * Withholds only the longest suffix of the text that may still become a stop string (spec 8.4 BETTER; text/scan/stop_matcher.h). The match that ends first wins; of those that end together
 * the longest.
 */
#pragma once

#include "text/tokenizer/detokenizer.h"

struct stop_config {
    const struct str *stops; /* copied; empty ones are ignored */
    size_t stops_n;
    const uint32_t *tokens; /* copied: EOS ids (unless ignore_eos) and stop_token_ids */
    size_t tokens_n;
    bool visible; /* no_stop_trim: the stop itself is given out */
    bool skip_specials;
};

enum stop_result { STOP_HELD, STOP_TEXT, STOP_STOPPED, STOP_STOPPED_WITH_TEXT };

struct stop_decoder;
int stop_decoder_new(const struct tokenizer *t, const struct stop_config *c, struct stop_decoder **ret,
                     struct err *err) _must_check_;
void stop_decoder_free(struct stop_decoder *d); /* NULL is fine */
/* Appends to OUT. A negative code is ERR_NOMEM. After a stop: STOP_STOPPED. */
int stop_decoder_put(struct stop_decoder *d, uint32_t id, struct buf *out) _must_check_;
int stop_decoder_flush(struct stop_decoder *d,
                       struct buf *out) _must_check_; /* the end; U+FFFD that was held may complete a stop string: then as put */
struct str stop_decoder_matched(const struct stop_decoder *d); /* the stop string that matched; empty = none, or a token */
void stop_decoder_reset(struct stop_decoder *d);
