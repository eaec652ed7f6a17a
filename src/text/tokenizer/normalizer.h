/* text/tokenizer/normalizer.h -- tokenizer.json's normalizers (spec 3.3): text to text
 *
 * Most text is normal already: each step looks first and answers with its input when nothing changes (ASCII costs a scan).
 * Immutable after parsing: any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "json/json.h"

struct normalizer;

/* JSON: the member "normalizer". null: *ret = NULL, the identity. ERR_INVALID, ERR_UNSUPPORTED, ERR_LIMIT (depth, regex, table), ERR_NOMEM; texts name the type and the member. */
int normalizer_parse(struct json v, struct normalizer **ret, struct err *err) _must_check_;
void normalizer_free(struct normalizer *n);
size_t normalizer_memory(const struct normalizer *n);

/* *RET = the normal form of IN (valid UTF-8): IN itself, or bytes in one of the two buffers (valid until they are used again). N may be NULL. */
int normalizer_run(const struct normalizer *n, struct str in, struct buf work[2], struct str *ret, struct err *err) _must_check_;

/* Is it exactly: (nothing | Prepend P) then Replace(" " -> R)? The SentencePiece style that models have a fast way for. */
struct normalizer_spm {
    struct str prepend; /* empty = none */
    struct str space;   /* what replaces " " */
};
bool normalizer_is_spm(const struct normalizer *n, struct normalizer_spm *ret);
bool normalizer_is_nfc(const struct normalizer *n); /* exactly NFC */
