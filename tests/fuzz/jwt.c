/* tests/fuzz/jwt.c -- no bytes make a token: whatever is opened keeps the bounds, and nothing that was not signed by the one key passes
 *
 * The key is the public one of RFC 8037, A.2; the rules are such that not even its example, which is in the corpus, may pass.
 */
#include <stdlib.h>

#include "auth/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char KEYS[] =
    "{\"keys\":[{\"kid\":\"k\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void expect(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct key_set *keys;
    static const struct jwt_rules rules = { .issuer = STR_INIT("https://idp"),
                                            .audience = STR_INIT("smg"),
                                            .roles = { .claim = STR_INIT("a.b") } };
    struct str token = { (const char *)data, size };
    struct jwt_identity who;
    struct json_doc doc;
    struct arena arena;
    struct err err = { 0 };
    struct jwt t;

    if (!keys)
        expect(key_set_parse(str_of(KEYS), &keys, NULL) == 0);
    arena_init(&arena, NULL, 0);
    (void)jwt_claims_issuer(token, rules.issuer, &arena);
    if (jwt_open(token, &arena, &t, &err) == 0) {
        expect(jwt_looks_like_one(token) && t.kid.n > 0 && size <= JWT_BYTES_MAX);
        expect(t.signed_text.p == token.p && t.signed_text.n + 1 <= token.n);
        expect(jwt_check(&t, &keys->keys[0], &rules, 1700000000, &arena, &who, &err) < 0);
    }
    arena_fini(&arena);

    /* The payload on its own: as if its signature had been right. */
    arena_init(&arena, NULL, 0);
    if (json_parse(token, &arena, &doc, NULL) == 0)
        (void)role_is_admin(&rules.roles, json_root(&doc), &arena);
    arena_fini(&arena);
    return 0;
}
