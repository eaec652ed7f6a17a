/* upstream/upstream.h -- how to talk to each kind of engine: the bytes that a worker's dialect wants
 *
 * In:       what the client asked (head, credential rules), where it goes (struct upstream_target).
 * Out:      the head of the upstream request, in the caller's arena. The body is dispatch's business: the client's bytes, or what prepare() made of them.
 * Not here: connections (http/client), which worker (routing/).
 *
 * Dialects: UPSTREAM_OPENAI_HTTP only; gRPC protocols and provider dialects become further members, each with a file of its own.
 */
#pragma once

#include "http/message.h"

enum upstream_dialect { UPSTREAM_OPENAI_HTTP, UPSTREAM_DIALECTS };

/* Where a request goes. Views of the worker's description. */
struct upstream_target {
    struct str authority; /* "host:port", for the Host field */
    struct str base_path; /* "" or "/prefix" */
    struct str api_key;   /* the worker's own; empty = none */
    bool anthropic;       /* Anthropic itself: /v1/messages takes the key as x-api-key, beside anthropic-version */
};

struct upstream_request {
    enum http_method method;
    struct str path;                  /* route on the worker: "/v1/chat/completions" */
    const struct http_fields *client; /* the client's fields: the allow-list is taken from here */
    struct str request_id;            /* sent as x-request-id */
    /* The client's Authorization goes along unless it authenticated against the gateway itself (decision 3) or the worker has a key of its own. */
    bool forward_authorization;
    uint64_t body_bytes;     /* 0 with GET: no body fields at all */
    struct str content_type; /* of the body; empty = application/json */
};

/* The head, empty line included, for UPSTREAM_OPENAI_HTTP. Spec data-plane 5.5 with its BETTERs: from the client authorization, x-correlation-id, traceparent, tracestate,
 * x-smg-routing-key and x-request-id-*, all values; from us content-type, content-length, host, accept, x-request-id. {NULL, 0} when the arena failed. */
struct str upstream_http_head(struct arena *arena, const struct upstream_target *to, const struct upstream_request *request);

/* To Anthropic's /v1/messages also anthropic-version (ours when the client has none) and anthropic-beta, and the client's x-api-key where its authorization would go. */

/* Does a client's field belong to the allow-list (credentials apart)? */
bool upstream_forwards(const struct http_field *f);
