#include "auth/issuer_url.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>

#include "base/url.h"

struct network {
    uint32_t address;
    unsigned bits;
};

/* RFC 6890 and its like. */
static const struct network PRIVATE[] = {
    { 0x00000000, 8 },  /* this network */
    { 0x0a000000, 8 },  /* 10/8 */
    { 0x64400000, 10 }, /* 100.64/10, carrier NAT */
    { 0x7f000000, 8 },  /* loopback */
    { 0xa9fe0000, 16 }, /* 169.254/16, link-local and metadata services */
    { 0xac100000, 12 }, /* 172.16/12 */
    { 0xc0000200, 24 }, /* TEST-NET-1 */
    { 0xc0a80000, 16 }, /* 192.168/16 */
    { 0xc6336400, 24 }, /* TEST-NET-2 */
    { 0xcb007100, 24 }, /* TEST-NET-3 */
    { 0xe0000000, 3 },  /* multicast, reserved, broadcast */
};

static bool is_private_v4(uint32_t address)
{
    for (size_t i = 0; i < ARRAY_LEN(PRIVATE); i++)
        if (((address ^ PRIVATE[i].address) >> (32 - PRIVATE[i].bits)) == 0)
            return true;
    return false;
}

static bool is_private_v6(const struct in6_addr *a)
{
    const uint8_t *b = a->s6_addr;
    static const uint8_t MAPPED[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    static const uint8_t NAT64[12] = { 0, 0x64, 0xff, 0x9b };
    uint32_t inner = (uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15];

    if (memcmp(b, MAPPED, sizeof MAPPED) == 0 || memcmp(b, NAT64, sizeof NAT64) == 0)
        return is_private_v4(inner);
    if (IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LOOPBACK(a))
        return true;
    return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || b[0] == 0xff;
}

static bool is_private_address(const struct url *u)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;

    if (u->host.n >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", STR_FMT(u->host));
    if (u->host_is_ipv6)
        return inet_pton(AF_INET6, text, &v6) != 1 || is_private_v6(&v6);
    return inet_pton(AF_INET, text, &v4) == 1 && is_private_v4(ntohl(v4.s_addr));
}

static bool has_suffix_nocase(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq_nocase(str_skip(s, s.n - suffix.n), suffix);
}

/* "0x7f.1" and its like: no name of the DNS, but resolvers of the C library make an address of it. */
static bool is_hex_address(struct str host)
{
    size_t dot = str_rfind_char(host, '.');

    return str_has_prefix_nocase(dot == STR_NPOS ? host : str_skip(host, dot + 1), STR("0x"));
}

static bool is_internal_name(struct str host)
{
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    return str_eq_nocase(host, STR("metadata")) || has_suffix_nocase(host, STR(".internal")) ||
           has_suffix_nocase(host, STR(".local")) || is_hex_address(host);
}

static bool is_this_machine(const struct url *u)
{
    return str_eq_nocase(u->host, STR("localhost")) || str_eq(u->host, STR("127.0.0.1")) || str_eq(u->host, STR("::1"));
}

int issuer_url_check(struct str url, bool allow_private, struct err *err)
{
    static const char HOW[] = "(--jwt-allow-private-issuer allows it)";
    struct err reason = { 0 };
    struct url u;

    if (str_has_prefix(url, STR("file:")))
        return err_set(err, ERR_INVALID, "SSRF protection: Invalid URL scheme 'file'. Only HTTPS is allowed");
    if (url_parse(url, &u, &reason) < 0)
        return err_set(err, ERR_INVALID, "Invalid URL: Failed to parse URL: %s", reason.message);
    if (str_eq(u.scheme, STR("http")))
        return is_this_machine(&u) ? 0
                                   : err_set(err, ERR_INVALID, "SSRF protection: Only HTTPS URLs are allowed for JWKS endpoints");
    if (!str_eq(u.scheme, STR("https")))
        return err_set(err, ERR_INVALID, "SSRF protection: Invalid URL scheme '%.*s'. Only HTTPS is allowed", STR_FMT(u.scheme));
    if (allow_private)
        return 0;
    if (is_private_address(&u))
        return err_set(err, ERR_INVALID, "SSRF protection: Private/internal IP addresses are not allowed: %.*s %s", STR_FMT(u.host),
                       HOW);
    if (is_internal_name(u.host))
        return err_set(err, ERR_INVALID, "SSRF protection: Internal hostnames are not allowed: %.*s %s", STR_FMT(u.host), HOW);
    return 0;
}
