/* base/ids.h -- UUIDs as the control plane's ids (spec control-plane 6.5, 7) */
#pragma once

#include "base/err.h"
#include "base/random.h"
#include "base/str.h"

#define UUID_TEXT_LEN 36 /* lowercase, hyphenated, no NUL */

struct uuid {
    uint8_t b[16];
};

/* Version 7 (RFC 9562 5.7): 48 bits of wall-clock milliseconds, then random; two of one process order as they were made. Any thread. */
struct uuid uuid_v7(void);

void uuid_text(struct uuid id, char out[UUID_TEXT_LEN + 1]); /* NUL-terminated */

/* Accepts hyphenated, 32 hex digits, `urn:uuid:` prefix, braces, any case. ERR_SYNTAX with the message of spec control-plane 7
 * ("invalid character: expected an optional prefix of ..."). */
int uuid_parse(struct str text, struct uuid *ret, struct err *err) _must_check_;

static inline bool uuid_eq(struct uuid a, struct uuid b)
{
    return memcmp(a.b, b.b, sizeof a.b) == 0;
}
