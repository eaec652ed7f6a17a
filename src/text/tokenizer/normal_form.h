/* text/tokenizer/normal_form.h -- NFC, NFD, NFKC, NFKD as Hugging Face's tokenizers computes them (Unicode 9)
 *
 * Linear in the text, whatever it is. Text that is normal already is only looked at: ASCII 16 bytes at a time, the rest with one table look-up per character.
 * Characters assigned after Unicode 9 are left alone, and nothing moves or joins across them: so the ids come out as those that the model was trained with.
 */
#pragma once

#include "base/buf.h"

enum normal_form { NORMAL_NFC, NORMAL_NFD, NORMAL_NFKC, NORMAL_NFKD };

/* *RET = IN when it is normal, else bytes of OUT (overwritten). IN is valid UTF-8. 0 or ERR_NOMEM. */
int normal_form(enum normal_form f, struct str in, struct buf *out, struct str *ret) _must_check_;
