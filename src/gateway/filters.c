/* gateway/filters.c -- THE filter array: what every request meets before its handler, in this order; replies walk back the other way
 *
 * Request id first, so that everything later can name the request; then what observes (so that refusals are counted and logged too); then what refuses.
 * Authentication comes before anything that costs (admission, bodies, plugins), and before a known path tells which methods it has (spec control-plane 1.2).
 * Plugins come behind auth (decision 3) and in front of admission: a permit is for work, and what a plugin rejects is none. They may change the fields that admission and routing read.
 * Admission stands behind the body: a permit is for work, and a client that uploads slowly does none. Its on_end comes first of all: the next in the line waits for nobody's log.
 */
#include "gateway/gateway_internal.h"

const struct filter GATEWAY_FILTERS[] = {
    { .name = "request id", .on_head = request_id_on_head, .on_reply = request_id_on_reply, .context = CONTEXT_REQUEST_ID },
    { .name = "metrics", .on_head = observe_metrics_on_head, .on_end = observe_metrics_on_end, .context = CONTEXT_OBSERVE },
    { .name = "access log", .on_end = observe_access_log_on_end, .context = CONTEXT_OBSERVE },
    { .name = "CORS", .on_head = cors_on_head, .on_reply = cors_on_reply, .context = CONTEXT_CORS },
    { .name = "body limit", .on_head = body_limit_on_head, .context = CONTEXT_GATEWAY },
    { .name = "auth", .on_head = auth_on_head, .on_end = auth_on_end, .context = CONTEXT_AUTH },
    { .name = "404 and 405", .on_head = route_check_on_head, .context = CONTEXT_GATEWAY },
    { .name = "Expect", .on_head = expect_check_on_head, .context = CONTEXT_GATEWAY },
    { .name = "plugins",
      .on_head = plugin_on_head,
      .on_body = plugin_on_body,
      .on_end = plugin_on_end,
      .context = CONTEXT_PLUGINS },
    { .name = "admission",
      .on_body = admission_on_body,
      .on_reply = admission_on_reply,
      .on_end = admission_on_end,
      .context = CONTEXT_ADMISSION },
};
const size_t GATEWAY_FILTERS_N = ARRAY_LEN(GATEWAY_FILTERS);
