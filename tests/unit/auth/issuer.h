/* issuer.h -- an identity provider in a test: keys made by OpenSSL, their JWKs, and tokens signed with them */
#pragma once

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "test.h"

struct issuer_key {
    const char *alg, *kid;
    const char *digest; /* NULL for EdDSA */
    size_t size;        /* bytes of a coordinate */
    const char *curve;  /* JOSE's name */
    EVP_PKEY *key;
};

static inline void put_base64url(struct buf *out, const void *bytes, size_t n)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

        for (unsigned k = 0; k < MIN(n - i, 3u) + 1; k++)
            buf_put_char(out, LETTERS[v >> (18 - 6 * k) & 63]);
    }
}

/* One RSA key for all algorithms of that kind: making one takes long. */
static inline EVP_PKEY *issuer_rsa(unsigned bits)
{
    static EVP_PKEY *key;

    if (bits != 2048)
        return EVP_RSA_gen(bits);
    if (!key)
        key = EVP_RSA_gen(2048);
    assert_non_null(key);
    EVP_PKEY_up_ref(key);
    return key;
}

static inline struct issuer_key issuer_key(const char *alg, const char *kid)
{
    struct issuer_key k = { .alg = alg, .kid = kid };

    k.digest = strcmp(alg + 2, "256") == 0 ? "SHA256" : strcmp(alg + 2, "384") == 0 ? "SHA384" : "SHA512";
    if (alg[0] == 'R' || alg[0] == 'P') {
        k.key = issuer_rsa(2048);
    } else if (strcmp(alg, "EdDSA") == 0) {
        k.digest = NULL;
        k.curve = "Ed25519";
        k.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    } else {
        k.curve = strcmp(alg, "ES256") == 0 ? "P-256" : strcmp(alg, "ES384") == 0 ? "P-384" : "P-521";
        k.size = strcmp(alg, "ES256") == 0 ? 32 : strcmp(alg, "ES384") == 0 ? 48 : 66;
        k.key = EVP_EC_gen(k.curve);
    }
    assert_non_null(k.key);
    return k;
}

static inline void put_number(struct buf *out, const struct issuer_key *k, const char *param, size_t size)
{
    BIGNUM *n = NULL;
    unsigned char bytes[1024];
    size_t length;

    assert_int_equal(EVP_PKEY_get_bn_param(k->key, param, &n), 1);
    length = size ? size : (size_t)BN_num_bytes(n);
    assert_int_equal(BN_bn2binpad(n, bytes, (int)length), length);
    put_base64url(out, bytes, length);
    BN_free(n);
}

/* {"kty":...}; EXTRA: further members, with a comma at their end. */
static inline void put_jwk(struct buf *out, const struct issuer_key *k, const char *extra)
{
    unsigned char raw[64];
    size_t n = sizeof raw;

    buf_printf(out, "{\"kid\":\"%s\",%s", k->kid, extra);
    if (!k->curve) {
        buf_puts(out, "\"kty\":\"RSA\",\"e\":\"");
        put_number(out, k, OSSL_PKEY_PARAM_RSA_E, 0);
        buf_puts(out, "\",\"n\":\"");
        put_number(out, k, OSSL_PKEY_PARAM_RSA_N, 0);
    } else if (k->digest) {
        buf_printf(out, "\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"", k->curve);
        put_number(out, k, OSSL_PKEY_PARAM_EC_PUB_X, k->size);
        buf_puts(out, "\",\"y\":\"");
        put_number(out, k, OSSL_PKEY_PARAM_EC_PUB_Y, k->size);
    } else {
        assert_int_equal(EVP_PKEY_get_raw_public_key(k->key, raw, &n), 1);
        buf_printf(out, "\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"", k->curve);
        put_base64url(out, raw, n);
    }
    buf_puts(out, "\"}");
}

static inline size_t to_jose(const struct issuer_key *k, unsigned char *signature, size_t n)
{
    const unsigned char *der = signature;
    ECDSA_SIG *s;

    if (k->size == 0)
        return n;
    s = d2i_ECDSA_SIG(NULL, &der, (long)n);
    assert_non_null(s);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(s), signature, (int)k->size), k->size);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(s), signature + k->size, (int)k->size), k->size);
    ECDSA_SIG_free(s);
    return 2 * k->size;
}

/* A token with this header and these claims, whatever they say. */
static inline void put_token(struct buf *out, const struct issuer_key *k, const char *header, const char *claims)
{
    unsigned char signature[1024];
    size_t n = sizeof signature, from = out->n;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx;

    put_base64url(out, header, strlen(header));
    buf_put_char(out, '.');
    put_base64url(out, claims, strlen(claims));
    assert_int_equal(EVP_DigestSignInit_ex(md, &ctx, k->digest, NULL, NULL, k->key, NULL), 1);
    if (k->alg[0] == 'P') {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(md, signature, &n, (unsigned char *)out->p + from, out->n - from), 1);
    EVP_MD_CTX_free(md);
    n = to_jose(k, signature, n);
    buf_put_char(out, '.');
    put_base64url(out, signature, n);
    assert_false(out->failed);
}

/* The usual header. */
static inline void put_signed(struct buf *out, const struct issuer_key *k, const char *claims)
{
    char header[128];

    snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}", k->alg, k->kid);
    put_token(out, k, header, claims);
}
