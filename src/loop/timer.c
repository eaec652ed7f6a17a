/* loop/timer.c -- the timer wheel
 *
 * Time is counted in ticks of LOOP_TICK_MS. Four rings of slots, each slot a list of timers:
 *
 *     ring 0: 256 slots of one tick    (to 4 s)        a timer lies in the ring that its distance fits into; when the time reaches a slot
 *     ring 1:  64 slots of 2^8 ticks   (to 4 min)      of an outer ring, the slot's timers are dealt to the rings inside ("cascade");
 *     ring 2:  64 slots of 2^14 ticks  (to 4 h)        when it reaches one of ring 0, they fire.
 *     ring 3:  64 slots of 2^20 ticks  (to 12 days)    A timer further away waits in ring 3 and is dealt again.
 *
 * One bit per slot says that something was put there. Stopping only unlinks: the bit goes when the time gets there and finds the slot empty.
 * So start and stop cost a few instructions, and the one libuv timer sleeps until the next slot with a bit; without any bit it does not run at
 * all. `armed` is the tick for which it is set, never later than the first slot with a bit: starting a timer touches libuv only when
 * it must wake up earlier.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "loop/loop_internal.h"

#define RINGS      4
#define RING0_BITS 8
#define RING_BITS  6
#define RING0_N    (1u << RING0_BITS)
#define RING_N     (1u << RING_BITS)
#define SLOTS      (RING0_N + (RINGS - 1) * RING_N)
#define FARTHEST   ((1ull << (RING0_BITS + (RINGS - 1) * RING_BITS)) - 1) /* ticks that the outermost ring reaches */
#define NEVER      UINT64_MAX

struct loop_wheel {
    uint64_t tick;                /* timers due at it or before have fired */
    uint64_t armed;               /* the tick that the libuv timer waits for; NEVER = it is off; 0 = timers are firing just now */
    uint64_t ring0[RING0_N / 64]; /* bits: something was put into the slot */
    uint64_t outer[RINGS];        /* the same for rings 1.. (outer[0] is not used) */
    struct list slots[SLOTS];     // timer.link; ring 0, then ring 1, ...
};

static void on_tick(uv_timer_t *handle);

static unsigned ring_shift(unsigned ring)
{
    return ring == 0 ? 0 : RING0_BITS + (ring - 1) * RING_BITS;
}

static struct list *ring_slot(struct loop_wheel *w, unsigned ring, unsigned i)
{
    return &w->slots[ring == 0 ? i : RING0_N + (ring - 1) * RING_N + i];
}

int timer_wheel_init(struct loop *l)
{
    struct loop_wheel *w = calloc(1, sizeof *w);

    if (!w)
        return ERR_NOMEM;
    for (unsigned i = 0; i < SLOTS; i++)
        list_init(&w->slots[i]);
    w->tick = clock_now_us() / 1000 / LOOP_TICK_MS;
    w->armed = NEVER;
    l->wheel = w;
    return 0;
}

void timer_wheel_fini(struct loop *l)
{
    free(STEAL(l->wheel));
}

/* ---- the slots ---- */

/* Puts T into its slot; returns the tick at which the wheel must look at that slot. */
static uint64_t place(struct loop_wheel *w, struct timer *t)
{
    uint64_t due = MAX((t->due_ms + LOOP_TICK_MS - 1) / LOOP_TICK_MS, w->tick);
    uint64_t distance = MIN(due - w->tick, FARTHEST);
    unsigned ring = 0, i;

    while (distance >> ring_shift(ring + 1))
        ring++;
    due = w->tick + distance;
    if (ring == 0) {
        i = due % RING0_N;
        w->ring0[i / 64] |= 1ull << i % 64;
    } else {
        i = (due >> ring_shift(ring)) % RING_N;
        w->outer[ring] |= 1ull << i;
    }
    list_append(ring_slot(w, ring, i), &t->link);
    return due >> ring_shift(ring) << ring_shift(ring);
}

/* How many slots behind slot I (1..64) is the first one with a bit; 0 = none has one. */
static unsigned next_in_word(uint64_t bits, unsigned i)
{
    unsigned from = (i + 1) % 64;
    uint64_t turned = from ? bits >> from | bits << (64 - from) : bits;

    return turned ? (unsigned)__builtin_ctzll(turned) + 1 : 0;
}

/* The same for ring 0, 1..256. */
static unsigned next_in_ring0(const struct loop_wheel *w, unsigned i)
{
    for (unsigned ahead = 1; ahead <= RING0_N;) {
        unsigned at = (i + ahead) % RING0_N;
        uint64_t bits = w->ring0[at / 64] >> at % 64;

        if (bits) {
            ahead += (unsigned)__builtin_ctzll(bits);
            return ahead <= RING0_N ? ahead : 0;
        }
        ahead += 64 - at % 64;
    }
    return 0;
}

/* The first tick after now at which a slot needs to be looked at. */
static uint64_t next_event(const struct loop_wheel *w)
{
    unsigned ahead = next_in_ring0(w, w->tick % RING0_N);
    uint64_t first = ahead ? w->tick + ahead : NEVER;

    for (unsigned ring = 1; ring < RINGS; ring++) {
        uint64_t at = w->tick >> ring_shift(ring);

        ahead = next_in_word(w->outer[ring], at % RING_N);
        if (ahead)
            first = MIN(first, (at + ahead) << ring_shift(ring));
    }
    return first;
}

/* The time has reached the start of slots of these outer rings: deals their timers anew, from the outside in. */
static void cascade(struct loop_wheel *w)
{
    struct list moved;
    struct timer *t;

    for (unsigned ring = RINGS - 1; ring > 0; ring--) {
        unsigned i = (w->tick >> ring_shift(ring)) % RING_N;

        if (w->tick & ((1ull << ring_shift(ring)) - 1) || !(w->outer[ring] >> i & 1))
            continue;
        w->outer[ring] &= ~(1ull << i);
        list_init(&moved);
        list_move(&moved, ring_slot(w, ring, i));
        LIST_EACH(t, &moved, link)
        {
            list_remove(&t->link);
            (void)place(w, t); /* the caller asks next_event afterwards */
        }
    }
}

/* Brings the wheel to the tick TO; what is due on the way goes to the end of *DUE, in order of time. */
static void advance(struct loop_wheel *w, uint64_t to, struct list *due)
{
    uint64_t event;

    while ((event = next_event(w)) <= to) {
        unsigned i = event % RING0_N;

        w->tick = event;
        cascade(w);
        w->ring0[i / 64] &= ~(1ull << i % 64);
        list_move(due, ring_slot(w, 0, i));
    }
    w->tick = MAX(w->tick, to);
}

/* ---- libuv's timer ---- */

static uint64_t now_ms(const struct loop *l)
{
    return l->now_us / 1000;
}

static void arm(struct loop *l, uint64_t tick)
{
    uint64_t at_ms = tick * LOOP_TICK_MS;

    l->wheel->armed = tick;
    /* Fails only without a callback. A libuv clock that lags behind ours makes it fire early; on_tick then sets it again. */
    (void)uv_timer_start(&l->tick, on_tick, at_ms > now_ms(l) ? at_ms - now_ms(l) : 1, 0);
}

static void on_tick(uv_timer_t *handle)
{
    struct loop *l = handle->data;
    struct loop_wheel *w = l->wheel;
    struct list due;
    struct timer *t;
    uint64_t next;

    loop_enter(l);
    w->armed = 0; /* timers that the callbacks start need not wake anybody: the next event is looked for below */
    list_init(&due);
    advance(w, now_ms(l) / LOOP_TICK_MS, &due);
    while ((t = list_first(&due, struct timer, link)) != NULL) {
        list_remove(&t->link);
        t->running = false;
        t->fire(t);
    }
    w->armed = NEVER;
    next = next_event(w);
    if (next != NEVER)
        arm(l, next);
}

/* ---- public ---- */

void timer_start(struct loop *l, struct timer *t, uint64_t ms, void (*fire)(struct timer *t))
{
    struct loop_wheel *w = l->wheel;
    uint64_t event, now_tick;

    assert(loop_is_mine(l));
    if (loop_is_current(l))
        loop_enter(l);
    else
        l->now_us = clock_now_us(); /* the loop does not run yet: it has no turn */
    timer_stop(t);
    now_tick = now_ms(l) / LOOP_TICK_MS;
    if (now_tick > w->tick && now_tick < w->armed)
        w->tick = now_tick; /* no slot with a bit lies between: the wheel slept for lack of work */
    /* Rounded up to a tick that has not begun, so that a timer is never early. */
    t->due_ms = MAX((l->now_us + 999) / 1000 + MIN(ms, TIMER_MS_MAX), (w->tick + 1) * LOOP_TICK_MS);
    t->fire = fire;
    t->running = true;
    event = place(w, t);
    if (event < w->armed)
        arm(l, event);
}

void timer_stop(struct timer *t)
{
    if (!t->running)
        return;
    t->running = false;
    list_remove(&t->link);
}
