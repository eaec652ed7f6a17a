#include "auth/jwk.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "auth/base64url.h"
#include "json/json.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 16384
#define EXPONENT_MAX 8 /* bytes of e */
#define POINT_MAX    (1 + 2 * 66)
#define REASON_SHOWN 64 /* bytes of what a key says of itself */

enum family { RSA_PKCS1, RSA_PSS, ECDSA, EDDSA };

struct signature_algorithm {
    const char *name;
    enum family family;
    const char *digest;  /* NULL: the scheme has its own */
    const char *curve;   /* JOSE's name */
    const char *group;   /* OpenSSL's */
    unsigned coordinate; /* bytes of x, y, r and s */
};

/* The default of a kind of key stands first. */
static const struct signature_algorithm ALGORITHMS[] = {
    { "RS256", RSA_PKCS1, "SHA256", NULL, NULL, 0 },    { "RS384", RSA_PKCS1, "SHA384", NULL, NULL, 0 },
    { "RS512", RSA_PKCS1, "SHA512", NULL, NULL, 0 },    { "PS256", RSA_PSS, "SHA256", NULL, NULL, 0 },
    { "PS384", RSA_PSS, "SHA384", NULL, NULL, 0 },      { "PS512", RSA_PSS, "SHA512", NULL, NULL, 0 },
    { "ES256", ECDSA, "SHA256", "P-256", "P-256", 32 }, { "ES384", ECDSA, "SHA384", "P-384", "P-384", 48 },
    { "ES512", ECDSA, "SHA512", "P-521", "P-521", 66 }, { "EdDSA", EDDSA, NULL, "Ed25519", "ED25519", 32 },
    { "EdDSA", EDDSA, NULL, "Ed448", "ED448", 57 },
};

/* ---- reading keys ---- */

/* What reading one key needs. */
struct reading {
    struct key_set *set;
    struct arena scratch; /* owned; emptied with the reading */
    struct json_doc doc;
};

static bool member(struct reading *r, struct json key, struct str name, struct str *ret)
{
    return base64url_decode(json_raw_str(json_get(key, name)), &r->scratch, ret) == 0 && ret->n > 0;
}

/* From what BUILD says, or NULL. */
static EVP_PKEY *key_of(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    EVP_PKEY *key = NULL;

    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *read_rsa(struct reading *r, struct json jwk, const char **reason)
{
    struct str n, e;
    OSSL_PARAM_BLD *build;
    BIGNUM *modulus, *exponent;
    EVP_PKEY *key = NULL;

    *reason = "Invalid RSA key: n and e are needed, in base64url";
    if (!member(r, jwk, STR("n"), &n) || !member(r, jwk, STR("e"), &e) || n.n > RSA_BITS_MAX / 8 || e.n > EXPONENT_MAX)
        return NULL;
    modulus = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
    exponent = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
    build = OSSL_PARAM_BLD_new();
    if (modulus && exponent && build) {
        if (BN_num_bits(modulus) < RSA_BITS_MIN)
            *reason = "RSA key too small: at least 2048 bits are needed";
        else if (BN_is_odd(modulus) && BN_is_odd(exponent) && !BN_is_one(exponent) &&
                 OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
                 OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
            key = key_of("RSA", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static EVP_PKEY *read_ec(struct reading *r, struct json jwk, const struct signature_algorithm *a, const char **reason)
{
    unsigned char point[POINT_MAX] = { 4 }; /* uncompressed: both coordinates follow */
    size_t size = a->coordinate;
    OSSL_PARAM_BLD *build;
    struct str x, y;
    EVP_PKEY *key = NULL;

    *reason = "Invalid EC key: x and y of the curve's size are needed, in base64url";
    if (!member(r, jwk, STR("x"), &x) || !member(r, jwk, STR("y"), &y) || x.n > size || y.n > size)
        return NULL;
    memcpy(point + 1 + size - x.n, x.p, x.n);
    memcpy(point + 1 + 2 * size - y.n, y.p, y.n);
    build = OSSL_PARAM_BLD_new();
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, a->group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size) == 1)
        key = key_of("EC", build); /* refuses a point that is not on the curve */
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *read_okp(struct reading *r, struct json jwk, const struct signature_algorithm *a, const char **reason)
{
    struct str x;

    *reason = "Invalid OKP key: x of the curve's size is needed, in base64url";
    if (!member(r, jwk, STR("x"), &x) || x.n != a->coordinate)
        return NULL;
    return EVP_PKEY_new_raw_public_key_ex(NULL, a->group, NULL, (const unsigned char *)x.p, x.n);
}

static bool fits(const struct signature_algorithm *a, struct str kty, struct str curve)
{
    switch (a->family) {
    case RSA_PKCS1:
    case RSA_PSS:
        return str_eq(kty, STR("RSA"));
    case ECDSA:
        return str_eq(kty, STR("EC")) && str_eq(curve, str_of(a->curve));
    case EDDSA:
        return str_eq(kty, STR("OKP")) && str_eq(curve, str_of(a->curve));
    }
    return false;
}

/* What the key says that it is for; SMG's texts where there is nothing for it. */
static const struct signature_algorithm *algorithm_of(struct arena *arena, struct json jwk, struct str *ret_reason)
{
    struct str kty = json_str(json_get(jwk, STR("kty")), arena), curve = json_str(json_get(jwk, STR("crv")), arena);
    struct str alg = json_str(json_get(jwk, STR("alg")), arena);

    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++)
        if (fits(&ALGORITHMS[i], kty, curve) && (alg.n == 0 || str_eq(alg, str_of(ALGORITHMS[i].name))))
            return &ALGORITHMS[i];
    if (alg.n)
        *ret_reason = arena_printf(arena, "Unsupported key algorithm: %.*s", STR_FMT(str_first(alg, REASON_SHOWN)));
    else if (str_eq(kty, STR("EC")) || str_eq(kty, STR("OKP")))
        *ret_reason = arena_printf(arena, "Unsupported EC curve: %.*s", STR_FMT(str_first(curve, REASON_SHOWN)));
    else
        *ret_reason = STR("Cannot determine algorithm from key");
    return NULL;
}

/* For something else than checking signatures (RFC 7517 4.2, 4.3). */
static bool is_for_others(struct json jwk)
{
    struct json use = json_get(jwk, STR("use")), ops = json_get(jwk, STR("key_ops"));
    struct json_iter it = json_iter(ops);

    if (json_is(use, JSON_STRING) && !json_str_eq(use, STR("sig")))
        return true;
    if (!json_is(ops, JSON_ARRAY))
        return false;
    while (json_next(&it))
        if (json_str_eq(it.value, STR("verify")))
            return false;
    return true;
}

static void read_key(struct reading *r, struct json jwk)
{
    struct key_set *s = r->set;
    struct jwk k = { .kid = json_str(json_get(jwk, STR("kid")), &s->arena) };
    const char *reason = NULL;

    if (k.kid.n == 0 || is_for_others(jwk) || key_set_find(s, k.kid)) {
        s->skipped++;
        return;
    }
    k.kid = arena_str(&s->arena, k.kid); /* it may have been a view of the text */
    k.algorithm = algorithm_of(&s->arena, jwk, &k.reason);
    if (k.algorithm) {
        k.key = k.algorithm->family == ECDSA   ? read_ec(r, jwk, k.algorithm, &reason)
                : k.algorithm->family == EDDSA ? read_okp(r, jwk, k.algorithm, &reason)
                                               : read_rsa(r, jwk, &reason);
        if (!k.key) {
            k.algorithm = NULL;
            k.reason = str_of(reason);
        }
    }
    s->skipped += !k.key;
    s->keys[s->n++] = k;
    ERR_clear_error();
}

/* ---- sets ---- */

struct key_set *key_set_new_empty(void)
{
    struct key_set *s = calloc(1, sizeof(*s));

    if (s)
        arena_init(&s->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    return s;
}

void key_set_free(struct key_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        EVP_PKEY_free(s->keys[i].key);
    arena_fini(&s->arena);
    free(s);
}

static int read_set(struct reading *r, struct str text, struct err *err)
{
    struct json_error e = { 0 };
    int st = json_parse(text, &r->scratch, &r->doc, &e);
    struct json keys = JSON_NONE;
    struct json_iter it;

    if (st == ERR_SYNTAX)
        return err_set(err, st, "Failed to parse JWKS: %s at line %u column %u", e.message, e.line, e.column);
    if (st < 0)
        return err_set(err, st, "Failed to parse JWKS: %s", err_text(st));
    keys = json_get(json_root(&r->doc), STR("keys"));
    if (!json_is(keys, JSON_ARRAY))
        return err_set(err, ERR_SYNTAX, "Failed to parse JWKS: missing field `keys`");
    if (json_count(keys) > KEY_SET_KEYS_MAX)
        return err_set(err, ERR_LIMIT, "Failed to parse JWKS: more than %d keys", KEY_SET_KEYS_MAX);
    r->set->keys = arena_array(&r->set->arena, json_count(keys) + 1, sizeof(*r->set->keys));
    for (it = json_iter(keys); r->set->keys && json_next(&it);)
        read_key(r, it.value);
    if (r->set->arena.failed || r->scratch.failed)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (r->set->n == 0 || r->set->skipped == json_count(keys))
        return err_set(err, ERR_INVALID, "Failed to parse JWKS: none of its %zu keys can be used", json_count(keys));
    return 0;
}

int key_set_parse(struct str text, struct key_set **ret, struct err *err)
{
    struct reading r = { .set = key_set_new_empty() };
    int st;

    if (!r.set)
        return err_set(err, ERR_NOMEM, "out of memory");
    arena_init(&r.scratch, /* cache= */ NULL, /* max_bytes= */ 0);
    st = read_set(&r, text, err);
    arena_fini(&r.scratch);
    if (st < 0) {
        key_set_free(r.set);
        return st;
    }
    *ret = r.set;
    return 0;
}

const struct jwk *key_set_find(const struct key_set *s, struct str kid)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->keys[i].kid, kid))
            return &s->keys[i];
    return NULL;
}

const char *jwk_algorithm(const struct jwk *k)
{
    return k->algorithm ? k->algorithm->name : "";
}

/* ---- signatures ---- */

/* JOSE puts r and s side by side (RFC 7518 3.4); OpenSSL wants them in DER. Length, or negative. */
static int to_der(const struct signature_algorithm *a, struct str signature, unsigned char **ret)
{
    ECDSA_SIG *sig;
    BIGNUM *r, *s;
    int n = -1;

    if (signature.n != 2 * a->coordinate)
        return -1;
    sig = ECDSA_SIG_new();
    r = BN_bin2bn((const unsigned char *)signature.p, (int)a->coordinate, NULL);
    s = BN_bin2bn((const unsigned char *)signature.p + a->coordinate, (int)a->coordinate, NULL);
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* sig's now */
        n = i2d_ECDSA_SIG(sig, ret);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return n;
}

static bool set_padding(const struct signature_algorithm *a, EVP_PKEY_CTX *ctx)
{
    if (a->family != RSA_PSS)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

int jwk_verify(const struct jwk *k, struct str signed_text, struct str signature)
{
    const struct signature_algorithm *a = k->algorithm;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx;
    unsigned char *der = NULL;
    int n = 0, r = ERR_INVALID;

    if (!md)
        return ERR_NOMEM;
    if (a->family == ECDSA) {
        n = to_der(a, signature, &der);
        signature = n > 0 ? (struct str){ (const char *)der, (size_t)n } : STR_NONE;
    }
    if (signature.n && EVP_DigestVerifyInit_ex(md, &ctx, a->digest, NULL, NULL, k->key, NULL) == 1 && set_padding(a, ctx) &&
        EVP_DigestVerify(md, (const unsigned char *)signature.p, signature.n, (const unsigned char *)signed_text.p,
                         signed_text.n) == 1)
        r = 0;
    OPENSSL_free(der);
    EVP_MD_CTX_free(md);
    ERR_clear_error(); /* a wrong signature is nobody's failure */
    return r;
}
