/* fetch/hub_digest.h -- is a file what its etag says? */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* The bytes of FD against ETAG: 64 hexadecimal digits are their SHA-256 (files in large storage); 40 are git's name of a blob of theirs (all others), or their SHA-1, which is what some mirrors
 * give in its place; anything else tells nothing, and fits. 0; ERR_PROTOCOL (it does not fit, *err says what came), ERR_IO, ERR_NOMEM. Reads from the start; FD's place is left alone. */
int hub_digest_check(int fd, uint64_t size, struct str etag, struct err *err) _must_check_;
