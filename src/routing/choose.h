/* routing/choose.h -- what several policies do with a list of candidates
 *
 * Candidates stand in order of registration (worker->order), as dispatch/ makes the list. All functions: any thread, no memory, CAND has N >= 1 entries.
 */
#pragma once

#include "routing/policy.h"

/* The one with the lowest policy_load; of several the first. Fills choice->scores. */
int choose_least_loaded(const struct worker *const *cand, size_t n, const struct policy_hint *hint, struct policy_choice *choice);

/* Any of those with the lowest AMOUNT, all equally often. */
int choose_least(const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                 int64_t (*amount)(const struct policy_hint *hint, const struct worker *w));

/* Where the worker of ORDER is in CAND; -1: nowhere. */
int choose_by_order(const struct worker *const *cand, size_t n, uint64_t order);

/* Whose POSITION is on the ring (hash_ring.h): by the hint's ring; without one by hashing, or, among more candidates than that is good for, by POSITION modulo N. */
int choose_by_position(const struct worker *const *cand, size_t n, const struct policy_hint *hint, uint64_t position);
