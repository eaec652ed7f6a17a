/* auth/auth.c -- from the options to what the filter reads; discovery */
#include "auth/auth_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/issuer_url.h"
#include "base/file.h"
#include "base/log.h"

#define TARGET          "smg::auth"
#define KEY_FILE_MAX    (256 * 1024)
#define DISCOVERY_BYTES (1024 * 1024)
#define DISCOVERY_MS    10000

/* ---- keys ---- */

static int read_key_file(struct auth *a, struct str path, struct digest *d, struct err *err)
{
    struct buf text = { 0 };
    const char *name = arena_str(&a->arena, path).p;
    int r = name ? file_read(name, KEY_FILE_MAX, &text, err) : err_set(err, ERR_NOMEM, "out of memory");

    if (r == 0)
        r = control_keys_add_lines(&a->control, buf_str(&text), name, d, &a->arena, err);
    if (text.p)
        OPENSSL_cleanse(text.p, text.cap);
    buf_fini(&text);
    return r < 0 ? err_wrap(err, r, "--control-plane-api-keys-file") : 0;
}

static int read_keys(struct auth *a, const struct auth_conf *c, struct digest *d, struct err *err)
{
    char where[64];
    int r = serving_keys_read(&a->serving, c->api_key, c->tenant_keys, c->tenant_keys_n, d, &a->arena, err);

    for (size_t i = 0; r == 0 && i < c->control_keys_n; i++) {
        snprintf(where, sizeof where, "--control-plane-api-keys, entry %zu", i + 1);
        r = control_keys_add(&a->control, c->control_keys[i], where, d, &a->arena, err);
    }
    if (r == 0 && c->control_keys_file.n)
        r = read_key_file(a, c->control_keys_file, d, err);
    return r;
}

/* ---- tokens ---- */

static int read_mapping(struct auth *a, const struct auth_conf *c, struct err *err)
{
    struct role_mapping *m = arena_array(&a->arena, c->role_mapping_n + 1, sizeof(*m));
    struct str theirs, ours;

    for (size_t i = 0; m && i < c->role_mapping_n; i++) {
        if (!str_split(c->role_mapping[i], '=', &theirs, &ours) || theirs.n == 0)
            return err_set(err, ERR_INVALID, "--jwt-role-mapping, entry %zu: expected 'idp_role=gateway_role'", i + 1);
        m[i].theirs = arena_str(&a->arena, theirs);
        m[i].admin = str_eq_nocase(ours, STR("admin"));
        if (!m[i].admin && !str_eq_nocase(ours, STR("user")))
            return err_set(err, ERR_INVALID, "--jwt-role-mapping, entry %zu: valid roles are admin and user", i + 1);
    }
    a->jwt.roles.mapping = m;
    a->jwt.roles.n = c->role_mapping_n;
    return 0;
}

static int read_issuer(struct auth *a, const struct auth_conf *c, struct err *err)
{
    if (!c->jwt_issuer.n != !c->jwt_audience.n)
        return err_set(err, ERR_INVALID, "--jwt-issuer and --jwt-audience must be given together");
    if (c->jwt_issuer.n == 0)
        return 0;
    a->jwt.issuer = arena_str(&a->arena, c->jwt_issuer);
    a->jwt.audience = arena_str(&a->arena, c->jwt_audience);
    a->jwt.roles.claim = arena_str(&a->arena, c->jwt_role_claim.n ? c->jwt_role_claim : STR("roles"));
    a->jwks_uri = arena_str(&a->arena, c->jwt_jwks_uri);
    a->ca_file = arena_str(&a->arena, c->jwt_ca_file);
    a->allow_private = c->jwt_allow_private;
    if (a->jwks_uri.n && issuer_url_check(a->jwks_uri, a->allow_private, err) < 0)
        return err_wrap(err, ERR_INVALID, "--jwt-jwks-uri");
    if (a->jwks_uri.n == 0 && issuer_url_check(a->jwt.issuer, a->allow_private, err) < 0)
        return err_wrap(err, ERR_INVALID, "--jwt-issuer");
    return read_mapping(a, c, err);
}

int auth_new(const struct auth_conf *c, struct auth **ret, struct err *err)
{
    struct auth *a = calloc(1, sizeof(*a));
    struct digest d = { 0 };
    int r;

    if (!a || digest_init(&d) < 0) {
        free(a);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    arena_init(&a->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    a->audit = c->audit;
    r = read_keys(a, c, &d, err);
    if (r == 0)
        r = read_issuer(a, c, err);
    if (r == 0 && a->arena.failed)
        r = err_set(err, ERR_NOMEM, "out of memory");
    digest_fini(&d);
    if (r < 0) {
        auth_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

/* ---- discovery (OpenID Connect Discovery 1.0, 4) ---- */

static int read_discovery(struct auth *a, struct str text, struct err *err)
{
    struct json_error e = { 0 };
    struct json_doc doc;
    struct str uri, issuer;
    int r = json_parse(text, &a->arena, &doc, &e);

    if (r < 0)
        return err_set(err, r, "the answer is not JSON: %s", r == ERR_SYNTAX ? e.message : err_text(r));
    uri = json_str(json_get(json_root(&doc), STR("jwks_uri")), &a->arena);
    issuer = json_str(json_get(json_root(&doc), STR("issuer")), &a->arena);
    if (uri.n == 0 || issuer.n == 0)
        return err_set(err, ERR_PROTOCOL, "the answer has no \"%s\"", uri.n ? "issuer" : "jwks_uri");
    r = issuer_url_check(uri, a->allow_private, err);
    if (r < 0)
        return err_wrap(err, r, "its jwks_uri");
    if (!str_eq(issuer, a->jwt.issuer))
        log_warn(TARGET, "the identity provider calls itself otherwise; tokens must have the configured issuer",
                 LF_STR("configured", a->jwt.issuer), LF_STR("provider", issuer));
    a->jwks_uri = arena_str(&a->arena, uri);
    return a->arena.failed ? err_set(err, ERR_NOMEM, "out of memory") : 0;
}

static int discover(struct auth *a, struct err *err)
{
    struct fetch_request r = {
        .accept = STR("application/json"), .ca_file = a->ca_file, .max_bytes = DISCOVERY_BYTES, .total_ms = DISCOVERY_MS
    };
    struct str issuer = a->jwt.issuer;
    struct buf body = { 0 };
    unsigned status = 0;
    int st;

    while (issuer.n && issuer.p[issuer.n - 1] == '/')
        issuer.n--;
    r.url = arena_printf(&a->arena, "%.*s/.well-known/openid-configuration", STR_FMT(issuer));
    st = r.url.n ? fetch_now(&r, &body, &status, err) : err_set(err, ERR_NOMEM, "out of memory");
    if (st == 0 && (status < 200 || status > 299))
        st = err_set(err, ERR_PROTOCOL, "GET %.*s: the answer's status is %u", STR_FMT(r.url), status);
    if (st == 0)
        st = read_discovery(a, buf_str(&body), err);
    buf_fini(&body);
    return st < 0
               ? err_wrap(
                     err, st,
                     "--jwt-issuer: the identity provider cannot be asked for its keys (give --jwt-jwks-uri to start without it)")
               : 0;
}

int auth_start(struct auth *a, struct loop *control, struct err *err)
{
    struct key_source_conf conf;
    int r;

    if (a->jwt.issuer.n == 0)
        return 0;
    if (a->jwks_uri.n == 0) {
        r = discover(a, err);
        if (r < 0)
            return r;
    }
    conf = (struct key_source_conf){ .uri = a->jwks_uri, .ca_file = a->ca_file };
    if (key_source_new(&conf, &a->keys) < 0)
        return err_set(err, ERR_NOMEM, "out of memory");
    return key_source_start(a->keys, control, err);
}

void auth_stop(struct auth *a)
{
    if (a)
        key_source_stop(a->keys);
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    key_source_free(a->keys);
    arena_fini(&a->arena);
    free(a);
}

/* ---- per loop ---- */

int auth_thread_init(struct auth_thread *t, const struct auth *a, struct loop *loop)
{
    *t = (struct auth_thread){ .auth = a, .loop = loop };
    return digest_init(&t->digest);
}

void auth_thread_fini(struct auth_thread *t)
{
    digest_fini(&t->digest);
}
