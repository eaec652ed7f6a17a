/* auth/auth.h -- who is asking: one filter in front of everything that is not public (spec control-plane 4, 5; decision 3)
 *
 *      route          in force                                 who passes
 *      public         anything                                 everybody
 *      data plane     no serving key                           everybody
 *                     --api-key, --tenant-api-key              who has one of them
 *      control plane  control-plane keys, or an issuer         an admin by a control-plane key or a token; a user is 403. The serving keys do not count
 *                     else --api-key                           who has it; a tenant's key does not do
 *                     else tenant keys only                    nobody
 *                     nothing                                  everybody
 *      data plane with x-smg-debug: as the control plane
 *
 * In: an exchange whose route is known.   Out: ex->principal (id, role), or the reply: 401 with a challenge, 403, 503 while the issuer's keys cannot be had; and the audit record at the
 * end. Where a key or an issuer is in force, credential_is_ours keeps what authenticates against us from being forwarded to a worker, on public and open routes, too; sent_secret is
 * narrower: Authorization or x-api-key holds one of our keys or a token of our issuer's. Only without it does /v1/models show a provider the client's own token (spec 16.2).
 * Wrong methods of a known path are asked for their credential before they are told 405 (spec 1.2).
 *
 * struct auth is made once and constant: read by all loops. What moves is the issuer's key set (key_source.h). struct auth_thread is a loop's own part.
 * Fails closed: what is asked for and cannot be set up ends the start. A failure of OpenSSL or of memory lets nobody in.
 * Read next: guard.c (the decisions), keys.h, jwt.h, key_source.h, audit.h.
 */
#pragma once

#include "auth/digest.h"
#include "http/exchange.h"

struct auth_conf {
    struct str api_key;
    const struct str *tenant_keys; /* "tenant:key" */
    size_t tenant_keys_n;
    const struct str *control_keys; /* "id:name:role:key" */
    size_t control_keys_n;
    struct str control_keys_file;        /* path; lines of the same; empty = none */
    struct str jwt_issuer, jwt_audience; /* both or none */
    struct str jwt_jwks_uri;             /* empty = by discovery */
    struct str jwt_role_claim;
    const struct str *role_mapping; /* "theirs=ours" */
    size_t role_mapping_n;
    struct str jwt_ca_file; /* empty = the system's authorities */
    bool jwt_allow_private;
    bool audit;
};

struct auth;

/* Checks and copies all of CONF; reads the file. Blocking, no network. ERR_INVALID and its like: the message names the option and never shows a secret. */
int auth_new(const struct auth_conf *conf, struct auth **ret, struct err *err) _must_check_;

/* With an issuer: finds its keys' address (blocking, some seconds at most) and begins to fetch them on CONTROL. Before CONTROL runs. */
int auth_start(struct auth *a, struct loop *control, struct err *err) _must_check_;
void auth_stop(struct auth *a); /* control thread; nothing is fetched any more */
void auth_free(struct auth *a); /* when no loop runs any more */

/* A loop's own part: the context of the filter. */
struct auth_thread {
    const struct auth *auth; /* borrowed */
    struct loop *loop;       /* borrowed */
    struct digest digest;    /* owned */
};

int auth_thread_init(struct auth_thread *t, const struct auth *a, struct loop *loop) _must_check_;
void auth_thread_fini(struct auth_thread *t); /* of a zeroed one, too */

/* The filter. CONTEXT: struct auth_thread. */
enum filter_verdict auth_on_head(struct exchange *ex, void *context);
void auth_on_end(struct exchange *ex, void *context);
