/* config/option.h -- one table TYPE for every command line of smg; parsing, --help and the reference pages are made from a table
 *
 *   argv, environment, files --options_parse--> the command's own config struct (plain members, found by offsetof)
 *                                          \--> struct option_report: every problem as one line of text, with the exit status that it asks for
 *   the same table --option_render_help, option_render_markdown--> text
 *
 * A command defines its table like this (a row without .group belongs to the group of the row above):
 *
 *   struct bench_config { struct str url; uint32_t concurrency; double rate; int shape; struct option_list headers; bool quiet; };
 *
 *   static const struct option_name SHAPES[] = { { "chat", SHAPE_CHAT }, { "generate", SHAPE_GENERATE }, { 0 } };
 *
 *   static const struct option BENCH_OPTIONS[] = {
 *       { .name = "URL", .type = OPT_STR, .at = offsetof(struct bench_config, url), .flags = OPT_REQUIRED, .group = "Target", .help = "gateway or engine" },
 *       { .name = "--concurrency", .aliases = { "-c" }, .type = OPT_U32, .at = offsetof(struct bench_config, concurrency), .def = "16", .min = 1, .max = 65536,
 *         .group = "Load", .help = "requests in flight" },
 *       { .name = "--shape", .type = OPT_ENUM, .names = SHAPES, .at = offsetof(struct bench_config, shape), .def = "chat", .help = "kind of request" },
 *       { .name = "--header", .type = OPT_APPEND, .at = offsetof(struct bench_config, headers), .value = "NAME:VALUE", .help = "sent with each request" },
 *       { .name = "--quiet", .type = OPT_FLAG, .at = offsetof(struct bench_config, quiet), .help = "print the table only" },
 *   };
 *   const struct option_table BENCH_TABLE = { .command = "bench", .summary = "Measure a gateway or an engine.", .options = BENCH_OPTIONS,
 *                                             .options_n = ARRAY_LEN(BENCH_OPTIONS) };
 *
 * Grammar (spec operations 2 with its BETTER points): `--flag value` and `--flag=value`; no abbreviations; a scalar or a boolean flag given twice, and `--flag=true`
 * for a boolean, are usage errors; a value may begin with "-" only behind "=", or when the option is a number; a list takes all tokens up to the next one that begins with
 * "-"; `--` ends the options. A name without a leading "-" is a positional argument. `-h` and `--help` are built in.
 * Precedence: command line (the option or its file variant), environment (an empty variable counts as unset), configuration file (option_config.c), default.
 * A feature that is missing is never accepted and ignored: an OPT_NOT_YET option or name stops the start, unless its value means "off" (.inert).
 * Memory: strings from argv and the environment are borrowed; the rest (lists, file contents, messages) lives in the caller's arena.
 * Threads: none; tables are constant. Files named by a file variant are read (blocking): call it before loops run.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum option_type {
    OPT_FLAG,      /* bool; present = true. From the environment: true 1 yes on, false 0 no off */
    OPT_STR,       /* struct str; p = NULL while unset */
    OPT_PATH,      /* struct str; not empty */
    OPT_U16,       /* uint16_t */
    OPT_U32,       /* uint32_t */
    OPT_U64,       /* uint64_t */
    OPT_I32,       /* int32_t */
    OPT_I64,       /* int64_t */
    OPT_F64,       /* double, finite */
    OPT_BYTES,     /* uint64_t; a whole number, or one with K, M, G or T behind it (powers of 1024; "KiB" and "KB" mean the same) */
    OPT_ENUM,      /* int, or an enum of its size; one of .names */
    OPT_LIST,      /* struct option_list; "0..": greedy and repeatable. From the environment: split at white space */
    OPT_F64_LIST,  /* struct option_numbers; the same with numbers */
    OPT_APPEND,    /* struct option_list; one value per occurrence. From the environment: the whole variable is one value */
    OPT_ENDPOINTS, /* struct option_endpoints; `--prefill URL [PORT|none]`, `--prefill=URL[,PORT]`, repeatable */
};

enum option_state { OPT_AVAILABLE, OPT_NOT_YET };

enum option_flag {
    OPT_SECRET = 1,   /* its value is never printed: "<redacted>" stands in messages */
    OPT_REQUIRED = 2, /* missing = usage error */
    OPT_ENV_PASSIVE =
        4, /* only a setting of another option's feature: while OPT_NOT_YET its environment variable alone asks for nothing */
    OPT_CONFIG_FILE = 16, /* OPT_PATH: names a file in YAML or JSON with values of the other options. At most one row */
    OPT_LIVE = 32,        /* may change while the process runs: see options_take */
    OPT_GREEDY = 8,       /* OPT_APPEND that takes several values at once on the command line, as a list does */
};

struct option_name {
    const char *name; /* as written; NULL ends the array */
    int value;
    enum option_state state;
};

struct option_list {
    struct str *items; /* arena; the strings are borrowed from argv, the environment or the table */
    size_t n;
};

struct option_numbers {
    double *items; /* arena */
    size_t n;
};

struct option_endpoint {
    struct str url;
    int32_t port; /* 0..65535; -1 = none */
};

struct option_endpoints {
    struct option_endpoint *items; /* arena */
    size_t n;
};

/* What a number must also satisfy, with the words that say so. Broken: exit status 1, "Invalid value for field 'port': 0 - Port must be > 0". Checked for given values
 * only, never for defaults, so that a default may mean "unset". No rule when reason is NULL. */
struct option_rule {
    double min, max; /* inclusive */
    const char *reason;
};

/* Order of rows = order in --help. Everything static. */
struct option {
    const char *name;       /* "--port", or "URL" for a positional one */
    const char *aliases[3]; /* other spellings, "-c" too; unused ones NULL */
    const char *env[3];     /* variables, the first one set wins */
    const char *
        file; /* "--api-key-file": an option that names a file whose content, without the white space around it, is the value (OPT_STR only) */
    const char *value; /* what stands for the value in help: "PORT"; NULL = after the type */
    enum option_type type;
    unsigned flags; /* enum option_flag */
    enum option_state state;
    const struct option_name *names; /* OPT_ENUM */
    size_t at;                       /* offsetof in the command's struct */
    const char *def;      /* text that goes through the same parser; lists: split at white space; NULL = the member stays zero */
    const char *def_help; /* shown as the default in its place: "from the cgroup" */
    double min, max;      /* usage error outside of them (exit status 2); not checked unless min < max */
    const char *unit;     /* "s", "ms", "bytes": shown in help */
    const char *inert;    /* OPT_NOT_YET: values that mean "off", split at white space ("true" for a flag): accepted */
    const char *field;    /* SMG's name in messages: "metrics.port"; NULL = from the name: --queue-size -> queue_size */
    const char *group;    /* heading in help; NULL = as the row above */
    const char *help;     /* a phrase without a full stop; mandatory */

    /* Optional. Looks at one token; negative with the reason in *ERR: usage error. */
    int (*syntax)(struct str token, struct err *err);
    struct option_rule rule; /* numbers */
    /* Optional. Looks at the member when it was given, after all options were read; for the list types at each item (struct str, double, struct option_endpoint).
     * Negative with the reason in *ERR: exit status 1. */
    int (*validate)(const void *value, struct err *err);
};

struct option_table {
    const char *command; /* "launch" */
    const char *usage;   /* behind "Usage: smg "; NULL = "<command> [OPTIONS]" and the positional arguments */
    const char *summary; /* one or two sentences */
    const char *notes;   /* a paragraph at the end of help and reference, or NULL */
    const struct option *options;
    size_t options_n;
};

#define OPTION_PROBLEMS_MAX 64 /* further ones are counted only */

enum option_problem_kind {
    OPTION_NOTE,    /* worth saying, does not stop the start */
    OPTION_INVALID, /* exit status 1 */
    OPTION_USAGE,   /* exit status 2 */
};

struct option_problem {
    enum option_problem_kind kind;
    struct str text; /* arena; one line, no newline; main prints "smg: error: <text>" or "smg: note: <text>" */
};

enum option_source { OPTION_DEFAULT, OPTION_CONFIG, OPTION_ENV, OPTION_FILE, OPTION_ARGV };

/* Filled by options_parse; zeroed by the caller. */
struct option_report {
    struct arena *arena; /* borrowed */
    struct option_problem problems[OPTION_PROBLEMS_MAX];
    size_t n;
    size_t more; /* problems that found no room */
    enum option_problem_kind worst;
    unsigned char *sources; /* arena; enum option_source per row of the table */
};

struct option_input {
    int argc; /* arguments behind the command's name */
    const char *const *argv;
    const char *(*env)(void *arg, const char *name); /* the variable's value or NULL; may be NULL itself: no environment */
    int (*read_file)(const char *path, size_t max_bytes, struct buf *out, struct err *err); /* NULL = file_read */
    void *arg;                                                                              /* for env */
};

/* The process's own environment, for option_input.env. */
const char *option_getenv(void *arg, const char *name);

#define OPTIONS_HELP 1 /* -h or --help was met: render the help, exit 0; *OUT is not to be used */

/* Fills the members of *OUT (zeroed here, OUT_SIZE bytes). 0; OPTIONS_HELP; ERR_INVALID: REPORT has what to print and option_report_status the exit status; ERR_NOMEM.
 * All usage problems are found in one go; validation follows when there were none, and finds all of its own. */
int options_parse(const struct option_table *table, const struct option_input *in, struct arena *arena, void *out, size_t out_size,
                  struct option_report *report) _must_check_;

void option_report_add(struct option_report *r, enum option_problem_kind kind, const char *fmt, ...) _printf_(3, 4);
int option_report_status(const struct option_report *r); /* 0 (notes do not count), 1 or 2 */

/* Compares two structs that TABLE filled, row by row. Live rows are taken over from FROM into INTO, strings and lists as they are, borrowed from FROM's arena; the others
 * stay. FN is called for each row that differed; returns how many of them were taken. */
unsigned options_take(const struct option_table *table, const void *from, void *into,
                      void (*fn)(const struct option *o, bool taken, void *arg), void *arg);

/* Where the value of the option NAME (as in the table) came from. */
enum option_source option_source(const struct option_table *table, const struct option_report *r, const char *name);

enum option_version { VERSION_NOT_ASKED, VERSION_SHORT, VERSION_VERBOSE };

/* --version, -V or --version-verbose anywhere in ARGV; the first one counts (spec operations 7). Asked before everything else. */
enum option_version option_version_asked(int argc, const char *const *argv);

/* Takes the next word off *LIST (words are separated by white space); false when none is left. Table texts and selector lists are split with it. */
bool option_next_word(struct str *list, struct str *ret);

/* Help for a terminal WIDTH columns wide (clamped to 40..160). OUT fails stickily. */
void option_render_help(const struct option_table *table, unsigned width, struct buf *out);

/* The reference page docs/reference/<command>.md. */
void option_render_markdown(const struct option_table *table, struct buf *out);
