/* admin/tokenizers.h -- the tokenizers of the gateway over HTTP (spec control-plane 12, 13)
 *
 *   tokenizers.c   POST, GET /v1/tokenizers; GET, DELETE /v1/tokenizers/{tokenizer_id}; GET /v1/tokenizers/{tokenizer_id}/status      (control plane)
 *   tokenize.c     POST /v1/tokenize, /v1/detokenize, and under the engines' names /tokenize, /detokenize                               (data plane)
 *
 * BETTER than SMG: what cannot be (an empty name or source) is refused at once with 400; a second POST for a name that is being loaded from the same source joins its job (202, the
 * same id), from another source it is 409; a full queue is 503 with Retry-After; `add_special_tokens` is honoured; a model's alias finds the model's tokenizer.
 * Threads: each handler on its exchange's loop.
 */
#pragma once

#include "catalog/catalog.h"
#include "http/exchange.h"
#include "json/json_shape.h"
#include "loop/pool.h"
#include "worker/registry.h"

/* What the handlers get as their context; one per loop. */
struct admin_tokenizers {
    struct catalog *catalog;   /* borrowed */
    struct registry *registry; /* borrowed: aliases of models */
    struct pool *pool;         /* borrowed: encodes what is too long for a loop's turn */
    struct list jobs;          // tokenize_job.link: what the pool has of this loop
};

void admin_tokenizers_init(struct admin_tokenizers *t, struct catalog *catalog, struct registry *registry, struct pool *pool);
void admin_tokenizers_fini(struct admin_tokenizers *t); /* the loop does not run any more, the pool is freed */

void admin_add_tokenizer(struct exchange *ex, void *context);
void admin_list_tokenizers(struct exchange *ex, void *context);
void admin_get_tokenizer(struct exchange *ex, void *context);
void admin_get_tokenizer_status(struct exchange *ex, void *context);
void admin_remove_tokenizer(struct exchange *ex, void *context);

void admin_tokenize(struct exchange *ex, void *context);
void admin_detokenize(struct exchange *ex, void *context);

extern const struct json_shape TOKENIZER_ADD_SHAPE, TOKENIZE_SHAPE, DETOKENIZE_SHAPE;
