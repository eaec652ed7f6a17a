#include "auth/keys.h"

#include <stdio.h>

/* ---- serving keys ---- */

static int add_serving(struct serving_keys *keys, struct str key, struct str tenant, struct digest *d, struct arena *arena)
{
    struct serving_key *k = &keys->v[keys->n];
    char hex[DIGEST_BYTES * 2];

    if (!digest_of(d, key, &k->digest))
        return ERR_NOMEM;
    digest_hex(&k->digest, hex);
    k->shared = tenant.n == 0;
    k->principal = arena_printf(arena, "auth:%.*s", k->shared ? (int)sizeof hex : (int)tenant.n, k->shared ? hex : tenant.p);
    keys->n++;
    return arena->failed ? ERR_NOMEM : 0;
}

int serving_keys_read(struct serving_keys *ret, struct str shared, const struct str *tenants, size_t n, struct digest *d,
                      struct arena *arena, struct err *err)
{
    struct serving_keys keys = { .v = arena_array(arena, n + 1, sizeof(*keys.v)), .has_shared = shared.n > 0 };
    struct str tenant, key;

    if (!keys.v || (shared.n && add_serving(&keys, shared, STR_NONE, d, arena) < 0))
        return err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (!str_split(tenants[i], ':', &tenant, &key) || str_trim(tenant).n == 0 || str_trim(key).n == 0)
            return err_set(err, ERR_INVALID, "--tenant-api-key, entry %zu: expected 'tenant_id:key'", i + 1);
        if (add_serving(&keys, str_trim(key), str_trim(tenant), d, arena) < 0)
            return err_set(err, ERR_NOMEM, "out of memory");
    }
    *ret = keys;
    return 0;
}

const struct serving_key *serving_keys_find(const struct serving_keys *keys, const struct digest_value *digest)
{
    size_t at = keys->n;

    for (size_t i = 0; i < keys->n; i++)
        at = digest_eq(&keys->v[i].digest, digest) ? i : at; /* a conditional move, no branch */
    return at < keys->n ? &keys->v[at] : NULL;
}

/* ---- control-plane keys ---- */

static int check_unique(const struct control_keys *keys, const struct control_key *k, const char *where, struct err *err)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (str_eq(keys->v[i].id, k->id))
            return err_set(err, ERR_INVALID, "%s: the id '%.*s' is given twice; each key needs an id of its own", where,
                           STR_FMT(k->id));
        if (digest_eq(&keys->v[i].digest, &k->digest))
            return err_set(err, ERR_INVALID, "%s: the ids '%.*s' and '%.*s' have the same key; each needs a key of its own", where,
                           STR_FMT(keys->v[i].id), STR_FMT(k->id));
    }
    return 0;
}

int control_keys_add(struct control_keys *keys, struct str entry, const char *where, struct digest *d, struct arena *arena,
                     struct err *err)
{
    struct control_key k = { 0 };
    struct str id, name, role, key;
    int r;

    if (!str_split(entry, ':', &id, &key) || !str_split(key, ':', &name, &key) || !str_split(key, ':', &role, &key))
        return err_set(err, ERR_INVALID, "%s: expected 'id:name:role:key'", where);
    if (id.n == 0 || key.n == 0)
        return err_set(err, ERR_INVALID, "%s: expected 'id:name:role:key'; the %s is empty", where, id.n ? "key" : "id");
    k.admin = str_eq_nocase(role, STR("admin"));
    if (!k.admin && !str_eq_nocase(role, STR("user")))
        return err_set(err, ERR_INVALID, "%s: expected 'id:name:role:key'. Valid roles: admin, user", where);
    if (!digest_of(d, key, &k.digest))
        return err_set(err, ERR_NOMEM, "out of memory");
    k.id = id;
    r = check_unique(keys, &k, where, err);
    if (r < 0)
        return r;
    if (keys->n == CONTROL_KEYS_MAX)
        return err_set(err, ERR_LIMIT, "%s: at most %d keys; use tokens of an identity provider for more people", where,
                       CONTROL_KEYS_MAX);
    if (!keys->v)
        keys->v = arena_array(arena, CONTROL_KEYS_MAX, sizeof(*keys->v));
    k.id = arena_str(arena, id);
    k.name = arena_str(arena, name);
    if (arena->failed)
        return err_set(err, ERR_NOMEM, "out of memory");
    keys->v[keys->n++] = k;
    return 0;
}

int control_keys_add_lines(struct control_keys *keys, struct str text, const char *path, struct digest *d, struct arena *arena,
                           struct err *err)
{
    size_t before = keys->n;
    struct str line;
    char where[256];
    int r;

    for (unsigned number = 1; text.n; number++) {
        (void)str_split(text, '\n', &line, &text);
        line = str_trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        snprintf(where, sizeof where, "%.200s, line %u", path, number);
        r = control_keys_add(keys, line, where, d, arena, err);
        if (r < 0)
            return r;
    }
    return keys->n > before ? 0 : err_set(err, ERR_INVALID, "%s: no key in it; a line reads 'id:name:role:key'", path);
}

const struct control_key *control_keys_find(const struct control_keys *keys, const struct digest_value *digest)
{
    size_t at = keys->n;

    for (size_t i = 0; i < keys->n; i++)
        at = digest_eq(&keys->v[i].digest, digest) ? i : at;
    return at < keys->n ? &keys->v[at] : NULL;
}
