/* routing/policy.c -- the list of policies, their parameters, and the making of one */
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "routing/policies.h"

const struct policy_ops *const POLICIES[] = {
    &policy_cache_aware,
    &policy_round_robin,
    &policy_random,
    &policy_power_of_two,
    &policy_passthrough,
    &policy_least_load,
    &policy_consistent_hashing,
    &policy_prefix_hash,
    &policy_manual,
    &policy_bucket,
    NULL,
};

const struct policy_conf POLICY_CONF_DEFAULTS = {
    .cache_threshold = 0.3,
    .balance_abs_threshold = 64,
    .balance_rel_threshold = 1.5,
    .balance_token_usage_threshold = 1.0,
    .overload_token_usage_threshold = 1.0,
    .eviction_interval_s = 120,
    .max_tree_size = 67108864,
    .block_size = 16,
    .kv_pressure_weight = 0.15,
    .default_throughput = 2000,
    .mean_prefill_tokens = 1024,
    .prefix_token_count = 256,
    .load_factor = 1.25,
    .max_idle_s = 14400,
    .assignment = POLICY_ASSIGN_RANDOM,
    .bucket_adjust_interval_s = 5,
};

/* NAME without its underscores equals TEXT without its, whatever the case. */
static bool name_matches(const char *name, struct str text)
{
    size_t at = 0;

    for (; *name; name++) {
        if (*name == '_')
            continue;
        while (at < text.n && text.p[at] == '_')
            at++;
        if (at == text.n || (text.p[at] | 0x20) != *name)
            return false;
        at++;
    }
    return at == text.n;
}

const struct policy_ops *policy_find(struct str name)
{
    for (size_t i = 0; POLICIES[i]; i++)
        if (name_matches(POLICIES[i]->name, name))
            return POLICIES[i];
    return NULL;
}

static int bad_number(struct err *err, const char *field, double value, const char *must)
{
    return err_set(err, ERR_INVALID, "Invalid value for field '%s': %g - %s", field, value, must);
}

int policy_conf_check(const struct policy_conf *c, struct err *err)
{
    const struct {
        const char *field;
        double value;
        bool good;
        const char *must;
    } rules[] = {
        { "cache_threshold", c->cache_threshold, c->cache_threshold >= 0 && c->cache_threshold <= 1,
          "Must be between 0.0 and 1.0" },
        { "balance_rel_threshold", c->balance_rel_threshold, c->balance_rel_threshold >= 1, "Must be >= 1.0" },
        { "balance_token_usage_threshold", c->balance_token_usage_threshold, c->balance_token_usage_threshold > 0, "Must be > 0" },
        { "overload_token_usage_threshold", c->overload_token_usage_threshold, c->overload_token_usage_threshold > 0,
          "Must be > 0" },
        { "eviction_interval_secs", (double)c->eviction_interval_s, c->eviction_interval_s > 0, "Must be > 0" },
        { "max_tree_size", (double)c->max_tree_size, c->max_tree_size > 0, "Must be > 0" },
        { "block_size", (double)c->block_size, c->block_size > 0, "Must be > 0" },
        { "kv_pressure_weight", c->kv_pressure_weight, isfinite(c->kv_pressure_weight) && c->kv_pressure_weight >= 0,
          "Must be finite and >= 0" },
        { "default_throughput", c->default_throughput, isfinite(c->default_throughput) && c->default_throughput > 0,
          "Must be finite and > 0" },
        { "mean_prefill_tokens", (double)c->mean_prefill_tokens, c->mean_prefill_tokens > 0, "Must be > 0" },
        { "prefix_token_count", (double)c->prefix_token_count, c->prefix_token_count > 0, "Must be > 0" },
        { "load_factor", c->load_factor, c->load_factor >= 1, "Must be >= 1.0" },
        { "bucket_adjust_interval_secs", (double)c->bucket_adjust_interval_s,
          c->bucket_adjust_interval_s > 0 && c->bucket_adjust_interval_s <= 4294967295, "Must be between 1 and 4294967295" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (!rules[i].good)
            return bad_number(err, rules[i].field, rules[i].value, rules[i].must);
    return 0;
}

int policy_new(const struct policy_ops *ops, const struct policy_conf *conf, struct policy **ret, struct err *err)
{
    struct policy *p = calloc(1, ops->size);
    int r = 0;

    if (!p)
        return err_set(err, ERR_NOMEM, "policy %s: out of memory", ops->name);
    p->ops = ops;
    p->conf = *conf;
    atomic_init(&p->refs, 1);
    if (ops->init)
        r = ops->init(p, err);
    if (r < 0) {
        free(p);
        return r;
    }
    *ret = p;
    return 0;
}

struct policy *policy_ref(struct policy *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void policy_unref(struct policy *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (p->ops->fini)
        p->ops->fini(p);
    free(p);
}
