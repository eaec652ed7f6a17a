/* auth/jwt.h -- one token: taking it apart, checking it, reading who it is (RFC 7515, 7519; spec control-plane 4.5 with its BETTER points)
 *
 *   jwt_open: three parts, the header (alg, kid) --> the caller finds the key --> jwt_check: algorithm, signature, claims, role
 *
 * Nothing of the payload is looked at before the signature is right. `exp`, `iss` and `aud` must be there; `nbf` is honoured; JWT_LEEWAY_S either way for clocks that differ.
 * A claim that comes twice is refused, as is a header with `crit` (RFC 7515 4.1.11: we know no extension).
 * Messages are SMG's: the caller puts "Invalid JWT: " before them. They never repeat the token; of its header they show kid and alg, cut at JWT_SHOWN bytes.
 * The time is a parameter; memory is the caller's arena. Any thread.
 */
#pragma once

#include "auth/jwk.h"
#include "auth/role.h"

#define JWT_BYTES_MAX (16 * 1024)
#define JWT_LEEWAY_S  30
#define JWT_SHOWN     128

struct jwt {
    struct str signed_text; /* header and payload with the dot between them; views of the token */
    struct str payload;     /* still encoded */
    struct str signature;   /* decoded; arena */
    struct str alg, kid;    /* arena */
};

struct jwt_rules {
    struct str issuer, audience; /* the token's must be equal byte for byte, or (aud) contain it */
    struct role_rules roles;
};

struct jwt_identity {
    struct str id; /* sub, else email, else preferred_username, else "unknown"; arena */
    struct str name;
    bool admin;
};

/* Exactly three parts, separated by dots: what a JWT looks like, whatever is in them. */
bool jwt_looks_like_one(struct str token);

/* ERR_INVALID with the text; ERR_LIMIT past JWT_BYTES_MAX; ERR_NOMEM. */
int jwt_open(struct str token, struct arena *arena, struct jwt *ret, struct err *err) _must_check_;

/* NOW_S: seconds since 1970. ERR_INVALID with the text; ERR_NOMEM. */
int jwt_check(const struct jwt *t, const struct jwk *key, const struct jwt_rules *rules, uint64_t now_s, struct arena *arena,
              struct jwt_identity *ret, struct err *err) _must_check_;

/* Does the unchecked token say that it comes from ISSUER? Good for nothing but keeping such a token from going elsewhere. */
bool jwt_claims_issuer(struct str token, struct str issuer, struct arena *arena);
