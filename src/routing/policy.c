/* routing/policy.c -- the list of policies, and the making of one */
#include <stdlib.h>

#include "base/err.h"
#include "routing/policies.h"

const struct policy_ops *const POLICIES[] = {
    &policy_round_robin,
    &policy_random,
    &policy_power_of_two,
    NULL,
};

const struct policy_ops *policy_find(struct str name)
{
    for (size_t i = 0; POLICIES[i]; i++)
        if (str_eq(name, str_of(POLICIES[i]->name)))
            return POLICIES[i];
    return NULL;
}

int policy_new(const struct policy_ops *ops, struct policy **ret, struct err *err)
{
    struct policy *p = calloc(1, ops->size);
    int r = 0;

    if (!p)
        return err_set(err, ERR_NOMEM, "policy %s: out of memory", ops->name);
    p->ops = ops;
    if (ops->init)
        r = ops->init(p, err);
    if (r < 0) {
        free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void policy_free(struct policy *p)
{
    if (p && p->ops->fini)
        p->ops->fini(p);
    free(p);
}
