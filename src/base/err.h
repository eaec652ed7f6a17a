/* base/err.h -- the one list of failures, and the text that goes with one
 *
 * Functions that can fail return 0 (or a count) or a negative enum err_code. Where a person will read the reason, the last parameter is
 * a `struct err *` that the caller supplies; NULL when nobody reads. Output parameters are untouched on failure.
 * A message names the thing, its value and what would be right. The edge (a handler, a workflow, main) logs or answers it, once.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

/* X(name, value, text): text is what err_text() says when nothing more is known. */
#define ERR_LIST(X)                                                             \
    X(ERR_NOMEM, -1, "out of memory")                                           \
    X(ERR_INVALID, -2, "invalid value")                                         \
    X(ERR_SYNTAX, -3, "syntax error")                                           \
    X(ERR_LIMIT, -4, "limit reached")                                           \
    X(ERR_NOT_FOUND, -5, "not found")                                           \
    X(ERR_EXISTS, -6, "exists already")                                         \
    X(ERR_IO, -7, "input/output error")                                         \
    X(ERR_TIMEOUT, -8, "timed out")                                             \
    X(ERR_CANCELLED, -9, "cancelled")                                           \
    X(ERR_REFUSED, -10, "connection refused")                                   \
    X(ERR_RESET, -11, "connection reset")                                       \
    X(ERR_CLOSED, -12, "connection closed")                                     \
    X(ERR_UNREACHABLE, -13, "host unreachable")                                 \
    X(ERR_RESOLVE, -14, "name not resolved")                                    \
    X(ERR_PROTOCOL, -15, "protocol error")                                      \
    X(ERR_BUSY, -16, "busy")                                                    \
    X(ERR_UNSUPPORTED, -17, "not supported")                                    \
    X(ERR_STORE, -18, "not stored")                                             \
    X(ERR_TLS, -20, "TLS: handshake or record failed")                          \
    X(ERR_TLS_EXPIRED, -21, "TLS: the certificate has expired")                 \
    X(ERR_TLS_EARLY, -22, "TLS: the certificate is not valid yet")              \
    X(ERR_TLS_NAME, -23, "TLS: the certificate is for another host name")       \
    X(ERR_TLS_SELF_SIGNED, -24, "TLS: the certificate is self-signed")          \
    X(ERR_TLS_ISSUER, -25, "TLS: the certificate is from an unknown authority") \
    X(ERR_TLS_CERTIFICATE, -26, "TLS: the certificate is not acceptable")       \
    X(ERR_TLS_REFUSED, -27, "TLS: the peer wants a client certificate, or refused ours")

enum err_code {
#define X(name, value, text) name = value,
    ERR_LIST(X)
#undef X
};

/* A handshake that failed, or a certificate: one of the codes ERR_TLS to ERR_TLS_REFUSED. */
static inline bool err_is_tls(int code)
{
    return code <= ERR_TLS && code >= ERR_TLS_REFUSED;
}

#define ERR_MESSAGE_MAX 512 /* bytes with the NUL; a longer message is cut */

struct err {
    int code; /* 0 = nothing went wrong */
    char message[ERR_MESSAGE_MAX];
};

/* Fills *ERR (may be NULL) and returns CODE, so that `return err_set(err, ERR_LIMIT, ...)` is one line. */
int err_set(struct err *err, int code, const char *fmt, ...) _printf_(3, 4);

/* Puts "context: " before the message that *ERR already has (err_text(code) when it is empty); returns CODE. */
int err_wrap(struct err *err, int code, const char *fmt, ...) _printf_(3, 4);

/* The static text of a code, "unknown error" for one that is not in the list. */
const char *err_text(int code);

/* From a negative libuv or errno number (both are -errno on Linux) to ours. */
int err_from_errno(int negative_errno);
