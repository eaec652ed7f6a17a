/* http/cors.h -- the CORS filter (spec operations 18.1, with its BETTER: PUT allowed, `*` accepted, more request headers, 404s covered) */
#pragma once

#include "http/exchange.h"

struct cors {
    const struct str *origins; /* borrowed; empty list or one "*" = any */
    size_t n;
};

/* CONTEXT: struct cors. on_head answers every OPTIONS request with 200; on_reply adds the fields. */
enum filter_verdict cors_on_head(struct exchange *ex, void *context);
void cors_on_reply(struct exchange *ex, void *context);
