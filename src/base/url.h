/* base/url.h -- taking URLs apart (RFC 3986, what HTTP needs of it), and the rules for worker URLs */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct url {
    struct str scheme; /* lowercase; this and the others are views into the parsed text */
    struct str host;   /* name, IPv4, or IPv6 without its brackets */
    struct str path;   /* "" or begins with "/" ; query and fragment not included */
    struct str query;  /* without "?" */
    uint16_t port;     /* the written one, else the scheme's default (80, 443), else 0 */
    bool host_is_ipv6;
    bool has_port; /* a port was written */
};

/* http, https, grpc, grpcs and others with "://". ERR_SYNTAX with a reason that does not repeat the URL. Refused: user info, a scheme that
 * is not lowercase, blanks, control and non-ASCII bytes, port 0. */
int url_parse(struct str text, struct url *ret, struct err *err) _must_check_;

/* The rules of spec operations 5.2 = control-plane 6.4, in their order, with their reason texts ("URL cannot be empty", ...).
 * ERR_INVALID; err->message is the reason only: the caller writes "Invalid value for field 'worker_url': <url> - <reason>". */
int url_check_worker(struct str url, struct err *err) _must_check_;

/* Percent-decodes into OUT (room for s.n bytes); "+" stays as it is. Returns the length or ERR_SYNTAX (bad escape, or the result is not UTF-8). */
long url_decode(struct str s, char *out);

/* The value of KEY in a query string, still encoded; false when absent. *RET_REPEATED tells that the key comes more than once. */
bool url_query_get(struct str query, struct str key, struct str *ret, bool *ret_repeated);
