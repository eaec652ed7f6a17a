/* text/tokenizer/precompiled.h -- SentencePiece's precompiled character map (spec 3.3)
 *
 * Immutable after parsing: any thread. A map that points outside itself is bounded at every step and finds nothing there.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define PRECOMPILED_MAX (16u << 20) /* bytes; the maps of models have 240 KB */

struct precompiled;

int precompiled_new(struct str base64, struct precompiled **ret,
                    struct err *err) _must_check_; /* ERR_INVALID, ERR_LIMIT, ERR_NOMEM */
void precompiled_free(struct precompiled *p);      /* NULL is fine */
size_t precompiled_memory(const struct precompiled *p);

/* *RET = IN when nothing maps, else bytes of OUT (overwritten). IN is valid UTF-8. 0 or ERR_NOMEM. */
int precompiled_run(const struct precompiled *p, struct str in, struct buf *out, struct str *ret) _must_check_;
