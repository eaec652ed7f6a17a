/* base/utf8.h -- is it UTF-8? (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF) */
#pragma once

#include "base/str.h"

/* Bytes of the well-formed character at the front of S, 1..4; 0 when there is none. */
size_t utf8_length(struct str s);

bool utf8_valid(struct str s);

/* At most N bytes of S without cutting a character in two (S is taken to be valid). */
struct str utf8_first(struct str s, size_t n);
