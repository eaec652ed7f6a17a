/* jwt.c -- which tokens are good, and the words for all others (spec control-plane 4.5, cases 53 and 55) */
#include "auth/jwt.h"
#include "auth/issuer.h"

#define NOW 1700000000u

static struct issuer_key es, rs;
static struct key_set *keys;
static const struct jwt_rules RULES = { .issuer = STR_INIT("https://idp.example"),
                                        .audience = STR_INIT("smg"),
                                        .roles = { .claim = STR_INIT("roles") } };

static int make_keys(void **state)
{
    struct buf text = { 0 };

    es = issuer_key("ES256", "e1");
    rs = issuer_key("RS256", "r1");
    buf_puts(&text, "{\"keys\":[{\"kid\":\"hmac\",\"kty\":\"oct\"},{\"kid\":\"odd\",\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\"},");
    put_jwk(&text, &es, "");
    buf_put_char(&text, ',');
    put_jwk(&text, &rs, "");
    buf_puts(&text, "]}");
    assert_int_equal(key_set_parse(buf_str(&text), &keys, NULL), 0);
    buf_fini(&text);
    return 0;
}

static int drop_keys(void **state)
{
    key_set_free(keys);
    EVP_PKEY_free(es.key);
    EVP_PKEY_free(rs.key);
    return 0;
}

/* What became of a token: "id/name/admin", or the error's text. */
static char verdict[ERR_MESSAGE_MAX + 256];

static void judge_text(struct str token)
{
    struct arena a;
    struct jwt t;
    struct jwt_identity who;
    struct err err = { 0 };
    const struct jwk *k = NULL;
    int r;

    arena_init(&a, NULL, 0);
    r = jwt_open(token, &a, &t, &err);
    if (r == 0) {
        k = key_set_find(keys, t.kid);
        r = k ? jwt_check(&t, k, &RULES, NOW, &a, &who, &err) : err_set(&err, ERR_NOT_FOUND, "no such kid");
    }
    if (r == 0)
        snprintf(verdict, sizeof verdict, "%.*s/%.*s/%d", STR_FMT(who.id), STR_FMT(who.name), who.admin);
    else
        snprintf(verdict, sizeof verdict, "%s", err.message);
    arena_fini(&a);
}

static void judge(const struct issuer_key *k, const char *header, const char *claims)
{
    struct buf token = { 0 };

    if (header)
        put_token(&token, k, header, claims);
    else
        put_signed(&token, k, claims);
    judge_text(buf_str(&token));
    buf_fini(&token);
}

#define assert_verdict(text)                                     \
    do {                                                         \
        if (strncmp(verdict, (text), strlen(text)) != 0)         \
            fail_msg("\"%s\" instead of \"%s\"", verdict, text); \
    } while (0)

/* Claims that are good but for what MORE says. */
static const char *claims(const char *more)
{
    static char text[4096];

    snprintf(text, sizeof text, "{\"iss\":\"https://idp.example\",\"aud\":\"smg\"%s}", more);
    return text;
}

static const char *claims_at(long exp, const char *more)
{
    static char text[2048];

    snprintf(text, sizeof text, ",\"exp\":%ld%s", exp, more);
    return claims(text);
}

static void a_good_token_says_who_it_is(void **state)
{
    judge(&es, NULL, claims_at(NOW + 60, ",\"sub\":\"ann\",\"name\":\"Ann\",\"roles\":[\"admin\"]"));
    assert_verdict("ann/Ann/1");
    judge(&rs, NULL, claims_at(NOW + 60, ",\"sub\":\"bob\",\"roles\":[\"user\"]"));
    assert_verdict("bob//0");
    judge(&es, NULL, claims_at(NOW + 60, ",\"sub\":null,\"email\":\"a@b.c\""));
    assert_verdict("a@b.c//0");
    judge(&es, NULL, claims_at(NOW + 60, ",\"preferred_username\":\"ann\""));
    assert_verdict("ann//0");
    judge(&es, NULL, claims_at(NOW + 60, ""));
    assert_verdict("unknown//0");
}

static void case_53_the_clock_has_thirty_seconds_of_leeway(void **state)
{
    judge(&es, NULL, claims_at(NOW - 20, ""));
    assert_verdict("unknown");
    judge(&es, NULL, claims_at(NOW - 30, ""));
    assert_verdict("unknown");
    judge(&es, NULL, claims_at(NOW - 31, ""));
    assert_verdict("Failed to decode token: ExpiredSignature");
    judge(&es, NULL, claims_at(0, ""));
    assert_verdict("Failed to decode token: ExpiredSignature");
    judge(&es, NULL, claims(",\"exp\":18446744073709551615"));
    assert_verdict("unknown");
    judge(&es, NULL, claims_at(NOW + 60, ",\"nbf\":1700000030"));
    assert_verdict("unknown");
    judge(&es, NULL, claims_at(NOW + 60, ",\"nbf\":1700000031"));
    assert_verdict("Failed to decode token: ImmatureSignature");
}

static void expiry_issuer_and_audience_must_be_there_and_right(void **state)
{
    static const struct {
        const char *claims, *verdict;
    } CASES[] = {
        { "{\"iss\":\"https://idp.example\",\"aud\":\"smg\"}", "Failed to decode token: Missing required claim: exp" },
        { "{\"iss\":\"https://idp.example\",\"aud\":\"smg\",\"exp\":null}", "Failed to decode token: Missing required claim: exp" },
        { "{\"aud\":\"smg\",\"exp\":1800000000}", "Failed to decode token: Missing required claim: iss" },
        { "{\"iss\":\"https://idp.example\",\"exp\":1800000000}", "Failed to decode token: Missing required claim: aud" },
        { "{\"iss\":\"https://idp.example\",\"aud\":null,\"exp\":1800000000}",
          "Failed to decode token: Missing required claim: aud" },
        { "{\"iss\":\"https://idp.example/\",\"aud\":\"smg\",\"exp\":1800000000}", "Failed to decode token: InvalidIssuer" },
        { "{\"iss\":\"\",\"aud\":\"smg\",\"exp\":1800000000}", "Failed to decode token: InvalidIssuer" },
        { "{\"iss\":\"https://idp.example\",\"aud\":\"other\",\"exp\":1800000000}", "Failed to decode token: InvalidAudience" },
        { "{\"iss\":\"https://idp.example\",\"aud\":[\"a\",\"b\"],\"exp\":1800000000}", "Failed to decode token: InvalidAudience" },
        { "{\"iss\":\"https://idp.example\",\"aud\":[],\"exp\":1800000000}", "Failed to decode token: InvalidAudience" },
        { "{\"iss\":\"https://idp.example\",\"aud\":[\"a\",\"smg\"],\"exp\":1800000000}", "unknown" },
        { "{\"iss\":\"https://idp.example\",\"aud\":[\"smg\",1],\"exp\":1800000000}", "Failed to decode token: JSON error: aud" },
        { "{\"iss\":\"https://idp.example\",\"aud\":{\"smg\":1},\"exp\":1800000000}", "Failed to decode token: JSON error: aud" },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        judge(&es, NULL, CASES[i].claims);
        assert_verdict(CASES[i].verdict);
    }
}

static void claims_of_another_shape_or_given_twice_are_refused(void **state)
{
    static const char *const BAD[] = {
        "{\"exp\":1800000000.5}",
        "{\"exp\":\"1800000000\"}",
        "{\"exp\":-1}",
        "{\"exp\":1e10}",
        "{\"nbf\":true}",
        "{\"sub\":7}",
        "{\"iss\":[\"https://idp.example\"]}",
        "{\"exp\":1,\"exp\":1800000000}",
        "{\"iss\":\"x\",\"iss\":\"https://idp.example\"}",
        "{\"aud\":\"x\",\"aud\":\"smg\"}",
        "[]",
        "\"x\"",
        "{",
        "",
    };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        judge(&es, NULL, BAD[i]);
        if (BAD[i][0])
            assert_verdict("Failed to decode token: JSON error");
        else
            assert_verdict("Failed to decode token: InvalidToken");
    }
}

static void case_53_the_key_decides_the_algorithm(void **state)
{
    struct issuer_key other = issuer_key("ES256", "e1");

    judge(&rs, "{\"alg\":\"HS256\",\"kid\":\"r1\"}", claims_at(NOW + 60, ""));
    assert_verdict("Algorithm mismatch: token uses HS256 but key requires RS256");
    judge(&rs, "{\"alg\":\"none\",\"kid\":\"r1\"}", claims_at(NOW + 60, ""));
    assert_verdict("Algorithm mismatch: token uses none but key requires RS256");
    judge(&rs, "{\"alg\":\"RS384\",\"kid\":\"r1\"}", claims_at(NOW + 60, ""));
    assert_verdict("Algorithm mismatch: token uses RS384 but key requires RS256");
    judge(&es, "{\"alg\":\"ES256\",\"kid\":\"r1\"}", claims_at(NOW + 60, ""));
    assert_verdict("Algorithm mismatch");
    judge(&rs, "{\"alg\":\"HS256\",\"kid\":\"hmac\"}", claims_at(NOW + 60, ""));
    assert_verdict("Token validation failed: Cannot determine algorithm from key");
    judge(&rs, "{\"alg\":\"RS256\",\"kid\":\"odd\"}", claims_at(NOW + 60, ""));
    assert_verdict("Token validation failed: Unsupported key algorithm: RSA-OAEP");
    judge(&other, NULL, claims_at(NOW + 60, ""));
    assert_verdict("Failed to decode token: InvalidSignature");
    EVP_PKEY_free(other.key);
}

static void nothing_of_the_payload_counts_before_the_signature(void **state)
{
    struct issuer_key other = issuer_key("ES256", "e1");

    judge(&other, NULL, "{\"exp\":1}");
    assert_verdict("Failed to decode token: InvalidSignature");
    judge(&other, NULL, "not json");
    assert_verdict("Failed to decode token: InvalidSignature");
    EVP_PKEY_free(other.key);
}

static void the_header_is_looked_at_closely(void **state)
{
    static const struct {
        const char *header, *verdict;
    } CASES[] = {
        { "{\"alg\":\"ES256\"}", "Token header missing 'kid' claim" },
        { "{\"alg\":\"ES256\",\"kid\":null}", "Token header missing 'kid' claim" },
        { "{\"alg\":\"ES256\",\"kid\":\"\"}", "Token header missing 'kid' claim" },
        { "{\"alg\":\"ES256\",\"kid\":1}", "Failed to decode token: JSON error: kid" },
        { "{\"kid\":\"e1\"}", "Failed to decode token: JSON error: missing field `alg`" },
        { "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"e1\"}", "Failed to decode token: JSON error: duplicate field `alg`" },
        { "{\"alg\":\"ES256\",\"kid\":\"e1\",\"crit\":[\"exp\"]}", "Failed to decode token: InvalidToken (its header demands" },
        { "ES256", "Failed to decode token: JSON error" },
        { "[\"ES256\"]", "Failed to decode token: JSON error" },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        judge(&es, CASES[i].header, claims_at(NOW + 60, ""));
        assert_verdict(CASES[i].verdict);
    }
}

static void case_55_malformed_tokens_are_refused(void **state)
{
    static const char *const BAD[] = { "",
                                       "not-a-jwt",
                                       "only.two.parts.is.not.enough",
                                       "eyJhbGciOiJub25lIn0",
                                       "eyJhbGciOiJub25lIn0.",
                                       "..",
                                       ".....",
                                       "a.b.c",
                                       "eyJh bGci.e30.",
                                       "{}.{}.{}",
                                       "====.====.====" };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        judge_text(str_of(BAD[i]));
        if (!strstr(verdict, "Failed to decode token: "))
            fail_msg("\"%s\": %s", BAD[i], verdict);
    }
    assert_false(jwt_looks_like_one(STR("a.b")));
    assert_true(jwt_looks_like_one(STR("..")));
    assert_false(jwt_looks_like_one(STR("a.b.c.d")));
}

static void a_huge_token_is_not_looked_at(void **state)
{
    static char huge[JWT_BYTES_MAX + 1];

    memset(huge, 'A', sizeof huge);
    huge[10] = huge[20] = '.';
    judge_text((struct str){ huge, sizeof huge });
    assert_verdict("Failed to decode token: InvalidToken (longer than 16384 bytes)");
}

static void a_changed_token_is_refused_wherever_it_was_changed(void **state)
{
    struct buf token = { 0 };

    put_signed(&token, &es, claims_at(NOW + 60, ",\"roles\":[\"admin\"]"));
    for (size_t i = 0; i < token.n; i++) {
        char was = token.p[i];

        token.p[i] = was == 'A' ? 'B' : 'A';
        judge_text(buf_str(&token));
        if (strcmp(verdict, "unknown//1") == 0)
            fail_msg("changed at %zu of %zu and still good", i, token.n);
        token.p[i] = was;
    }
    for (size_t n = 0; n < token.n; n++) {
        judge_text(str_first(buf_str(&token), n));
        assert_string_not_equal(verdict, "unknown//1");
    }
    judge_text(buf_str(&token));
    assert_verdict("unknown//1");
    buf_fini(&token);
}

static void an_unchecked_token_can_be_told_by_its_issuer(void **state)
{
    struct buf token = { 0 };
    struct arena a;

    arena_init(&a, NULL, 0);
    put_signed(&token, &es, claims(""));
    assert_true(jwt_claims_issuer(buf_str(&token), RULES.issuer, &a));
    assert_false(jwt_claims_issuer(buf_str(&token), STR("https://other.example"), &a));
    assert_false(jwt_claims_issuer(STR("a.b.c"), RULES.issuer, &a));
    buf_fini(&token);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_says_who_it_is),
        cmocka_unit_test(case_53_the_clock_has_thirty_seconds_of_leeway),
        cmocka_unit_test(expiry_issuer_and_audience_must_be_there_and_right),
        cmocka_unit_test(claims_of_another_shape_or_given_twice_are_refused),
        cmocka_unit_test(case_53_the_key_decides_the_algorithm),
        cmocka_unit_test(nothing_of_the_payload_counts_before_the_signature),
        cmocka_unit_test(the_header_is_looked_at_closely),
        cmocka_unit_test(case_55_malformed_tokens_are_refused),
        cmocka_unit_test(a_huge_token_is_not_looked_at),
        cmocka_unit_test(a_changed_token_is_refused_wherever_it_was_changed),
        cmocka_unit_test(an_unchecked_token_can_be_told_by_its_issuer),
    };

    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
