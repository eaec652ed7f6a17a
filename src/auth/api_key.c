#include "auth/api_key.h"

#include "http/error.h"

#define BEARER STR("Bearer ")

enum filter_verdict api_key_on_head(struct exchange *ex, void *context)
{
    const struct api_key *k = context;
    struct str given = http_value(&ex->req.fields, HF_AUTHORIZATION);

    if (k->key.n == 0 || !ex->route)
        return FILTER_GO_ON;
    /* On public routes too, some of which ask a worker: where a key is in force, what clients send is meant for us, well written or not. */
    ex->principal.credential_is_ours = true;
    if (ex->route->auth == ROUTE_PUBLIC)
        return FILTER_GO_ON;
    if (!str_has_prefix(given, BEARER) || !str_eq_secret(str_skip(given, BEARER.n), k->key)) {
        http_error_unauthorized(ex, STR("Bearer realm=\"smg\""),
                                given.n ? STR("Invalid API key")
                                        : STR("Missing Authorization header; send Authorization: Bearer <key>"));
        return FILTER_ANSWERED;
    }
    ex->principal.id = STR("api-key");
    ex->principal.admin = true;
    return FILTER_GO_ON;
}
