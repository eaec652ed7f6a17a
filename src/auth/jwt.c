#include "auth/jwt.h"

#include <stddef.h>

#include "auth/base64url.h"
#include "json/json_shape.h"

#define DECODE "Failed to decode token: "

/* ---- taking apart ---- */

static bool split(struct str token, struct str parts[3])
{
    struct str rest;

    return str_split(token, '.', &parts[0], &rest) && str_split(rest, '.', &parts[1], &parts[2]) &&
           str_find_char(parts[2], '.') == STR_NPOS;
}

bool jwt_looks_like_one(struct str token)
{
    struct str parts[3];

    return split(token, parts);
}

struct header {
    struct str alg, kid;
    struct json crit;
};

static const struct json_shape_field HEADER_FIELDS[] = {
    { .name = "alg", .type = SHAPE_STR, .flags = SHAPE_REQUIRED, .at = offsetof(struct header, alg), .at_given = SHAPE_NO_GIVEN },
    { .name = "kid", .type = SHAPE_STR, .flags = SHAPE_NULLABLE, .at = offsetof(struct header, kid), .at_given = SHAPE_NO_GIVEN },
    { .name = "crit", .type = SHAPE_JSON, .at = offsetof(struct header, crit), .at_given = SHAPE_NO_GIVEN },
};
static const struct json_shape HEADER = {
    .name = "Header", .size = sizeof(struct header), .fields = HEADER_FIELDS, .fields_n = ARRAY_LEN(HEADER_FIELDS)
};

struct claims {
    struct str sub, iss, jti, email, name, preferred_username;
    uint64_t exp, iat, nbf;
    bool has_iss, has_exp, has_nbf;
    struct json aud;
};

#define CLAIM(member, kind, given)                                                                                       \
    {                                                                                                                    \
        .name = #member, .type = kind, .flags = SHAPE_NULLABLE, .at = offsetof(struct claims, member), .at_given = given \
    }
static const struct json_shape_field CLAIM_FIELDS[] = {
    CLAIM(sub, SHAPE_STR, SHAPE_NO_GIVEN),
    CLAIM(iss, SHAPE_STR, offsetof(struct claims, has_iss)),
    CLAIM(jti, SHAPE_STR, SHAPE_NO_GIVEN),
    CLAIM(email, SHAPE_STR, SHAPE_NO_GIVEN),
    CLAIM(name, SHAPE_STR, SHAPE_NO_GIVEN),
    CLAIM(preferred_username, SHAPE_STR, SHAPE_NO_GIVEN),
    CLAIM(exp, SHAPE_U64, offsetof(struct claims, has_exp)),
    CLAIM(iat, SHAPE_U64, SHAPE_NO_GIVEN),
    CLAIM(nbf, SHAPE_U64, offsetof(struct claims, has_nbf)),
    CLAIM(aud, SHAPE_JSON, SHAPE_NO_GIVEN),
};
static const struct json_shape CLAIMS = {
    .name = "Claims", .size = sizeof(struct claims), .fields = CLAIM_FIELDS, .fields_n = ARRAY_LEN(CLAIM_FIELDS)
};

/* A part of the token as a JSON object read by SHAPE. */
static int read_part(struct str part, const struct json_shape *shape, struct arena *arena, struct json_doc *doc, void *ret,
                     struct err *err)
{
    struct json_error e = { 0 };
    struct str text;
    int r = base64url_decode(part, arena, &text);

    if (r == ERR_SYNTAX)
        return err_set(err, ERR_INVALID, DECODE "Base64 error: not base64url without padding");
    if (r == 0)
        r = json_parse(text, arena, doc, &e);
    if (r == ERR_SYNTAX)
        return err_set(err, ERR_INVALID, DECODE "JSON error: %s at line %u column %u", e.message, e.line, e.column);
    if (r == 0)
        r = json_shape_read(json_root(doc), shape, arena, ret, err);
    if (r == ERR_INVALID)
        return err_wrap(err, r, DECODE "JSON error");
    return r < 0 ? err_set(err, ERR_NOMEM, "out of memory") : 0;
}

int jwt_open(struct str token, struct arena *arena, struct jwt *ret, struct err *err)
{
    struct header header;
    struct json_doc doc;
    struct str parts[3];
    struct jwt t;
    int r;

    if (token.n > JWT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, DECODE "InvalidToken (longer than %d bytes)", JWT_BYTES_MAX);
    if (!split(token, parts) || parts[0].n == 0 || parts[1].n == 0)
        return err_set(err, ERR_INVALID, DECODE "InvalidToken");
    r = read_part(parts[0], &HEADER, arena, &doc, &header, err);
    if (r < 0)
        return r;
    if (header.kid.n == 0)
        return err_set(err, ERR_INVALID, "Token header missing 'kid' claim");
    if (json_exists(header.crit))
        return err_set(err, ERR_INVALID, DECODE "InvalidToken (its header demands extensions, 'crit', that are not known here)");
    r = base64url_decode(parts[2], arena, &t.signature);
    if (r < 0)
        return r == ERR_NOMEM ? err_set(err, r, "out of memory") : err_set(err, ERR_INVALID, DECODE "InvalidSignature");
    t.signed_text = str_first(token, parts[0].n + 1 + parts[1].n);
    t.payload = parts[1];
    t.alg = header.alg;
    t.kid = header.kid;
    *ret = t;
    return 0;
}

/* ---- checking ---- */

/* A string, an array of strings or null (absent); anything else is a wrong shape. */
static int check_audience(struct json aud, struct str wanted, struct err *err)
{
    struct json_iter it = json_iter(aud);
    bool found = json_str_eq(aud, wanted);

    if (!json_is(aud, JSON_STRING) && !json_is(aud, JSON_ARRAY))
        return err_set(err, ERR_INVALID, DECODE "JSON error: aud: a string or an array of strings is expected");
    while (json_is(aud, JSON_ARRAY) && json_next(&it)) {
        if (!json_is(it.value, JSON_STRING))
            return err_set(err, ERR_INVALID, DECODE "JSON error: aud: a string or an array of strings is expected");
        found |= json_str_eq(it.value, wanted);
    }
    return found ? 0 : err_set(err, ERR_INVALID, DECODE "InvalidAudience");
}

static int check_claims(const struct claims *c, const struct jwt_rules *rules, uint64_t now_s, struct err *err)
{
    const char *missing = !c->has_exp ? "exp" : !c->has_iss ? "iss" : json_is_null(c->aud) ? "aud" : NULL;

    if (missing)
        return err_set(err, ERR_INVALID, DECODE "Missing required claim: %s", missing);
    if (c->exp < now_s && now_s - c->exp > JWT_LEEWAY_S)
        return err_set(err, ERR_INVALID, DECODE "ExpiredSignature");
    if (c->has_nbf && c->nbf > now_s && c->nbf - now_s > JWT_LEEWAY_S)
        return err_set(err, ERR_INVALID, DECODE "ImmatureSignature");
    if (!str_eq(c->iss, rules->issuer))
        return err_set(err, ERR_INVALID,
                       DECODE "InvalidIssuer (it must equal the configured issuer byte for byte; a trailing slash counts)");
    return check_audience(c->aud, rules->audience, err);
}

static struct str first_of(const struct claims *c)
{
    if (c->sub.n)
        return c->sub;
    if (c->email.n)
        return c->email;
    return c->preferred_username.n ? c->preferred_username : STR("unknown");
}

int jwt_check(const struct jwt *t, const struct jwk *key, const struct jwt_rules *rules, uint64_t now_s, struct arena *arena,
              struct jwt_identity *ret, struct err *err)
{
    struct json_doc doc;
    struct claims c;
    int r;

    if (!key->algorithm)
        return err_set(err, ERR_INVALID, "Token validation failed: %.*s", STR_FMT(key->reason));
    if (!str_eq(t->alg, str_of(jwk_algorithm(key))))
        return err_set(err, ERR_INVALID, "Algorithm mismatch: token uses %.*s but key requires %s",
                       STR_FMT(str_first(t->alg, JWT_SHOWN)), jwk_algorithm(key));
    r = jwk_verify(key, t->signed_text, t->signature);
    if (r < 0)
        return r == ERR_NOMEM ? err_set(err, r, "out of memory") : err_set(err, ERR_INVALID, DECODE "InvalidSignature");
    r = read_part(t->payload, &CLAIMS, arena, &doc, &c, err);
    if (r == 0)
        r = check_claims(&c, rules, now_s, err);
    if (r < 0)
        return r;
    *ret =
        (struct jwt_identity){ .id = first_of(&c), .name = c.name, .admin = role_is_admin(&rules->roles, json_root(&doc), arena) };
    return arena->failed ? err_set(err, ERR_NOMEM, "out of memory") : 0;
}

bool jwt_claims_issuer(struct str token, struct str issuer, struct arena *arena)
{
    struct str parts[3], text;
    struct json_doc doc;

    return token.n <= JWT_BYTES_MAX && split(token, parts) && base64url_decode(parts[1], arena, &text) == 0 &&
           json_parse(text, arena, &doc, NULL) == 0 && json_str_eq(json_get(json_root(&doc), STR("iss")), issuer);
}
