/* net/stream_internal.h -- what the files of net/ share with each other only */
#pragma once

#include "net/stream.h"

#define STREAM_KEEPALIVE_S 30 /* of silence, then a probe a second; ten lost ones end the connection */

/* The open stream of the connected, non-blocking socket FD, which it owns from now on. TCP_NODELAY and keepalive are set already (an accepted
 * socket has them from its listener, which saves four calls each). On failure (ERR_NOMEM, ERR_IO) FD is still the caller's. */
int stream_adopt(struct loop *l, int fd, const struct net_address *peer, struct stream **ret) _must_check_;

/* The length of the socket address inside A. */
socklen_t net_address_len(const struct net_address *a);

/* ---- stream.c, for tls.c ---- */

/* The loop's read buffer under TLS: plain text below, records above. A read of records and what OpenSSL holds of an unfinished one are never more plain
 * text than fits below. */
#define TLS_PLAIN_BYTES (160u * 1024)

/* stream_write without the layer. */
enum stream_write stream_raw_write(struct stream *s, const struct str *parts, unsigned n,
                                   enum stream_leftover leftover) _must_check_;
/* Notes that nothing more can be written; on_end follows. */
enum stream_write stream_write_failed(struct stream *s, int code);
/* The terminal callback, once: on_end, or on_connect while the stream is connecting. S may be closed after it. */
void stream_report_end(struct stream *s, int status);
void stream_raw_stop(struct stream *s);
/* Drops the first DONE bytes of V[0..*N); empty buffers at the front go too. Returns the bytes that are left. */
size_t stream_skip(uv_buf_t *v, unsigned *n, size_t done);
/* Copies BYTES bytes of V behind what is in TO, against the bound and the budget: 0, ERR_LIMIT, ERR_NOMEM. */
int stream_copy(struct stream *s, struct buf *to, const uv_buf_t *v, unsigned n, size_t bytes) _must_check_;
void stream_give_budget(struct stream *s, size_t bytes);

/* ---- tls.c, for stream.c: only for a stream with s->tls ---- */

void tls_connected(struct stream *s);                            /* the socket is: begins the handshake */
void tls_received(struct stream *s, const char *data, size_t n); /* DATA at read_buffer + TLS_PLAIN_BYTES */
void tls_read_started(struct stream *s);
int tls_end_of_socket(struct stream *s, int status); /* what the end of the socket means */
enum stream_write tls_write(struct stream *s, const struct str *parts, unsigned n, enum stream_leftover leftover) _must_check_;
bool tls_drained(struct stream *s); /* true: the owner's write is over, on_drain is due */
bool tls_has_pending(const struct stream *s);
size_t tls_pending_bytes(const struct stream *s); /* plain text that is not encrypted yet */
bool tls_shutdown(struct stream *s);              /* true: FIN may go now; else tls_drained is called later */
void tls_goodbye(struct stream *s);               /* stream_close: close_notify if it can go at once */
void tls_over(struct stream *s);                  /* nothing of the layer runs any more. Idempotent */
void tls_free(struct stream *s);
