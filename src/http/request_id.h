/* http/request_id.h -- the request-id filter (spec operations 10.5): taken from the first usable header of the list, else made; echoed as x-request-id
 *
 * Usable: 1..256 bytes of visible ASCII. Made: prefix by path suffix (chatcmpl-, cmpl-, gnt-, resp-, msg_, req-) and 24 of A-Za-z0-9.
 */
#pragma once

#include "http/exchange.h"

struct request_id_conf {
    const struct str *headers; /* borrowed, lowercase; n = 0: x-request-id, x-correlation-id, x-trace-id, request-id */
    size_t n;
};

/* CONTEXT: struct request_id_conf. on_head fills ex->request_id; on_reply echoes it. */
enum filter_verdict request_id_on_head(struct exchange *ex, void *context);
void request_id_on_reply(struct exchange *ex, void *context);
