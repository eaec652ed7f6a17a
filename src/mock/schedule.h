/* mock/schedule.h -- what falls due, to the millisecond: delays and paced tokens of a simulated engine
 *
 * The loop's own timers have a grain of 16 ms, too coarse for tokens at 200 a second; this is a heap of due times behind one libuv timer.
 * Owner loop only. An entry is embedded in its user's object; zeroed = not scheduled. Bound: memory (one pointer per entry).
 */
#pragma once

#include "loop/loop.h"

struct due {
    uint64_t at_us; /* loop clock */
    size_t place;   /* in the heap, from 1; 0 = not scheduled */
    void (*fire)(struct due *d);
};

struct schedule {
    struct loop *loop;
    uv_timer_t timer;  /* the earliest entry */
    struct due **heap; /* owned */
    size_t n, cap;
};

void schedule_init(struct schedule *s, struct loop *loop);
/* Entries are forgotten, the timer handle is being closed: ON_CLOSED (with handle->data = s) comes in a later turn. */
void schedule_close(struct schedule *s, uv_close_cb on_closed);

/* FIRE is called once, at AT_US or up to a millisecond later, never from inside this call. 0 or ERR_NOMEM. D is not scheduled. */
int schedule_add(struct schedule *s, struct due *d, uint64_t at_us, void (*fire)(struct due *d)) _must_check_;
void schedule_remove(struct schedule *s, struct due *d); /* fine when it is not scheduled */
