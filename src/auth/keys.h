/* auth/keys.h -- the two kinds of API keys: serving keys (--api-key, --tenant-api-key) and control-plane keys (spec control-plane 4.2, 4.3)
 *
 * Read once at start; constant afterwards, read by all loops. Of a key only its SHA-256 is kept. A look-up compares with all keys of its kind, whether one matched or not, so
 * that its time says nothing about which key was nearly right: some two nanoseconds per key.
 * No message repeats a key: a text that could not be taken apart is named by its place in the list.
 */
#pragma once

#include "auth/digest.h"
#include "base/arena.h"

struct serving_key {
    struct digest_value digest;
    struct str principal; /* "auth:<64 hex of the digest>" for the shared key, "auth:<tenant>" for a tenant's; arena */
    bool shared;          /* --api-key: it also opens the control plane where that has no keys of its own */
};

struct serving_keys {
    struct serving_key *v; /* arena */
    size_t n;              /* 0 = the data plane is open */
    bool has_shared;
};

/* SHARED may be empty. TENANTS: "tenant:key", split at the first ':', both halves trimmed. ERR_INVALID, ERR_NOMEM. */
int serving_keys_read(struct serving_keys *ret, struct str shared, const struct str *tenants, size_t n, struct digest *d,
                      struct arena *arena, struct err *err) _must_check_;

/* The key whose digest this is, or NULL. */
const struct serving_key *serving_keys_find(const struct serving_keys *keys, const struct digest_value *digest);

struct control_key {
    struct digest_value digest;
    struct str id, name; /* arena */
    bool admin;          /* else the role is user */
};

#define CONTROL_KEYS_MAX 1024

struct control_keys {
    struct control_key *v; /* arena, CONTROL_KEYS_MAX */
    size_t n;
};

/* One "id:name:role:key"; the key is all behind the third ':'. WHERE says where it stood, for messages: "--control-plane-api-keys, entry 2". ERR_INVALID: bad form, unknown role, empty
 * id or key, an id or a key that is there already; ERR_LIMIT; ERR_NOMEM. */
int control_keys_add(struct control_keys *keys, struct str entry, const char *where, struct digest *d, struct arena *arena,
                     struct err *err) _must_check_;

/* The lines of a file: an entry each; empty ones and those that begin with '#' are skipped. Without a single entry: ERR_INVALID. */
int control_keys_add_lines(struct control_keys *keys, struct str text, const char *path, struct digest *d, struct arena *arena,
                           struct err *err) _must_check_;

const struct control_key *control_keys_find(const struct control_keys *keys, const struct digest_value *digest);
