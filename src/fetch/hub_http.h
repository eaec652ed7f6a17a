/* fetch/hub_http.h -- one request to the hub, redirects followed by hand, pauses between attempts
 *
 * libcurl would follow redirects by itself, but who gets the token is decided here: the endpoint's own origin (scheme, host and port), nobody else, whatever a Location says.
 * One session per hub_fetch: its connections are kept between requests (a tokenizer is a dozen of them). One thread. */
#pragma once

#include "base/random.h"
#include "base/url.h"
#include "fetch/curl.h"
#include "fetch/hub_list.h"

#define HUB_URL_MAX  8192 /* bytes; signed URLs have about 1,500 */
#define HUB_ETAG_MAX 129  /* bytes with the NUL */

struct hub_http {
    const struct hub_config *config; /* borrowed, as the next three */
    const struct curl_library *curl;
    struct hub_progress *progress;
    const _Atomic bool *cancel; /* may be NULL */
    CURL *easy;                 /* owned; reset between requests */
    struct url origin;          /* of the endpoint; views into config */
    struct random random;       /* for pauses */
};

/* What a reply's head says; of the last reply, except where noted. */
struct hub_head {
    unsigned status;
    char etag[HUB_ETAG_MAX];        /* without quotes and W/; "" = none, or one that cannot be a file's name */
    char linked_etag[HUB_ETAG_MAX]; /* X-Linked-Etag of any reply of the endpoint; the same */
    char commit[HUB_COMMIT_MAX];    /* X-Repo-Commit of any reply of the endpoint; "" = none */
    char error_code[32];            /* X-Error-Code: "GatedRepo", "RepoNotFound", "RevisionNotFound", "EntryNotFound" */
    bool has_length, has_linked_size, has_range, has_total;
    uint64_t length;        /* Content-Length */
    uint64_t linked_size;   /* X-Linked-Size of any reply of the endpoint */
    uint64_t range_from;    /* Content-Range: bytes FROM- */
    uint64_t total;         /* Content-Range: behind the '/' */
    uint32_t retry_after_s; /* 0 = not told */
    bool elsewhere;         /* `hub_only`: the file is at `url`, on another origin, which was not asked */
    char url[HUB_URL_MAX];  /* where the last reply came from, or is to be had */
};

enum hub_range { HUB_WHOLE, HUB_FIRST_BYTE, HUB_FROM };

struct hub_request {
    const char *url;
    const char *accept; /* NULL = any */
    enum hub_range range;
    uint64_t from;        /* HUB_FROM */
    const char *if_range; /* HUB_FROM: an etag without quotes; NULL = none */
    bool hub_only;        /* a redirect to another origin is an answer (`elsewhere`) */
    uint64_t max_bytes;   /* of the body */
    uint32_t total_ms;    /* 0 = as long as bytes come */
    /* The body of a 200 or 206, in parts, behind its head; NULL = of no interest (then a long one is not read). 0, or a code of ours that ends the request and is returned; *ERR is hub_http_get's. */
    int (*part)(void *arg, const struct hub_head *head, struct str bytes, struct err *err);
    void *arg;
};

/* ERR_UNSUPPORTED (no libcurl), ERR_NOMEM. A failed one need not be finished. */
int hub_http_init(struct hub_http *h, const struct hub_config *config, struct hub_progress *progress, const _Atomic bool *cancel,
                  struct err *err) _must_check_;
void hub_http_fini(struct hub_http *h);

/* 0: *RET is what came, whatever its status. ERR_CANCELLED, ERR_LIMIT (body, redirects), ERR_TIMEOUT, ERR_REFUSED, ERR_RESET, ERR_RESOLVE, ERR_PROTOCOL, ERR_IO, ERR_NOMEM, or what `part` says;
 * messages name the URL without its query, which may be a signature. */
int hub_http_get(struct hub_http *h, const struct hub_request *r, struct hub_head *ret, struct err *err) _must_check_;

/* The same up to ATTEMPTS times, with pauses, for as long as another attempt may do better. */
int hub_http_get_patiently(struct hub_http *h, const struct hub_request *r, unsigned attempts, struct hub_head *ret,
                           struct err *err) _must_check_;

/* May another attempt do better? ST of hub_http_get, or the status of its reply. */
bool hub_http_is_passing(int st, unsigned status);

/* Waits before attempt number ATTEMPT (from 1) as the backoff or RETRY_AFTER_S says. ERR_CANCELLED; ERR_BUSY when retry_after_max_s forbids it. */
int hub_http_pause(struct hub_http *h, unsigned attempt, uint32_t retry_after_s, struct err *err) _must_check_;

/* An answer that is none: what its status means for the model ID, with a remedy; returns the code. */
int hub_http_refusal(const struct hub_http *h, const struct hub_head *head, struct str id, struct err *err);

/* Is URL on the endpoint's own origin, which alone has the token? */
bool hub_http_is_ours(const struct hub_http *h, const char *url);

/* S with everything but letters, digits and "-_.~" escaped; '/' too unless it is kept. */
void hub_http_escape(struct buf *out, struct str s, bool keep_slash);
