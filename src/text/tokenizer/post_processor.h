/* text/tokenizer/post_processor.h -- what is put before and behind the ids of a text (spec 3.6)
 *
 * All of tokenizer.json's post-processors come down to two lists of ids for one text. Immutable after parsing: any thread.
 */
#pragma once

#include "base/err.h"
#include "json/json.h"

struct post_processor {
    uint32_t *before, *after; /* owned */
    size_t before_n, after_n;
};

int post_processor_parse(struct json v, struct post_processor *ret, struct err *err) _must_check_; /* null: both empty */
void post_processor_fini(struct post_processor *p);
