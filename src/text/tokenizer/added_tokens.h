/* text/tokenizer/added_tokens.h -- added tokens: found in text before anything else touches it (spec 3.2)
 *
 * Two automata, leftmost-longest: tokens with normalized=false on the raw text, those with normalized=true on the normalised text of what is left.
 * Immutable after building: any thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct added_token {
    struct str content; /* owned by the set */
    struct str matched; /* what is searched for: content, or its normal form */
    uint32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
};

struct added_tokens;
int added_tokens_new(const struct added_token *tokens, size_t n, struct added_tokens **ret,
                     struct err *err) _must_check_; /* copies; the last of equal contents counts */
void added_tokens_free(struct added_tokens *s);
size_t added_tokens_memory(const struct added_tokens *s);
const struct added_token *added_tokens_by_id(const struct added_tokens *s, uint32_t id);          /* NULL = none */
const struct added_token *added_tokens_by_content(const struct added_tokens *s, struct str text); /* NULL = none */
const struct added_token *added_tokens_all(const struct added_tokens *s, size_t *ret_n);

bool added_tokens_has(const struct added_tokens *s, bool normalized); /* is there anything to search for? */

/* The next match in text at or behind FROM: text[*ret_start, *ret_end) is the token (with what lstrip and rstrip took). PREVIOUS is the end of the match before (0 at first); *ret_resume is where to search on.
 * NULL = none. */
const struct added_token *added_tokens_next(const struct added_tokens *s, bool normalized, struct str text, size_t from,
                                            size_t previous, size_t *ret_start, size_t *ret_end, size_t *ret_resume);
