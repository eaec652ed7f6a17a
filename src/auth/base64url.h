/* auth/base64url.h -- base64url without padding, as JOSE writes it (RFC 7515 2) */
#pragma once

#include "base/arena.h"
#include "base/err.h"

/* Decodes into ARENA. ERR_SYNTAX: another character (padding, blanks), a length that no bytes encode to, bits in the last character that stand for nothing (so that
 * each byte string has one text); ERR_NOMEM. */
int base64url_decode(struct str text, struct arena *arena, struct str *ret) _must_check_;
