/* text/tokenizer/pretokenizer.h -- tokenizer.json's pre-tokenizers (spec 3.4): a segment to pieces
 *
 * Most files need none of the generic way: pretokenizer_scanner() says that a scanner on the raw text does the same.
 * Immutable after parsing: any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "json/json.h"
#include "text/tokenizer/scanner.h"

struct pretokenizer;

int pretokenizer_parse(struct json v, struct pretokenizer **ret,
                       struct err *err) _must_check_; /* null: *ret = NULL, the whole segment is one piece */
/* Split(REGEX, Isolated) then ByteLevel(add_prefix_space, use_regex=false): tiktoken and vocab.json files. */
int pretokenizer_from_regex(struct str regex, bool add_prefix_space, struct pretokenizer **ret, struct err *err) _must_check_;
void pretokenizer_free(struct pretokenizer *p);
size_t pretokenizer_memory(const struct pretokenizer *p);

/* The scanner that cuts raw text as P does, where P is nothing but splits that a scanner knows and, last, a ByteLevel without prefix space; NULL = use pretokenizer_run. */
const struct scanner *pretokenizer_scanner(const struct pretokenizer *p);
/* Does P end in (or consist of) a ByteLevel, so that the model sees bytes? The pieces of pretokenizer_run are then raw bytes, never mapped characters; a ByteLevel that is not last is UNSUPPORTED unless it can be done exactly. */
bool pretokenizer_is_byte_level(const struct pretokenizer *p);

/* Pieces that lie one behind the other in `text`; see model.h. */
struct pieces {
    struct buf text;
    uint32_t *ends; /* owned */
    size_t n, cap;
};
void pieces_fini(struct pieces *p);
struct pretokenizer_work; /* scratch, one per encoder */
int pretokenizer_work_new(struct pretokenizer_work **ret) _must_check_;
void pretokenizer_work_free(struct pretokenizer_work *w);

/* Cuts SEGMENT (valid UTF-8, not empty) into *OUT (overwritten). AT_START: the segment begins where the original text begins (Metaspace "first"). ERR_LIMIT: a regex gave up; ERR_NOMEM. */
int pretokenizer_run(const struct pretokenizer *p, struct pretokenizer_work *w, struct str segment, bool at_start,
                     struct pieces *out, struct err *err) _must_check_;
