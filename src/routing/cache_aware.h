/* routing/cache_aware.h -- what else there is to say to the cache_aware policy, beside struct policy_ops: the engines' events, and its counts */
#pragma once

#include "routing/kv_events.h"
#include "routing/policy.h"

#define CACHE_AWARE_MODELS 256 /* with events; at the bound a model's prompts are looked up in the index of what was routed */

/* The index of MODEL's KV-cache events, made on the first call. From then on prompts with tokens follow it as long as it knows a block. NULL: memory is out, or
 * CACHE_AWARE_MODELS. P: an instance of policy_cache_aware. Control thread. */
struct kv_events *cache_aware_events(struct policy *p, struct str model);

/* Any thread. */
void cache_aware_stats(const struct policy *p, struct prefix_index_stats *ret);
bool policy_is_cache_aware(const struct policy *p);
