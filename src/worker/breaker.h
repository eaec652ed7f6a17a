/* worker/breaker.h -- a worker's circuit breaker: who is broken, and who comes back with one request at a time
 *
 *               failures reach the threshold, within the window               (the first request after `timeout`)
 *     CLOSED ------------------------------------------> OPEN ---breaker_enter---> HALF_OPEN (its probe runs)
 *      ^  |                                               ^                          |      |
 *      |  +--breaker_recover--> HALF_OPEN, gentle         +-------probe failed-------+      | probe succeeded:
 *      |                                                                                    | the next probe may come
 *      +-------------probes that succeeded reach the success threshold; gentle: one---------+
 *
 *   CLOSED      everybody may come. A failure counts, a success takes all failures back. Failures count within `window` of the first of their row only.
 *   OPEN        nobody may. What comes to an end meanwhile changes nothing.
 *   HALF_OPEN   one request at a time may: the probe. Its failure opens the breaker again (gentle: once as many failures in a row came as it takes to open one);
 *               its success counts; if it says nothing (busy, the client left), the next one is the probe. What was begun before changes nothing.
 *   gentle      the worker was not broken, its health checks took it out: it comes back with one request instead of everything that its affinity owes it, but where
 *               nobody else could serve, all may come meanwhile (BREAKER_RESERVE). Shown as closed.
 *
 * All of it is one word: transitions are compare-and-swap of what the pure breaker_next_*() give.
 *
 * Threads: any, for all. Readers take slightly old words: a request more or less for a worker that just opened does no harm, and the probe's place is taken by compare-and-swap.
 * Bounds: counts stop at BREAKER_COUNT_MAX: a threshold from there on is never reached. Times are multiples of 16 ms, and a breaker that stays as it is for two years forgets when
 * it began. Spec data-plane 8 with its BETTERs. Which outcome is which: resilience.h.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_STATES };
struct str breaker_state_text(enum breaker_state s); /* "closed" "open" "half_open" */

#define BREAKER_COUNT_MAX 16383u

struct breaker_conf {
    uint32_t failure_threshold, success_threshold; /* at least 1 */
    uint64_t timeout_ms, window_ms;
    bool disabled;
};
bool breaker_conf_eq(const struct breaker_conf *a, const struct breaker_conf *b);

/* Part of struct worker_live; all zero: closed. */
struct breaker {
    _Atomic uint64_t word;
    _Atomic uint64_t successes, failures;                         /* outcomes that counted, since the worker is known */
    _Atomic uint32_t transitions[BREAKER_STATES][BREAKER_STATES]; /* from, to */
};

/* How far a worker is there for a request. */
enum breaker_admission {
    BREAKER_NO,      /* it is not */
    BREAKER_RESERVE, /* when nobody else is */
    BREAKER_YES,
};

/* As far as a look can tell. *RECHECK_US is lowered to the moment at which the answer changes by time alone (loop clock), if there is one. */
enum breaker_admission breaker_look(const struct breaker *b, const struct breaker_conf *conf, uint64_t now_us,
                                    uint64_t *recheck_us);

enum breaker_pass {
    BREAKER_REFUSED, /* another request took the probe's place since the look */
    BREAKER_PASSED,
    BREAKER_PROBE, /* this request is the probe: its outcome must be reported, as "nothing" when there is none */
};

/* A request goes to this worker. */
enum breaker_pass breaker_enter(struct breaker *b, const struct breaker_conf *conf, uint64_t now_us);

enum breaker_outcome { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_NOTHING };

/* Exactly once for a probe, at most once for others. True: who may come has changed, lists of candidates are to be made anew. */
bool breaker_report(struct breaker *b, const struct breaker_conf *conf, enum breaker_outcome outcome, bool probe, uint64_t now_us);

/* The health checks brought the worker back. */
void breaker_recover(struct breaker *b, const struct breaker_conf *conf);

/* Closed, as if new: its settings have changed. */
void breaker_reset(struct breaker *b);

/* For metrics and admin views. */
struct breaker_view {
    enum breaker_state state;
    unsigned failures, successes; /* in a row */
};
struct breaker_view breaker_view(const struct breaker *b);
