/* cli/top_state.h -- what `smg top` knows: the workers of a gateway, their loads, and rates made of counters
 *
 *   GET /workers   --top_set_workers-->  the rows: id, URL, model, status, requests in flight
 *   GET /get_loads --top_set_loads---->  what engines say: waiting requests, KV use
 *   metrics page   --top_set_metrics-->  requests, failures and time per worker; two pages give a rate
 *
 * Each call takes the whole answer; one that makes no sense changes nothing. A row keeps its loads and rates while its worker stays listed (by URL).
 * No I/O and no clock inside; strings are copied and cleaned for a terminal. One owner, one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "cli/load_sum.h"

/* Of one worker, since the gateway started; negative = the page does not have it. */
struct top_counters {
    double requests, active, failures, seconds;
};

struct top_row {
    struct str id, url, model, status; /* in top_state.arena */
    uint64_t load;                     /* requests in flight through this gateway */
    struct load_sum engine;
    struct top_counters seen;       /* of the last page */
    uint64_t seen_us;               /* 0 = no page had this worker */
    struct top_counters before;     /* of the page before */
    double rate, errors, latency_s; /* requests and failures a second, mean duration; negative = not known */
};

struct top_state {
    struct top_row *rows; /* owned, in the gateway's order */
    size_t n;
    struct map by_url;  /* url -> row */
    struct arena arena; /* the rows' strings; swapped with each list */
    bool listed;        /* a list came */
    bool rated;         /* rates are known: two pages came */
};

void top_state_init(struct top_state *s);
void top_state_fini(struct top_state *s);

/* 0; ERR_SYNTAX: BODY is not what the API says, nothing changed; ERR_NOMEM: nothing changed. */
int top_set_workers(struct top_state *s, struct str body) _must_check_;
int top_set_loads(struct top_state *s, struct str body) _must_check_;
/* PAGE as of NOW_US (monotonic). Lines of other families are passed over. */
void top_set_metrics(struct top_state *s, struct str page, uint64_t now_us);
