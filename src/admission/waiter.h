/* admission/waiter.h -- one request in front of the permits or the scheduler, as the two of them see it
 *
 *              enter                    a slot came free                leave
 *   OUT ------------------> QUEUED ------------------------> ADMITTED --------> OUT
 *    |                        | leave_queue: deadline, client left          ^
 *    |                        +--------> OUT                                |
 *    +------ enter: a slot was free -> ADMITTED ----------------------------+
 *
 * Embedded in whoever waits; its memory must stand until it is OUT and every call of `granted` and `preempted` has been made.
 * Threads: entered and taken out by its owner's thread. Others call granted() and preempted(), on their own threads and holding no lock, so these post a message and no more.
 * `pending` is raised before such a call is under way (inside the lock) and lowered by the owner when its message has arrived: OUT and pending 0 = nobody knows the waiter.
 */
#pragma once

#include <stdatomic.h>

#include "base/list.h"

#include <stdint.h>

enum waiter_step { WAITER_OUT, WAITER_QUEUED, WAITER_ADMITTED };

struct waiter;
struct waiter_ops {
    void (*granted)(struct waiter *w);   /* it was QUEUED and is ADMITTED */
    void (*preempted)(struct waiter *w); /* scheduler: its slot is wanted for `preempted_by` */
};

struct waiter {
    const struct waiter_ops *ops;
    _Atomic unsigned pending; /* messages on their way to the owner */

    /* under the lock of the permits or the scheduler; read by the owner without it where only the owner could have changed it */
    enum waiter_step step;
    struct list link;  /* permits.queue; class_state.queue while QUEUED, class_state.preemptible while that */
    struct list wake;  /* of those to be called when the lock is released */
    uint64_t since_us; /* clock: QUEUED since */

    /* scheduler */
    uint8_t class;       /* enum sched_class; set by the owner before it enters */
    int8_t preempted_by; /* class of the request that wants the slot; -1 = nobody */
    bool promoted;       /* admitted past the reservations because it had waited for long */
    bool started;        /* its reply has begun: cannot be preempted any more */
    bool over_bound;     /* queued past the bound of its queue, for the victim's slot */
};
