/* worker/probe.h -- one question of the control plane to a worker, with one deadline over all of it
 *
 *   registration, health checks, fan-outs --probe_start--> GET or POST at the worker's URL --done--> status, body
 *
 * Owner: the probe frees itself at the end of the turn in which `done` ran or probe_cancel was called; it holds a reference on its worker.
 * Threads: the loop of the client. `done` comes exactly once, never from inside probe_start, and not at all after probe_cancel.
 */
#pragma once

#include "http/client.h"
#include "worker/worker.h"

#define PROBE_BODY_MAX (256u << 10) /* bytes, unless asked for otherwise: SGLang's /server_info has some ten KiB */

struct probe;

struct probe_ask {
    enum http_method method;
    struct str path;     /* behind the worker's base path; may have a query */
    struct str body;     /* copied; empty = none. Sent as JSON */
    struct str bearer;   /* copied; in place of the worker's own key; empty = the worker's. Held to what a field value may be */
    uint32_t connect_ms; /* 0 = total_ms */
    uint32_t total_ms;
    size_t body_max; /* of the reply; 0 = PROBE_BODY_MAX */
    void (*done)(struct probe *p, int result);
    void *owner;
};

struct probe {
    struct http_fetch fetch;
    struct buf head, body; /* owned: the request */
    struct timer deadline;
    struct deferred free_later;
    struct loop *loop;
    const struct worker *worker; /* reference */
    /* RESULT: HTTP status (also when the body was longer than body_max), or a negative enum err_code. The body stands in fetch.body (take it or leave it). */
    void (*done)(struct probe *p, int result);
    void *owner;
};

/* CLIENT: of the current loop. With the worker's own key as bearer token (an Anthropic provider's as x-api-key). 0, or ERR_NOMEM: nothing was started. */
int probe_start(struct http_client *client, struct loop *loop, const struct worker *w, const struct probe_ask *ask,
                struct probe **ret) _must_check_;
void probe_cancel(struct probe *p);          /* silent; NULL is fine */
struct buf probe_take_body(struct probe *p); /* the reply's; the caller frees it */
