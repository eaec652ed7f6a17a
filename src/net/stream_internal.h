/* net/stream_internal.h -- what the files of net/ share with each other only */
#pragma once

#include "net/stream.h"

#define STREAM_KEEPALIVE_S 30 /* of silence, then a probe a second; ten lost ones end the connection */

/* The open stream of the connected, non-blocking socket FD, which it owns from now on. TCP_NODELAY and keepalive are set already (an accepted
 * socket has them from its listener, which saves four calls each). On failure (ERR_NOMEM, ERR_IO) FD is still the caller's. */
int stream_adopt(struct loop *l, int fd, const struct net_address *peer, struct stream **ret) _must_check_;

/* The length of the socket address inside A. */
socklen_t net_address_len(const struct net_address *a);
