/* http/message.h -- what a request or reply is, whatever the wire: method, target, status, fields (RFC 9110)
 *
 * All text is views: into the arena of the exchange or into a read buffer, as the function that fills the struct says.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_PATCH, HTTP_OPTIONS, HTTP_OTHER };

/* "GET" ... ; "OTHER" for HTTP_OTHER. The label of metrics and logs. */
struct str http_method_text(enum http_method m);
enum http_method http_method_of(struct str token); /* case-sensitive, RFC 9110 9.1 */

/* The fields that somebody of ours looks for. The codec recognises them once; everybody else compares numbers. */
#define HTTP_FIELD_LIST(X)                           \
    X(HF_ACCEPT, "accept")                           \
    X(HF_ACCEPT_ENCODING, "accept-encoding")         \
    X(HF_ACRH, "access-control-request-headers")     \
    X(HF_ACRM, "access-control-request-method")      \
    X(HF_ALLOW, "allow")                             \
    X(HF_AUTHORIZATION, "authorization")             \
    X(HF_CONNECTION, "connection")                   \
    X(HF_CONTENT_ENCODING, "content-encoding")       \
    X(HF_CONTENT_LENGTH, "content-length")           \
    X(HF_CONTENT_TYPE, "content-type")               \
    X(HF_COOKIE, "cookie")                           \
    X(HF_DATE, "date")                               \
    X(HF_EXPECT, "expect")                           \
    X(HF_HOST, "host")                               \
    X(HF_KEEP_ALIVE, "keep-alive")                   \
    X(HF_LOCATION, "location")                       \
    X(HF_ORIGIN, "origin")                           \
    X(HF_PROXY_AUTHENTICATE, "proxy-authenticate")   \
    X(HF_PROXY_AUTHORIZATION, "proxy-authorization") \
    X(HF_PROXY_CONNECTION, "proxy-connection")       \
    X(HF_REQUEST_ID, "request-id")                   \
    X(HF_RETRY_AFTER, "retry-after")                 \
    X(HF_SERVER, "server")                           \
    X(HF_TE, "te")                                   \
    X(HF_TRACEPARENT, "traceparent")                 \
    X(HF_TRACESTATE, "tracestate")                   \
    X(HF_TRAILER, "trailer")                         \
    X(HF_TRAILERS, "trailers")                       \
    X(HF_TRANSFER_ENCODING, "transfer-encoding")     \
    X(HF_UPGRADE, "upgrade")                         \
    X(HF_VARY, "vary")                               \
    X(HF_WWW_AUTHENTICATE, "www-authenticate")       \
    X(HF_X_API_KEY, "x-api-key")                     \
    X(HF_X_CORRELATION_ID, "x-correlation-id")       \
    X(HF_X_FORWARDED_FOR, "x-forwarded-for")         \
    X(HF_X_REQUEST_ID, "x-request-id")               \
    X(HF_X_SMG_DEBUG, "x-smg-debug")                 \
    X(HF_X_SMG_ERROR_CODE, "x-smg-error-code")       \
    X(HF_X_SMG_PRIORITY, "x-smg-priority")           \
    X(HF_X_SMG_ROUTING_KEY, "x-smg-routing-key")     \
    X(HF_X_SMG_TARGET_WORKER, "x-smg-target-worker") \
    X(HF_X_TRACE_ID, "x-trace-id")

enum http_field_id {
    HF_UNKNOWN,
#define X(id, name) id,
    HTTP_FIELD_LIST(X)
#undef X
        HF_COUNT
};

struct http_field {
    struct str name;  /* as received, or lowercase when ours */
    struct str value; /* without blanks around it */
    enum http_field_id id;
};

struct http_fields {
    struct http_field *v; /* arena or the caller's array */
    unsigned n, cap;
};

/* The id of a name in any case; HF_UNKNOWN for others. */
enum http_field_id http_field_id(struct str name);
struct str http_field_name(enum http_field_id id); /* lowercase */

/* The first field, or NULL. */
const struct http_field *http_find(const struct http_fields *f, enum http_field_id id);
const struct http_field *http_find_name(const struct http_fields *f, struct str name); /* any case */
struct str http_value(const struct http_fields *f, enum http_field_id id);             /* of the first; {NULL,0} when absent */

/* Adds one (the views are kept, not copied). Grows in ARENA; on failure arena->failed is set. http_add takes names that have an id. */
void http_add(struct http_fields *f, struct arena *arena, enum http_field_id id, struct str value);
void http_add_name(struct http_fields *f, struct arena *arena, struct str lowercase_name, struct str value);

/* Is TOKEN one of the comma-separated items (any case)? */
bool http_list_has(struct str list, struct str token);

/* RFC 9110 5.6.2 token; 5.5 field value (visible ASCII, SP, HTAB, obs-text; no CR, LF, NUL). */
bool http_is_token(struct str s);
bool http_is_field_value(struct str s);

enum http_body_kind {
    HTTP_BODY_NONE,        /* no body at all */
    HTTP_BODY_LENGTH,      /* content-length bytes */
    HTTP_BODY_CHUNKED,     /* transfer-encoding: chunked, last */
    HTTP_BODY_UNTIL_CLOSE, /* replies only: until the connection ends */
};

/* The head of a request or reply with its framing decided (RFC 9112 6.3). */
struct http_head {
    /* requests */
    enum http_method method;
    struct str method_text;
    struct str target; /* as received */
    struct str path;   /* of the target, not decoded */
    struct str query;  /* without '?' */
    struct str host;   /* the Host field's value */
    bool expect_continue;
    /* replies */
    unsigned status; /* 100..999 */
    struct str reason;
    /* both */
    unsigned minor;  /* HTTP/1.minor: 0 or 1 */
    bool keep_alive; /* what version and Connection field say */
    enum http_body_kind body;
    uint64_t length; /* HTTP_BODY_LENGTH */
    struct http_fields fields;
};

const char *http_reason(unsigned status); /* "Not Found"; "Unknown Status Code" when there is none */

/* Connection-specific fields that a proxy never passes on (RFC 9110 7.6.1), and what SMG strips besides (spec data-plane 5.6):
 * connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer trailers transfer-encoding upgrade host. */
bool http_is_hop_by_hop(enum http_field_id id);
