/* routing/policies.h -- the policies that POLICIES lists, one file each; for policy.c and tests */
#pragma once

#include "routing/policy.h"

extern const struct policy_ops policy_round_robin;  /* one after the other; one counter for all models that share the instance */
extern const struct policy_ops policy_random;       /* any, all equally often */
extern const struct policy_ops policy_power_of_two; /* the less loaded of two random ones */
extern const struct policy_ops policy_passthrough;  /* always the first */
