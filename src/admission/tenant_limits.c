/* tenant_limits.c -- the buckets
 *
 * A tenant's buckets lie in one block: its own two first, then two for each model rule that it has met, found by the rule's id. A bucket that was never used is full. Levels are
 * doubles: a sixtieth of a small number per second is a fraction.
 */
#include "admission/tenant_limits.h"

#include <math.h>
#include <stdlib.h>

#define MINUTE_US 60e6

struct bucket {
    double level; /* below zero: debt */
    uint64_t filled_us;
    bool used; /* false: full */
};

struct scope {
    struct str rule; /* owned; empty: the tenant itself */
    struct bucket tokens, requests;
};

struct limits_tenant {
    struct list link; /* limits_shard.used */
    struct str key;   /* owned */
    struct scope own;
    struct scope *rules; /* owned */
    size_t rules_n;
};

/* Which of a tenant's scopes a charge meets, with the limits that are in force now. */
struct met {
    struct scope *scope;
    uint32_t tokens_per_minute, requests_per_minute;
};

#define MET_MAX 2

void tenant_limits_init(struct tenant_limits *l)
{
    *l = (struct tenant_limits){ .forgotten = 0 };
    for (unsigned i = 0; i < LIMITS_SHARDS; i++) {
        pthread_mutex_init(&l->shards[i].lock, NULL);
        list_init(&l->shards[i].used);
    }
}

static void free_tenant(struct limits_tenant *t)
{
    for (size_t i = 0; i < t->rules_n; i++)
        free((char *)t->rules[i].rule.p);
    free(t->rules);
    free((char *)t->key.p);
    free(t);
}

void tenant_limits_fini(struct tenant_limits *l)
{
    for (unsigned i = 0; i < LIMITS_SHARDS; i++) {
        struct limits_shard *s = &l->shards[i];
        struct limits_tenant *t;

        LIST_EACH(t, &s->used, link)
        free_tenant(t);
        map_fini(&s->tenants);
        pthread_mutex_destroy(&s->lock);
    }
}

/* ---- buckets ---- */

static double refilled(struct bucket *b, uint32_t per_minute, uint64_t now_us)
{
    if (!b->used) {
        b->used = true;
        b->level = per_minute;
    } else if (now_us > b->filled_us) {
        b->level += (double)(now_us - b->filled_us) * per_minute / MINUTE_US;
    }
    b->level = fmin(b->level, per_minute);
    b->filled_us = MAX(b->filled_us, now_us);
    return b->level;
}

/* Seconds until ASK is there; 0 = now. */
static uint64_t missing_s(struct bucket *b, uint32_t per_minute, double ask, uint64_t now_us)
{
    double level = refilled(b, per_minute, now_us);

    if (ask <= level)
        return 0;
    if (ask > per_minute)
        return LIMITS_NEVER;
    return (uint64_t)fmax(1, ceil((ask - level) * 60 / per_minute));
}

static void take(struct bucket *b, uint32_t per_minute, double amount, uint64_t now_us)
{
    b->level = fmin(refilled(b, per_minute, now_us) - amount, per_minute);
}

/* ---- tenants, inside the lock of their shard ---- */

static struct limits_shard *shard_of(struct tenant_limits *l, struct str tenant)
{
    return &l->shards[str_hash(tenant) >> 60];
}
_Static_assert(LIMITS_SHARDS == 16, "four bits of the hash");

static void forget_quietest(struct tenant_limits *l, struct limits_shard *s)
{
    struct limits_tenant *t = list_first(&s->used, struct limits_tenant, link);

    list_remove(&t->link);
    (void)map_remove(&s->tenants, t->key);
    free_tenant(t);
    atomic_fetch_add_explicit(&l->forgotten, 1, memory_order_relaxed);
}

static struct limits_tenant *add_tenant(struct tenant_limits *l, struct limits_shard *s, struct str key)
{
    struct limits_tenant *t = calloc(1, sizeof(*t));
    char *copy = str_dup(key);

    if (!t || !copy) {
        free(t);
        free(copy);
        return NULL;
    }
    t->key = (struct str){ copy, key.n };
    list_init(&t->link);
    if (map_put(&s->tenants, t->key, t, /* ret_old= */ NULL) < 0) {
        free_tenant(t);
        return NULL;
    }
    if (s->tenants.n > LIMITS_TENANTS_MAX / LIMITS_SHARDS)
        forget_quietest(l, s);
    list_append(&s->used, &t->link);
    return t;
}

static struct scope *find_rule(struct limits_tenant *t, struct str rule)
{
    for (size_t i = 0; i < t->rules_n; i++)
        if (str_eq(t->rules[i].rule, rule))
            return &t->rules[i];
    return NULL;
}

/* Rules that the configuration no longer has make room when a file is read often with other names. */
static struct scope *add_rule(struct limits_tenant *t, struct str rule)
{
    struct scope *grown;
    char *copy = str_dup(rule);

    if (!copy)
        return NULL;
    if (t->rules_n == 2 * LIMITS_RULES_MAX) {
        free((char *)t->rules[0].rule.p);
        memmove(t->rules, t->rules + 1, --t->rules_n * sizeof(*t->rules));
    }
    grown = reallocarray(t->rules, t->rules_n + 1, sizeof(*grown));
    if (!grown) {
        free(copy);
        return NULL;
    }
    t->rules = grown;
    t->rules[t->rules_n] = (struct scope){ .rule = { copy, rule.n } };
    return &t->rules[t->rules_n++];
}

/* The scopes of CHARGE; -1: no memory. Without MAKE only those that exist. */
static int meet(struct tenant_limits *l, struct limits_shard *s, const struct tenant_limits_conf *conf,
                const struct tenant_charge *charge, bool make, struct met met[MET_MAX])
{
    struct limits_tenant *t = map_get(&s->tenants, charge->tenant);
    const struct limits_policy *p = tenant_limits_policy(conf, charge->tenant);
    const struct limits_rule *rule = limits_policy_rule(p, charge->model);
    struct scope *scope;
    int n = 0;

    if (!t && make)
        t = add_tenant(l, s, charge->tenant);
    if (!t)
        return make ? -1 : 0;
    list_remove(&t->link);
    list_append(&s->used, &t->link);
    met[n++] = (struct met){ &t->own, p->tokens_per_minute, p->requests_per_minute };
    if (!rule)
        return n;
    scope = find_rule(t, rule->id);
    if (!scope && make)
        scope = add_rule(t, rule->id);
    if (!scope)
        return make ? -1 : n;
    met[n++] = (struct met){ scope, rule->tokens_per_minute, rule->requests_per_minute };
    return n;
}

/* ---- charges ---- */

int tenant_limits_reserve(struct tenant_limits *l, const struct tenant_limits_conf *conf, struct tenant_charge *charge,
                          uint64_t tokens, uint64_t now_us, uint64_t *ret_retry_s)
{
    struct limits_shard *s = shard_of(l, charge->tenant);
    struct met met[MET_MAX];
    uint64_t wait = 0;
    int n;

    if (charge->step != CHARGE_NONE)
        return 0;
    pthread_mutex_lock(&s->lock);
    n = meet(l, s, conf, charge, /* make= */ true, met);
    for (int i = 0; i < n; i++) {
        wait = MAX(wait, missing_s(&met[i].scope->tokens, met[i].tokens_per_minute, (double)tokens, now_us));
        wait = MAX(wait, missing_s(&met[i].scope->requests, met[i].requests_per_minute, 1, now_us));
    }
    for (int i = 0; i < n && wait == 0; i++) {
        take(&met[i].scope->tokens, met[i].tokens_per_minute, (double)tokens, now_us);
        take(&met[i].scope->requests, met[i].requests_per_minute, 1, now_us);
    }
    pthread_mutex_unlock(&s->lock);
    if (n < 0)
        return ERR_NOMEM;
    if (wait) {
        *ret_retry_s = wait;
        return ERR_LIMIT;
    }
    charge->reserved_tokens = tokens;
    charge->step = CHARGE_RESERVED;
    return 0;
}

/* Takes TOKENS and REQUESTS more, or gives them back. */
static void correct(struct tenant_limits *l, const struct tenant_limits_conf *conf, struct tenant_charge *charge, double tokens,
                    double requests, uint64_t now_us)
{
    struct limits_shard *s = shard_of(l, charge->tenant);
    struct met met[MET_MAX];

    if (charge->step != CHARGE_RESERVED)
        return;
    charge->step = CHARGE_SETTLED;
    pthread_mutex_lock(&s->lock);
    for (int i = meet(l, s, conf, charge, /* make= */ false, met) - 1; i >= 0; i--) {
        take(&met[i].scope->tokens, met[i].tokens_per_minute, tokens, now_us);
        take(&met[i].scope->requests, met[i].requests_per_minute, requests, now_us);
    }
    pthread_mutex_unlock(&s->lock);
}

void tenant_limits_settle(struct tenant_limits *l, const struct tenant_limits_conf *conf, struct tenant_charge *charge,
                          uint64_t used_tokens, uint64_t now_us)
{
    correct(l, conf, charge, (double)used_tokens - (double)charge->reserved_tokens, 0, now_us);
}

void tenant_limits_refund(struct tenant_limits *l, const struct tenant_limits_conf *conf, struct tenant_charge *charge,
                          uint64_t now_us)
{
    correct(l, conf, charge, -(double)charge->reserved_tokens, -1, now_us);
}

size_t tenant_limits_count(struct tenant_limits *l)
{
    size_t n = 0;

    for (unsigned i = 0; i < LIMITS_SHARDS; i++) {
        pthread_mutex_lock(&l->shards[i].lock);
        n += l->shards[i].tenants.n;
        pthread_mutex_unlock(&l->shards[i].lock);
    }
    return n;
}
