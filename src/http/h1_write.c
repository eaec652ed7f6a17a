/* http/h1_write.c -- writing the head of an HTTP/1.1 message and the frames of a chunked body (RFC 9112 2.1, 4, 5, 7.1)
 *
 * Sticky like every writer into a struct buf: out->failed tells at the end. A field that would break the framing is left out, never repaired.
 */
#include "http/h1.h"

#include "http/scan.h"

void h1_put_request_line(struct buf *out, struct str method, struct str target)
{
    char *p = buf_reserve(out, method.n + target.n + sizeof "  HTTP/1.1\r\n");

    if (!p)
        return;
    memcpy(p, method.p, method.n);
    p += method.n;
    *p++ = ' ';
    memcpy(p, target.p, target.n);
    memcpy(p + target.n, " HTTP/1.1\r\n", 11);
    out->n += method.n + target.n + 12;
}

void h1_put_status_line(struct buf *out, unsigned status)
{
    struct str reason = str_of(http_reason(status));
    char *p;

    if (status == 200) {
        buf_puts(out, "HTTP/1.1 200 OK\r\n");
        return;
    }
    p = buf_reserve(out, sizeof "HTTP/1.1 200 \r\n" + reason.n);
    if (!p)
        return;
    memcpy(p, "HTTP/1.1 ", 9);
    p[9] = (char)('0' + status / 100 % 10);
    p[10] = (char)('0' + status / 10 % 10);
    p[11] = (char)('0' + status % 10);
    p[12] = ' ';
    memcpy(p + 13, reason.p, reason.n);
    memcpy(p + 13 + reason.n, "\r\n", 2);
    out->n += 15 + reason.n;
}

bool h1_put_field(struct buf *out, struct str name, struct str value)
{
    char *p;

    if (!http_is_field_value(value))
        return false;
    p = buf_reserve(out, name.n + value.n + 4);
    if (!p)
        return true;
    memcpy(p, name.p, name.n);
    p += name.n;
    *p++ = ':';
    *p++ = ' ';
    if (value.n)
        memcpy(p, value.p, value.n);
    memcpy(p + value.n, "\r\n", 2);
    out->n += name.n + value.n + 4;
    return true;
}

void h1_put_length(struct buf *out, uint64_t length)
{
    buf_puts(out, "content-length: ");
    buf_put_u64(out, length);
    buf_puts(out, "\r\n");
}

size_t h1_chunk_prefix(char out[H1_CHUNK_PREFIX_MAX], size_t n)
{
    static const char DIGITS[] = "0123456789abcdef";
    size_t digits = (size_t)(64 - __builtin_clzll((unsigned long long)n) + 3) / 4;

    for (size_t i = digits; i > 0; i--, n >>= 4)
        out[i - 1] = DIGITS[n & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
