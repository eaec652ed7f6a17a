/* base/err.c -- texts of failures */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    va_start(ap, fmt);
    if (vsnprintf(err->message, sizeof err->message, fmt, ap) < 0)
        err->message[0] = 0;
    va_end(ap);
    return code;
}

int err_wrap(struct err *err, int code, const char *fmt, ...)
{
    char context[ERR_MESSAGE_MAX];
    size_t n, rest;
    va_list ap;
    int len;

    if (!err)
        return code;
    va_start(ap, fmt);
    len = vsnprintf(context, sizeof context - 2, fmt, ap);
    va_end(ap);
    if (len < 0)
        len = 0;
    n = MIN((size_t)len, sizeof context - 3);
    context[n++] = ':';
    context[n++] = ' ';
    if (err->code == 0 || err->message[0] == 0)
        (void)err_set(err, code, "%s", err_text(code));
    err->code = code;
    rest = MIN(strlen(err->message), sizeof err->message - 1 - n);
    memmove(err->message + n, err->message, rest);
    memcpy(err->message, context, n);
    err->message[n + rest] = 0;
    return code;
}

const char *err_text(int code)
{
    switch (code) {
#define X(name, value, text) \
    case name:               \
        return text;
        ERR_LIST(X)
#undef X
    }
    return "unknown error";
}

/* What libuv adds to the system's numbers; base/ does not include uv.h. */
#define UV_EOF_NUMBER        (-4095)
#define UV_EAI_FIRST         (-3014)
#define UV_EAI_LAST          (-3000)
#define UV_EAI_CANCELLED     (-3003)
#define UV_EAI_OUT_OF_MEMORY (-3006)

int err_from_errno(int negative_errno)
{
    if (negative_errno >= UV_EAI_FIRST && negative_errno <= UV_EAI_LAST)
        return negative_errno == UV_EAI_CANCELLED       ? ERR_CANCELLED
               : negative_errno == UV_EAI_OUT_OF_MEMORY ? ERR_NOMEM
                                                        : ERR_RESOLVE;

    switch (negative_errno) {
    case 0:
        return 0;
    case UV_EOF_NUMBER:
    case -EPIPE:
    case -ENOTCONN:
    case -ESHUTDOWN:
        return ERR_CLOSED;
    case -ENOMEM:
    case -ENOBUFS:
        return ERR_NOMEM;
    case -EINVAL:
    case -EDOM:
    case -ERANGE:
        return ERR_INVALID;
    case -EMFILE:
    case -ENFILE:
    case -E2BIG:
    case -EFBIG:
    case -EMSGSIZE:
    case -ENOSPC:
    case -EDQUOT:
        return ERR_LIMIT;
    case -ENOENT:
    case -ENOTDIR:
    case -ESRCH:
    case -ENXIO:
    case -ENODEV:
        return ERR_NOT_FOUND;
    case -EEXIST:
    case -EADDRINUSE:
        return ERR_EXISTS;
    case -ETIMEDOUT:
        return ERR_TIMEOUT;
    case -ECANCELED:
        return ERR_CANCELLED;
    case -ECONNREFUSED:
        return ERR_REFUSED;
    case -ECONNRESET:
    case -ECONNABORTED:
        return ERR_RESET;
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -ENETDOWN:
    case -EADDRNOTAVAIL:
        return ERR_UNREACHABLE;
    case -EPROTO:
        return ERR_PROTOCOL;
    case -EBUSY:
    case -EAGAIN:
    case -ETXTBSY:
        return ERR_BUSY;
    case -ENOSYS:
    case -EOPNOTSUPP:
    case -EAFNOSUPPORT:
    case -EPROTONOSUPPORT:
        return ERR_UNSUPPORTED;
    default:
        return ERR_IO;
    }
}
