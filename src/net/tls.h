/* net/tls.h -- TLS behind the functions of net/stream.h: certificates, and the layer that turns bytes into records and back
 *
 *   PEM files --tls_server_new, tls_client_new--> struct tls_context --stream_tls_accept, stream_tls_connect--> a stream whose owner sees plain text
 *        ^                                             |
 *        +------ tls_watch: looks each second ---------+ new handshakes use the new files; what does not load leaves the old ones in use
 *
 * A context is shared by all loops. Versions: 1.2 and 1.3; of 1.2 only forward-secret AEAD suites; no renegotiation, no compression, no early data.
 * What the contracts of stream.h mean here:
 *   - on_connect comes when the handshake is over and the server is who it should be: else one of the ERR_TLS codes. The connect timeout holds for all of it.
 *   - An accepted stream shakes hands by itself within TLS_HANDSHAKE_MS; at most TLS_HANDSHAKES_MAX at a time, the next one is closed. One that fails ends in
 *     on_end with ERR_TLS (ERR_PROTOCOL: plain HTTP came), before any on_read.
 *   - on_end(0) is the peer's close_notify. A FIN without one ends in ERR_CLOSED: somebody may have cut the connection, so what has no length is not complete.
 *   - stream_shutdown and stream_close send close_notify when nothing is pending; stream_reset does not.
 *   - Plain text that waits (STREAM_PENDING) is encrypted when the kernel takes more, 64 KiB at a time: borrowed bodies are not copied as a whole.
 * Memory of an open, idle stream: about 10 KiB of OpenSSL's; its record buffers exist only while bytes are on the way.
 * Threads: contexts are made before the loops run and freed after; the stream functions belong to the stream's loop; tls_watch to the control loop.
 */
#pragma once

#include "loop/snapshot.h"
#include "net/stream.h"

#define TLS_HANDSHAKE_MS   10000
#define TLS_HANDSHAKES_MAX 4096 /* of one server context, on all loops: each has about 50 KiB */
#define TLS_WATCH_MS       1000
#define TLS_FILES_MAX      16 /* of one context; authorities included */
#define TLS_PATH_MAX       4096

enum tls_version { TLS_1_2, TLS_1_3 };

/* Borrowed during the call. PATHS are of PEM files; empty = none. */
struct tls_server_conf {
    struct str cert_path;      /* the certificate, then those that it hangs from */
    struct str key_path;       /* PKCS#8, PKCS#1 or SEC1; without a passphrase */
    struct str client_ca_path; /* clients must show a certificate of one of these authorities */
    enum tls_version min_version;
};

struct tls_client_conf {
    const struct str *ca_paths; /* authorities, beside the system's */
    size_t ca_paths_n;
    struct str cert_path, key_path; /* what is shown to a server that asks; both or none */
};

struct tls_context;

/* ERR_IO, ERR_INVALID, ERR_LIMIT, ERR_NOMEM; the message names the file and the remedy. */
int tls_server_new(const struct tls_server_conf *conf, struct tls_context **ret, struct err *err) _must_check_;
int tls_client_new(const struct tls_client_conf *conf, struct tls_context **ret, struct err *err) _must_check_;
void tls_context_free(struct tls_context *c); /* NULL is fine. No loop uses it any more */

/* Seconds until our own certificate expires; negative when it has; INT64_MAX without one. Any thread. */
int64_t tls_context_lifetime_s(struct tls_context *c);

/* ---- streams ---- */

/* What a client's stream starts from the next time: in the caller's hands, of one origin and one loop. Zeroed = nothing known. */
struct tls_session {
    void *saved; /* owned SSL_SESSION */
};
void tls_session_fini(struct tls_session *s);

/* Before stream_connect: the stream will speak TLS with HOST (a name or an IP literal), which the certificate must be for. SESSION (may be NULL) is used and
 * renewed until stream_close. ERR_NOMEM, ERR_INVALID (no name). */
int stream_tls_connect(struct stream *s, struct tls_context *c, struct str host, struct tls_session *session) _must_check_;

/* In on_accept, before reading. PLAIN_REPLY (static) is sent to a client that speaks plain HTTP. ERR_NOMEM, or ERR_LIMIT: too many handshakes. */
int stream_tls_accept(struct stream *s, struct tls_context *c, struct str plain_reply) _must_check_;

bool stream_is_tls(const struct stream *s);

/* ---- reloading ---- */

struct tls_watch;

/* Looks at C's files each TLS_WATCH_MS on LOOP (in libuv's thread pool) and loads them when they have changed and then stood still for one look; files that do not
 * load are logged once. PERIOD_MS 0 = TLS_WATCH_MS. ERR_NOMEM. */
int tls_watch_new(struct loop *loop, struct tls_context *c, uint32_t period_ms, struct tls_watch **ret) _must_check_;
void tls_watch_free(struct tls_watch *w); /* on its loop, which lives on until a look that runs has ended. NULL is fine */
