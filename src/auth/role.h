/* auth/role.h -- from the claims of a token to a role of the gateway (spec control-plane 4.7, with its BETTER points)
 *
 *   the claim (a top-level name, else a dotted path such as realm_access.roles) --> its strings --> the highest role that any of them stands for
 *   claim absent: the strings of `role`, `roles`, `groups`, `group`
 *
 * With a mapping only mapped strings count (exact, case-sensitive); without one "admin" in any case is admin. Whatever is nothing else is user.
 */
#pragma once

#include "json/json.h"

struct role_mapping {
    struct str theirs;
    bool admin;
};

struct role_rules {
    struct str claim;
    const struct role_mapping *mapping; /* n = 0: none */
    size_t n;
};

/* Is the bearer of CLAIMS an admin? Out of memory: no (ARENA tells). */
bool role_is_admin(const struct role_rules *rules, struct json claims, struct arena *arena);
