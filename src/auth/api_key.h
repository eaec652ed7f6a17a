/* auth/api_key.h -- the shared serving key (--api-key): a filter (spec control-plane 4.1, 4.2)
 *
 * Guards ROUTE_DATA and ROUTE_ADMIN alike while no control-plane auth exists. `Authorization: Bearer K`, prefix case-sensitive, compared in constant time.
 * While there is a key, principal.credential_is_ours is set on every route: no Authorization of a client leaves for a worker.
 */
#pragma once

#include "http/exchange.h"

struct api_key {
    struct str key; /* borrowed; empty = open */
};

enum filter_verdict api_key_on_head(struct exchange *ex, void *context);
