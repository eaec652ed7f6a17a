/* text/tokenizer/score.h -- the scores of a Unigram vocabulary, as the original reads them: its JSON reader rounds twice, and ties between segmentations hang on the last bit */
#pragma once

#include "base/str.h"

/* NUMBER is a number of JSON. False when it goes past the range of a double. */
bool score_read(struct str number, double *ret) _must_check_;
