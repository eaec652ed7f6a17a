/* tls_server.c -- an accepted TLS stream, fed with anything in any pieces: no plain text comes out of bytes that made no handshake, and it ends once
 *
 * The stream below the layer is a fake of this file (link-time): what the layer writes is dropped, what it reports is counted. The first byte of the input chooses
 * the pieces; then come the bytes of the client, which the corpus begins with real ClientHellos. A client that does not know our keys' randomness cannot
 * finish a handshake, so every on_read is an error.
 */
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/tls_internal.h"

#define FUZZ_ASSERT(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    unsigned ends;
    size_t written;
} seen;

/* ---- the fake below ---- */

enum stream_write stream_raw_write(struct stream *s, const struct str *parts, unsigned n, enum stream_leftover leftover)
{
    for (unsigned i = 0; i < n; i++)
        seen.written += parts[i].n;
    return STREAM_SENT;
}

enum stream_write stream_write_failed(struct stream *s, int code)
{
    return STREAM_FAILED;
}

void stream_report_end(struct stream *s, int status)
{
    FUZZ_ASSERT(status < 0 && status != ERR_BUSY);
    seen.ends++;
    s->end_reported = true;
    s->reading = false;
    s->state = STREAM_DEAD;
    tls_over(s);
}

void stream_raw_stop(struct stream *s)
{
}

size_t stream_skip(uv_buf_t *v, unsigned *n, size_t done)
{
    abort(); /* nothing is written before a handshake */
}

int stream_copy(struct stream *s, struct buf *to, const uv_buf_t *v, unsigned n, size_t bytes)
{
    abort();
}

void stream_give_budget(struct stream *s, size_t bytes)
{
}

static void on_read(struct stream *s, char *data, size_t n)
{
    abort();
}

static const struct stream_ops OPS = { .on_read = on_read };

/* ---- a loop of this thread, and a certificate ---- */

static struct tls_context *make_context(void)
{
    char folder[] = "/tmp/fuzz-tls-XXXXXX", cert[64], key_path[64];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct tls_context *c = NULL;
    X509 *x = X509_new();
    FILE *f;

    FUZZ_ASSERT(mkdtemp(folder) && key && x);
    snprintf(cert, sizeof cert, "%s/cert", folder);
    snprintf(key_path, sizeof key_path, "%s/key", folder);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    FUZZ_ASSERT(X509_sign(x, key, EVP_sha256()) > 0);
    FUZZ_ASSERT((f = fopen(cert, "w")) && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    FUZZ_ASSERT((f = fopen(key_path, "w")) && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    FUZZ_ASSERT(
        tls_server_new(
            &(struct tls_server_conf){ .cert_path = str_of(cert), .key_path = str_of(key_path), .client_ca_path = str_of(cert) },
            &c, NULL) == 0);
    unlink(cert);
    unlink(key_path);
    rmdir(folder);
    X509_free(x);
    EVP_PKEY_free(key);
    return c;
}

static struct tls_context *context;
static struct loop *loop;

/* One run of the loop is one input: what is inside it is on the loop's thread. */
struct input {
    struct message message;
    const uint8_t *data;
    size_t size;
};

static void feed(struct loop *l, struct message *m)
{
    struct input *in = CONTAINER_OF(m, struct input, message);
    struct stream s = { .loop = l, .ops = &OPS, .state = STREAM_OPEN };
    size_t piece = 1 + in->data[0], at = 1;

    seen.ends = 0;
    FUZZ_ASSERT(stream_tls_accept(&s, context, STR("no")) == 0);
    s.reading = true;
    while (at < in->size && !s.end_reported) {
        size_t n = MIN(piece, in->size - at);

        memcpy(l->read_buffer + TLS_PLAIN_BYTES, in->data + at, n);
        tls_received(&s, l->read_buffer + TLS_PLAIN_BYTES, n);
        at += n;
    }
    FUZZ_ASSERT(seen.ends <= 1);
    tls_over(&s);
    tls_free(&s);
    FUZZ_ASSERT(!s.deadline.running && context->handshakes == 0);
    loop_stop(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { .message.run = feed, .data = data, .size = size };

    if (size < 2)
        return 0;
    if (!context)
        context = make_context();
    if (loop_new("fuzz", 0, &loop, NULL) < 0)
        return 0;
    loop_post(loop, &in.message);
    loop_run(loop);
    loop_free(loop);
    return 0;
}
