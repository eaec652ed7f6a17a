/* net/address.c -- IP addresses with their ports: from and to text */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "net/stream_internal.h"

int net_address_parse(struct str host, uint16_t port, struct net_address *ret)
{
    struct net_address a;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a.ss;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.ss;
    char text[INET6_ADDRSTRLEN];

    if (host.n == 0 || host.n >= sizeof text || memchr(host.p, 0, host.n))
        return ERR_INVALID;
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    memset(&a, 0, sizeof a);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
    } else {
        return ERR_INVALID;
    }
    *ret = a;
    return 0;
}

size_t net_address_text(const struct net_address *a, char out[64])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->ss;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->ss;
    char host[INET6_ADDRSTRLEN] = "";
    int n;

    switch (a->ss.ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        n = snprintf(out, 64, "%s:%u", host, ntohs(v4->sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        n = snprintf(out, 64, "[%s]:%u", host, ntohs(v6->sin6_port));
        break;
    default:
        n = snprintf(out, 64, "unknown");
        break;
    }
    assert(n > 0 && n < 64);
    return (size_t)n;
}

socklen_t net_address_len(const struct net_address *a)
{
    return a->ss.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}
