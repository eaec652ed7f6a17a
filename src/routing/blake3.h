/* routing/blake3.h -- the BLAKE3 hash (https://github.com/BLAKE3-team/BLAKE3-specs), for positions on the hash ring
 *
 * Plain hashing of whole texts, no keys, no streams: what consistent hashing needs in order to agree with SMG's gateways on which worker a key belongs to
 * (spec data-plane 6.6, 6.7). Portable C without vectors: a text of up to 64 bytes is one compression, about a tenth of a microsecond.
 * No state, no memory but the stack; any thread.
 */
#pragma once

#include "base/str.h"

#define BLAKE3_BYTES 32

void blake3(struct str text, uint8_t ret[BLAKE3_BYTES]);

/* The first 8 bytes as a little-endian number. */
uint64_t blake3_u64(struct str text);
