#include "auth/role.h"

static bool is_registered(struct str claim)
{
    static const struct str NAMES[] = {
        STR_INIT("sub"), STR_INIT("iss"), STR_INIT("aud"),   STR_INIT("exp"),  STR_INIT("iat"),
        STR_INIT("nbf"), STR_INIT("jti"), STR_INIT("email"), STR_INIT("name"), STR_INIT("preferred_username")
    };

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (str_eq(claim, NAMES[i]))
            return true;
    return false;
}

/* The literal name first: claims such as "https://example.com/roles" have dots of their own. */
static struct json find_claim(struct json claims, struct str path)
{
    struct json at = is_registered(path) ? JSON_NONE : json_get(claims, path);
    struct str step;

    if (json_exists(at) || str_find_char(path, '.') == STR_NPOS)
        return at;
    for (at = claims; path.n && json_exists(at);) {
        (void)str_split(path, '.', &step, &path);
        at = json_get(at, step);
    }
    return at;
}

static bool stands_for_admin(const struct role_rules *rules, struct json value, struct arena *arena)
{
    struct str text = json_str(value, arena);

    if (rules->n == 0)
        return str_eq_nocase(text, STR("admin"));
    for (size_t i = 0; i < rules->n; i++)
        if (str_eq(rules->mapping[i].theirs, text))
            return rules->mapping[i].admin;
    return false;
}

/* A string, or the strings of an array; nothing else. */
static bool any_admin(const struct role_rules *rules, struct json claim, struct arena *arena)
{
    struct json_iter it = json_iter(claim);

    if (json_is(claim, JSON_STRING))
        return stands_for_admin(rules, claim, arena);
    if (!json_is(claim, JSON_ARRAY))
        return false;
    while (json_next(&it))
        if (json_is(it.value, JSON_STRING) && stands_for_admin(rules, it.value, arena))
            return true;
    return false;
}

bool role_is_admin(const struct role_rules *rules, struct json claims, struct arena *arena)
{
    static const struct str USUAL[] = { STR_INIT("role"), STR_INIT("roles"), STR_INIT("groups"), STR_INIT("group") };
    struct json claim = find_claim(claims, rules->claim);

    if (json_exists(claim))
        return any_admin(rules, claim, arena);
    for (size_t i = 0; i < ARRAY_LEN(USUAL); i++)
        if (any_admin(rules, json_get(claims, USUAL[i]), arena))
            return true;
    return false;
}
