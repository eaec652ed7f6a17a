/* routing/policies.h -- the policies that POLICIES lists, one file each; for policy.c and tests */
#pragma once

#include "routing/policy.h"

extern const struct policy_ops policy_round_robin;  /* one after the other; one counter for all models that share the instance */
extern const struct policy_ops policy_random;       /* any, all equally often */
extern const struct policy_ops policy_power_of_two; /* the less loaded of two random ones */
extern const struct policy_ops policy_passthrough;  /* always the first */
extern const struct policy_ops policy_cache_aware;  /* the one that has seen most of the prompt, unless loads are out of balance */
extern const struct policy_ops policy_least_load;   /* where a request would wait least, by the engines' reports */
extern const struct policy_ops policy_consistent_hashing; /* a key's worker on the hash ring */
extern const struct policy_ops policy_prefix_hash;        /* the prompt's beginning as the key, within bounds of load */
extern const struct policy_ops policy_manual;             /* sticky sessions */
extern const struct policy_ops policy_bucket;             /* prefill by the prompt's length */

/* Of a policy_manual: how many sessions it remembers; 0 of others. Any thread. */
size_t policy_manual_entries(const struct policy *p);

/* Of a policy_bucket: the longest prompt of the range of MODEL's worker number INDEX. False: there is no such range. Any thread. */
bool policy_bucket_range(struct policy *p, struct str model, unsigned index, uint64_t *ret_last);
