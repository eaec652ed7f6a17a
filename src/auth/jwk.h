/* auth/jwk.h -- the issuer's public keys (RFC 7517, 7518, 8037), and checking a signature with one
 *
 *   JWKS text --key_set_parse--> struct key_set, immutable --key_set_find(kid)--> struct jwk --jwk_verify--> yes or no
 *
 * RSA (RS256 RS384 RS512 PS256 PS384 PS512), EC P-256, P-384, P-521 (ES256 ES384 ES512), OKP Ed25519 and Ed448 (EdDSA). The algorithm is a property of the key: its `alg`, else RS256
 * for RSA and what the curve says for the others. A token that names another one is refused: that is what keeps a public RSA key from being taken as an HMAC secret, and "none"
 * from being taken at all.
 * One key that cannot be used does not spoil the set (BETTER of spec control-plane 4.6). A key for encryption or without `kid` is left out; one of an unknown kind stays with the reason,
 * for the message to those who use it. Of two keys with one kid the first counts. RSA below 2048 bits is refused.
 * Bounds: KEY_SET_KEYS_MAX keys; the text was bounded by who fetched it.
 * Threads: read only after key_set_parse; OpenSSL's key objects may be used by any number of threads.
 */
#pragma once

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/err.h"

#define KEY_SET_KEYS_MAX 256

struct signature_algorithm;

struct jwk {
    struct str kid;                              /* arena */
    const struct signature_algorithm *algorithm; /* NULL: the key cannot be used, `reason` says why */
    EVP_PKEY *key;                               /* owned; NULL as the algorithm */
    struct str reason;                           /* "Unsupported key algorithm: RSA-OAEP"; arena */
};

struct key_set {
    struct arena arena; /* owned */
    struct jwk *keys;   /* arena */
    size_t n;
    size_t skipped;      /* keys that were left out or cannot be used */
    uint64_t fetched_us; /* clock_now_us when it came; 0 = never: the set before the first */
    uint64_t generation; /* 0, 1, 2 ...: counts what was published */
};

/* ERR_SYNTAX ("Failed to parse JWKS: ..."), ERR_INVALID (no usable key in it), ERR_LIMIT, ERR_NOMEM. *RET is the caller's. */
int key_set_parse(struct str text, struct key_set **ret, struct err *err) _must_check_;
struct key_set *key_set_new_empty(void) _must_check_; /* NULL: no memory */
void key_set_free(struct key_set *s);

const struct jwk *key_set_find(const struct key_set *s, struct str kid);

/* "RS256"; "" for a key that cannot be used. */
const char *jwk_algorithm(const struct jwk *k);

/* Is SIGNATURE (as JOSE has it: r and s side by side for ES*) of SIGNED by this key? 0, ERR_INVALID (no), ERR_NOMEM. K can be used. */
int jwk_verify(const struct jwk *k, struct str signed_text, struct str signature) _must_check_;
