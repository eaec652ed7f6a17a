/* load/driver.h -- one thread of load: its loop, its client, its slots
 *
 *   run.c: driver_init --> driver_start --> (thread runs) ... [driver_interrupt] ... --> on_done message --> loop_join --> tally --> driver_fini
 *
 * Everything but `live` belongs to the driver's thread between driver_start and loop_join; `live` has one writer, that thread, and is read by any.
 */
#pragma once

#include "http/client.h"
#include "load/arrivals.h"
#include "load/reply.h"
#include "load/request.h"

enum driver_phase { DRIVER_NEW, DRIVER_RUNNING, DRIVER_DRAINING, DRIVER_DONE };

/* Relaxed: a look may see one number newer than the other, which a progress line can bear. */
struct driver_live {
    _Atomic uint64_t in_flight, ended, failed, tokens;
};

/* A share of the whole load. */
struct driver_conf {
    const struct load_conf *load;       /* borrowed; every default resolved */
    const struct load_request *request; /* borrowed */
    unsigned index, of;                 /* which of how many drivers */
    struct message *on_done;            /* borrowed; posted to `control` when the driver has ended */
    struct loop *control;
};

struct load_slot;

struct driver {
    const struct load_conf *conf;       /* borrowed */
    const struct load_request *request; /* borrowed */
    struct loop *loop;                  /* owned */
    struct http_client *client;         /* owned; NULL once done */
    struct loop *control;               /* borrowed */
    struct message *on_done;            /* borrowed */
    struct message begin, interrupt;
    unsigned index, of;

    enum driver_phase phase; /* written only by enter() in driver.c */

    /* slots */
    struct load_slot *slots;   /* owned array */
    char *tails;               /* owned: request.tail.n bytes per slot, written when a slot is first used */
    uint32_t slots_n, fresh_n; /* fresh: never used, behind all used ones */
    struct list idle;          // load_slot.link
    uint32_t in_flight, streams;

    /* pace */
    int pace_fd; /* owned timerfd; -1 = none */
    uv_poll_t pace;
    bool pace_open;
    struct arrivals arrivals;
    uint64_t next_us;  /* loop clock: when the next start is due; UINT64_MAX = none */
    bool starved;      /* a due start waits for a slot */
    uint64_t requests; /* of this driver; UINT64_MAX = no limit */
    uint64_t started;
    struct random random; /* which prefix */
    struct timer phase_timer;
    struct deferred closing;

    /* the run's times, loop clock */
    uint64_t begin_us, measure_us, end_us; /* end: UINT64_MAX without a duration */
    uint64_t ended_us;

    struct load_tally tally;
    struct driver_live live;
};

int driver_init(struct driver *d, const struct driver_conf *conf, struct err *err) _must_check_;
/* Makes its thread; requests start at BEGIN_US (monotonic clock). */
int driver_start(struct driver *d, uint64_t begin_us, struct err *err) _must_check_;
void driver_interrupt(struct driver *d); /* any thread, once: ends without a drain */
/* After loop_join, or when it was never started. Accepts zeroed memory and a failed init. */
void driver_fini(struct driver *d);
