/* tenant_limits_conf.c -- --tenant-rate-limit-config
 *
 * The shapes find unknown, missing and mistyped members and say where; what remains are rules between members: keys, ids and matchers that must be unique.
 */
#include <stdlib.h>

#include "admission/tenant.h"
#include "admission/tenant_limits.h"
#include "config/yaml.h"
#include "json/json_shape.h"

#define SHOWN 120 /* bytes of a name in a message */

struct raw_matcher {
    int type;
    struct str value;
};

struct raw_rule {
    struct str rule_id;
    struct raw_matcher matcher;
    uint32_t tokens_per_minute, requests_per_minute;
};

struct raw_policy {
    struct str tenant_key;
    bool has_tenant_key;
    uint32_t tokens_per_minute, requests_per_minute;
    struct json_shape_array model_rules; /* struct raw_rule */
};

struct raw_file {
    struct raw_policy default_policy;
    struct json_shape_array tenants; /* struct raw_policy */
};

#define FIELD(S, member, shape, flags_)                                                                               \
    {                                                                                                                 \
        .name = #member, .type = shape, .flags = flags_, .at = offsetof(struct S, member), .at_given = SHAPE_NO_GIVEN \
    }
#define OBJECT(S, member, shape, flags_, sub_)                                                                                     \
    {                                                                                                                              \
        .name = #member, .type = shape, .flags = flags_, .at = offsetof(struct S, member), .at_given = SHAPE_NO_GIVEN, .sub = sub_ \
    }
#define STRICT(text, S, fields_, check_)                                                                                           \
    {                                                                                                                              \
        .name = text, .size = sizeof(struct S), .check = check_, .fields = fields_, .fields_n = ARRAY_LEN(fields_), .strict = true \
    }

static int check_limits(uint32_t tokens, uint32_t requests, struct err *err)
{
    if (tokens == 0)
        return err_set(err, ERR_INVALID, "tokens_per_minute must be > 0");
    return requests ? 0 : err_set(err, ERR_INVALID, "requests_per_minute must be > 0");
}

static int check_matcher(void *object, struct json value, struct err *err)
{
    const struct raw_matcher *m = object;

    (void)value;
    if (m->value.n == 0 || str_trim(m->value).n != m->value.n)
        return err_set(err, ERR_INVALID, "value must not be empty nor have white space around it");
    return 0;
}

static bool is_rule_id(struct str id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return id.n > 0;
}

static int check_rule(void *object, struct json value, struct err *err)
{
    const struct raw_rule *r = object;

    (void)value;
    if (!is_rule_id(r->rule_id))
        return err_set(err, ERR_INVALID, "rule_id must be made of letters, digits, \".\", \"_\" and \"-\"");
    return check_limits(r->tokens_per_minute, r->requests_per_minute, err);
}

static int check_policy(void *object, struct json value, struct err *err)
{
    const struct raw_policy *p = object;
    const struct raw_rule *rules = p->model_rules.items;

    (void)value;
    if (p->model_rules.n > LIMITS_RULES_MAX)
        return err_set(err, ERR_INVALID, "more than %d model_rules", LIMITS_RULES_MAX);
    for (size_t i = 0; i < p->model_rules.n; i++)
        for (size_t k = 0; k < i; k++) {
            if (str_eq(rules[i].rule_id, rules[k].rule_id))
                return err_set(err, ERR_INVALID, "the rule_id \"%.*s\" stands here twice",
                               STR_FMT(str_first(rules[i].rule_id, SHOWN)));
            if (rules[i].matcher.type == rules[k].matcher.type && str_eq(rules[i].matcher.value, rules[k].matcher.value))
                return err_set(err, ERR_INVALID, "the rules \"%.*s\" and \"%.*s\" have the same matcher",
                               STR_FMT(str_first(rules[k].rule_id, SHOWN)), STR_FMT(str_first(rules[i].rule_id, SHOWN)));
        }
    return check_limits(p->tokens_per_minute, p->requests_per_minute, err);
}

static const char *const MATCHERS[] = { "exact", "prefix", NULL };

static const struct json_shape_field MATCHER_FIELDS[] = {
    { .name = "type",
      .type = SHAPE_ENUM,
      .flags = SHAPE_REQUIRED,
      .at = offsetof(struct raw_matcher, type),
      .at_given = SHAPE_NO_GIVEN,
      .names = MATCHERS },
    FIELD(raw_matcher, value, SHAPE_STR, SHAPE_REQUIRED),
};
static const struct json_shape MATCHER = STRICT("ModelMatcher", raw_matcher, MATCHER_FIELDS, check_matcher);

static const struct json_shape_field RULE_FIELDS[] = {
    FIELD(raw_rule, rule_id, SHAPE_STR, SHAPE_REQUIRED),
    OBJECT(raw_rule, matcher, SHAPE_OBJECT, SHAPE_REQUIRED, &MATCHER),
    FIELD(raw_rule, tokens_per_minute, SHAPE_U32, SHAPE_REQUIRED),
    FIELD(raw_rule, requests_per_minute, SHAPE_U32, SHAPE_REQUIRED),
};
static const struct json_shape RULE = STRICT("ModelRule", raw_rule, RULE_FIELDS, check_rule);

static const struct json_shape_field POLICY_FIELDS[] = {
    { .name = "tenant_key",
      .type = SHAPE_STR,
      .flags = SHAPE_NULLABLE,
      .at = offsetof(struct raw_policy, tenant_key),
      .at_given = offsetof(struct raw_policy, has_tenant_key) },
    FIELD(raw_policy, tokens_per_minute, SHAPE_U32, SHAPE_REQUIRED),
    FIELD(raw_policy, requests_per_minute, SHAPE_U32, SHAPE_REQUIRED),
    OBJECT(raw_policy, model_rules, SHAPE_ARRAY, SHAPE_NULLABLE, &RULE),
};
static const struct json_shape POLICY = STRICT("TenantPolicy", raw_policy, POLICY_FIELDS, check_policy);

static const struct json_shape_field FILE_FIELDS[] = {
    OBJECT(raw_file, default_policy, SHAPE_OBJECT, SHAPE_REQUIRED, &POLICY),
    OBJECT(raw_file, tenants, SHAPE_ARRAY, SHAPE_NULLABLE, &POLICY),
};
static const struct json_shape FILE_SHAPE = STRICT("TenantRateLimitConfig", raw_file, FILE_FIELDS, NULL);

/* ---- from raw to ready ---- */

static int take_policy(struct tenant_limits_conf *c, const struct raw_policy *raw, struct limits_policy *p)
{
    const struct raw_rule *rules = raw->model_rules.items;

    *p = (struct limits_policy){ .tokens_per_minute = raw->tokens_per_minute, .requests_per_minute = raw->requests_per_minute };
    p->rules = arena_array(&c->arena, raw->model_rules.n, sizeof(*p->rules));
    if (!p->rules)
        return ERR_NOMEM;
    p->rules_n = raw->model_rules.n;
    for (size_t i = 0; i < p->rules_n; i++)
        p->rules[i] = (struct limits_rule){ .id = rules[i].rule_id,
                                            .value = rules[i].matcher.value,
                                            .is_prefix = rules[i].matcher.type == 1,
                                            .tokens_per_minute = rules[i].tokens_per_minute,
                                            .requests_per_minute = rules[i].requests_per_minute };
    return 0;
}

static int take_tenant(struct tenant_limits_conf *c, const struct raw_policy *raw, size_t i, bool trust_header, struct err *err)
{
    struct limits_policy *p = &c->tenants[i];
    int r;

    if (!raw->has_tenant_key)
        return err_set(err, ERR_INVALID, "tenants[%zu]: missing field `tenant_key`", i);
    r = tenant_key_check(raw->tenant_key, trust_header, err);
    if (r < 0)
        return err_wrap(err, r, "tenants[%zu].tenant_key", i);
    if (map_get(&c->by_tenant, raw->tenant_key))
        return err_set(err, ERR_INVALID, "tenants[%zu]: the tenant_key \"%.*s\" stands here a second time", i,
                       STR_FMT(str_first(raw->tenant_key, SHOWN)));
    r = take_policy(c, raw, p);
    if (r < 0)
        return r;
    p->tenant = raw->tenant_key;
    return map_put(&c->by_tenant, p->tenant, p, /* ret_old= */ NULL);
}

static int take_file(struct tenant_limits_conf *c, struct json root, bool trust_header, struct err *err)
{
    struct raw_file file;
    const struct raw_policy *tenants;
    int r = json_shape_read(root, &FILE_SHAPE, &c->arena, &file, err);

    if (r < 0)
        return r;
    if (file.default_policy.has_tenant_key)
        return err_set(err, ERR_INVALID, "default_policy: it is for those without a policy of their own and takes no tenant_key");
    r = take_policy(c, &file.default_policy, &c->fallback);
    if (r < 0)
        return r;
    c->tenants = arena_array(&c->arena, file.tenants.n, sizeof(*c->tenants));
    if (!c->tenants)
        return ERR_NOMEM;
    tenants = file.tenants.items;
    for (; c->tenants_n < file.tenants.n; c->tenants_n++) {
        r = take_tenant(c, &tenants[c->tenants_n], c->tenants_n, trust_header, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int tenant_limits_conf_read(struct str path, bool trust_header, struct tenant_limits_conf **ret, struct err *err)
{
    struct tenant_limits_conf *c = calloc(1, sizeof(*c));
    struct json_doc doc;
    struct str name;
    int r;

    if (!c)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    arena_init(&c->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    name = arena_str(&c->arena, path);
    r = name.p ? yaml_read_file(name.p, &c->arena, &doc, err) : ERR_NOMEM;
    if (r == 0) {
        r = take_file(c, json_root(&doc), trust_header, err);
        if (r < 0 && r != ERR_NOMEM)
            r = err_wrap(err, r, "%.*s", STR_FMT(path));
    }
    if (r < 0) {
        tenant_limits_conf_free(c);
        return r == ERR_NOMEM ? err_set(err, r, "%s", err_text(r)) : r;
    }
    *ret = c;
    return 0;
}

void tenant_limits_conf_free(struct tenant_limits_conf *c)
{
    if (!c)
        return;
    map_fini(&c->by_tenant);
    arena_fini(&c->arena);
    free(c);
}

const struct limits_policy *tenant_limits_policy(const struct tenant_limits_conf *c, struct str tenant)
{
    const struct limits_policy *p = map_get(&c->by_tenant, tenant);

    return p ? p : &c->fallback;
}

const struct limits_rule *limits_policy_rule(const struct limits_policy *p, struct str model)
{
    const struct limits_rule *best = NULL;

    for (size_t i = 0; i < p->rules_n; i++) {
        const struct limits_rule *r = &p->rules[i];

        if (!r->is_prefix && str_eq(r->value, model))
            return r;
        if (r->is_prefix && str_has_prefix(model, r->value) && (!best || r->value.n > best->value.n))
            best = r;
    }
    return best;
}
