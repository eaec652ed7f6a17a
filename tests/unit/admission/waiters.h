/* waiters.h -- waiters that note what is said to them */
#pragma once

#include "test.h"

#include "admission/waiter.h"

struct noted {
    struct waiter w;
    _Atomic unsigned granted, preempted;
    unsigned order; /* when it was granted, from 1 */
};

static _Atomic unsigned grants;

static inline void note_granted(struct waiter *w)
{
    struct noted *n = CONTAINER_OF(w, struct noted, w);

    n->order = atomic_fetch_add(&grants, 1) + 1;
    atomic_fetch_sub(&w->pending, 1);
    atomic_fetch_add(&n->granted, 1);
}

static inline void note_preempted(struct waiter *w)
{
    struct noted *n = CONTAINER_OF(w, struct noted, w);

    atomic_fetch_sub(&w->pending, 1);
    atomic_fetch_add(&n->preempted, 1);
}

static const struct waiter_ops NOTES = { .granted = note_granted, .preempted = note_preempted };

static inline void a_waiter(struct noted *n)
{
    *n = (struct noted){ .w = { .ops = &NOTES, .preempted_by = -1 } };
    list_init(&n->w.link);
    list_init(&n->w.wake);
}
