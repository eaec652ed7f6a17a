/* admin/policies.h -- which policy serves which model: shown and changed while requests run
 *
 *   GET    /policies          the default, the models with a policy of their own, the shadow and what it found out
 *   PATCH  /policies          the default
 *   PATCH  /policies/{model}  one model's own
 *   DELETE /policies/{model}  back to the default
 *
 * Threads: the handlers on their exchange's loop; the change itself on the control thread.
 */
#pragma once

#include "http/exchange.h"
#include "json/json_shape.h"
#include "routing/policy_set.h"

/* What the handlers get as their context; one for all loops, constant. */
struct admin_policies {
    struct policy_set *set;     /* borrowed */
    struct registry *registry;  /* borrowed */
    struct loop *control;       /* borrowed */
    void (*changed)(void *arg); /* on the control thread, after a change; optional */
    void *arg;
};

void admin_list_policies(struct exchange *ex, void *context);
void admin_patch_default_policy(struct exchange *ex, void *context);
void admin_patch_policy(struct exchange *ex, void *context);
void admin_reset_policy(struct exchange *ex, void *context);

extern const struct json_shape POLICY_PATCH_SHAPE;
