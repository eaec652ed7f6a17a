/* net/resolve.h -- names to addresses, on libuv's thread pool, with a small cache per loop
 *
 * IP literals answer at once without a thread (the callback still comes later, in the same turn's deferred phase). Answers are kept RESOLVE_TTL_S; a failure 1 s.
 * Lookups of one name at one time are joined. At most RESOLVE_CACHE_MAX names are kept; the oldest goes (ERR_LIMIT when all are being looked up).
 * Of several addresses the first IPv4 one is taken, else the first: engines listen on 0.0.0.0 far more often than on "::".
 * A name that is in use is looked up again before its time is over (RESOLVE_EARLY_S), so that no request waits for it.
 */
#pragma once

#include "net/stream.h"

#define RESOLVE_TTL_S     30
#define RESOLVE_EARLY_S   10
#define RESOLVE_CACHE_MAX 1024
#define RESOLVE_NAME_MAX  253 /* RFC 1035 2.3.4, in text form */

struct resolver;

struct resolve_request {
    struct list link; /* in the entry that it waits for, or in resolver.soon */
    /* STATUS 0: *ADDRESS (with the port that was asked for) is good until return; else ERR_RESOLVE. */
    void (*done)(struct resolve_request *r, int status, const struct net_address *address);
    uint16_t port;
    bool active; /* done is still to come */
    /* internal: an answer that is known already */
    struct deferred deferred;
    struct net_address answer;
    int status;
};

int resolver_new(struct loop *l, struct resolver **ret) _must_check_;
void resolver_free(
    struct resolver
        *r); /* cancels silently; the loop lives on until lookups that run in libuv's threads have ended. NULL is fine */

/* A cached or literal address right now, without a request: the hot path's way. */
bool resolver_lookup(struct resolver *r, struct str host, uint16_t port, struct net_address *ret);

/* REQ->done is set by the caller. 0 (done follows), ERR_NOMEM or ERR_LIMIT (no callback). A HOST that cannot be a name ends in ERR_RESOLVE. */
int resolver_start(struct resolver *r, struct str host, uint16_t port, struct resolve_request *req) _must_check_;
void resolver_cancel(struct resolver *r, struct resolve_request *req); /* silent */
