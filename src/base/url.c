/* base/url.c -- URLs: scheme://host[:port][/path][?query][#fragment]
 *
 * Stricter than browsers: what would need repair (blanks, non-ASCII bytes, user info) is refused, because the text goes into request heads
 * and host lookups as it is. Reasons are the short ones of the common URL parsers ("empty host", "invalid port number"), which clients of
 * the workers API know.
 */
#include "base/url.h"

#include "base/utf8.h"

#include <arpa/inet.h>
#include <stdio.h>

#define HOST_MAX 253 /* bytes of a name (RFC 1035) */

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_scheme(struct str s)
{
    if (s.n == 0 || !is_lower(s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!is_lower(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '+' && s.p[i] != '-' && s.p[i] != '.')
            return false;
    return true;
}

static uint16_t default_port(struct str scheme)
{
    return str_eq(scheme, STR("http")) ? 80 : str_eq(scheme, STR("https")) ? 443 : 0;
}

static bool inet_ok(int family, struct str host)
{
    char text[INET6_ADDRSTRLEN], address[sizeof(struct in6_addr)];

    if (host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    return strlen(text) == host.n && inet_pton(family, text, address) == 1;
}

static int check_ipv6(struct str host, struct err *err)
{
    return inet_ok(AF_INET6, host) ? 0 : err_set(err, ERR_SYNTAX, "invalid IPv6 address");
}

/* A name, or IPv4 when its last label is a number. */
static int check_name(struct str host, struct err *err)
{
    struct str name = host, label;
    size_t dot;

    if (host.n == 0)
        return err_set(err, ERR_SYNTAX, "empty host");
    if (host.n > HOST_MAX)
        return err_set(err, ERR_SYNTAX, "host is longer than %d bytes", HOST_MAX);
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];

        if (!is_lower(c) && !is_digit(c) && !(c >= 'A' && c <= 'Z') && c != '-' && c != '.' && c != '_')
            return err_set(err, ERR_SYNTAX, "invalid domain character");
    }
    if (name.p[name.n - 1] == '.')
        name.n--; /* a full name may say so with a dot */
    dot = str_rfind_char(name, '.');
    label = dot == STR_NPOS ? name : str_skip(name, dot + 1);
    if (label.n == 0)
        return err_set(err, ERR_SYNTAX, "empty label in host");
    for (size_t i = 0; i < label.n; i++)
        if (!is_digit(label.p[i]))
            return 0;
    return inet_ok(AF_INET, host) ? 0 : err_set(err, ERR_SYNTAX, "invalid IPv4 address");
}

static int read_port(struct str text, struct url *u, struct err *err)
{
    uint64_t port;

    if (text.n == 0)
        return 0; /* "host:" is the default port (RFC 3986 6.2.3) */
    if (str_to_u64(text, &port) < 0 || port == 0 || port > UINT16_MAX)
        return err_set(err, ERR_SYNTAX, "invalid port number");
    u->port = (uint16_t)port;
    u->has_port = true;
    return 0;
}

static int read_authority(struct str text, struct url *u, struct err *err)
{
    struct str port = STR_NONE;
    int r;

    if (str_find_char(text, '@') != STR_NPOS)
        return err_set(err, ERR_SYNTAX, "user info is not allowed");
    if (text.n && text.p[0] == '[') {
        size_t end = str_find_char(text, ']');

        if (end == STR_NPOS)
            return err_set(err, ERR_SYNTAX, "invalid IPv6 address");
        u->host = (struct str){ text.p + 1, end - 1 };
        u->host_is_ipv6 = true;
        port = str_skip(text, end + 1);
        if (port.n && port.p[0] != ':')
            return err_set(err, ERR_SYNTAX, "invalid port number");
        if (port.n)
            port = str_skip(port, 1);
        r = check_ipv6(u->host, err);
    } else {
        (void)str_split(text, ':', &u->host, &port);
        r = check_name(u->host, err);
    }
    return r < 0 ? r : read_port(port, u, err);
}

int url_parse(struct str text, struct url *ret, struct err *err)
{
    size_t colon = str_find(text, STR("://")), end;
    struct url u = { 0 };
    struct str rest, fragment;
    int r;

    if (colon == STR_NPOS)
        return err_set(err, ERR_SYNTAX, "relative URL without a base");
    u.scheme = str_first(text, colon);
    if (!is_scheme(u.scheme))
        return err_set(err, ERR_SYNTAX, "invalid scheme: lowercase letters, then \"://\", are expected");
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= ' ' || (unsigned char)text.p[i] >= 0x7f)
            return err_set(err, ERR_SYNTAX, "invalid character at %zu: write it percent-encoded", i + 1);
    u.port = default_port(u.scheme);

    rest = str_skip(text, colon + 3);
    for (end = 0; end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#';)
        end++;
    r = read_authority(str_first(rest, end), &u, err);
    if (r < 0)
        return r;
    (void)str_split(str_skip(rest, end), '#', &rest, &fragment); /* the fragment is the sender's own business */
    (void)str_split(rest, '?', &u.path, &u.query);
    *ret = u;
    return 0;
}

int url_check_worker(struct str url, struct err *err)
{
    static const struct str SCHEMES[] = { STR_INIT("http"), STR_INIT("https"), STR_INIT("grpc"), STR_INIT("grpcs"),
                                          STR_INIT("ipc") };
    struct str scheme, rest;
    struct url parsed;
    struct err reason = { 0 };
    size_t colon = str_find(url, STR("://")), i;

    if (url.n == 0)
        return err_set(err, ERR_INVALID, "URL cannot be empty");
    scheme = colon == STR_NPOS ? STR_NONE : str_first(url, colon);
    for (i = 0; i < ARRAY_LEN(SCHEMES) && !str_eq(scheme, SCHEMES[i]);)
        i++;
    if (i == ARRAY_LEN(SCHEMES))
        return err_set(err, ERR_INVALID, "URL must start with a lowercase http://, https://, grpc://, grpcs://, or ipc:// scheme");
    rest = str_skip(url, colon + 3);
    if (str_eq(scheme, STR("ipc")))
        return rest.n ? 0 : err_set(err, ERR_INVALID, "ipc:// worker URL must include a socket path");
    if (str_has_prefix(scheme, STR("grpc")) && (rest.n == 0 || rest.p[0] == '/'))
        return err_set(err, ERR_INVALID, "URL must have a valid host");
    if (url_parse(url, &parsed, &reason) < 0)
        return err_set(err, ERR_INVALID, "Invalid URL format: %s", reason.message);
    if (str_find_char(url, '?') != STR_NPOS || str_find_char(url, '#') != STR_NPOS)
        return err_set(err, ERR_INVALID, "Invalid URL format: a worker's URL has no query and no fragment");
    return 0;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

long url_decode(struct str s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%') {
            int high = s.n - i > 2 ? hex_value(s.p[i + 1]) : -1, low = s.n - i > 2 ? hex_value(s.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                return ERR_SYNTAX;
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[n++] = c;
    }
    return utf8_valid((struct str){ out, n }) ? (long)n : ERR_SYNTAX;
}

bool url_query_get(struct str query, struct str key, struct str *ret, bool *ret_repeated)
{
    struct str pair, name, value, found = STR_NONE;
    unsigned times = 0;

    while (query.n) {
        (void)str_split(query, '&', &pair, &query);
        (void)str_split(pair, '=', &name, &value);
        if (!str_eq(name, key))
            continue;
        if (times++ == 0)
            found = value;
    }
    if (times == 0)
        return false;
    *ret = found;
    if (ret_repeated)
        *ret_repeated = times > 1;
    return true;
}
