/* admission/scheduler.h -- which request gets the next slot, by class (spec data-plane 12)
 *
 *   system > interactive > default > bulk.  Each class has slots that lower ones may not use while it does not, a line of its own, and a deadline; waiting long enough beats rank.
 *
 *   enter --headroom--> ADMITTED                                        a slot comes free --> the line that comes first gets it
 *         --no headroom, a lower class runs, we may preempt--> QUEUED; the victim's `preempted` is called, its slot comes back when it has ended
 *         --no headroom--> QUEUED        --line full--> SCHED_FULL
 *
 * Victim: of the lowest class that runs, the one admitted last, if its reply has not begun. It loses its slot like everybody: by scheduler_leave. What has begun to reply is
 * never cut (SMG cuts between head and first byte: a 200 without a body; a reply that has begun is worth more than that).
 * Threads: every function, any thread, one lock. It is held for a handful of list operations (bench/admission measures it); only a growing capacity admits many at once.
 * It knows no time but what callers say (NOW_US, the loops' clock), and no exchanges: waiters only.
 * Who waits has its deadline from elsewhere (ticket.c). scheduler_tick must be called now and then: it is what promotes the starved.
 */
#pragma once

#include <pthread.h>

#include "admission/waiter.h"
#include "base/str.h"

enum sched_class { CLASS_BULK, CLASS_DEFAULT, CLASS_INTERACTIVE, CLASS_SYSTEM, CLASSES };

struct str sched_class_name(enum sched_class c);
/* Trimmed, in any case; -1 = none of the four. */
int sched_class_of(struct str text);

#define SCHED_CAPACITY_MAX 65535

struct sched_class_conf {
    uint16_t reserved_floor;
    double reserved_per_slot; /* of the capacity, finite, >= 0 */
    uint32_t queue_size;
    uint64_t queue_timeout_s, starvation_s; /* > 0 */
    bool can_preempt;
};

extern const struct sched_class_conf SCHED_DEFAULTS[CLASSES];

/* The slots that each class keeps: max(floor, ceil(share * capacity)), and when they do not fit, what is left for system, interactive, default, bulk in that order (12.3).
 * False: they did not fit. */
bool sched_reservations(const struct sched_class_conf conf[CLASSES], uint32_t capacity, uint32_t ret[CLASSES]);

/* What class C may still admit: all that is neither in use nor kept for a higher class (12.4). */
uint32_t sched_headroom(uint32_t capacity, const uint32_t inflight[CLASSES], const uint32_t reserved[CLASSES], enum sched_class c);

struct class_state {
    struct sched_class_conf conf;
    uint32_t reserved, inflight, queued;
    struct list queue;       // waiter.link, first come first
    struct list preemptible; // waiter.link, admitted last at the end
};

struct scheduler {
    pthread_mutex_t lock;
    uint32_t capacity;
    struct class_state classes[CLASSES];
    bool fits; /* the reservations did */
};

void scheduler_init(struct scheduler *s, const struct sched_class_conf conf[CLASSES], uint32_t capacity);
void scheduler_fini(struct scheduler *s);

enum sched_answer { SCHED_ADMITTED, SCHED_QUEUED, SCHED_FULL };

/* W: zeroed but for ops, pending and class. SCHED_QUEUED with w->over_bound: it waits for its victim's slot only; give it SCHED_VICTIM_MS. */
enum sched_answer scheduler_enter(struct scheduler *s, struct waiter *w, uint64_t now_us) _must_check_;
#define SCHED_VICTIM_MS 50

bool scheduler_leave_queue(struct scheduler *s, struct waiter *w) _must_check_; /* as permits_leave_queue */
void scheduler_leave(struct scheduler *s, struct waiter *w, uint64_t now_us);   /* an admitted one gives its slot back */

/* W's reply begins: it cannot be preempted any more. */
void scheduler_started(struct scheduler *s, struct waiter *w);
/* W could not be preempted after all: another victim is looked for, if somebody of that class still waits. */
void scheduler_victim_lost(struct scheduler *s, struct waiter *w);

void scheduler_tick(struct scheduler *s, uint64_t now_us);

/* Both are possible at any time. False: the reservations do not fit and were cut. */
bool scheduler_set_capacity(struct scheduler *s, uint32_t capacity, uint64_t now_us);
bool scheduler_configure(struct scheduler *s, const struct sched_class_conf conf[CLASSES], uint64_t now_us);

struct scheduler_state {
    uint32_t capacity;
    struct {
        uint32_t inflight, queued, reserved, headroom, queue_size;
    } classes[CLASSES];
};
void scheduler_state(struct scheduler *s, struct scheduler_state *ret);
