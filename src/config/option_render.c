/* config/option_render.c -- a table as text: --help for a terminal, the reference page in Markdown
 *
 * Both walk the rows in table order, group by group. What is not available in this version stands at the end: in help as names only, in the page in full.
 */
#include "config/option_internal.h"

#include <math.h>
#include <stdio.h>

#define HELP_WIDTH_MIN 40
#define HELP_WIDTH_MAX 160
#define HELP_INDENT    2
#define HELP_COLUMN    36 /* where the explanations begin on a wide terminal */

/* ---- the parts of one row ---- */

/* "--health-check-port <PORT>", "--worker-urls [<URL>...]", "URL". */
static void put_spelling(const struct option *o, struct buf *out)
{
    if (option_is_positional(o)) {
        buf_printf(out, option_is_list(o) ? "[%s...]" : o->flags & OPT_REQUIRED ? "<%s>" : "[%s]", o->name);
        return;
    }
    buf_printf(out, "%s", o->name);
    for (size_t i = 0; i < ARRAY_LEN(o->aliases) && o->aliases[i]; i++) {
        if (strlen(o->aliases[i]) == 2)
            buf_printf(out, ", %s", o->aliases[i]);
    }
    if (o->type == OPT_LIST || o->type == OPT_F64_LIST)
        buf_printf(out, " [<%s>...]", option_value_word(o));
    else if (o->type == OPT_ENDPOINTS)
        buf_puts(out, " <URL> [PORT|none]");
    else if (o->type != OPT_FLAG)
        buf_printf(out, " <%s>", option_value_word(o));
}

static void put_names(const struct option *o, enum option_state state, struct buf *out)
{
    bool first = true;

    for (const struct option_name *c = o->names; c && c->name; c++) {
        if (c->state == state) {
            buf_printf(out, "%s%s", first ? "" : ", ", c->name);
            first = false;
        }
    }
}

static bool has_names(const struct option *o, enum option_state state)
{
    for (const struct option_name *c = o->names; c && c->name; c++) {
        if (c->state == state)
            return true;
    }
    return false;
}

static bool has_default(const struct option *o)
{
    return o->def_help || (o->def && *o->def);
}

static void put_default(const struct option *o, struct buf *out)
{
    buf_printf(out, "%s", o->def_help ? o->def_help : o->def);
    if (o->unit && !o->def_help)
        buf_printf(out, strlen(o->unit) <= 2 ? "%s" : " %s", o->unit); /* "60s", "50 bytes" */
}

static void put_env(const struct option *o, const char *quote, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(o->env) && o->env[i]; i++)
        buf_printf(out, "%s%s%s%s", i ? ", " : "", quote, o->env[i], quote);
}

/* Aliases of more than one letter; the others stand in the spelling. False when there are none. */
static bool put_long_aliases(const struct option *o, const char *before, const char *quote, struct buf *out)
{
    bool any = false;

    for (size_t i = 0; i < ARRAY_LEN(o->aliases) && o->aliases[i]; i++) {
        if (strlen(o->aliases[i]) > 2) {
            buf_printf(out, "%s%s%s%s", any ? ", " : before, quote, o->aliases[i], quote);
            any = true;
        }
    }
    return any;
}

/* What remains of the row's bounds when its rule is kept, too: "> 0" for a whole number means 1. */
static void put_range(const struct option *o, struct buf *out)
{
    double min = o->min, max = o->max;

    if (o->rule.reason) {
        min = MAX(min, o->type == OPT_F64 ? o->rule.min : ceil(o->rule.min));
        max = MIN(max, o->rule.max);
    }
    buf_printf(out, "%.15g to %.15g", min, max);
}

/* The explanation with everything in brackets that the row knows. */
static void put_help(const struct option *o, struct buf *out)
{
    buf_printf(out, "%s", o->help);
    if (has_names(o, OPT_AVAILABLE)) {
        buf_puts(out, " [possible values: ");
        put_names(o, OPT_AVAILABLE, out);
        buf_puts(out, "]");
    }
    if (has_names(o, OPT_NOT_YET)) {
        buf_puts(out, " [not available in this version: ");
        put_names(o, OPT_NOT_YET, out);
        buf_puts(out, "]");
    }
    if (o->min < o->max) {
        buf_puts(out, " [range: ");
        put_range(o, out);
        buf_puts(out, "]");
    }
    if (has_default(o)) {
        buf_puts(out, " [default: ");
        put_default(o, out);
        buf_puts(out, "]");
    }
    if (o->env[0]) {
        buf_puts(out, " [env: ");
        put_env(o, "", out);
        buf_puts(out, "]");
    }
    if (o->file)
        buf_printf(out, " [from a file: %s <PATH>]", o->file);
    if (put_long_aliases(o, " [also: ", "", out))
        buf_puts(out, "]");
}

/* Where a walk over the rows stands. */
struct group_walk {
    const char *group;   /* of the row */
    const char *printed; /* the last heading that was written */
};

/* True when the row begins a group that has no heading yet; rows without .group stay in the one above. */
static bool begins_group(struct group_walk *w, const struct option *o, bool wanted)
{
    if (o->group)
        w->group = o->group;
    if (!wanted || w->printed == w->group)
        return false;
    w->printed = w->group;
    return true;
}

/* ---- help ---- */

/* Words of TEXT behind column AT, broken before WIDTH, further lines indented by INDENT. */
static void put_wrapped(struct str text, unsigned at, unsigned indent, unsigned width, struct buf *out)
{
    struct str word;
    bool first = true;

    while (option_next_word(&text, &word)) {
        if (!first && at + 1 + word.n > width) {
            buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            buf_put_char(out, ' ');
            at++;
        }
        buf_put(out, word);
        at += (unsigned)word.n;
        first = false;
    }
    buf_put_char(out, '\n');
}

static void put_help_row(const struct option *o, unsigned width, struct buf *out)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    unsigned column = width >= 80 ? HELP_COLUMN : 8;
    size_t from = out->n, used;

    buf_printf(out, "%*s", HELP_INDENT, "");
    put_spelling(o, out);
    used = out->n - from;
    if (used + 2 > column) {
        buf_put_char(out, '\n');
        used = 0;
    }
    buf_printf(out, "%*s", (int)(column - used), "");
    put_help(o, &text);
    put_wrapped(buf_str(&text), column, column, width, out);
    if (text.failed)
        out->failed = true;
}

static void put_usage(const struct option_table *table, struct buf *out)
{
    if (table->usage) {
        buf_printf(out, "smg %s", table->usage);
        return;
    }
    buf_printf(out, "smg %s [OPTIONS]", table->command);
    for (size_t i = 0; i < table->options_n; i++) {
        if (option_is_positional(&table->options[i])) {
            buf_put_char(out, ' ');
            put_spelling(&table->options[i], out);
        }
    }
}

static void put_missing_names(const struct option_table *table, unsigned width, struct buf *out)
{
    _cleanup_(buf_fini) struct buf names = { 0 };

    for (size_t i = 0; i < table->options_n; i++) {
        if (table->options[i].state == OPT_NOT_YET)
            buf_printf(&names, "%s ", table->options[i].name);
    }
    if (names.n) {
        buf_put_char(out, '\n');
        put_wrapped(STR("Not available in this version (giving one of these stops the start):"), 0, 0, width, out);
        buf_printf(out, "%*s", HELP_INDENT, "");
        put_wrapped(buf_str(&names), HELP_INDENT, HELP_INDENT, width, out);
    }
    if (names.failed)
        out->failed = true;
}

void option_render_help(const struct option_table *table, unsigned width, struct buf *out)
{
    struct group_walk walk = { .group = "Options" };

    width = MIN(MAX(width, HELP_WIDTH_MIN), HELP_WIDTH_MAX);
    put_wrapped(str_of(table->summary), 0, 0, width, out);
    buf_puts(out, "\nUsage: ");
    put_usage(table, out);
    buf_put_char(out, '\n');
    for (size_t i = 0; i < table->options_n; i++) {
        const struct option *o = &table->options[i];
        bool shown = o->state == OPT_AVAILABLE;

        if (begins_group(&walk, o, shown))
            buf_printf(out, "\n%s:\n", walk.group);
        if (shown)
            put_help_row(o, width, out);
    }
    put_missing_names(table, width, out);
    if (table->notes) {
        buf_put_char(out, '\n');
        put_wrapped(str_of(table->notes), 0, 0, width, out);
    }
}

/* ---- the reference page ---- */

static const char *type_words(const struct option *o)
{
    static const char *const WORDS[] = {
        [OPT_FLAG] = "switch",
        [OPT_STR] = "text",
        [OPT_PATH] = "path",
        [OPT_U16] = "whole number, 16 bits",
        [OPT_U32] = "whole number, 32 bits",
        [OPT_U64] = "whole number, 64 bits",
        [OPT_I32] = "signed number, 32 bits",
        [OPT_I64] = "signed number, 64 bits",
        [OPT_F64] = "number",
        [OPT_BYTES] = "bytes (K, M, G, T)",
        [OPT_ENUM] = "name",
        [OPT_LIST] = "list",
        [OPT_F64_LIST] = "list of numbers",
        [OPT_APPEND] = "one value, repeatable",
        [OPT_ENDPOINTS] = "URL and port, repeatable",
    };

    return WORDS[o->type];
}

/* A table cell: "|" and "<" would be markup. */
static void put_cell(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '|' || text.p[i] == '<' || text.p[i] == '\\')
            buf_put_char(out, '\\');
        buf_put_char(out, text.p[i]);
    }
}

static void put_names_cell(const struct option *o, struct buf *out)
{
    for (const struct option_name *c = o->names; c && c->name; c++)
        buf_printf(out, "%s`%s`%s", c == o->names ? "One of " : ", ", c->name, c->state == OPT_NOT_YET ? " (not yet)" : "");
    if (o->names)
        buf_puts(out, ". ");
}

static void put_page_row(const struct option *o, struct buf *out)
{
    buf_printf(out, "| `%s`", o->name);
    for (size_t i = 0; i < ARRAY_LEN(o->aliases) && o->aliases[i]; i++)
        buf_printf(out, ", `%s`", o->aliases[i]);
    if (o->file)
        buf_printf(out, ", `%s PATH`", o->file);
    buf_printf(out, " | %s | ", type_words(o));
    if (o->def_help)
        put_cell(str_of(o->def_help), out);
    else if (has_default(o)) {
        buf_printf(out, "`%s`", o->def);
        if (o->unit)
            buf_printf(out, " %s", o->unit);
    }
    buf_puts(out, " | ");
    put_env(o, "`", out);
    buf_puts(out, " | ");
    put_cell(str_of(o->help), out);
    buf_puts(out, ". ");
    put_names_cell(o, out);
    if (o->min < o->max) {
        buf_puts(out, "Range: ");
        put_range(o, out);
        buf_puts(out, ". ");
    }
    if (o->rule.reason && !(o->min < o->max)) {
        put_cell(str_of(o->rule.reason), out);
        buf_puts(out, ". ");
    }
    if (o->flags & OPT_LIVE)
        buf_puts(out, "Live: may change while the process runs. ");
    if (o->state == OPT_NOT_YET && o->inert)
        buf_printf(out, "Accepted, because it means \"off\": `%s`. ", o->inert);
    buf_puts(out, "|\n");
}

static void put_page_tables(const struct option_table *table, enum option_state state, const char *heading, struct buf *out)
{
    struct group_walk walk = { .group = "Options" };

    for (size_t i = 0; i < table->options_n; i++) {
        const struct option *o = &table->options[i];
        bool shown = o->state == state;

        if (begins_group(&walk, o, shown))
            buf_printf(out, "\n%s %s\n\n| Option | Value | Default | Environment | Meaning |\n|---|---|---|---|---|\n", heading,
                       walk.group);
        if (shown)
            put_page_row(o, out);
    }
}

void option_render_markdown(const struct option_table *table, struct buf *out)
{
    bool any_missing = false;

    buf_printf(
        out,
        "# smg %s\n\n<!-- Made from the option table by tools/gen-reference: change the table, not this page. -->\n\n%s\n\n```\n",
        table->command, table->summary);
    put_usage(table, out);
    buf_puts(out, "\n```\n\n");
    buf_puts(out, "The command line outranks the environment, which outranks the default; an empty variable counts as unset. A "
                  "list takes every following word up to the next "
                  "one that begins with `-`. Exit status: 2 for a mistake of usage, 1 for a value or a start that fails.\n");
    put_page_tables(table, OPT_AVAILABLE, "##", out);
    for (size_t i = 0; i < table->options_n; i++)
        any_missing |= table->options[i].state == OPT_NOT_YET;
    if (any_missing) {
        buf_puts(out, "\n## Not available in this version\n\nThese options are known, and giving one of them stops the start: "
                      "nothing is accepted and then ignored.\n");
        put_page_tables(table, OPT_NOT_YET, "###", out);
    }
    if (table->notes)
        buf_printf(out, "\n%s\n", table->notes);
}
