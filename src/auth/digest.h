/* auth/digest.h -- SHA-256 of credentials, without a malloc per request
 *
 * Keys are kept and compared as digests only: what a core dump or a stray read shows is no credential, and comparing two of them takes the same time wherever they differ.
 * A struct digest holds OpenSSL's state, made once; one thread at a time.
 */
#pragma once

#include <openssl/evp.h>

#include "base/err.h"
#include "base/str.h"

#define DIGEST_BYTES 32

struct digest {
    EVP_MD_CTX *state; /* owned */
    EVP_MD *sha256;    /* owned */
};

struct digest_value {
    uint64_t w[DIGEST_BYTES / 8];
};

int digest_init(struct digest *d) _must_check_; /* ERR_NOMEM */
void digest_fini(struct digest *d);             /* of a zeroed or half-made one, too */

/* False only when OpenSSL fails: then nothing is equal to anything. */
bool digest_of(struct digest *d, struct str bytes, struct digest_value *ret) _must_check_;

/* In the same time whatever the values are. */
static inline bool digest_eq(const struct digest_value *a, const struct digest_value *b)
{
    return ((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2]) | (a->w[3] ^ b->w[3])) == 0;
}

/* 64 lowercase hexadecimal digits, no NUL. */
void digest_hex(const struct digest_value *v, char out[DIGEST_BYTES * 2]);
