/* config/option.c -- reads arguments by a table: the walk over argv, then environment and defaults, then validation
 *
 *   walk argv --each value--> give() --> option_value_read --> member
 *   rows not seen: environment --> give();  still not seen: default --> option_value_read
 *   no usage problem so far: rules and validate callbacks of the rows that were given
 *
 * give() is the one place where a value meets its row: there the missing features are refused, and there usage problems get their words.
 * A problem never ends the walk, so that all of them are found in one go; OPTIONS_HELP and lack of memory do.
 */
#include "config/option_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

#define SECRET_FILE_MAX (64 * 1024) /* bytes; a longer file is no key */

struct parse {
    const struct option_table *table;
    const struct option_input *in;
    struct arena *arena;
    struct option_report *report;
    struct option_seen *seen; /* arena; one per row */
    struct json config;       /* the configuration file's map; absent: there is none */
    char *out;
    int at;              /* index of the token that comes next */
    bool only_arguments; /* behind "--" */
    bool after_unknown;  /* the tokens behind an unknown option are probably its values: nothing to say about them */
};

/* A spelling found in the table. */
struct match {
    const struct option *option; /* NULL = unknown */
    struct str spelling;         /* as typed, without "=value" */
    struct str value;            /* behind "=" */
    bool has_value, is_file;
};

/* ---- the report ---- */

void option_report_add(struct option_report *r, enum option_problem_kind kind, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    int n;

    if (kind > r->worst)
        r->worst = kind;
    if (r->n == OPTION_PROBLEMS_MAX) {
        r->more++;
        return;
    }
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (int i = 0; i < n && text[i]; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?'; /* one line, and no escape codes of a foreign text on the operator's terminal */
    }
    r->problems[r->n++] = (struct option_problem){ kind, n < 0 ? STR("out of memory") : arena_str(r->arena, str_of(text)) };
}

int option_report_status(const struct option_report *r)
{
    return r->worst == OPTION_USAGE ? 2 : r->worst == OPTION_INVALID ? 1 : 0;
}

enum option_source option_source(const struct option_table *table, const struct option_report *r, const char *name)
{
    for (size_t i = 0; r->sources && i < table->options_n; i++) {
        if (strcmp(table->options[i].name, name) == 0)
            return (enum option_source)r->sources[i];
    }
    return OPTION_DEFAULT;
}

const char *option_getenv(void *arg, const char *name)
{
    return getenv(name);
}

enum option_version option_version_asked(int argc, const char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0)
            return VERSION_SHORT;
        if (strcmp(argv[i], "--version-verbose") == 0)
            return VERSION_VERBOSE;
    }
    return VERSION_NOT_ASKED;
}

/* ---- a value meets its row ---- */

static struct option_seen *seen_of(struct parse *p, const struct option *o)
{
    return &p->seen[o - p->table->options];
}

static void *member_of(struct parse *p, const struct option *o)
{
    return p->out + o->at;
}

/* What a message may repeat of a value: not a secret, and not a URL that carries credentials. */
static struct str echo(const struct option *o, struct str text)
{
    if (o->flags & OPT_SECRET || (str_find(text, STR("://")) != STR_NPOS && str_find_char(text, '@') != STR_NPOS))
        return STR("<redacted>");
    return str_first(text, OPTION_ECHO_MAX);
}

static void refuse_missing_feature(struct parse *p, const struct option *o, struct str spelling)
{
    struct option_seen *seen = seen_of(p, o);

    if (seen->refused)
        return;
    seen->refused = true;
    if (str_has_prefix(spelling, STR("-")))
        option_report_add(p->report, OPTION_USAGE, "%.*s is not available in this version", STR_FMT(spelling));
    else
        option_report_add(p->report, OPTION_USAGE, "%s (set by the environment variable %.*s) is not available in this version",
                          o->name, STR_FMT(spelling));
}

/* Missing features accept the values that switch them off; a flag that the environment sets to "false" is one. */
static bool asks_for_nothing(const struct option *o, struct str text)
{
    bool on;
    struct option_seen unused = { 0 };

    if (o->inert && option_word_in(o->inert, text))
        return true;
    return o->type == OPT_FLAG && option_value_read(o, text, NULL, &on, &unused, NULL) == 0 && !on;
}

/* SPELLING: what the user wrote, an option or a variable. 0 (problems are in the report) or ERR_NOMEM. */
static int give(struct parse *p, const struct option *o, struct str spelling, struct str text, enum option_source source)
{
    struct option_seen *seen = seen_of(p, o);
    struct str shown = echo(o, text);
    struct err err = { 0 };
    int r;

    seen->source = source;
    seen->text = text;
    if (o->state == OPT_NOT_YET && !asks_for_nothing(o, text)) {
        refuse_missing_feature(p, o, spelling);
        return 0;
    }
    r = option_value_read(o, text, p->arena, member_of(p, o), seen, &err);
    if (r == ERR_NOMEM)
        return r;
    if (r == ERR_UNSUPPORTED)
        option_report_add(p->report, OPTION_USAGE, "%.*s %.*s is not available in this version", STR_FMT(spelling), STR_FMT(shown));
    else if (r < 0 && source == OPTION_ENV)
        option_report_add(p->report, OPTION_USAGE, "invalid value '%.*s' in the environment variable %.*s (%s): %s", STR_FMT(shown),
                          STR_FMT(spelling), o->name, err.message);
    else if (r < 0 && source == OPTION_CONFIG)
        option_report_add(p->report, OPTION_USAGE, "invalid value '%.*s' for '%s' in the configuration file: %s", STR_FMT(shown),
                          o->name + 2, err.message);
    else if (r < 0 && option_is_positional(o))
        option_report_add(p->report, OPTION_USAGE, "invalid value '%.*s' for <%s>: %s", STR_FMT(shown), o->name, err.message);
    else if (r < 0)
        option_report_add(p->report, OPTION_USAGE, "invalid value '%.*s' for '%.*s <%s>': %s", STR_FMT(shown), STR_FMT(spelling),
                          option_value_word(o), err.message);
    return 0;
}

/* ---- the walk ---- */

static bool is_option_token(struct str token)
{
    return token.n > 1 && token.p[0] == '-'; /* "-" alone is a value: standard input, by custom */
}

/* "-1", "-.5" */
static bool is_negative_number(struct str token)
{
    return token.n > 1 && token.p[0] == '-' && ((token.p[1] >= '0' && token.p[1] <= '9') || (token.p[1] == '.' && token.n > 2));
}

static bool is_port_word(struct str token)
{
    uint64_t v;
    int r = str_to_u64(token, &v);

    return r == 0 || r == ERR_LIMIT || str_eq_nocase(token, STR("none"));
}

/* The next token, without taking it; {NULL, 0} at the end. */
static struct str peek(const struct parse *p)
{
    return p->at < p->in->argc ? str_of(p->in->argv[p->at]) : STR_NONE;
}

/* Takes the next token when it can be a value of O. */
static bool take_value(struct parse *p, const struct option *o, struct str *ret)
{
    struct str token = peek(p);

    if (!token.p || (is_option_token(token) && !(option_is_number(o) && is_negative_number(token))))
        return false;
    p->at++;
    *ret = token;
    return true;
}

static bool spelled(const struct option *o, struct str spelling, bool *ret_is_file)
{
    if (option_is_positional(o))
        return false;
    *ret_is_file = o->file && str_eq(spelling, str_of(o->file));
    if (*ret_is_file || str_eq(spelling, str_of(o->name)))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(o->aliases) && o->aliases[i]; i++) {
        if (str_eq(spelling, str_of(o->aliases[i])))
            return true;
    }
    return false;
}

static struct match find_option(const struct option_table *table, struct str token)
{
    struct match m = { .spelling = token };

    if (str_has_prefix(token, STR("--")))
        m.has_value = str_split(token, '=', &m.spelling, &m.value);
    for (size_t i = 0; i < table->options_n; i++) {
        if (spelled(&table->options[i], m.spelling, &m.is_file)) {
            m.option = &table->options[i];
            break;
        }
    }
    return m;
}

static void value_is_missing(struct parse *p, const struct option *o, struct str spelling)
{
    struct str next = peek(p);

    option_report_add(
        p->report, OPTION_USAGE, "a value is required for '%.*s <%s>' but none was supplied%s", STR_FMT(spelling),
        option_value_word(o),
        next.p && next.p[0] == '-' && !str_has_prefix(next, STR("--")) ? "; one that begins with '-' is written behind '='" : "");
}

static int read_flag(struct parse *p, const struct match *m)
{
    if (m->has_value) {
        option_report_add(p->report, OPTION_USAGE, "unexpected value '%.*s' for '%.*s': it takes none",
                          STR_FMT(str_first(m->value, OPTION_ECHO_MAX)), STR_FMT(m->spelling));
        return 0;
    }
    return give(p, m->option, m->spelling, STR("true"), OPTION_ARGV);
}

static int read_list(struct parse *p, const struct match *m)
{
    struct str token;
    int r;

    if (m->has_value)
        return give(p, m->option, m->spelling, m->value, OPTION_ARGV);
    seen_of(p, m->option)->source = OPTION_ARGV; /* an empty list is a value, too */
    if (m->option->state == OPT_NOT_YET)
        refuse_missing_feature(p, m->option, m->spelling);
    while (take_value(p, m->option, &token)) {
        r = give(p, m->option, m->spelling, token, OPTION_ARGV);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_endpoint(struct parse *p, const struct match *m)
{
    struct str text = m->value, port;

    if (!m->has_value) {
        if (!take_value(p, m->option, &text)) {
            value_is_missing(p, m->option, m->spelling);
            return 0;
        }
        port = peek(p);
        if (port.p && is_port_word(port)) {
            p->at++;
            text = arena_printf(p->arena, "%.*s,%.*s", STR_FMT(text), STR_FMT(port));
            if (!text.p)
                return ERR_NOMEM;
        }
    }
    return give(p, m->option, m->spelling, text, OPTION_ARGV);
}

static int read_scalar(struct parse *p, const struct match *m)
{
    struct str text = m->value;

    if (!m->has_value && !take_value(p, m->option, &text)) {
        value_is_missing(p, m->option, m->spelling);
        return 0;
    }
    return give(p, m->option, m->spelling, text, OPTION_ARGV);
}

/* --api-key-file PATH: the file's text is the value. What is wrong with the file is no mistake of usage: exit status 1. */
static int read_from_file(struct parse *p, const struct match *m)
{
    int (*read_file)(const char *, size_t, struct buf *, struct err *) = p->in->read_file ? p->in->read_file : file_read;
    _cleanup_(buf_fini) struct buf text = { 0 };
    struct str path = m->value, value;
    struct err err = { 0 };

    if (!m->has_value && !take_value(p, m->option, &path)) {
        option_report_add(p->report, OPTION_USAGE, "a value is required for '%.*s <PATH>' but none was supplied",
                          STR_FMT(m->spelling));
        return 0;
    }
    seen_of(p, m->option)->source = OPTION_FILE;
    if (m->option->state == OPT_NOT_YET) {
        refuse_missing_feature(p, m->option, m->spelling);
        return 0;
    }
    if (read_file(path.p, SECRET_FILE_MAX, &text, &err) < 0) { /* a token of argv, or its end: a NUL stands behind it */
        option_report_add(p->report, OPTION_INVALID, "%.*s: %s", STR_FMT(m->spelling), err.message);
        return 0;
    }
    value = str_trim(buf_str(&text));
    if (value.n == 0) {
        option_report_add(p->report, OPTION_INVALID, "%.*s: %.*s is empty", STR_FMT(m->spelling),
                          STR_FMT(str_first(path, OPTION_ECHO_MAX)));
        return 0;
    }
    value = arena_str(p->arena, value);
    return value.p ? give(p, m->option, m->spelling, value, OPTION_FILE) : ERR_NOMEM;
}

/* Scalars may be given once, and either themselves or by their file. */
static bool is_repeated(struct parse *p, const struct match *m)
{
    const struct option *o = m->option;
    struct option_seen *seen = seen_of(p, o);

    if (seen->source == OPTION_DEFAULT || option_is_list(o))
        return false;
    if ((seen->source == OPTION_FILE) != m->is_file)
        option_report_add(p->report, OPTION_USAGE, "'%s' cannot be used with '%s'", o->name, o->file);
    else
        option_report_add(p->report, OPTION_USAGE, "'%.*s' cannot be used multiple times", STR_FMT(m->spelling));
    return true;
}

static int read_option(struct parse *p, struct str token)
{
    struct match m = find_option(p->table, token);
    struct str ignored;
    const char *guess;

    if (!m.option) {
        guess = option_suggest(p->table, m.spelling);
        option_report_add(p->report, OPTION_USAGE,
                          guess ? "unexpected argument '%.*s'; did you mean '%s'?" : "unexpected argument '%.*s'",
                          STR_FMT(str_first(m.spelling, OPTION_ECHO_MAX)), guess);
        p->after_unknown = true;
        return 0;
    }
    if (is_repeated(p, &m)) {
        if (!m.has_value && m.option->type != OPT_FLAG)
            (void)take_value(p, m.option, &ignored); /* its value was said with it: nothing more to say */
        return 0;
    }
    if (m.is_file)
        return read_from_file(p, &m);
    switch (m.option->type) {
    case OPT_FLAG:
        return read_flag(p, &m);
    case OPT_LIST:
    case OPT_F64_LIST:
        return read_list(p, &m);
    case OPT_ENDPOINTS:
        return read_endpoint(p, &m);
    case OPT_APPEND:
        return m.option->flags & OPT_GREEDY ? read_list(p, &m) : read_scalar(p, &m);
    default:
        return read_scalar(p, &m);
    }
}

/* A token that belongs to no option: the first positional row with room takes it. */
static int read_argument(struct parse *p, struct str token)
{
    bool any = false;

    for (size_t i = 0; i < p->table->options_n; i++) {
        const struct option *o = &p->table->options[i];

        if (!option_is_positional(o))
            continue;
        any = true;
        if (option_is_list(o) || p->seen[i].source == OPTION_DEFAULT)
            return give(p, o, str_of(o->name), token, OPTION_ARGV);
    }
    if (!p->after_unknown || any)
        option_report_add(p->report, OPTION_USAGE, "unexpected argument '%.*s'", STR_FMT(str_first(token, OPTION_ECHO_MAX)));
    return 0;
}

static int walk(struct parse *p)
{
    int r = 0;

    while (r == 0 && p->at < p->in->argc) {
        struct str token = str_of(p->in->argv[p->at++]);

        if (p->only_arguments || !is_option_token(token)) {
            r = read_argument(p, token);
            continue;
        }
        p->after_unknown = false;
        if (str_eq(token, STR("--")))
            p->only_arguments = true;
        else if (str_eq(token, STR("-h")) || str_eq(token, STR("--help")))
            return OPTIONS_HELP;
        else
            r = read_option(p, token);
    }
    return r;
}

/* ---- what the command line left open ---- */

/* The first variable of O that is set and not empty. */
static const char *find_in_environment(const struct parse *p, const struct option *o, const char **ret_value)
{
    for (size_t i = 0; p->in->env && i < ARRAY_LEN(o->env) && o->env[i]; i++) {
        const char *value = p->in->env(p->in->arg, o->env[i]);

        if (value && *value) {
            *ret_value = value;
            return o->env[i];
        }
    }
    return NULL;
}

static int read_environment(struct parse *p, const struct option *o)
{
    const char *value, *name = find_in_environment(p, o, &value);
    struct str rest, word;
    int r;

    if (!name || (o->state == OPT_NOT_YET && o->flags & OPT_ENV_PASSIVE))
        return 0;
    if (o->type != OPT_LIST && o->type != OPT_F64_LIST)
        return give(p, o, str_of(name), str_of(value), OPTION_ENV);
    rest = str_of(value);
    while (option_next_word(&rest, &word)) {
        r = give(p, o, str_of(name), word, OPTION_ENV);
        if (r < 0)
            return r;
    }
    return 0;
}

static int give_configured(struct parse *p, const struct option *o, struct json value)
{
    struct str text;

    if (option_config_text(value, p->arena, &text))
        return give(p, o, str_of(o->name), text, OPTION_CONFIG);
    option_report_add(p->report, OPTION_USAGE, "invalid value for '%s' in the configuration file: %s", o->name + 2,
                      option_is_list(o) ? "a list of plain values is expected" : "a plain value is expected");
    return 0;
}

static int read_config(struct parse *p, const struct option *o)
{
    struct json value = option_config_value(p->config, o, p->arena);
    struct json_iter it;
    int r = 0;

    if (json_is_null(value))
        return 0;
    if (!json_is(value, JSON_ARRAY) || !option_is_list(o))
        return give_configured(p, o, value);
    seen_of(p, o)->source = OPTION_CONFIG; /* an empty list is a value, too */
    it = json_iter(value);
    while (r == 0 && json_next(&it))
        r = give_configured(p, o, it.value);
    return r;
}

/* The one row that names a file with the values of others: read before they are filled. */
static int open_config(struct parse *p)
{
    for (size_t i = 0; i < p->table->options_n; i++) {
        const struct option *o = &p->table->options[i];
        const struct str *path = member_of(p, o);
        int r = 0;

        if (!(o->flags & OPT_CONFIG_FILE))
            continue;
        if (p->seen[i].source == OPTION_DEFAULT)
            r = read_environment(p, o);
        return r == 0 && path->n ? option_config_read(p->table, p->in, *path, p->arena, p->report, &p->config) : r;
    }
    return 0;
}

/* Defaults are the table's own text: one that its own row refuses is our bug (a unit test parses every table without arguments). */
static int set_default(struct parse *p, const struct option *o)
{
    struct str rest = str_of(o->def), word;
    struct err err = { 0 };
    int r = 0;

    if (!o->def)
        return 0;
    if (!option_is_list(o))
        r = option_value_read(o, rest, p->arena, member_of(p, o), seen_of(p, o), &err);
    else {
        while (r == 0 && option_next_word(&rest, &word))
            r = option_value_read(o, word, p->arena, member_of(p, o), seen_of(p, o), &err);
    }
    assert(r == 0 || r == ERR_NOMEM);
    return r;
}

static int fill_the_rest(struct parse *p)
{
    for (size_t i = 0; i < p->table->options_n; i++) {
        const struct option *o = &p->table->options[i];
        int r;

        if (p->seen[i].source != OPTION_DEFAULT)
            continue;
        r = read_environment(p, o);
        if (r < 0)
            return r;
        if (p->seen[i].source == OPTION_DEFAULT)
            r = read_config(p, o);
        if (r < 0)
            return r;
        if (p->seen[i].source != OPTION_DEFAULT)
            continue;
        if (o->flags & OPT_REQUIRED)
            option_report_add(
                p->report, OPTION_USAGE,
                option_is_positional(o) ? "the required argument <%s> is missing" : "the required option %s is missing", o->name);
        r = set_default(p, o);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- validation ---- */

/* "--queue-size" -> "queue_size", unless the row has SMG's own name. */
static void field_name(const struct option *o, char *out, size_t size)
{
    const char *from = o->field ? o->field : o->name;
    size_t n = 0;

    while (*from == '-')
        from++;
    for (; *from && n + 1 < size; from++)
        out[n++] = *from == '-' && !o->field ? '_' : *from;
    out[n] = 0;
}

static void value_is_invalid(struct parse *p, const struct option *o, struct str text, const char *reason)
{
    char field[80];

    field_name(o, field, sizeof field);
    if (o->field) /* the operator looks for the flag */
        option_report_add(p->report, OPTION_INVALID, "Invalid value for field '%s': %.*s - %s (%s)", field, STR_FMT(echo(o, text)),
                          reason, o->name);
    else
        option_report_add(p->report, OPTION_INVALID, "Invalid value for field '%s': %.*s - %s", field, STR_FMT(echo(o, text)),
                          reason);
}

static void validate_items(struct parse *p, const struct option *o)
{
    const struct option_endpoints *endpoints = member_of(p, o);
    const struct option_numbers *numbers = member_of(p, o);
    const struct option_list *list = member_of(p, o);
    struct err err = { 0 };
    char number[32];

    if (o->type == OPT_ENDPOINTS) {
        for (size_t i = 0; i < endpoints->n; i++) {
            if (o->validate(&endpoints->items[i], &err) < 0)
                value_is_invalid(p, o, endpoints->items[i].url, err.message);
        }
    } else if (o->type == OPT_F64_LIST) {
        for (size_t i = 0; i < numbers->n; i++) {
            (void)snprintf(number, sizeof number, "%g", numbers->items[i]); /* %g of a double has at most 13 characters */
            if (o->validate(&numbers->items[i], &err) < 0)
                value_is_invalid(p, o, str_of(number), err.message);
        }
    } else {
        for (size_t i = 0; i < list->n; i++) {
            if (o->validate(&list->items[i], &err) < 0)
                value_is_invalid(p, o, list->items[i], err.message);
        }
    }
}

static void validate(struct parse *p, const struct option *o)
{
    struct option_seen *seen = seen_of(p, o);
    struct err err = { 0 };

    if (o->rule.reason) {
        double v = option_value_number(o, member_of(p, o));

        if (v < o->rule.min || v > o->rule.max) {
            value_is_invalid(p, o, seen->text, o->rule.reason);
            return;
        }
    }
    if (!o->validate)
        return;
    if (option_is_list(o))
        validate_items(p, o);
    else if (o->validate(member_of(p, o), &err) < 0)
        value_is_invalid(p, o, seen->text, err.message);
}

int options_parse(const struct option_table *table, const struct option_input *in, struct arena *arena, void *out, size_t out_size,
                  struct option_report *report)
{
    struct parse p = { .table = table, .in = in, .arena = arena, .report = report, .out = out };
    int r;

    memset(out, 0, out_size);
    report->arena = arena;
    report->sources = arena_alloc_zero(arena, table->options_n);
    p.seen = arena_array(arena, table->options_n, sizeof *p.seen);
    if (!report->sources || !p.seen)
        return ERR_NOMEM;

    r = walk(&p);
    if (r == 0)
        r = open_config(&p);
    if (r == 0)
        r = fill_the_rest(&p);
    if (r != 0)
        return r;
    for (size_t i = 0; i < table->options_n; i++)
        report->sources[i] = (unsigned char)p.seen[i].source;
    for (size_t i = 0; i < table->options_n && report->worst != OPTION_USAGE; i++) {
        if (p.seen[i].source != OPTION_DEFAULT)
            validate(&p, &table->options[i]);
    }
    if (arena->failed)
        return ERR_NOMEM;
    return report->worst > OPTION_NOTE ? ERR_INVALID : 0;
}
