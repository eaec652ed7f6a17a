/* tls_cert.h -- a certificate that signs itself, for "localhost", in a folder of its own; and the other side of a TLS connection on a plain, blocking socket */
#pragma once

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/tls.h"
#include "test.h"

struct test_cert {
    char folder[64], cert[96], key[96];
};

static inline void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static inline void write_cert(const struct test_cert *c)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    FILE *f;

    assert_non_null(key);
    assert_non_null(x);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    add_extension(x, NID_subject_alt_name, "DNS:localhost");
    add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    f = fopen(c->cert, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x), 1);
    fclose(f);
    f = fopen(c->key, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static inline void make_cert(struct test_cert *c)
{
    snprintf(c->folder, sizeof c->folder, "/tmp/smg-tls-XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    snprintf(c->cert, sizeof c->cert, "%s/cert.pem", c->folder);
    snprintf(c->key, sizeof c->key, "%s/key.pem", c->folder);
    write_cert(c);
}

static inline void remove_cert(const struct test_cert *c)
{
    unlink(c->cert);
    unlink(c->key);
    rmdir(c->folder);
}

static inline struct tls_context *a_server(const struct test_cert *c)
{
    struct tls_server_conf conf = { .cert_path = str_of(c->cert), .key_path = str_of(c->key) };
    struct tls_context *t = NULL;
    struct err err = { 0 };

    if (tls_server_new(&conf, &t, &err) < 0)
        fail_msg("%s", err.message);
    return t;
}

static inline struct tls_context *a_client(const struct test_cert *c)
{
    struct str path = str_of(c->cert);
    struct tls_client_conf conf = { .ca_paths = &path, .ca_paths_n = 1 };
    struct tls_context *t = NULL;
    struct err err = { 0 };

    if (tls_client_new(&conf, &t, &err) < 0)
        fail_msg("%s", err.message);
    return t;
}
