/* net/tls_context.c -- certificates, keys and rules: from PEM files to an SSL_CTX that all loops use
 *
 *   tls_server_new, tls_client_new --load--> SSL_CTX --tls_context_use--> snapshot --(stream_tls_*: SSL_new)--> connections, which hold a reference
 *
 * Whatever was wrong with the files is found here, before anything is in force: not there, no PEM, an encrypted key, a key of another certificate.
 * Sessions: the server gives one ticket per connection and keeps nothing itself. A reload makes new ticket keys, so a client whose authority is no
 * longer accepted cannot come back with an old ticket. The client's sessions lie with its origins (http/client_pool.c).
 */
#include "net/tls_internal.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"

/* ECDHE with an AEAD: Mozilla's "intermediate" list without DHE, which costs ten times as much and which every client of TLS 1.2 can do without. */
#define SUITES_1_2                                               \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

static const unsigned char ALPN_HTTP_1_1[] = "\x08http/1.1"; /* RFC 7301 3.1: each name behind its length */

/* ---- the files' marks ---- */

static struct tls_mark look_at(const char *path)
{
    struct stat st;

    if (!path || stat(path, &st) < 0)
        return (struct tls_mark){ 0 };
    return (struct tls_mark){
        .inode = st.st_ino,
        .mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
        .size = (uint64_t)st.st_size,
    };
}

void tls_context_look(const struct tls_context *c, struct tls_marks *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->v[0] = look_at(c->cert);
    ret->v[1] = look_at(c->key);
    for (size_t i = 0; i < c->authorities_n; i++)
        ret->v[2 + i] = look_at(c->authorities[i]);
}

/* ---- loading ---- */

static const char *whose(const struct tls_context *c)
{
    return c->side == TLS_SERVER ? "server" : "client";
}

static int check_readable(const char *what, const char *path, struct err *err)
{
    FILE *f = fopen(path, "re");
    int r = f ? 0 : -errno, first = f ? fgetc(f) : 0;

    if (f)
        fclose(f);
    if (r < 0)
        return err_set(err, ERR_IO, "Failed to read %s from %s: %s", what, path, strerror(-r));
    return first == EOF ? err_set(err, ERR_INVALID, "Failed to read %s from %s: the file is empty or a folder", what, path) : 0;
}

/* A server cannot ask anybody: a passphrase is an error. *ARG tells that one was asked for. */
static int refuse_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

static int bad_pem(const char *what, const char *path, struct err *err)
{
    char reason[160];

    return err_set(err, ERR_INVALID, "Failed to create TLS config: %s %s: %s; a PEM file is expected", what, path,
                   tls_reason(reason, sizeof reason));
}

static int load_key(const struct tls_context *c, SSL_CTX *ctx, struct err *err)
{
    bool encrypted = false;
    char what[32];
    int ok;

    snprintf(what, sizeof what, "%s key", whose(c));
    SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &encrypted);
    ok = SSL_CTX_use_PrivateKey_file(ctx, c->key, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    if (ok == 1)
        return 0;
    if (encrypted) {
        ERR_clear_error();
        return err_set(err, ERR_UNSUPPORTED,
                       "Failed to create TLS config: %s %s is encrypted with a passphrase; write it without one: "
                       "openssl pkey -in FILE -out NEW_FILE",
                       what, c->key);
    }
    /* OpenSSL compares with the certificate, which is loaded first. */
    if (ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH ||
        ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_TYPE_MISMATCH) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID, "Failed to create TLS config: the key %s is not that of the certificate %s", c->key,
                       c->cert);
    }
    return bad_pem(what, c->key, err);
}

static int64_t expiry_of(X509 *cert)
{
    struct tm tm;

    if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        return INT64_MAX;
    return timegm(&tm);
}

static int load_pair(const struct tls_context *c, SSL_CTX *ctx, int64_t *ret_expires_s, struct err *err)
{
    char what[32];
    int r;

    *ret_expires_s = INT64_MAX;
    if (!c->cert)
        return 0;
    snprintf(what, sizeof what, "%s certificate", whose(c));
    r = check_readable(what, c->cert, err);
    if (r < 0)
        return r;
    if (SSL_CTX_use_certificate_chain_file(ctx, c->cert) != 1)
        return bad_pem(what, c->cert, err);
    snprintf(what, sizeof what, "%s key", whose(c));
    r = check_readable(what, c->key, err);
    if (r == 0)
        r = load_key(c, ctx, err);
    *ret_expires_s = expiry_of(SSL_CTX_get0_certificate(ctx));
    return r;
}

static int load_authorities(const struct tls_context *c, SSL_CTX *ctx, struct err *err)
{
    for (size_t i = 0; i < c->authorities_n; i++) {
        const char *path = c->authorities[i];
        int r = check_readable("CA certificate", path, err);

        if (r < 0)
            return r;
        if (SSL_CTX_load_verify_file(ctx, path) != 1)
            return bad_pem("CA certificate", path, err);
        if (c->side == TLS_SERVER) {
            STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path); /* what a client is told that we accept */

            if (!names)
                return bad_pem("CA certificate", path, err);
            SSL_CTX_set_client_CA_list(ctx, names);
        }
    }
    return 0;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned int in_n,
                       void *arg)
{
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto((unsigned char **)out, out_n, ALPN_HTTP_1_1, sizeof ALPN_HTTP_1_1 - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    return SSL_TLSEXT_ERR_OK;
}

/* A new session of one of our client connections: its stream's owner has a place for it. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *place = SSL_get_app_data(ssl);

    if (!place)
        return 0;
    SSL_SESSION_free(place->saved);
    place->saved = session;
    return 1; /* the reference is ours now */
}

static void set_up_server(const struct tls_context *c, SSL_CTX *ctx)
{
    static const unsigned char ID[] = "smg";

    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 1);                        /* cannot fail */
    (void)SSL_CTX_set_session_id_context(ctx, ID, sizeof ID - 1); /* short enough: cannot fail */
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    (void)SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (c->authorities_n)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

static int set_up_client(SSL_CTX *ctx, struct err *err)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    /* Not SSL_CTX_set_default_verify_paths: it also looks in the directory as a "store", which is to read all its names for each unknown issuer, on a loop. */
    if (SSL_CTX_set_default_verify_file(ctx) != 1 || SSL_CTX_set_default_verify_dir(ctx) != 1 ||
        SSL_CTX_set_alpn_protos(ctx, ALPN_HTTP_1_1, sizeof ALPN_HTTP_1_1 - 1) != 0)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    return 0;
}

static int fill(const struct tls_context *c, SSL_CTX *ctx, int64_t *ret_expires_s, struct err *err)
{
    int r = 0;

    if (SSL_CTX_set_min_proto_version(ctx, c->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, SUITES_1_2) != 1)
        return err_set(err, ERR_UNSUPPORTED, "this build of OpenSSL has no TLS 1.2 with forward secrecy");
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1); /* what came is taken whole: one call of our BIO per read, not two per record */
    if (c->side == TLS_SERVER)
        set_up_server(c, ctx);
    else
        r = set_up_client(ctx, err);
    if (r == 0)
        r = load_pair(c, ctx, ret_expires_s, err);
    return r == 0 ? load_authorities(c, ctx, err) : r;
}

int tls_context_load(const struct tls_context *c, SSL_CTX **ret, int64_t *ret_expires_s, struct err *err)
{
    SSL_CTX *ctx;
    int r;

    ERR_clear_error();
    ctx = SSL_CTX_new(c->side == TLS_SERVER ? TLS_server_method() : TLS_client_method());
    if (!ctx)
        return err_set(err, ERR_NOMEM, "TLS: %s", err_text(ERR_NOMEM));
    r = fill(c, ctx, ret_expires_s, err);
    ERR_clear_error();
    if (r < 0) {
        SSL_CTX_free(ctx);
        return r;
    }
    *ret = ctx;
    return 0;
}

/* ---- the context ---- */

static void free_ssl_ctx(void *ctx)
{
    SSL_CTX_free(ctx);
}

void tls_context_use(struct tls_context *c, SSL_CTX *ssl_ctx, int64_t expires_s)
{
    atomic_store_explicit(&c->expires_s, expires_s, memory_order_relaxed);
    snapshot_publish(&c->current, ssl_ctx);
}

SSL_CTX *tls_context_get(struct tls_context *c, struct loop *loop)
{
    SSL_CTX *ctx = snapshot_get(loop, &c->current);
    int64_t expires_s;

    if (_likely_(ctx))
        return ctx;
    pthread_mutex_lock(&c->making);
    ctx = snapshot_get(loop, &c->current);
    if (!ctx && tls_context_load(c, &ctx, &expires_s, /* err= */ NULL) == 0)
        snapshot_publish(&c->current, ctx); /* no watcher publishes beside us: there are no files to watch */
    pthread_mutex_unlock(&c->making);
    return ctx;
}

int64_t tls_context_lifetime_s(struct tls_context *c)
{
    int64_t expires_s = atomic_load_explicit(&c->expires_s, memory_order_relaxed);

    return expires_s == INT64_MAX ? INT64_MAX : expires_s - (int64_t)clock_wall_s();
}

static int keep_path(struct str path, char **ret, struct err *err)
{
    if (path.n == 0)
        return 0;
    if (path.n >= TLS_PATH_MAX || memchr(path.p, 0, path.n))
        return err_set(err, ERR_INVALID, "TLS: a path has at most %d bytes and no zero byte", TLS_PATH_MAX - 1);
    *ret = strndup(path.p, path.n);
    return *ret ? 0 : err_set(err, ERR_NOMEM, "TLS: %s", err_text(ERR_NOMEM));
}

static int keep_authorities(struct tls_context *c, const struct str *paths, size_t n, struct err *err)
{
    if (n > ARRAY_LEN(c->authorities))
        return err_set(err, ERR_LIMIT, "TLS: %zu CA files, at most %zu are read; put several certificates into one", n,
                       ARRAY_LEN(c->authorities));
    for (size_t i = 0; i < n; i++) {
        int r = keep_path(paths[i], &c->authorities[i], err);

        if (r == 0 && paths[i].n == 0)
            r = err_set(err, ERR_INVALID, "CA certificate at index %zu cannot be empty", i);
        if (r < 0)
            return r;
        c->authorities_n++;
    }
    return 0;
}

static struct tls_context *context_new(enum tls_side side)
{
    struct tls_context *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->side = side;
    c->bio = tls_bio_new();
    if (!c->bio) {
        free(c);
        return NULL;
    }
    snapshot_init(&c->current, NULL, free_ssl_ctx);
    pthread_mutex_init(&c->making, NULL);
    return c;
}

/* The paths are kept; loads them. On failure C is freed. */
static int finish(struct tls_context *c, int r, struct tls_context **ret, struct err *err)
{
    SSL_CTX *ctx = NULL;
    int64_t expires_s = INT64_MAX;

    if (r == 0 && !c->cert != !c->key)
        r = err_set(err, ERR_INVALID, "TLS: a certificate and its key are given together");
    if (r == 0 && c->side == TLS_SERVER && !c->cert)
        r = err_set(err, ERR_INVALID, "TLS: a server needs a certificate and its key");
    if (r == 0 && (c->cert || c->authorities_n)) { /* what was given is checked now; what was not can wait */
        tls_context_look(c, &c->loaded);
        r = tls_context_load(c, &ctx, &expires_s, err);
    }
    if (r < 0) {
        tls_context_free(c);
        return r;
    }
    atomic_init(&c->expires_s, expires_s);
    snapshot_init(&c->current, ctx, free_ssl_ctx);
    *ret = c;
    return 0;
}

int tls_server_new(const struct tls_server_conf *conf, struct tls_context **ret, struct err *err)
{
    struct tls_context *c = context_new(TLS_SERVER);
    int r;

    if (!c)
        return err_set(err, ERR_NOMEM, "TLS: %s", err_text(ERR_NOMEM));
    c->min_version = conf->min_version;
    r = keep_path(conf->cert_path, &c->cert, err);
    if (r == 0)
        r = keep_path(conf->key_path, &c->key, err);
    if (r == 0 && conf->client_ca_path.n)
        r = keep_authorities(c, &conf->client_ca_path, 1, err);
    return finish(c, r, ret, err);
}

int tls_client_new(const struct tls_client_conf *conf, struct tls_context **ret, struct err *err)
{
    struct tls_context *c = context_new(TLS_CLIENT);
    int r;

    if (!c)
        return err_set(err, ERR_NOMEM, "TLS: %s", err_text(ERR_NOMEM));
    r = keep_path(conf->cert_path, &c->cert, err);
    if (r == 0)
        r = keep_path(conf->key_path, &c->key, err);
    if (r == 0)
        r = keep_authorities(c, conf->ca_paths, conf->ca_paths_n, err);
    return finish(c, r, ret, err);
}

void tls_context_free(struct tls_context *c)
{
    if (!c)
        return;
    snapshot_fini(&c->current);
    pthread_mutex_destroy(&c->making);
    BIO_meth_free(c->bio);
    free(c->cert);
    free(c->key);
    for (size_t i = 0; i < c->authorities_n; i++)
        free(c->authorities[i]);
    free(c);
}
