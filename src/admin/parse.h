/* admin/parse.h -- the parsers of model output over HTTP (spec control-plane 14, parsers 2)
 *
 *   parse.c        POST /parse/function_call, /parse/reasoning
 *   parse_list.c   GET /parse/parsers: names, aliases and formats (beyond SMG)
 *
 * BETTER than SMG: aliases are names too, `tools` may be left out, an unknown name is answered with the list of those that there are, and calls get the `id` and `type` of a chat's where
 * `include_ids` asks for them. Nothing is locked: requests for one parser do not wait for each other.
 * Threads: each handler on its exchange's loop.
 */
#pragma once

#include "http/exchange.h"
#include "json/json_shape.h"
#include "loop/pool.h"

/* What the handlers get as their context; one per loop. */
struct admin_parse {
    struct pool *pool; /* borrowed: parses what is too long for a loop's turn */
    struct list jobs;  // parse_job.link: what the pool has of this loop
};

void admin_parse_init(struct admin_parse *p, struct pool *pool);
void admin_parse_fini(struct admin_parse *p); /* the loop does not run any more, the pool is freed */

void admin_parse_function_call(struct exchange *ex, void *context);
void admin_parse_reasoning(struct exchange *ex, void *context);
void admin_list_parsers(struct exchange *ex, void *context);

extern const struct json_shape PARSE_CALLS_SHAPE, PARSE_REASONING_SHAPE;
