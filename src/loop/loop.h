/* loop/loop.h -- an event loop on a thread of its own, and how threads talk
 *
 *        any thread --loop_post--> mailbox --(one wake-up per burst)--> callbacks on the loop's thread
 *        timers: a wheel of LOOP_TICK_MS slots, O(1) to start and stop, driven by one libuv timer
 *        a turn = everything between two polls; loop_defer() runs at its end: that is where memory is freed and corked output is flushed
 *        (loop.c's head draws where in libuv's round that is)
 *
 * Contracts of the house:
 *   - A callback is never called from inside the call that starts the operation.
 *   - Exactly one terminal callback per operation; after a cancel or stop there is none.
 *   - What is freed is freed by loop_defer at the end of the turn, so a callback may free its own caller's object.
 * Threads: a loop belongs to the thread that runs it ("owner loop"): everything but loop_post, loop_stop and loop_turn_stats is for that thread only
 *   (or for the creator before the thread starts). assert(loop_is_mine(l)) guards the entries.
 * Every callback that libuv calls directly begins with loop_enter(): it sets the turn's clock.
 * The first loop makes the process ignore SIGPIPE: a write to a closed connection is an error code, not the end.
 * Watchdog: every turn's length goes into a histogram; a turn over LOOP_STALL_MS is counted and logged, by name of the loop.
 */
#pragma once

#include "base/arena.h" /* before uv.h, whose <sys/param.h> has a MIN and MAX of its own */
#include "base/err.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/metric.h"
#include "base/random.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define LOOP_TICK_MS    16           /* grain of the timer wheel: a timer fires at its time or up to one tick later */
#define LOOP_STALL_MS   50           /* a longer turn is a stall */
#define LOOP_READ_BYTES (256 * 1024) /* the one read buffer of a loop; what a callback gets is at most this long */

struct loop;

/* A message to another thread's loop. Embedded in the sender's object; in one mailbox at a time; the receiver frees or reuses it. */
struct message {
    struct message *_Atomic next;
    void (*run)(struct loop *loop, struct message *m); /* on the receiving loop's thread */
};

/* Work for the end of this turn. Embedded; queued at most once (a second loop_defer of a queued one does nothing). */
struct deferred {
    struct list link; /* loop.deferred */
    void (*run)(struct deferred *d);
    bool queued;
};

/* A timeout. Embedded; zeroed = not running. */
struct timer {
    struct list link; /* a slot of the wheel */
    uint64_t due_ms;  /* loop clock */
    void (*fire)(struct timer *t);
    bool running;
};

/* Blocks of one kind that wait for their next use on this loop, so that the steady state calls no malloc. Zeroed = empty; at most LOOP_SPARES_MAX. */
#define LOOP_SPARES_MAX 1024
struct loop_spares {
    void *first; /* owned, malloc; the first word of each block points to the next */
    unsigned n;
};

struct loop {
    uv_loop_t uv;
    const char *name; /* static or lives as long as the loop: "loop 0", "control" */
    unsigned index;   /* 0.. among the process's loops; the slot in snapshot epochs */

    char *read_buffer;              /* owned, LOOP_READ_BYTES; valid only inside the read callback that got it */
    struct arena_cache arena_cache; /* exchanges' blocks */
    struct random random;
    struct metrics_shard *metrics; /* owned; this thread's counters */

    struct list deferred;       // deferred.link
    struct loop_spares streams; /* net/stream.c's */
    struct loop_spares tls;     /* net/tls.c's: a block while records are made */

    /* internal to loop/ */
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_poll_t wake;
    int bell; /* owned: an eventfd that any thread writes to; -1 = none */
    uv_timer_t tick;
    struct message *_Atomic mailbox; /* newest first; the receiver reverses */
    struct loop_wheel *wheel;        /* owned */
    _Atomic uint64_t *epoch;         /* static, see snapshot.h: 0 = offline */
    _Atomic bool running, stopping;
    uint64_t now_us;
    uint64_t turn_began_us; /* 0 = between turns */
    uint64_t turn_number;   /* from 1 on; tells a reader of sockets whether this is still the same turn */
    struct histogram turn_us;
    uint64_t published_us, stall_logged_us;
    _Atomic uint64_t p50_us, p99_us, max_us; /* of turn_us, published about once a second of work */
    _Atomic uint64_t stalls;
    _Atomic uint64_t turns;
    uv_thread_t thread;
    bool thread_started;
};

#define LOOP_MAX 128 /* loops in a process at one time */

/* Makes a loop on the heap. INDEX below LOOP_MAX, unique among living loops. */
int loop_new(const char *name, unsigned index, struct loop **ret, struct err *err) _must_check_;

/* Runs until loop_stop and until every handle is closed. On the calling thread, or on a new one that loop_join waits for. */
void loop_run(struct loop *l);
int loop_start_thread(struct loop *l, struct err *err) _must_check_;
void loop_join(struct loop *l);

/* Asks the loop to end: it stops when its handles are closed (the owners close theirs in answer to messages of their own). Any thread. */
void loop_stop(struct loop *l);

/* After loop_run returned (or before the first run), when every owner has closed its handles and nobody is inside loop_post. Runs the close
 * callbacks that are still due. NULL is fine. */
void loop_free(struct loop *l);

struct loop *loop_current(void); /* of this thread, or NULL */
static inline bool loop_is_current(const struct loop *l)
{
    return loop_current() == l;
}

/* May this thread use L: it runs L, or nobody does (then its creator may). For assertions. */
bool loop_is_mine(const struct loop *l);

void loop_begin_turn(struct loop *l); /* internal: the slow part of loop_enter */

/* The first line of every libuv callback. Begins the turn (reads the clock) when this is the first one after a poll. */
static inline void loop_enter(struct loop *l)
{
    if (_unlikely_(l->turn_began_us == 0))
        loop_begin_turn(l);
}

/* The time of this turn's start, cached: monotonic. One clock for all deadlines. */
static inline uint64_t loop_now_us(const struct loop *l)
{
    return l->now_us;
}

/* Reads the clock again: for measuring inside a turn (TTFT, duration). */
uint64_t loop_now_exact_us(struct loop *l);

/* Any thread. M->run is called once on L's thread, in the order in which one thread posted. Messages that a stopping loop still has are run before it ends. */
void loop_post(struct loop *l, struct message *m);

void loop_defer(struct loop *l, struct deferred *d);        /* at the end of this turn (before the next poll), in order */
void loop_defer_cancel(struct loop *l, struct deferred *d); /* if queued */

/* Fires once, MS from the turn's start (at least one tick); restarts a running one. More than TIMER_MS_MAX counts as that. A timer does not keep
 * a stopping loop alive. timer_stop also accepts one that is not running, and one that is about to fire in this turn: it then does not. */
#define TIMER_MS_MAX (10ull * 365 * 86400 * 1000)
void timer_start(struct loop *l, struct timer *t, uint64_t ms, void (*fire)(struct timer *t));
void timer_stop(struct timer *t);

/* A spare block of SIZE bytes, or a new one; NULL when memory is out. Not zeroed. One size per list. Owner loop. */
void *loop_spare_get(struct loop_spares *s, size_t size) _must_check_;
void loop_spare_put(struct loop_spares *s, void *block); /* freed when the list is full */
void loop_spares_fini(struct loop_spares *s);

/* The longest turns: for metrics and the log. Any thread (slightly stale). */
struct loop_turn_stats {
    uint64_t turns, stalls, p50_us, p99_us, max_us;
};
void loop_turn_stats(const struct loop *l, struct loop_turn_stats *ret);
