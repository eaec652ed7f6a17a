/* fetch/fetch.h -- GET of a document from somewhere else than a worker: OIDC discovery, JWKS; later the Kubernetes API. Models of the Hugging Face hub: hub.h
 *
 *   fetch_start --> libcurl's multi interface, driven by LOOP (uv_poll per socket, one timer) --> done(reply) on LOOP, exactly once
 *   fetch_now   --> libcurl's easy interface, blocking: at start, before loops run, or on the blocking pool
 *
 * Not for workers: those are asked by http/client, which knows their pools, keys and deadlines. This is what needs proxies, redirects, foreign certificate authorities
 * and names that resolve slowly, once an hour.
 * libcurl (libcurl.so.4) is opened on first use: loading it with all that it links to would double the footprint of a gateway that never fetches. Where it is missing, the
 * first fetch fails with ERR_UNSUPPORTED and a text that says what to install.
 * Policy, the same for every fetch: http and https only; certificates and names are verified, always; proxies as the environment says (http_proxy, https_proxy, all_proxy,
 * no_proxy, in either case); a redirect is followed only when asked, and only to http and https; nothing is sent but Host, Accept and User-Agent; connections are not kept.
 * Bounds: total_ms for everything from the name to the last byte; max_bytes for the body, by its Content-Length before it is read and by count while it is; FETCHES_MAX at a time.
 * Threads: a fetcher and its fetches belong to its loop. fetch_now: any thread that may block.
 * Read next: fetch.c (the machine), curl.c (the library).
 */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

#define FETCHES_MAX 64

struct fetch_request {
    struct str url;         /* http or https */
    struct str accept;      /* empty = any type */
    struct str ca_file;     /* PEM, in place of the system's authorities; empty = the system's */
    uint64_t max_bytes;     /* of the body, at least 1 */
    uint32_t connect_ms;    /* name and handshakes; 0 = as total_ms */
    uint32_t total_ms;      /* at least 1 */
    unsigned redirects_max; /* 0 = a redirect is the answer (its status is 3xx) */
};

/* An answer of the other side, whatever its status. */
struct fetch_reply {
    unsigned status;
    struct str body;         /* valid until `done` returns; not NUL-terminated */
    struct str content_type; /* the same; may be empty */
};

struct fetcher;
struct fetch;

/* Once per fetch, never from inside fetch_start; not after fetch_cancel. STATUS 0: REPLY is what came, ERR is NULL. Negative: REPLY is NULL and *ERR names the URL and the reason:
 * ERR_LIMIT ("Response too large: 2097152 bytes (max: 1048576)"), ERR_TIMEOUT, ERR_REFUSED, ERR_RESET, ERR_RESOLVE, ERR_PROTOCOL (TLS and HTTP), ERR_NOMEM, ERR_IO.
 * The fetch is gone when it returns. */
typedef void fetch_done(void *owner, int status, const struct fetch_reply *reply, const struct err *err);

int fetcher_new(struct loop *loop, struct fetcher **ret) _must_check_; /* opens nothing yet */
void fetcher_free(
    struct fetcher *f); /* cancels what runs; freed at the end of the turn, or at once while the loop does not run. NULL is fine. */

/* 0, or ERR_UNSUPPORTED (no libcurl), ERR_INVALID (the URL), ERR_BUSY, ERR_NOMEM: then no callback. The strings of R are copied. */
int fetch_start(struct fetcher *f, const struct fetch_request *r, fetch_done *done, void *owner, struct fetch **ret,
                struct err *err) _must_check_;
void fetch_cancel(struct fetch *x); /* silent: no callback; the connection is closed now. Not after `done`. */

/* Blocking. Fills *RET_BODY (appended; its own bound does not count) and *RET_STATUS. Fails as fetch_done says, and as fetch_start. */
int fetch_now(const struct fetch_request *r, struct buf *ret_body, unsigned *ret_status, struct err *err) _must_check_;
