/* config/option_config.c -- values from a configuration file: a map whose keys are the options' names
 *
 *   policy: cache_aware            as --policy cache_aware
 *   worker-urls: [http://a:1]      "-" and "_" mean the same in a key; lists are YAML lists, or one value
 *   enable-igw: true               a flag takes true or false
 *
 * The command line outranks the environment, which outranks the file. A key that no option has is a mistake, not a wish for later.
 */
#include "config/option_internal.h"

#include "base/file.h"
#include "config/yaml.h"

/* KEY names O: its name or an alias, without the leading dashes. */
static bool names_option(const char *name, struct str key)
{
    size_t at = 0;

    while (*name == '-')
        name++;
    for (; *name && at < key.n; name++, at++)
        if (key.p[at] != *name && !(key.p[at] == '_' && *name == '-'))
            return false;
    return *name == 0 && at == key.n;
}

bool option_config_names(const struct option *o, struct str key)
{
    if (option_is_positional(o) || o->flags & OPT_CONFIG_FILE)
        return false;
    if (names_option(o->name, key))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(o->aliases) && o->aliases[i]; i++)
        if (str_has_prefix(str_of(o->aliases[i]), STR("--")) && names_option(o->aliases[i], key))
            return true;
    return false;
}

static bool is_known(const struct option_table *table, struct str key)
{
    for (size_t i = 0; i < table->options_n; i++)
        if (option_config_names(&table->options[i], key))
            return true;
    return false;
}

/* The file's text as a document; what is wrong is in *ERR, the path in front. */
static int read_document(const struct option_input *in, const char *path, struct arena *arena, struct json_doc *ret,
                         struct err *err)
{
    int (*read_file)(const char *, size_t, struct buf *, struct err *) = in->read_file ? in->read_file : file_read;
    _cleanup_(buf_fini) struct buf text = { 0 };
    int r = read_file(path, YAML_TEXT_MAX, &text, err);

    if (r < 0)
        return r;
    r = yaml_parse(buf_str(&text), arena, ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

int option_config_read(const struct option_table *table, const struct option_input *in, struct str path, struct arena *arena,
                       struct option_report *report, struct json *ret)
{
    struct json_doc *doc = arena_new(arena, struct json_doc);
    struct err err = { 0 };
    struct json_iter it;
    int r;

    if (!doc)
        return ERR_NOMEM;
    r = read_document(in, path.p, arena, doc, &err); /* a token of argv, or a variable: a NUL stands behind it */
    if (r == ERR_NOMEM)
        return r;
    if (r < 0) {
        option_report_add(report, OPTION_INVALID, "--config: %s", err.message);
        return 0;
    }
    *ret = json_root(doc);
    if (json_is_null(*ret)) /* an empty file */
        return 0;
    if (!json_is(*ret, JSON_OBJECT)) {
        option_report_add(report, OPTION_INVALID, "--config: %.*s: a map of option names to values is expected",
                          STR_FMT(str_first(path, OPTION_ECHO_MAX)));
        return 0;
    }
    it = json_iter(*ret);
    while (json_next(&it)) {
        struct str key = json_str(it.key, arena);

        if (!is_known(table, key))
            option_report_add(report, OPTION_USAGE,
                              "--config: unknown key '%.*s'; keys are the options' names without their dashes",
                              STR_FMT(str_first(key, OPTION_ECHO_MAX)));
    }
    return 0;
}

/* The value of O in CONFIG; absent when the file does not name it. */
struct json option_config_value(struct json config, const struct option *o, struct arena *arena)
{
    struct json_iter it;

    if (json_is(config, JSON_OBJECT)) {
        it = json_iter(config);
        while (json_next(&it))
            if (option_config_names(o, json_str(it.key, arena)))
                return it.value;
    }
    return (struct json){ 0 };
}

bool option_config_text(struct json value, struct arena *arena, struct str *ret)
{
    if (json_is(value, JSON_STRING))
        *ret = json_str(value, arena);
    else if (json_is(value, JSON_NUMBER) || json_is_bool(value))
        *ret = arena_str(arena, json_raw(value));
    else
        return false;
    return true;
}
