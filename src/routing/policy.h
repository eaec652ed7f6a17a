/* routing/policy.h -- choosing a worker: load-balancing policies behind one small vtable
 *
 * In:  the candidates (ready, not tried before in this request) and what the request offers as a hint.   Out: an index.
 * One instance per policy and gateway, shared by all loop threads: what requests change in it is atomic; no callback may lock, block or allocate.
 * Not here: which workers are candidates (dispatch/), what a worker is (worker/).
 */
#pragma once

#include "worker/worker.h"

struct policy;

/* What a policy may look at. All views live as long as the request. */
struct policy_hint {
    struct str model;       /* canonical */
    struct str text;        /* routing text (spec data-plane 5.11); empty unless the policy asked for it (ops->wants_text) */
    struct str routing_key; /* x-smg-routing-key */
    struct random *random;  /* the loop's */
};

struct policy_ops {
    const char *name; /* as written in --policy; unique */
    size_t size;      /* bytes of the instance, struct policy included; zeroed before init */
    bool wants_text;

    int (*init)(struct policy *p, struct err *err); /* optional; on failure fini is not called */
    /* An index into CAND (1..WORKERS_MAX entries, all ready and untried), or -1 when none is acceptable. */
    int (*pick)(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint);
    void (*fini)(struct policy *p); /* optional */
};

struct policy {
    const struct policy_ops *ops;
};

extern const struct policy_ops *const POLICIES[]; /* NULL-terminated, all of them */
const struct policy_ops *policy_find(struct str name);

int policy_new(const struct policy_ops *ops, struct policy **ret, struct err *err) _must_check_;
void policy_free(struct policy *p);

static inline int policy_pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint)
{
    return n == 0 ? -1 : p->ops->pick(p, cand, n, hint);
}
