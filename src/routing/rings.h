/* routing/rings.h -- the hash rings of all models, made where nobody waits for them (spec data-plane 3: a ring per model over all its workers)
 *
 *   control thread: registry events --> models whose ring is behind --step--> a newer ring --publish--> snapshot       a step hashes STEP_WORKERS new workers at most
 *   loop threads:   rings_find(model's workers) --> its ring, or NULL the first time: then it is asked for
 *
 * Rings exist for models that a policy has asked for (policy_ops.wants_ring) and that have workers. A ring may be some milliseconds behind the table: it passes over
 * workers that are gone, and a new one gets its share when it is in. A step costs about 30 us per new worker and 1 ms per 4,000 workers of the model; the pause
 * after it is DUTY times as long, so that a storm of registrations takes 5 % of the control thread.
 * Threads: find: any loop. All else: the control thread, or before it runs. Bounds: a ring per model of the table.
 */
#pragma once

#include "routing/hash_ring.h"
#include "worker/registry.h"

struct rings;

int rings_new(struct loop *control, struct registry *registry, struct rings **ret) _must_check_; /* 0 or ERR_NOMEM */
void rings_stop(struct rings *r);                                                                /* no step follows; NULL is fine */
void rings_free(struct rings *r);                                                                /* when no loop runs any more */

/* The ring of GROUP, a model of TABLE; good until the end of LOOP's turn. NULL: there is none yet. R may be NULL: there never is one. */
const struct hash_ring *rings_find(struct rings *r, struct loop *loop, const struct worker_table *table,
                                   const struct worker_model *group);

/* From a registry_subscribe callback. */
void rings_on_registry(struct rings *r);
