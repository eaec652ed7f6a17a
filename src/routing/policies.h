/* routing/policies.h -- the policies that POLICIES lists, one file each; for policy.c and tests */
#pragma once

#include "routing/policy.h"

extern const struct policy_ops policy_round_robin;  /* one after the other; one counter for all models that share the instance */
extern const struct policy_ops policy_random;       /* any, all equally often */
extern const struct policy_ops policy_power_of_two; /* the less loaded of two random ones */
extern const struct policy_ops policy_passthrough;  /* always the first */
extern const struct policy_ops policy_cache_aware;  /* the one that has seen most of the prompt, unless loads are out of balance */
extern const struct policy_ops policy_least_load;   /* where a request would wait least, by what the engines report */
extern const struct policy_ops policy_consistent_hashing; /* the same key to the same worker */
extern const struct policy_ops policy_prefix_hash;        /* prompts that begin alike to the same worker */
extern const struct policy_ops policy_manual;             /* sticky sessions by routing key */
extern const struct policy_ops policy_bucket;             /* prefill workers by length of the prompt */

/* Keys that a manual policy remembers; 0 for other policies. Any thread. */
size_t policy_manual_entries(const struct policy *p);
