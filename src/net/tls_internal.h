/* net/tls_internal.h -- what the files of TLS share; nobody else includes it
 *
 *   tls_context.c  from PEM files to an SSL_CTX, and which one is in force
 *   tls_watch.c    looking at the files
 *   tls_error.c    OpenSSL's reasons in our words, and their counters
 *   tls.c          the layer inside a stream
 */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>

#include "net/stream_internal.h"
#include "net/tls.h"

enum tls_side { TLS_SERVER, TLS_CLIENT };

/* What a file was when it was looked at. */
struct tls_mark {
    uint64_t inode, mtime_ns, size;
};
struct tls_marks {
    struct tls_mark v[TLS_FILES_MAX];
};

struct tls_context {
    enum tls_side side;
    enum tls_version min_version;
    struct snapshot_cell
        current; /* SSL_CTX: replaced by the control thread, read by all loops; NULL until it is wanted (tls_context_get) */
    pthread_mutex_t making;               /* held by the first loop that wants it, once in a process's life */
    BIO_METHOD *bio;                      /* owned */
    _Atomic unsigned handshakes;          /* of a server: under way, on all loops */
    _Atomic int64_t expires_s;            /* wall clock; INT64_MAX = no certificate of our own */
    struct tls_marks loaded;              /* control thread: what `current` was made from, or what failed to load last */
    char *cert, *key;                     /* owned paths, or NULL */
    char *authorities[TLS_FILES_MAX - 2]; /* owned paths: of clients (server), of servers beside the system's (client) */
    size_t authorities_n;
};

/* ---- tls_context.c ---- */

/* What the files are now; a file that is not there has zeroes. Any thread. */
void tls_context_look(const struct tls_context *c, struct tls_marks *ret);
/* A new SSL_CTX of the files. Any thread. */
int tls_context_load(const struct tls_context *c, SSL_CTX **ret, int64_t *ret_expires_s, struct err *err) _must_check_;
/* The one in force, good until the end of LOOP's turn. A client's context without files of its own is made at the first call: most gateways never speak TLS to a worker, and the
 * system's authorities take longer to read than all the rest of a start. NULL: memory is out. */
SSL_CTX *tls_context_get(struct tls_context *c, struct loop *loop);
void tls_context_use(struct tls_context *c, SSL_CTX *ssl_ctx, int64_t expires_s); /* the writer's thread */

/* ---- tls_error.c ---- */

/* Why the last call on SSL failed, as one of our codes; clears OpenSSL's queue. RET_WHY: a word for the counter. */
int tls_error(const SSL *ssl, const char **ret_why);
/* The oldest reason in OpenSSL's queue in its words, which are cleared. */
const char *tls_reason(char *out, size_t n);
/* One handshake ended: WHY is "ok" or tls_error's word. */
void tls_count(struct loop *l, enum tls_side side, const char *why);

/* ---- tls.c ---- */

BIO_METHOD *tls_bio_new(void) _must_check_;
