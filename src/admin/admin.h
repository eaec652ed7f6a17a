/* admin/admin.h -- the control plane's handlers, one file per resource
 *
 *   workers.c         POST /workers; GET, PUT, PATCH, DELETE /workers/{worker_id}
 *   workers_list.c    GET /workers
 *   cache.c           POST /flush_cache
 *   loads.c           GET /get_loads
 *   profile.c         POST /start_profile, /stop_profile
 *   engine_metrics.c  GET /engine_metrics
 *   policies.c        GET, PATCH, DELETE /policies (policies.h)
 *
 * In:       an exchange that passed auth, with its body.   Out: its reply.
 * Lists are read from the snapshot of the loop, in turns. What changes something, or wants to know about a job, becomes a command to the control thread
 * (worker/registry.h); the exchange waits, and a client that leaves meanwhile leaves only the command, which then answers nobody.
 * Threads: each handler on its exchange's loop; struct admin is read-only.
 */
#pragma once

#include "http/exchange.h"
#include "json/json_shape.h"
#include "worker/fanout.h"
#include "worker/registry.h"

/* What the handlers get as their context. */
struct admin {
    struct registry *registry; /* borrowed */
    struct fanouts *fanouts;   /* borrowed; of the loop: not to be shared with another */
    bool gateway_has_key;      /* --api-key is set: a worker added without one is worth a warning */
};

void admin_list_workers(struct exchange *ex, void *context);
void admin_add_worker(struct exchange *ex, void *context);
void admin_get_worker(struct exchange *ex, void *context);
void admin_replace_worker(struct exchange *ex, void *context);
void admin_update_worker(struct exchange *ex, void *context);
void admin_remove_worker(struct exchange *ex, void *context);

void admin_flush_cache(struct exchange *ex, void *context);
void admin_get_loads(struct exchange *ex, void *context);
/* The bodies of the next two, for documents about them. */
extern const struct json_shape ADMIN_START_PROFILE_SHAPE, ADMIN_STOP_PROFILE_SHAPE;
void admin_start_profile(struct exchange *ex, void *context);
void admin_stop_profile(struct exchange *ex, void *context);
void admin_engine_metrics(struct exchange *ex, void *context);
