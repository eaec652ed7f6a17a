/* routing/policy_set.h -- which policy serves which model
 *
 *   control thread: registry events (a model's first worker may name its policy: label `policy`), changes by operators --publish--> snapshot
 *   loop threads:   policy_set_find(model, leg) --> the policy, good until the end of the turn
 *
 * A model has the shared default policy unless its first worker's label or an operator gave it one of its own (spec data-plane 6.2; BETTER: a policy named by a label
 * has the configured parameters). Prefill and decode have policies of their own, the same for all models; unset: the model's.
 * A model's own policy lives until its last worker is gone.
 * Threads: find, shadow, shadow_counts, each: any loop. All else: the control thread, or before it runs.
 */
#pragma once

#include "routing/key_loads.h"
#include "routing/policy.h"
#include "routing/rings.h"
#include "worker/registry.h"

struct policy_set_conf {
    const struct policy_ops *policy;           /* never NULL */
    const struct policy_ops *prefill, *decode; /* NULL: as the model's */
    const struct policy_ops *shadow;           /* NULL: none */
    bool routing_key_override;                 /* sticky sessions by routing key come before any policy */
    struct policy_conf params;
};

struct policy_set;

/* What a shadow policy would have done, against what was done; since it began. Any thread, relaxed. */
struct shadow_counts {
    _Atomic uint64_t decisions, agreed;
    _Atomic uint64_t prompt, matched; /* bytes of the prompts that it looked at, and of them those that it expected on its worker */
    _Atomic uint64_t served_matched;  /* the same by the policy that served; 0 if that does not look at prompts */
    _Atomic uint64_t load_met, served_load_met; /* sums of the loads that requests would have met, and met, on their worker */
};

int policy_set_new(struct loop *control, const struct policy_set_conf *conf, struct policy_set **ret, struct err *err) _must_check_;
void policy_set_stop(struct policy_set *s); /* no tick follows */
void policy_set_free(struct policy_set *s); /* when no loop runs any more */

/* The policy that chooses for MODEL (canonical). Never NULL; borrowed until the end of the turn of LOOP. */
struct policy *policy_set_find(struct policy_set *s, struct loop *loop, struct str model, enum policy_leg leg);

/* LEG's own policy; NULL: it has none, the model's serves. Borrowed until the end of the turn of LOOP. */
struct policy *policy_set_leg(struct policy_set *s, struct loop *loop, enum policy_leg leg);
/* With --routing-key-override and a KEY the gateway's one table of sticky sessions decides in place of CHOSEN, unless that knows what to do with keys itself
 * (manual, consistent_hashing). */
struct policy *policy_set_override(const struct policy_set *s, struct policy *chosen, struct str key);

/* The hash rings for policies that want them: made from now on. Before any loop runs. 0 or ERR_NOMEM. */
int policy_set_make_rings(struct policy_set *s, struct registry *registry) _must_check_;
struct rings *policy_set_rings(const struct policy_set *s); /* NULL: there are none */

/* Counts the routing keys in flight. Any thread. */
struct key_loads *policy_set_key_loads(const struct policy_set *s);

/* How many sessions the sticky policies remember together. Control thread. */
size_t policy_set_sticky_entries(const struct policy_set *s);

/* Follows the workers; from a registry_subscribe callback. TABLE: as of now. */
void policy_set_on_registry(struct policy_set *s, enum registry_event e, const struct worker *w, const struct worker_table *table);

/* Does any policy in force want load reports? Control thread. */
bool policy_set_wants_loads(const struct policy_set *s);

/* MODEL (empty: the default of all models without one of their own) is served by a new instance of OPS with CONF from now on; what the old one remembered is gone.
 * ERR_INVALID with the reason, ERR_NOMEM: nothing has changed. */
int policy_set_change(struct policy_set *s, struct str model, const struct policy_ops *ops, const struct policy_conf *conf,
                      struct err *err) _must_check_;

/* The same for the leg of a pair, POLICY_PREFILL or POLICY_DECODE, of all models. OPS NULL: it has none of its own any more. */
int policy_set_leg_change(struct policy_set *s, enum policy_leg leg, const struct policy_ops *ops, const struct policy_conf *conf,
                          struct err *err) _must_check_;

/* MODEL has no policy of its own any more. ERR_NOT_FOUND: it had none. ERR_NOMEM. */
int policy_set_reset(struct policy_set *s, struct str model) _must_check_;

/* Chooses beside the others without being followed; its state is its own. OPS NULL: none from now on. The counts begin anew. */
int policy_set_shadow_change(struct policy_set *s, const struct policy_ops *ops, const struct policy_conf *conf,
                             struct err *err) _must_check_;
struct policy *policy_set_shadow(struct policy_set *s,
                                 struct loop *loop); /* NULL: none. Borrowed until the end of the turn of LOOP */
struct shadow_counts *policy_set_shadow_counts(struct policy_set *s);

/* The largest load of a ready worker of T less the smallest: as served, or as the shadow would have. Any thread. */
uint64_t policy_load_spread(const struct worker_table *t, bool shadow);

/* Calls FN for the default (model empty) and each model with a policy of its own, sorted by model. BY_OPERATOR: not by a worker's label. */
void policy_set_each(struct policy_set *s, struct loop *loop,
                     void (*fn)(struct str model, struct policy *p, bool by_operator, void *arg), void *arg);
