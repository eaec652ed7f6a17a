/* auth/auth_internal.h -- what auth.c makes and guard.c reads */
#pragma once

#include "auth/auth.h"
#include "auth/jwt.h"
#include "auth/key_source.h"
#include "auth/keys.h"

struct auth {
    struct arena arena; /* owned: all that is read */
    struct serving_keys serving;
    struct control_keys control;
    struct jwt_rules jwt;    /* issuer.n = 0: no tokens */
    struct key_source *keys; /* owned; NULL without an issuer, or before auth_start */
    struct str jwks_uri, ca_file;
    bool allow_private;
    bool audit;
};

static inline bool auth_has_control(const struct auth *a)
{
    return a->control.n > 0 || a->jwt.issuer.n > 0;
}
