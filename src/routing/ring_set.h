/* routing/ring_set.h -- the hash rings of all models, kept up to date in the background
 *
 *   control thread: ring_set_changed() --at most every RING_PAUSE_MS--> rings of models whose workers changed are made from the ones before --publish--> snapshot
 *   loop threads:   ring_set_find(model) --> the ring, good until the end of the turn
 *
 * A ring that is some hundredths of a second old is as good as a new one: workers that are gone are passed over, new ones get no keys yet. So a storm of registrations costs
 * one pass over the rings per pause, not one per worker. Nothing is made while nobody wants rings.
 * Threads: find: any loop; all else: the control thread. Memory: 1.5 KB per worker and model.
 */
#pragma once

#include "routing/hash_ring.h"
#include "worker/registry.h"

#define RING_PAUSE_MS 50

struct ring_set;

/* REGISTRY is borrowed until ring_set_stop. */
int ring_set_new(struct loop *control, struct registry *registry, struct ring_set **ret) _must_check_;
void ring_set_stop(struct ring_set *s); /* NULL is fine, as below */
void ring_set_free(struct ring_set *s); /* when no loop runs any more */

void ring_set_want(struct ring_set *s, bool wanted); /* false: the rings are freed */
void ring_set_changed(struct ring_set *s);           /* a worker came or went */

/* The ring of the model with this canonical id (empty: of workers that serve any); NULL: there is none (yet). */
const struct hash_ring *ring_set_find(struct ring_set *s, struct loop *loop, struct str model);
