/* cli/parse_command.c -- `smg parse tool`, `smg parse reasoning`, `smg parse list`: the parsers of model output, in this process
 *
 *   stdin --whole, or --stream: in pieces--> a parser --> a table, or JSON as /parse/... answers; --stream: each delta as it comes
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/text_table.h"
#include "json/json_write.h"
#include "text/reasoning/reasoning.h"
#include "text/toolcall/constraint.h"
#include "text/toolcall/toolcall.h"
#include "text/toolcall/tools.h"

#define INPUT_MAX (64u << 20) /* bytes of a text, or of --tools */

struct parse_config {
    struct str parser, model, tools;
    bool stream, json;
    uint32_t cut;
};

#define AT(member) .at = offsetof(struct parse_config, member)

/* clang-format off */
#define PARSER_OPTIONS \
    { .name = "--parser", .aliases = { "-p" }, .type = OPT_STR, AT(parser), .value = "NAME", .group = "Parser", \
      .help = "its name or one of its aliases; `smg parse list` shows them" }, \
    { .name = "--model", .aliases = { "-m" }, .type = OPT_STR, AT(model), .value = "ID", .help = "the parser of this model, by its name" }
#define OUTPUT_OPTIONS(answer) \
    { .name = "--stream", .type = OPT_FLAG, AT(stream), .group = "Output", .help = "feed the text in pieces and show each delta as it comes" }, \
    { .name = "--cut", .type = OPT_U32, AT(cut), .def = "4", .min = 1, .max = 1e9, .unit = "bytes", \
      .help = "with --stream: length of a piece; a character is never cut in two" }, \
    { .name = "--json", .type = OPT_FLAG, AT(json), .help = "as POST " answer " answers; with --stream one object a line" }

static const struct option TOOL_OPTIONS[] = {
    PARSER_OPTIONS,
    { .name = "--tools", .type = OPT_STR, AT(tools), .value = "FILE",
      .help = "JSON array of the functions that the request offered: some formats take the types of arguments from it" },
    OUTPUT_OPTIONS("/parse/function_call"),
};
static const struct option REASONING_OPTIONS[] = {
    PARSER_OPTIONS,
    OUTPUT_OPTIONS("/parse/reasoning"),
};
static const struct option LIST_OPTIONS[] = {
    { .name = "--json", .type = OPT_FLAG, AT(json), .group = "Output", .help = "as GET /parse/parsers answers" },
};
/* clang-format on */

#define ON_STDIN "The text is read from stdin. No gateway is asked."

const struct option_table PARSE_TOOL_TABLE = { .command = "parse tool",
                                               .usage = "parse tool [OPTIONS]",
                                               .summary = "Tells tool calls from a model's text.",
                                               .notes = ON_STDIN,
                                               .options = TOOL_OPTIONS,
                                               .options_n = ARRAY_LEN(TOOL_OPTIONS) };
const struct option_table PARSE_REASONING_TABLE = { .command = "parse reasoning",
                                                    .usage = "parse reasoning [OPTIONS]",
                                                    .summary = "Tells a model's thoughts from its answer.",
                                                    .notes = ON_STDIN,
                                                    .options = REASONING_OPTIONS,
                                                    .options_n = ARRAY_LEN(REASONING_OPTIONS) };
const struct option_table PARSE_LIST_TABLE = { .command = "parse list",
                                               .usage = "parse list [OPTIONS]",
                                               .summary = "Lists the parsers of tool calls and of thoughts.",
                                               .options = LIST_OPTIONS,
                                               .options_n = ARRAY_LEN(LIST_OPTIONS) };

static int fail(int code, const struct err *err)
{
    struct err e = { 0 };

    (void)err_set(&e, code, "%s", err && err->message[0] ? err->message : err_text(code));
    return cli_fail(&e);
}

static int usage(struct str what, const char *problem)
{
    fprintf(stderr, "smg: error: %.*s%s\nFor more information, try '--help'.\n", STR_FMT(what), problem);
    return CLI_USAGE;
}

static int read_stdin(struct buf *out)
{
    for (;;) {
        char *to = buf_reserve(out, 65536);
        ssize_t n = to ? read(STDIN_FILENO, to, 65536) : -1;

        if (n < 0 || out->n > INPUT_MAX)
            return fail(ERR_IO, &(struct err){ ERR_IO, "stdin could not be read, or has more than 64 MiB" });
        if (n == 0)
            return CLI_OK;
        out->n += (size_t)n;
    }
}

/* The text's next piece; whole characters. */
static struct str next_piece(struct str *rest, const struct parse_config *c)
{
    size_t n = c->stream ? MIN((size_t)c->cut, rest->n) : rest->n;
    struct str piece;

    while (n < rest->n && ((unsigned char)rest->p[n] & 0xC0) == 0x80)
        n++;
    piece = str_first(*rest, n);
    *rest = str_skip(*rest, n);
    return piece;
}

/* ---- what is shown ---- */

static const struct text_column COLUMNS[] = { { .title = "PART" }, { .title = "FUNCTION" }, { .title = "TEXT" } };

/* What the sinks of both kinds write to. */
struct shown {
    const struct parse_config *config;
    struct arena *arena;
    struct text_table table;
    struct buf lines;           /* --stream */
    struct buf text, arguments; /* whole: the text, or the arguments of the call at hand */
};

/* One line of a terminal: line ends as \n, other control characters as '?'. */
static void put_line(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '\n')
            buf_puts(out, "\\n");
        else
            buf_put_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

static struct str one_line(struct arena *arena, struct str s)
{
    _cleanup_(buf_fini) struct buf out = { 0 };

    put_line(&out, s);
    return out.failed ? STR_NONE : arena_str(arena, buf_str(&out));
}

static void row(struct shown *s, struct str part, struct str function, struct str text)
{
    text_table_cell(&s->table, part);
    text_table_cell(&s->table, one_line(s->arena, function));
    text_table_cell(&s->table, one_line(s->arena, text));
}

/* A delta: {"kind":..,"index":..,"text":..}. */
static void line(struct shown *s, const char *kind, const unsigned *index, struct str text)
{
    struct json_writer w;

    if (!s->config->json) {
        buf_printf(&s->lines, "%-9s ", kind);
        if (index)
            buf_printf(&s->lines, "%u ", *index);
        put_line(&s->lines, text);
    } else {
        json_begin(&w, &s->lines);
        json_object(&w);
        json_put_str(&w, "kind", str_of(kind));
        if (index)
            json_put_u64(&w, "index", *index);
        json_put_str(&w, "text", text);
        json_end(&w);
    }
    buf_put_char(&s->lines, '\n');
}

static int finish(struct shown *s, int status)
{
    if (status == CLI_OK && s->config->stream)
        status = cli_print(&s->lines);
    else if (status == CLI_OK)
        status = text_table_print(&s->table);
    buf_fini(&s->lines);
    text_table_fini(&s->table);
    return status;
}

/* ---- tool calls ---- */

static void on_delta(void *owner, const struct toolcall_event *e)
{
    switch (e->type) {
    case TOOLCALL_TEXT:
        line(owner, "text", NULL, e->text);
        break;
    case TOOLCALL_BEGIN:
        line(owner, "call", &e->index, e->text);
        break;
    case TOOLCALL_ARGUMENTS:
        line(owner, "arguments", &e->index, e->text);
        break;
    case TOOLCALL_END:
    default:
        line(owner, "end", &e->index, STR(""));
    }
}

static int stream_calls(const struct parse_config *c, const struct toolcall_format *f, const struct toolcall_tools *tools,
                        struct str text, struct arena *arena)
{
    struct shown shown = { .config = c, .arena = arena };
    struct toolcall_config conf = { .tools = tools, .max_bytes = INPUT_MAX, .sink = on_delta, .owner = &shown };
    _cleanup_(buf_fini) struct buf open = { 0 };
    struct toolcall_parser *p = NULL;
    struct err err = { 0 };
    int r = toolcall_parser_new(f, &conf, &p);

    while (r == 0 && text.n)
        r = toolcall_feed(p, next_piece(&text, c), &err);
    if (r == 0)
        toolcall_so_far(p, &open);
    if (open.n)
        line(&shown, "open", NULL, buf_str(&open));
    if (r == 0)
        r = toolcall_finish(p, &err);
    toolcall_parser_free(p);
    return finish(&shown, r < 0 ? fail(r, &err) : CLI_OK);
}

static void put_calls(const struct toolcall_result *result, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_put_str(&w, "remaining_text", result->text);
    json_put_array(&w, "tool_calls");
    for (size_t i = 0; i < result->calls_n; i++) {
        json_object(&w);
        json_put_object(&w, "function");
        json_put_str(&w, "name", result->calls[i].name);
        json_put_str(&w, "arguments", result->calls[i].arguments);
        json_end(&w);
        json_end(&w);
    }
    json_end(&w);
    json_put_bool(&w, "success", true);
    json_end(&w);
    buf_put_char(out, '\n');
}

static int show_calls(const struct parse_config *c, const struct toolcall_format *f, const struct toolcall_tools *tools,
                      struct str text, struct arena *arena)
{
    _cleanup_(buf_fini) struct buf json = { 0 };
    struct shown shown = { .config = c, .arena = arena };
    struct toolcall_result result;
    struct err err = { 0 };
    int r = toolcall_parse(f, tools, text, arena, &result, &err);

    if (r < 0)
        return fail(r, &err);
    if (c->json) {
        put_calls(&result, &json);
        return cli_print(&json);
    }
    text_table_init(&shown.table, COLUMNS, ARRAY_LEN(COLUMNS));
    if (result.text.n || !result.calls_n)
        row(&shown, STR("text"), STR(""), result.text);
    for (size_t i = 0; i < result.calls_n; i++)
        row(&shown, arena_printf(arena, "call %zu", i), result.calls[i].name, result.calls[i].arguments);
    return finish(&shown, CLI_OK);
}

static int read_tools(struct str path, struct arena *arena, struct json_doc *doc, struct toolcall_tools *ret)
{
    struct buf text = { 0 };
    struct err err = { 0 };
    struct str name = arena_str(arena, path), kept; /* with a NUL */
    int r;

    if (!path.n)
        return CLI_OK;
    r = name.p ? file_read(name.p, INPUT_MAX, &text, &err) : ERR_NOMEM;
    kept = r == 0 ? arena_str(arena, buf_str(&text)) : STR_NONE;
    buf_fini(&text);
    if (r == 0)
        r = kept.p ? json_parse(kept, arena, doc, NULL) : ERR_NOMEM;
    if (r == ERR_SYNTAX || (r == 0 && !json_is(json_root(doc), JSON_ARRAY)))
        r = err_set(&err, ERR_INVALID, "--tools %.*s: expected a JSON array of tools", STR_FMT(path));
    if (r == 0)
        r = toolcall_tools_read(json_root(doc), arena, ret);
    return r < 0 ? fail(r, &err) : CLI_OK;
}

static int run_tool(const struct parse_config *c, struct arena *arena)
{
    const struct toolcall_format *f = c->parser.n ? toolcall_find(c->parser) : toolcall_for_model(c->model);
    _cleanup_(buf_fini) struct buf input = { 0 };
    struct toolcall_tools tools = { .arena = arena };
    struct json_doc doc;
    int status;

    if (!f)
        return c->parser.n ? usage(c->parser, ": no parser of tool calls has this name; `smg parse list` shows them")
                           : usage(c->model, ": which parser this model needs is not known; name one with --parser");
    status = read_tools(c->tools, arena, &doc, &tools);
    if (status == CLI_OK)
        status = read_stdin(&input);
    if (status != CLI_OK)
        return status;
    return c->stream ? stream_calls(c, f, &tools, buf_str(&input), arena) : show_calls(c, f, &tools, buf_str(&input), arena);
}

/* ---- thoughts ---- */

static void on_piece(void *owner, bool thought, struct str text)
{
    line(owner, thought ? "thought" : "text", NULL, text);
}

static int stream_thoughts(const struct parse_config *c, const struct reasoning_format *f, struct str text, struct arena *arena)
{
    struct shown shown = { .config = c, .arena = arena };
    struct reasoning_config conf = { .sink = on_piece, .owner = &shown };
    struct reasoning_parser *p = NULL;
    int r = reasoning_parser_new(f, &conf, &p);

    while (r == 0 && text.n)
        r = reasoning_feed(p, next_piece(&text, c));
    if (r == 0)
        r = reasoning_finish(p);
    reasoning_parser_free(p);
    return finish(&shown, r < 0 ? fail(r, NULL) : CLI_OK);
}

static int show_thoughts(const struct parse_config *c, const struct reasoning_format *f, struct str input, struct arena *arena)
{
    static const struct text_column TWO[] = { { .title = "PART" }, { .title = "TEXT" } };
    _cleanup_(buf_fini) struct buf json = { 0 };
    struct shown shown = { .config = c, .arena = arena };
    struct str text, thoughts;
    struct json_writer w;
    struct err err = { 0 };
    int r = reasoning_parse(f, input, arena, &text, &thoughts, &err);

    if (r < 0)
        return fail(r, &err);
    if (c->json) {
        json_begin(&w, &json);
        json_object(&w);
        json_put_str(&w, "normal_text", text);
        json_put_str(&w, "reasoning_text", thoughts);
        json_put_bool(&w, "success", true);
        json_end(&w);
        buf_put_char(&json, '\n');
        return cli_print(&json);
    }
    text_table_init(&shown.table, TWO, ARRAY_LEN(TWO));
    text_table_cell(&shown.table, STR("thought"));
    text_table_cell(&shown.table, one_line(arena, thoughts));
    text_table_cell(&shown.table, STR("text"));
    text_table_cell(&shown.table, one_line(arena, text));
    return finish(&shown, CLI_OK);
}

static int run_reasoning(const struct parse_config *c, struct arena *arena)
{
    const struct reasoning_format *f = c->parser.n ? reasoning_find(c->parser) : reasoning_for_model(c->model);
    _cleanup_(buf_fini) struct buf input = { 0 };
    int status;

    if (!f)
        return c->parser.n ? usage(c->parser, ": no parser of thoughts has this name; `smg parse list` shows them")
                           : usage(c->model, ": no parser of thoughts is known for this model; name one with --parser");
    status = read_stdin(&input);
    if (status != CLI_OK)
        return status;
    return c->stream ? stream_thoughts(c, f, buf_str(&input), arena) : show_thoughts(c, f, buf_str(&input), arena);
}

/* ---- the list ---- */

/* One row of the list, or one object of it. */
static void put_parser(struct text_table *table, struct json_writer *w, const char *kind, struct str name, struct str aliases,
                       struct str summary, const bool *has_tag)
{
    struct str rest = aliases, one;

    if (table) {
        text_table_cell(table, str_of(kind));
        text_table_cell(table, name);
        text_table_cell(table, aliases);
        text_table_cell(table, summary);
        return;
    }
    json_object(w);
    json_put_str(w, "name", name);
    json_put_str(w, "kind", str_of(kind));
    json_put_array(w, "aliases");
    while (rest.n) {
        (void)str_split(rest, ' ', &one, &rest);
        json_value_str(w, one);
    }
    json_end(w);
    json_put_str(w, "format", summary);
    if (has_tag)
        json_put_bool(w, "structural_tag", *has_tag);
    json_end(w);
}

static void put_tool_parsers(struct text_table *table, struct json_writer *w, struct arena *arena)
{
    size_t n;
    const struct toolcall_format *const *formats = toolcall_formats(&n);

    for (size_t i = 0; i < n; i++) {
        _cleanup_(buf_fini) struct buf aliases = { 0 };
        bool has_tag = constraint_has_tag(formats[i]);

        for (const char *const *a = toolcall_aliases(formats[i]); *a; a++)
            buf_printf(&aliases, "%s%s", aliases.n ? " " : "", *a);
        put_parser(table, w, "tool_call", toolcall_name(formats[i]), arena_str(arena, buf_str(&aliases)),
                   toolcall_summary(formats[i]), &has_tag);
    }
}

static void put_reasoning_parsers(struct text_table *table, struct json_writer *w, struct arena *arena)
{
    size_t n, aliases_n;
    const struct reasoning_format *const *formats = reasoning_formats(&n);

    for (size_t i = 0; i < n; i++) {
        const struct str *v = reasoning_aliases(formats[i], &aliases_n);
        _cleanup_(buf_fini) struct buf aliases = { 0 };

        for (size_t a = 0; a < aliases_n; a++)
            buf_printf(&aliases, "%s%.*s", aliases.n ? " " : "", STR_FMT(v[a]));
        put_parser(table, w, "reasoning", reasoning_name(formats[i]), arena_str(arena, buf_str(&aliases)),
                   reasoning_summary(formats[i]), /* has_tag= */ NULL);
    }
}

static int run_list(const struct parse_config *c, struct arena *arena)
{
    static const struct text_column LIST[] = {
        { .title = "KIND" }, { .title = "NAME" }, { .title = "ALIASES", .shrinks = true }, { .title = "FORMAT", .shrinks = true }
    };
    _cleanup_(buf_fini) struct buf json = { 0 };
    struct text_table table;
    struct json_writer w;
    int status;

    text_table_init(&table, LIST, ARRAY_LEN(LIST));
    json_begin(&w, &json);
    json_object(&w);
    json_put_array(&w, "parsers");
    put_tool_parsers(c->json ? NULL : &table, &w, arena);
    put_reasoning_parsers(c->json ? NULL : &table, &w, arena);
    json_end(&w);
    json_end(&w);
    buf_put_char(&json, '\n');
    status = c->json ? cli_print(&json) : text_table_print(&table);
    text_table_fini(&table);
    return status;
}

/* ---- the commands ---- */

static int run(const struct option_table *table, int argc, const char *const *argv,
               int (*command)(const struct parse_config *c, struct arena *arena))
{
    struct option_input in = { .argc = argc, .argv = argv, .env = option_getenv };
    struct option_report report = { 0 };
    struct parse_config config;
    struct arena arena;
    int r, status;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    report.arena = &arena;
    r = options_parse(table, &in, &arena, &config, sizeof config, &report);
    status = cli_parsed(r, table, &report);
    if (r == 0 && status == CLI_OK) {
        if (command != run_list && (config.parser.n > 0) == (config.model.n > 0))
            status = usage(STR(""), "either --parser or --model is wanted");
        else
            status = command(&config, &arena);
    }
    arena_fini(&arena);
    return status;
}

int cli_parse_tool(int argc, const char *const *argv)
{
    return run(&PARSE_TOOL_TABLE, argc, argv, run_tool);
}

int cli_parse_reasoning(int argc, const char *const *argv)
{
    return run(&PARSE_REASONING_TABLE, argc, argv, run_reasoning);
}

int cli_parse_list(int argc, const char *const *argv)
{
    return run(&PARSE_LIST_TABLE, argc, argv, run_list);
}
