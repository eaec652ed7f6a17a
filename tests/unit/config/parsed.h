/* parsed.h -- a command line, what came of it, and how to ask for the problems: shared by the tests of config/ */
#pragma once

#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/launch.h"

struct parsed {
    struct arena arena;
    struct option_report report;
    int result;
};

struct variable {
    const char *name, *value;
};

/* ARG: an array of struct variable that ends in a NULL name, or NULL. */
static inline const char *lookup(void *arg, const char *name)
{
    for (const struct variable *v = arg; v && v->name; v++) {
        if (strcmp(v->name, name) == 0)
            return v->value;
    }
    return NULL;
}

static inline void parsed_fini(struct parsed *p)
{
    arena_fini(&p->arena);
}

static inline void parse_with(struct parsed *p, const struct option_table *table, void *out, size_t out_size,
                              const struct variable *env, int argc, const char *const *argv)
{
    struct option_input in = { .argc = argc, .argv = argv, .env = lookup, .arg = (void *)(uintptr_t)env };

    memset(p, 0, sizeof *p);
    arena_init(&p->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    if (table == &LAUNCH_TABLE)
        p->result = launch_parse(&in, &p->arena, out, &p->report);
    else
        p->result = options_parse(table, &in, &p->arena, out, out_size, &p->report);
}

/* PARSE(&p, &TABLE, &config, env or NULL, "--flag", "value", ...) */
#define PARSE(p, table, out, env, ...)                                                               \
    do {                                                                                             \
        const char *const argv_[] = { NULL, ##__VA_ARGS__ };                                         \
        parse_with((p), (table), (out), sizeof *(out), (env), (int)ARRAY_LEN(argv_) - 1, argv_ + 1); \
    } while (0)

static inline bool has_problem(const struct parsed *p, const char *part)
{
    for (size_t i = 0; i < p->report.n; i++) {
        if (str_find(p->report.problems[i].text, str_of(part)) != STR_NPOS)
            return true;
    }
    return false;
}

static inline void print_problems(const struct parsed *p)
{
    for (size_t i = 0; i < p->report.n; i++)
        print_message("  problem: %.*s\n", STR_FMT(p->report.problems[i].text));
}

/* The command line was refused with STATUS, and one of its problems says PART. */
#define assert_refused(p, status, part)                                                                                  \
    do {                                                                                                                 \
        if ((p)->result != ERR_INVALID || option_report_status(&(p)->report) != (status) || !has_problem((p), (part))) { \
            print_message("expected status %d and \"%s\"\n", (status), (part));                                          \
            print_problems(p);                                                                                           \
            fail();                                                                                                      \
        }                                                                                                                \
    } while (0)

#define assert_accepted(p)                                       \
    do {                                                         \
        if ((p)->result != 0)                                    \
            print_problems(p);                                   \
        assert_int_equal((p)->result, 0);                        \
        assert_int_equal(option_report_status(&(p)->report), 0); \
    } while (0)
