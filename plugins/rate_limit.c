/* rate_limit.wasm -- lets 60 requests a minute of each caller through, answers more with 429
 * world: smg-counting
 *
 * Attach it to OnRequest. Every call of a plugin starts afresh, so it counts in the gateway, through the import smg:gateway/shared-counter; that needs this gateway.
 * A caller is who the API key is of; without one, the address that the proxy in front tells. Only trust that where such a proxy sets x-forwarded-for itself.
 *
 * The window slides: of the last whole minute, the part that is still less than a minute ago counts as if it were spread evenly. So nobody gets two minutes' worth around the turn of a minute.
 */
#include "smg_counter.h"

#define REQUESTS  60
#define WINDOW_MS 60000

/* The counter's name must not hold the key itself: what is counted may be shown, a key never. FNV-1a, 64 bits. */
static struct smg_str hidden(struct smg_str secret)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (uint32_t i = 0; i < secret.n; i++)
        h = (h ^ (unsigned char)secret.p[i]) * 0x100000001b3u;
    return smg_from_u64(h);
}

static struct smg_str until_comma(struct smg_str s)
{
    uint32_t n = 0;

    while (n < s.n && n < 64 && s.p[n] != ',')
        n++;
    return (struct smg_str){ s.p, n };
}

static struct smg_str caller(const struct smg_request *r)
{
    struct smg_str authorization = smg_header(r->headers, SMG_STR("authorization"));
    struct smg_str key = smg_header(r->headers, SMG_STR("x-api-key"));
    struct smg_str forwarded = smg_header(r->headers, SMG_STR("x-forwarded-for"));

    if (authorization.n > 0)
        return smg_join(SMG_STR("key:"), hidden(authorization), SMG_STR(":"));
    if (key.n > 0)
        return smg_join(SMG_STR("key:"), hidden(key), SMG_STR(":"));
    return smg_join(SMG_STR("ip:"), until_comma(forwarded), SMG_STR(":"));
}

static struct smg_action on_request(const struct smg_request *r)
{
    struct smg_str who = caller(r);
    uint64_t minute = r->now_ms / WINDOW_MS, into = r->now_ms % WINDOW_MS;
    uint64_t before = smg_increment(smg_join(who, smg_from_u64(minute - 1), SMG_STR("")), 0, 2 * WINDOW_MS);
    uint64_t now = smg_increment(smg_join(who, smg_from_u64(minute), SMG_STR("")), 1, 2 * WINDOW_MS);

    if (now == 0) /* no room to count: let it through, as a gateway without this plugin does */
        return smg_continue();
    return now * WINDOW_MS + before * (WINDOW_MS - into) > (uint64_t)REQUESTS * WINDOW_MS ? smg_reject(429) : smg_continue();
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(smg_pass_response)
