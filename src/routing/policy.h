/* routing/policy.h -- choosing a worker: load-balancing policies behind one small vtable
 *
 *   dispatch/ --candidates + struct policy_hint--> policy_pick --> an index, and in struct policy_choice why
 *   control thread --tick, forget--> what a policy keeps between requests (affinities, indexes) ages, and loses removed workers
 *
 * In:  the candidates (available, not tried before in this request) and what the request offers as a hint.   Out: an index.
 * One instance per policy, model and gateway, shared by all loop threads: what requests change in it is atomic or behind a lock of a shard that is held for some
 * hundred nanoseconds; no callback may wait for I/O. Instances are made and freed by policy_set.h.
 * Not here: which workers are candidates (dispatch/), what a worker is (worker/), which policy serves a model (policy_set.h).
 */
#pragma once

#include <stdatomic.h>

#include "routing/board.h"

struct policy;
struct hash_ring;

/* Which side of a prefill/decode pair is chosen; keys of sticky policies are told apart by it. */
enum policy_leg { POLICY_REGULAR, POLICY_PREFILL, POLICY_DECODE, POLICY_LEGS };

enum policy_assignment { POLICY_ASSIGN_RANDOM, POLICY_ASSIGN_MIN_LOAD, POLICY_ASSIGN_MIN_GROUP };

/* Every policy's parameters in one plain struct (spec data-plane 6.1); a policy reads its own. Values are checked by who fills it (policy_conf_check). */
struct policy_conf {
    double cache_threshold;         /* cache_aware: 0..1 */
    uint64_t balance_abs_threshold; /* cache_aware, bucket: requests (cache_aware), characters (bucket) */
    double balance_rel_threshold;   /* the same: >= 1 */
    double balance_token_usage_threshold, overload_token_usage_threshold; /* cache_aware: > 0; 1 and more: never */
    uint64_t eviction_interval_s, max_tree_size, block_size;              /* cache_aware; eviction_interval_s also of manual */
    double kv_pressure_weight, default_throughput;                        /* least_load: seconds; tokens per second */
    uint32_t mean_prefill_tokens;                                         /* least_load */
    uint64_t prefix_token_count;                                          /* prefix_hash */
    double load_factor;                                                   /* prefix_hash: >= 1 */
    uint64_t max_idle_s;                                                  /* manual */
    enum policy_assignment assignment;                                    /* manual */
    uint64_t bucket_adjust_interval_s;                                    /* bucket */
};

/* The defaults of the command line. */
extern const struct policy_conf POLICY_CONF_DEFAULTS;

/* ERR_INVALID with "Invalid value for field 'cache_threshold': 2 - Must be between 0.0 and 1.0" (spec operations 5.3's words). Looks at all members. */
int policy_conf_check(const struct policy_conf *conf, struct err *err) _must_check_;

/* What a policy may look at. All views live as long as the request. */
struct policy_hint {
    struct str model;         /* canonical */
    struct str text;          /* routing text (spec data-plane 5.11); empty unless the policy wants it (ops->wants_text) */
    const uint32_t *tokens;   /* the prompt's token ids; NULL where nobody tokenizes (HTTP) */
    size_t tokens_n;          /* */
    size_t body_bytes;        /* of the request; tells a long prompt from a short one where nobody tokenizes. 0 = not known */
    struct str routing_key;   /* x-smg-routing-key */
    struct str target_worker; /* x-smg-target-worker; only consistent_hashing obeys it */
    struct str implicit_key;  /* the first present of authorization, x-forwarded-for, cookie; only for consistent_hashing */
    enum policy_leg leg;
    const struct worker_model
        *group;            /* all workers of the model, whatever their state and type: what a hash ring is made of. Never NULL */
    uint64_t table_serial; /* of the table that `group` belongs to: what was derived from it can tell whether it still holds */
    const struct hash_ring *ring; /* of `group` (rings.h), for policies that want it; NULL: not made yet */
    uint64_t now_us;              /* loop clock */
    bool shadow;                  /* the choice is not acted upon: loads are those of the shadow's own choices (policy_load) */
    struct random *random;        /* the loop's */
    struct policy_board *board;   /* of the list of candidates; NULL when the list is this request's own (a retry) */
};

/* Why a worker was chosen; static strings. */
struct policy_choice {
    const char *branch; /* "ring_hit", "min_load" ...: SMG's branch labels where it has them; never NULL after a pick */
    uint64_t matched,
        total; /* cache_aware: bytes (or tokens) of the prompt known to be on the worker, and of the prompt; 0 otherwise */
    const char *score_name; /* what `scores` holds: "load", "matched", "seconds" ...; NULL = nothing was compared */
    double *
        scores; /* in: room for one number per candidate, or NULL: nobody asks. Out: what was compared; NAN where it was not looked at */
};

struct policy_ops {
    const char *name; /* as written in --policy; unique */
    size_t size;      /* bytes of the instance, struct policy included; zeroed before init */
    bool wants_text;
    bool wants_loads; /* the load monitor polls the engines for it */
    bool wants_usage; /* the same, but only while a threshold of token usage is below 1 */
    bool wants_ring;  /* hint->ring is filled in when there is one */

    int (*init)(struct policy *p, struct err *err); /* optional; p->conf is set; on failure fini is not called */
    /* An index into CAND (1..WORKERS_MAX entries, all available and untried), or -1 when none is acceptable. */
    int (*pick)(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice);
    void (*tick)(struct policy *p, uint64_t now_us);          /* optional; control thread, about once a second: eviction, sweeps */
    void (*forget)(struct policy *p, const struct worker *w); /* optional; control thread: W was removed */
    void (*fini)(struct policy *p);                           /* optional */
};

struct policy {
    const struct policy_ops *ops;
    struct policy_conf conf; /* never changes */
    _Atomic unsigned refs;
};

extern const struct policy_ops *const POLICIES[]; /* NULL-terminated, all of them */
/* By its name; case does not matter, and underscores may be left out ("roundrobin"): worker labels write it so (spec data-plane 6.2). */
const struct policy_ops *policy_find(struct str name);

/* With one reference. */
int policy_new(const struct policy_ops *ops, const struct policy_conf *conf, struct policy **ret, struct err *err) _must_check_;
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p); /* NULL is fine */

static inline int policy_pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                              struct policy_choice *choice)
{
    choice->branch = "no_healthy_workers";
    return n == 0 ? -1 : p->ops->pick(p, cand, n, hint, choice);
}

/* The load that a policy compares: requests in flight. */
static inline int64_t policy_load(const struct policy_hint *hint, const struct worker *w)
{
    return atomic_load_explicit(hint->shadow ? &w->live->shadow_load : &w->live->load, memory_order_relaxed);
}
