/* api_key.wasm -- lets requests with a known API key through, answers others with 401
 *
 * Attach it to OnRequest. The key is the bearer token of Authorization, or the header x-api-key. Other paths than the API's are not its business.
 * The keys are compiled in: replace the ones below by yours, and build again. Keys in a file or in a database, with tenants and roles, are the gateway's own work (docs/auth.md);
 * this one shows how a check of your own looks.
 */
#include "smg_plugin.h"

static const struct smg_str keys[] = {
    { "example-key-of-alice", 20 },
    { "example-key-of-bob", 18 },
};

static struct smg_str key_of(const struct smg_request *r)
{
    struct smg_str authorization = smg_header(r->headers, SMG_STR("authorization"));

    if (smg_starts(authorization, SMG_STR("Bearer ")))
        return smg_after(authorization, 7);
    return smg_header(r->headers, SMG_STR("x-api-key"));
}

static bool known(struct smg_str key)
{
    bool found = false;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        found |= smg_equal_secret(key, keys[i]); /* all of them: how long it takes does not tell which one it is */
    return found;
}

static struct smg_action on_request(const struct smg_request *r)
{
    if (!smg_starts(r->path, SMG_STR("/v1/")))
        return smg_continue();
    return known(key_of(r)) ? smg_continue() : smg_reject(401);
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(smg_pass_response)
