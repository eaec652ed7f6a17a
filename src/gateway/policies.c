/* gateway/policies.c -- the policies, from flags */
#include "gateway/gateway_internal.h"

static const struct policy_ops *policy_named(enum launch_policy p)
{
    return p == LAUNCH_POLICY_UNSET ? NULL : policy_find(str_of(launch_policy_name(p)));
}

/* Of one side of a prefill/decode pair: an instance of its own, also where it is of the common kind. Two sides that take turns at one counter would each see every other
 * number, and some workers never. By model (--enable-igw) both are of the common kind. NULL: there are no pairs. */
static const struct policy_ops *role_policy(const struct launch_config *c, enum launch_policy p)
{
    if (c->enable_igw)
        return policy_named(c->policy);
    return c->pd_disaggregation ? policy_named(p == LAUNCH_POLICY_UNSET ? c->policy : p) : NULL;
}

/* Zeroed first, padding included: two of them are compared as bytes. */
static void params_of(const struct launch_config *c, struct policy_conf *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->cache_threshold = c->cache_threshold;
    ret->balance_abs_threshold = c->balance_abs_threshold;
    ret->balance_rel_threshold = c->balance_rel_threshold;
    ret->balance_token_usage_threshold = c->balance_token_usage_threshold;
    ret->overload_token_usage_threshold = c->overload_token_usage_threshold;
    ret->eviction_interval_s = c->eviction_interval_s;
    ret->max_tree_size = c->max_tree_size;
    ret->block_size = c->block_size;
    ret->kv_pressure_weight = c->least_load_kv_pressure_weight;
    ret->default_throughput = c->least_load_default_throughput;
    ret->mean_prefill_tokens = c->least_load_mean_prefill_tokens;
    ret->prefix_token_count = c->prefix_token_count;
    ret->load_factor = c->prefix_hash_load_factor;
    ret->max_idle_s = c->max_idle_s;
    ret->assignment = (enum policy_assignment)c->assignment_mode;
    ret->bucket_adjust_interval_s = c->bucket_adjust_interval_s;
}
_Static_assert((int)POLICY_ASSIGN_MIN_LOAD == (int)LAUNCH_ASSIGN_MIN_LOAD &&
                   (int)POLICY_ASSIGN_MIN_GROUP == (int)LAUNCH_ASSIGN_MIN_GROUP,
               "the flag's values are the policies'");

/* Control thread: policies came or went. */
static void on_changed(void *arg)
{
    gateway_loads_wanted(arg);
}

int gateway_make_policies(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    struct policy_set_conf conf = { .policy = policy_named(c->policy),
                                    .prefill = role_policy(c, c->prefill_policy),
                                    .decode = role_policy(c, c->decode_policy),
                                    .shadow = policy_named(c->shadow_policy),
                                    .routing_key_override = c->routing_key_override };
    int r;

    if (!conf.policy)
        return err_set(err, ERR_UNSUPPORTED, "--policy %s is not available in this version", launch_policy_name(c->policy));
    params_of(c, &conf.params);
    r = policy_set_new(g->control, &conf, &g->policies, err);
    g->admin_policies = (struct admin_policies){ .set = g->policies, .control = g->control, .changed = on_changed, .arg = g };
    return r;
}

int gateway_reload_policies(struct gateway *g, const struct launch_config *before, const struct launch_config *now, struct err *err)
{
    const struct {
        enum policy_leg leg;
        enum launch_policy was, is;
    } sides[] = { { POLICY_PREFILL, before->prefill_policy, now->prefill_policy },
                  { POLICY_DECODE, before->decode_policy, now->decode_policy } };
    struct policy_conf was, is;
    bool params_moved;
    int r = 0;

    params_of(before, &was);
    params_of(now, &is);
    params_moved = memcmp(&was, &is, sizeof was) != 0;
    if (params_moved || before->policy != now->policy)
        r = policy_set_change(g->policies, STR_NONE, policy_named(now->policy), &is, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(sides); i++)
        if (policy_set_leg(g->policies, g->control, sides[i].leg) &&
            (params_moved || before->policy != now->policy || sides[i].was != sides[i].is))
            r = policy_set_leg_change(g->policies, sides[i].leg, role_policy(now, sides[i].is), &is, err);
    if (r == 0 && (params_moved || before->shadow_policy != now->shadow_policy))
        r = policy_set_shadow_change(g->policies, policy_named(now->shadow_policy), &is, err);
    gateway_loads_wanted(g);
    return r;
}
