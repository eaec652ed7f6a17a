/* text/tokenizer/valid_text.h -- private to the tokenizer: text that is surely UTF-8 */
#pragma once

#include "base/buf.h"

/* *RET = TEXT when it is valid UTF-8, else a copy in WORK with U+FFFD for each maximal invalid prefix. 0 or ERR_NOMEM (a text near the bound of a buf, too). */
int valid_text(struct str text, struct buf *work, struct str *ret) _must_check_;

/* How many bytes at the front of TEXT are valid UTF-8. ASCII goes by 64 bytes. */
size_t valid_prefix(struct str text);
