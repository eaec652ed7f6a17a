/* admission/tenant_limits.h -- tokens and requests per minute, per tenant and per tenant and model (spec data-plane 11.5)
 *
 *   reserve: estimated input tokens and one request, from every bucket that the request meets, all or nothing
 *   settle:  what the reply said it was, minus the reservation; the bucket may come to lie below zero (debt), never above its capacity
 *   refund:  the gateway itself refused the request before any worker saw it: nothing was used
 *   (else)   the reservation stands: the reply did not say, or the client left
 *
 * A request meets its tenant's two buckets and, when a model rule of the tenant's matches, that rule's two: an exact rule before a prefix, a longer prefix before a shorter.
 * Capacity is the per-minute number, the refill a sixtieth of it per second. Per gateway: replicas do not share buckets.
 *
 *   struct tenant_limits_conf   immutable, from the YAML file; replaced as a whole while requests run: buckets keep their levels
 *   struct tenant_limits        the buckets, by tenant, in SHARDS tables with a lock each, held for a lookup and some additions
 *
 * Tenants that no file names get the default policy and buckets of their own. Bound: LIMITS_TENANTS_MAX tenants; past that the one that was quiet for longest is forgotten (a minute
 * of quiet fills its buckets anyway) and counted.
 * Threads: any.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

struct limits_rule {
    struct str id, value;
    bool is_prefix;
    uint32_t tokens_per_minute, requests_per_minute;
};

struct limits_policy {
    struct str tenant; /* empty: the default */
    uint32_t tokens_per_minute, requests_per_minute;
    struct limits_rule *rules;
    size_t rules_n;
};

struct tenant_limits_conf {
    struct limits_policy fallback;
    struct limits_policy *tenants;
    size_t tenants_n;
    struct map by_tenant; /* struct limits_policy */
    struct arena arena;
};

/* Blocking. ERR_INVALID and what yaml_read_file says; the message names the file and the member. */
int tenant_limits_conf_read(struct str path, bool trust_header, struct tenant_limits_conf **ret, struct err *err) _must_check_;
void tenant_limits_conf_free(struct tenant_limits_conf *c); /* NULL is fine */

const struct limits_policy *tenant_limits_policy(const struct tenant_limits_conf *c, struct str tenant);
const struct limits_rule *limits_policy_rule(const struct limits_policy *p, struct str model); /* NULL: none matches */

#define LIMITS_SHARDS      16
#define LIMITS_TENANTS_MAX 65536
#define LIMITS_RULES_MAX   64 /* per tenant */

struct limits_shard {
    pthread_mutex_t lock;
    struct map tenants; /* struct limits_tenant by key; owned */
    struct list used;   // limits_tenant.link, the quietest first
};

struct tenant_limits {
    struct limits_shard shards[LIMITS_SHARDS];
    _Atomic uint64_t forgotten;
};

/* What one request owes. Zeroed before the first call. Its tenant and model must live as long as it does. */
struct tenant_charge {
    struct str tenant, model;
    uint64_t reserved_tokens;
    enum { CHARGE_NONE, CHARGE_RESERVED, CHARGE_SETTLED } step;
};

void tenant_limits_init(struct tenant_limits *l);
void tenant_limits_fini(struct tenant_limits *l);

#define LIMITS_NEVER UINT64_MAX

/* 0; ERR_LIMIT: denied, *RET_RETRY_S >= 1 (LIMITS_NEVER: it asks for more than a bucket holds); ERR_NOMEM. A charge that has been made is not made again. */
int tenant_limits_reserve(struct tenant_limits *l, const struct tenant_limits_conf *conf, struct tenant_charge *charge,
                          uint64_t tokens, uint64_t now_us, uint64_t *ret_retry_s) _must_check_;
void tenant_limits_settle(struct tenant_limits *l, const struct tenant_limits_conf *conf, struct tenant_charge *charge,
                          uint64_t used_tokens, uint64_t now_us);
void tenant_limits_refund(struct tenant_limits *l, const struct tenant_limits_conf *conf, struct tenant_charge *charge,
                          uint64_t now_us);

size_t tenant_limits_count(struct tenant_limits *l); /* tenants with buckets */
