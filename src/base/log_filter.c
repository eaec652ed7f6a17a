/* base/log_filter.c -- RUST_LOG's syntax: "target=level", "target" (all of it) and "level" (for the rest), separated by commas
 *
 * The longest target that begins the line's decides (spec operations 10.3), so that "smg" also covers "smg_mesh". As there, an empty filter
 * leaves errors only, and a filter that names targets only turns all others off.
 */
#include "base/log_internal.h"

#include <stdlib.h>

static int parse_level(struct str s, enum log_level *ret)
{
    static const struct {
        struct str name;
        enum log_level level;
    } LEVELS[] = {
        { STR_INIT("off"), LOG_OFF },   { STR_INIT("error"), LOG_ERROR }, { STR_INIT("warn"), LOG_WARN },
        { STR_INIT("info"), LOG_INFO }, { STR_INIT("debug"), LOG_DEBUG }, { STR_INIT("trace"), LOG_DEBUG },
    };

    for (size_t i = 0; i < ARRAY_LEN(LEVELS); i++)
        if (str_eq_nocase(s, LEVELS[i].name)) {
            *ret = LEVELS[i].level;
            return 0;
        }
    return ERR_INVALID;
}

static bool is_target(struct str s)
{
    if (s.n == 0 || s.n >= LOG_TARGET_BYTES)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':' || c == '-' ||
              c == '.'))
            return false;
    }
    return true;
}

static int parse_rule(struct str text, struct log_rule *ret, struct err *err)
{
    struct log_rule rule = { .level = LOG_DEBUG };
    struct str target, level;

    if (str_split(text, '=', &target, &level)) {
        if (parse_level(str_trim(level), &rule.level) < 0)
            return err_set(err, ERR_INVALID, "log filter: \"%.*s\": the level must be off, error, warn, info, debug or trace",
                           (int)MIN(text.n, 100), text.p);
    } else if (parse_level(text, &rule.level) == 0)
        target = STR_NONE;
    target = str_trim(target);
    if (target.n && !is_target(target))
        return err_set(err, ERR_INVALID, "log filter: \"%.*s\": expected target=level or level", (int)MIN(text.n, 100), text.p);
    rule.n = target.n;
    if (target.n)
        memcpy(rule.target, target.p, target.n);
    *ret = rule;
    return 0;
}

static int longer_first(const void *a, const void *b)
{
    const struct log_rule *x = a, *y = b;

    return (x->n < y->n) - (x->n > y->n);
}

/* A later rule for the same target replaces the earlier one. */
static int add_rule(struct log_filter *f, const struct log_rule *rule, struct err *err)
{
    for (unsigned i = 0; i < f->n; i++)
        if (strcmp(f->rules[i].target, rule->target) == 0) {
            f->rules[i] = *rule;
            return 0;
        }
    if (f->n == LOG_RULES_MAX)
        return err_set(err, ERR_INVALID, "log filter: more than %d targets", LOG_RULES_MAX);
    f->rules[f->n++] = *rule;
    return 0;
}

int log_filter_parse(struct log_filter *ret, const char *text, struct err *err)
{
    struct log_filter f = { .n = 0 };
    struct str rest = str_of(text), part;
    struct log_rule rule;
    int r;

    while (rest.n) {
        (void)str_split(rest, ',', &part, &rest);
        part = str_trim(part);
        if (part.n == 0)
            continue;
        r = parse_rule(part, &rule, err);
        if (r == 0)
            r = add_rule(&f, &rule, err);
        if (r < 0)
            return r;
    }
    if (f.n == 0)
        f.rules[f.n++] = (struct log_rule){ .level = LOG_ERROR };
    qsort(f.rules, f.n, sizeof f.rules[0], longer_first);
    for (unsigned i = 0; i < f.n; i++)
        f.highest = MAX(f.highest, f.rules[i].level);
    *ret = f;
    return 0;
}

enum log_level log_filter_level(const struct log_filter *f, const char *target)
{
    for (unsigned i = 0; i < f->n; i++)
        if (strncmp(target, f->rules[i].target, f->rules[i].n) == 0)
            return f->rules[i].level;
    return LOG_OFF;
}
