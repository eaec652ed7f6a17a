/* auth/guard.c -- the decisions of auth.h's table, and the way of a token whose key is not here yet
 *
 *   auth_on_head --> pass | refuse | (unknown kid, or no keys) ask --key_wait--> control thread
 *                                                                on_keys: the client is still there? decide once more, this time for good --> exchange_resume | refuse
 *
 * The exchange waits as FILTER_WAITING; the wait refers to it by exchange_ref, so a client that leaves costs nothing.
 * Every decision about the control plane while something is in force goes through admit() or refuse(), which note it for the audit.
 */
#include <assert.h>
#include <stdlib.h>

#include "auth/audit.h"
#include "auth/auth_internal.h"
#include "base/clock.h"
#include "http/error.h"

#define BEARER        STR("Bearer ")
#define SERVING_REALM STR("Bearer realm=\"smg\"")
#define CONTROL_REALM STR("Bearer realm=\"control-plane\"")
#define MISSING       "Missing or invalid Authorization header"
#define ADMIN_ONLY    STR("Admin role required for control plane access")
#define RETRY_S       5

enum patience { MAY_WAIT, WAITED };

/* A token that waits for keys. Heap; freed when it was answered. */
struct pending {
    struct key_wait wait;
    struct exchange_ref exchange;
    struct auth_thread *thread;
};

static enum filter_verdict guard_control(struct auth_thread *t, struct exchange *ex, enum patience patience,
                                         enum keys_answer answer);
static void on_keys(struct key_wait *w);

/* ---- the ways out ---- */

static enum filter_verdict admit(struct exchange *ex, struct str id, const char *method)
{
    ex->principal.id = id;
    ex->principal.admin = true;
    audit_decided(ex, method, STR_NONE);
    return FILTER_GO_ON;
}

/* 401. DETAILS is what the audit says of it. */
static enum filter_verdict refuse(struct exchange *ex, struct str challenge, struct str message, struct str details)
{
    if (ex->route_group == ROUTE_ADMIN)
        audit_decided(ex, "none", details);
    http_error_unauthorized(ex, challenge, message);
    return FILTER_ANSWERED;
}

static enum filter_verdict forbid(struct exchange *ex, struct str id, const char *method)
{
    ex->principal.id = id;
    audit_decided(ex, method, ADMIN_ONLY);
    http_error(ex, 403, STR("forbidden"), ADMIN_ONLY);
    return FILTER_ANSWERED;
}

static enum filter_verdict unavailable(struct exchange *ex)
{
    static const struct str WHY = STR_INIT("The identity provider's keys cannot be fetched; try again later");

    audit_decided(ex, "none", WHY);
    http_error_retry_after(ex, RETRY_S);
    http_error(ex, 503, STR("identity_provider_unavailable"), WHY);
    return FILTER_ANSWERED;
}

/* ---- the credential ---- */

/* What stands behind "Bearer ", verbatim; n = 0: nothing does. */
static struct str bearer(const struct exchange *ex)
{
    struct str given = http_value(&ex->req.fields, HF_AUTHORIZATION);

    return str_has_prefix(given, BEARER) ? str_skip(given, BEARER.n) : STR_NONE;
}

/* TEXT, verbatim, is one of our keys or a token of our issuer's, genuine or not. When nobody can tell, it is. */
static bool is_secret(struct auth_thread *t, struct exchange *ex, struct str text)
{
    const struct auth *a = t->auth;
    struct digest_value digest;

    if (!digest_of(&t->digest, text, &digest))
        return true;
    return serving_keys_find(&a->serving, &digest) || control_keys_find(&a->control, &digest) ||
           (a->jwt.issuer.n && jwt_claims_issuer(text, a->jwt.issuer, &ex->arena));
}

/* "KEY", "Bearer KEY", and what tools make of a key that was stored with its scheme: "Bearer Bearer KEY". */
#define SCHEMES_MAX 3

static bool holds_secret(struct auth_thread *t, struct exchange *ex, struct str value)
{
    struct str scheme, rest = str_trim(value);

    for (unsigned i = 0; i < SCHEMES_MAX && rest.n; i++) {
        if (is_secret(t, ex, rest))
            return true;
        if (!str_split(rest, ' ', &scheme, &rest))
            return false;
        rest = str_trim(rest);
    }
    return false;
}

/* On a route that needs no credential of ours: did the client send one all the same, in any of the fields that some worker or provider may be shown? */
static bool sent_secret(struct auth_thread *t, struct exchange *ex)
{
    const struct http_fields *fields = &ex->req.fields;

    if (!auth_has_control(t->auth) && t->auth->serving.n == 0)
        return false;
    for (unsigned i = 0; i < fields->n; i++) {
        const struct http_field *f = &fields->v[i];

        if ((f->id == HF_AUTHORIZATION || f->id == HF_X_API_KEY) && holds_secret(t, ex, f->value))
            return true;
    }
    return false;
}

/* ---- serving keys ---- */

static enum filter_verdict guard_serving(struct auth_thread *t, struct exchange *ex)
{
    const struct auth *a = t->auth;
    struct str token = bearer(ex);
    const struct serving_key *key = NULL;
    struct digest_value digest;
    bool admin = ex->route_group == ROUTE_ADMIN;

    if (admin && !a->serving.has_shared)
        return refuse(ex, CONTROL_REALM,
                      STR("The control plane is closed: only tenant keys are set; start the gateway with --control-plane-api-keys "
                          "or --api-key"),
                      STR("No credential opens the control plane"));
    if (token.n && digest_of(&t->digest, token, &digest))
        key = serving_keys_find(&a->serving, &digest);
    if (!key || (admin && !key->shared)) {
        bool any = http_find(&ex->req.fields, HF_AUTHORIZATION) != NULL;

        return refuse(ex, SERVING_REALM,
                      any ? STR("Invalid API key") : STR("Missing Authorization header; send Authorization: Bearer <key>"),
                      any ? STR("Invalid token") : STR(MISSING));
    }
    if (admin)
        return admit(ex, key->principal, "api_key");
    ex->principal.id = key->principal;
    ex->principal.admin = key->shared;
    return FILTER_GO_ON;
}

/* ---- control plane ---- */

/* EX waits until the issuer was asked for its keys. */
static enum filter_verdict ask(struct auth_thread *t, struct exchange *ex, const struct key_set *seen)
{
    struct pending *p = malloc(sizeof(*p));

    if (!p)
        return unavailable(ex);
    *p = (struct pending){ .exchange = exchange_refer(ex), .thread = t };
    p->wait.source = t->auth->keys;
    p->wait.loop = t->loop;
    p->wait.generation = seen->generation;
    p->wait.answered = on_keys;
    key_wait_post(&p->wait);
    return FILTER_WAITING;
}

static void on_keys(struct key_wait *w)
{
    struct pending *p = CONTAINER_OF(w, struct pending, wait);
    struct exchange *ex = exchange_from_ref(p->exchange);
    struct auth_thread *t = p->thread;
    enum keys_answer answer = w->answer;

    free(p);
    if (ex && guard_control(t, ex, WAITED, answer) == FILTER_GO_ON)
        exchange_resume(ex);
}

static enum filter_verdict bad_token(struct exchange *ex, const struct err *err)
{
    struct str text = arena_printf(&ex->arena, "Invalid JWT: %s", err->message);

    if (ex->arena.failed) { /* 503 behind the filters */
        text = STR("Invalid JWT");
    }
    return refuse(ex, CONTROL_REALM, text, text);
}

static enum filter_verdict guard_jwt(struct auth_thread *t, struct exchange *ex, struct str token, enum patience patience,
                                     enum keys_answer answer)
{
    const struct auth *a = t->auth;
    const struct key_set *set = key_source_keys(a->keys, t->loop);
    const struct jwk *key;
    struct jwt_identity who;
    struct err err = { 0 };
    struct jwt jwt;

    if (jwt_open(token, &ex->arena, &jwt, &err) < 0)
        return bad_token(ex, &err);
    key = key_set_usable(set) ? key_set_find(set, jwt.kid) : NULL;
    if (!key && patience == MAY_WAIT)
        return ask(t, ex, set);
    if (!key && (!key_set_usable(set) || answer == KEYS_UNREACHABLE))
        return unavailable(ex);
    if (!key) {
        (void)err_set(&err, ERR_NOT_FOUND, "Failed to get signing key: Key not found for kid: %.*s",
                      STR_FMT(str_first(jwt.kid, JWT_SHOWN)));
        return bad_token(ex, &err);
    }
    if (jwt_check(&jwt, key, &a->jwt, clock_wall_s(), &ex->arena, &who, &err) < 0)
        return bad_token(ex, &err);
    return who.admin ? admit(ex, who.id, "jwt") : forbid(ex, who.id, "jwt");
}

/* Spec control-plane 4.4. */
static enum filter_verdict guard_control(struct auth_thread *t, struct exchange *ex, enum patience patience,
                                         enum keys_answer answer)
{
    const struct auth *a = t->auth;
    const struct control_key *key = NULL;
    struct str token = bearer(ex);
    struct digest_value digest;

    if (token.n == 0)
        return refuse(ex, CONTROL_REALM, STR(MISSING), STR(MISSING));
    if (a->jwt.issuer.n && jwt_looks_like_one(token))
        return guard_jwt(t, ex, token, patience, answer);
    if (digest_of(&t->digest, token, &digest))
        key = control_keys_find(&a->control, &digest);
    if (!key)
        return refuse(ex, CONTROL_REALM, STR("Invalid authentication token"), STR("Invalid token"));
    return key->admin ? admit(ex, key->id, "api_key") : forbid(ex, key->id, "api_key");
}

/* ---- the filter ---- */

/* Who asks an inference route to explain itself (x-smg-debug) sees workers' URLs and loads: that is for administrators, whose credential opens the route, too. */
static void raise_to_control(struct exchange *ex)
{
    if (ex->route_group == ROUTE_DATA && http_find(&ex->req.fields, HF_X_SMG_DEBUG))
        ex->route_group = ROUTE_ADMIN;
}

enum filter_verdict auth_on_head(struct exchange *ex, void *context)
{
    struct auth_thread *t = context;
    const struct auth *a = t->auth;
    bool control = auth_has_control(a);

    raise_to_control(ex);

    switch (ex->route_group) {
    case ROUTE_PUBLIC:
        break;
    case ROUTE_DATA:
        if (a->serving.n == 0)
            break;
        ex->principal.credential_is_ours = ex->principal.sent_secret = true;
        return guard_serving(t, ex);
    case ROUTE_ADMIN:
        if (!control && a->serving.n == 0)
            break;
        ex->principal.credential_is_ours = ex->principal.sent_secret = true;
        return control ? guard_control(t, ex, MAY_WAIT, KEYS_SAME) : guard_serving(t, ex);
    }
    ex->principal.sent_secret = sent_secret(t, ex);
    ex->principal.credential_is_ours =
        a->serving.n > 0 || ex->principal.sent_secret; /* with a serving key, Authorization is meant for us */
    return FILTER_GO_ON;
}

void auth_on_end(struct exchange *ex, void *context)
{
    const struct auth_thread *t = context;

    if (t->auth->audit)
        audit_write(ex);
}
