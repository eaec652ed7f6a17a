/* admission/permits.h -- at most N requests at a time, the next ones in one line, for all loops together (decision 5)
 *
 *   enter: a permit is free and nobody waits -> one compare-and-swap          leave: nobody waits -> one compare-and-swap
 *          else the lock, and the line                                               else the lock, and the permit goes to the first in the line
 *
 * `word` holds both numbers, so that "nobody waits" and "a permit is free" are one question. Its upper half changes inside the lock only. A newcomer never overtakes the line.
 * Threads: all functions, any thread. The lock is held for some tens of nanoseconds (a list operation), and only when there is a line; permits_configure holds it for as long as it
 * admits waiters, when N grows.
 * Bounds: queue_max waiters; past that PERMITS_FULL. N = 0 means no limit (requests are counted all the same: a limit may come later).
 * Who waits has its deadline from elsewhere (ticket.c): this file knows no time.
 */
#pragma once

#include <pthread.h>

#include "admission/waiter.h"

#define PERMITS_UNLIMITED UINT32_MAX

struct permits {
    _Atomic uint64_t word;             /* waiting << 32 | in use */
    _Atomic uint32_t limit, queue_max; /* written by permits_configure */
    char apart[64 - 16];               /* the lock's cache line is another one */
    pthread_mutex_t lock;
    struct list queue; /* waiter.link, first come first; under the lock */
};

enum permits_answer { PERMITS_ADMITTED, PERMITS_QUEUED, PERMITS_FULL };

void permits_init(struct permits *g, uint32_t limit, uint32_t queue_max); /* limit 0 = none */
void permits_fini(struct permits *g);

/* PERMITS_QUEUED: w->ops->granted follows, unless permits_leave_queue comes first. */
enum permits_answer permits_enter(struct permits *g, struct waiter *w) _must_check_;

/* W, which was QUEUED, goes. True: it waited, and waits no more. False: it was admitted meanwhile; it owes a permits_leave, and `granted` is or will be called. */
bool permits_leave_queue(struct permits *g, struct waiter *w) _must_check_;

void permits_leave(struct permits *g, struct waiter *w); /* an admitted one gives its permit back */

/* A larger limit admits waiters at once; a smaller one is reached as requests end. Those in a line that is too long now stay in it. */
void permits_configure(struct permits *g, uint32_t limit, uint32_t queue_max);

struct permits_state {
    uint32_t in_use, waiting, limit, queue_max; /* limit PERMITS_UNLIMITED = none */
};
struct permits_state permits_state(struct permits *g);
