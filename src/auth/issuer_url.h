/* auth/issuer_url.h -- where keys may be fetched from (spec control-plane 4.6): a rule against being sent to ask internal services
 *
 * https only, but for http to this machine (localhost, 127.0.0.1, ::1). Addresses that are private, loopback, link-local, unspecified, broadcast, 100.64/10, documentation networks or
 * multicast are refused, as are names of metadata services and *.internal and *.local. --jwt-allow-private-issuer lifts the second rule, never the first.
 * Names are not resolved here: a public name that points to a private address passes.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

int issuer_url_check(struct str url, bool allow_private, struct err *err) _must_check_; /* ERR_INVALID with SMG's texts */
