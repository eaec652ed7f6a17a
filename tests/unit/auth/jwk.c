/* jwk.c -- reading key sets and checking signatures: every algorithm, and what is not one */
#include "auth/jwk.h"
#include "auth/base64url.h"
#include "auth/issuer.h"
#include "fail_alloc.h"

static const char *const ALL[] = { "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA" };

/* {"keys":[...]} of one key that says its algorithm. */
static struct key_set *set_of(const struct issuer_key *k, const char *extra)
{
    struct buf text = { 0 };
    struct key_set *s = NULL;
    struct err err = { 0 };

    buf_puts(&text, "{\"keys\":[");
    put_jwk(&text, k, extra);
    buf_puts(&text, "]}");
    if (key_set_parse(buf_str(&text), &s, &err) < 0)
        fail_msg("%s: %s", k->alg, err.message);
    buf_fini(&text);
    return s;
}

/* The parts of a token. */
struct signed_parts {
    struct buf token;
    struct arena arena;
    struct str text, signature;
};

static struct signed_parts sign(const struct issuer_key *k)
{
    struct signed_parts p = { 0 };
    size_t dot;

    arena_init(&p.arena, NULL, 0);
    put_signed(&p.token, k, "{\"sub\":\"x\"}");
    dot = str_rfind_char(buf_str(&p.token), '.');
    p.text = str_first(buf_str(&p.token), dot);
    assert_int_equal(base64url_decode(str_skip(buf_str(&p.token), dot + 1), &p.arena, &p.signature), 0);
    return p;
}

static void parts_fini(struct signed_parts *p)
{
    buf_fini(&p->token);
    arena_fini(&p->arena);
}

static void every_algorithm_is_checked(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++) {
        struct issuer_key k = issuer_key(ALL[i], "k1");
        struct signed_parts p = sign(&k);
        char extra[32];
        struct key_set *s;
        const struct jwk *jwk;

        snprintf(extra, sizeof extra, "\"alg\":\"%s\",", ALL[i]);
        s = set_of(&k, extra);
        jwk = key_set_find(s, STR("k1"));
        assert_string_equal(jwk_algorithm(jwk), ALL[i]);
        if (jwk_verify(jwk, p.text, p.signature) != 0)
            fail_msg("%s: a good signature is refused", ALL[i]);
        ((char *)p.signature.p)[p.signature.n / 2] ^= 1;
        assert_int_equal(jwk_verify(jwk, p.text, p.signature), ERR_INVALID);
        ((char *)p.signature.p)[p.signature.n / 2] ^= 1;
        assert_int_equal(jwk_verify(jwk, str_first(p.text, p.text.n - 1), p.signature), ERR_INVALID);
        assert_int_equal(jwk_verify(jwk, p.text, str_first(p.signature, p.signature.n - 1)), ERR_INVALID);
        assert_int_equal(jwk_verify(jwk, p.text, STR_NONE), ERR_INVALID);
        parts_fini(&p);
        key_set_free(s);
        EVP_PKEY_free(k.key);
    }
}

static void a_signature_of_zeros_is_none(void **state)
{
    static const char ZEROS[132];

    for (size_t i = 6; i < ARRAY_LEN(ALL); i++) {
        struct issuer_key k = issuer_key(ALL[i], "k1");
        struct key_set *s = set_of(&k, "");

        assert_int_equal(jwk_verify(key_set_find(s, STR("k1")), STR("x"), (struct str){ ZEROS, k.size ? 2 * k.size : 64 }),
                         ERR_INVALID);
        key_set_free(s);
        EVP_PKEY_free(k.key);
    }
}

static void without_alg_the_kind_of_key_says_it(void **state)
{
    static const char *const DEFAULTS[] = { "RS256", "ES256", "ES384", "ES512", "EdDSA" };

    for (size_t i = 0; i < ARRAY_LEN(DEFAULTS); i++) {
        struct issuer_key k = issuer_key(DEFAULTS[i], "k1");
        struct key_set *s = set_of(&k, "");

        assert_string_equal(jwk_algorithm(key_set_find(s, STR("k1"))), DEFAULTS[i]);
        key_set_free(s);
        EVP_PKEY_free(k.key);
    }
}

static void keys_that_cannot_be_used_do_not_spoil_the_set(void **state)
{
    static const struct {
        const char *jwk, *reason; /* NULL: it is left out */
    } ODD[] = {
        { "{\"kid\":\"odd\",\"kty\":\"oct\",\"k\":\"AAAA\"}", "Cannot determine algorithm from key" },
        { "{\"kid\":\"odd\",\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"}", "Unsupported key algorithm: HS256" },
        { "{\"kid\":\"odd\",\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"alg\":\"none\"}", "Unsupported key algorithm: none" },
        { "{\"kid\":\"odd\",\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "RSA key too small" },
        { "{\"kid\":\"odd\",\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}", "Invalid RSA key" },
        { "{\"kid\":\"odd\",\"kty\":\"RSA\"}", "Invalid RSA key" },
        { "{\"kid\":\"odd\",\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}", "Unsupported EC curve: secp256k1" },
        { "{\"kid\":\"odd\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}", "Invalid EC key" }, /* not on the curve */
        { "{\"kid\":\"odd\",\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES384\",\"x\":\"AQ\",\"y\":\"AQ\"}",
          "Unsupported key algorithm: ES384" },
        { "{\"kid\":\"odd\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}", "Invalid OKP key" },
        { "{\"kid\":\"odd\",\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}", "Unsupported EC curve: X25519" },
        { "{\"kid\":7,\"kty\":\"RSA\"}", NULL },
        { "{\"kty\":\"RSA\"}", NULL },
        { "{\"kid\":\"odd\",\"use\":\"enc\",\"kty\":\"RSA\"}", NULL },
        { "{\"kid\":\"odd\",\"key_ops\":[\"encrypt\"],\"kty\":\"RSA\"}", NULL },
        { "null", NULL },
        { "[]", NULL },
    };
    struct issuer_key k = issuer_key("ES256", "good");

    for (size_t i = 0; i < ARRAY_LEN(ODD); i++) {
        struct buf text = { 0 };
        struct key_set *s = NULL;
        const struct jwk *odd;

        buf_printf(&text, "{\"keys\":[%s,", ODD[i].jwk);
        put_jwk(&text, &k, "\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"],");
        buf_puts(&text, "]}");
        assert_int_equal(key_set_parse(buf_str(&text), &s, NULL), 0);
        assert_int_equal(s->skipped, 1);
        assert_string_equal(jwk_algorithm(key_set_find(s, STR("good"))), "ES256");
        odd = key_set_find(s, STR("odd"));
        if (!odd != !ODD[i].reason || (odd && !str_has_prefix(odd->reason, str_of(ODD[i].reason))))
            fail_msg("%s: %.*s", ODD[i].jwk, STR_FMT(odd ? odd->reason : STR("left out")));
        if (odd)
            assert_string_equal(jwk_algorithm(odd), "");
        key_set_free(s);
        buf_fini(&text);
    }
    EVP_PKEY_free(k.key);
}

static void of_two_keys_with_one_kid_the_first_counts(void **state)
{
    struct issuer_key a = issuer_key("ES256", "same"), b = issuer_key("ES384", "same");
    struct buf text = { 0 };
    struct key_set *s = NULL;

    buf_puts(&text, "{\"keys\":[");
    put_jwk(&text, &a, "");
    buf_put_char(&text, ',');
    put_jwk(&text, &b, "");
    buf_puts(&text, "]}");
    assert_int_equal(key_set_parse(buf_str(&text), &s, NULL), 0);
    assert_int_equal(s->n, 1);
    assert_string_equal(jwk_algorithm(&s->keys[0]), "ES256");
    key_set_free(s);
    buf_fini(&text);
    EVP_PKEY_free(a.key);
    EVP_PKEY_free(b.key);
}

static void what_is_no_key_set_is_said_so(void **state)
{
    static const struct {
        const char *text, *says;
    } BAD[] = {
        { "", "Failed to parse JWKS: EOF while parsing" },
        { "<html>", "Failed to parse JWKS: expected value" },
        { "{}", "missing field `keys`" },
        { "{\"keys\":{}}", "missing field `keys`" },
        { "[]", "missing field `keys`" },
        { "{\"keys\":[]}", "none of its 0 keys can be used" },
        { "{\"keys\":[{\"kid\":\"a\",\"kty\":\"oct\"},{}]}", "none of its 2 keys can be used" },
    };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct key_set *s = NULL;
        struct err err = { 0 };

        assert_true(key_set_parse(str_of(BAD[i].text), &s, &err) < 0);
        if (!strstr(err.message, BAD[i].says))
            fail_msg("%s: %s", BAD[i].text, err.message);
        assert_null(s);
    }
}

static void there_is_a_bound_on_keys(void **state)
{
    struct buf text = { 0 };
    struct key_set *s;

    buf_puts(&text, "{\"keys\":[0");
    for (unsigned i = 0; i < KEY_SET_KEYS_MAX; i++)
        buf_puts(&text, ",0");
    buf_puts(&text, "]}");
    assert_int_equal(key_set_parse(buf_str(&text), &s, NULL), ERR_LIMIT);
    buf_fini(&text);
}

static void keeps_its_promises_when_memory_runs_out(void **state)
{
    struct issuer_key k = issuer_key("ES256", "k1");
    struct buf text = { 0 };

    buf_puts(&text, "{\"keys\":[");
    put_jwk(&text, &k, "");
    buf_puts(&text, "]}");
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct key_set *s = NULL;
        int r = key_set_parse(buf_str(&text), &s, NULL);

        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        key_set_free(s);
    }
    buf_fini(&text);
    EVP_PKEY_free(k.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm_is_checked),
        cmocka_unit_test(a_signature_of_zeros_is_none),
        cmocka_unit_test(without_alg_the_kind_of_key_says_it),
        cmocka_unit_test(keys_that_cannot_be_used_do_not_spoil_the_set),
        cmocka_unit_test(of_two_keys_with_one_kid_the_first_counts),
        cmocka_unit_test(what_is_no_key_set_is_said_so),
        cmocka_unit_test(there_is_a_bound_on_keys),
        cmocka_unit_test(keeps_its_promises_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
