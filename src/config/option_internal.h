/* config/option_internal.h -- what the files of the option engine share: option.c walks argv, option_value.c reads one value, option_suggest.c guesses names,
 * option_render.c writes help and pages, option_config.c reads configuration files */
#pragma once

#include "config/option.h"
#include "json/json.h"

#define OPTION_ECHO_MAX 120 /* bytes of a foreign text that a message repeats */

/* What is known about one row while the arguments are read. */
struct option_seen {
    enum option_source source; /* OPTION_DEFAULT until something was given */
    bool refused;              /* "not available" was said: once is enough */
    size_t cap;                /* list types: room in items */
    struct str text;           /* the last token given; borrowed */
};

static inline bool option_is_list(const struct option *o)
{
    return o->type == OPT_LIST || o->type == OPT_F64_LIST || o->type == OPT_APPEND || o->type == OPT_ENDPOINTS;
}

static inline bool option_is_number(const struct option *o)
{
    return (o->type >= OPT_U16 && o->type <= OPT_BYTES) || o->type == OPT_F64_LIST;
}

static inline bool option_is_positional(const struct option *o)
{
    return o->name[0] != '-';
}

/* Reads TEXT into MEMBER; list types grow by one item. 0; ERR_INVALID with the reason (without option and value) in *ERR; ERR_UNSUPPORTED: a name of a feature that is
 * missing; ERR_NOMEM. */
int option_value_read(const struct option *o, struct str text, struct arena *arena, void *member, struct option_seen *seen,
                      struct err *err) _must_check_;

/* The number that a numeric member holds; 0 for other types. */
double option_value_number(const struct option *o, const void *member);

/* "PORT": what stands for the value. */
const char *option_value_word(const struct option *o);

/* TEXT is one of the words of LIST, which are separated by white space. */
bool option_word_in(const char *list, struct str text);

/* The file PATH by the keys of TABLE: *RET is its map, absent or null when there is nothing in it. What is wrong with it is in REPORT. 0 or ERR_NOMEM. Blocking. */
int option_config_read(const struct option_table *table, const struct option_input *in, struct str path, struct arena *arena,
                       struct option_report *report, struct json *ret) _must_check_;

/* Does KEY name O in a file? */
bool option_config_names(const struct option *o, struct str key);

/* What CONFIG, an option_config_read, says of O; absent: nothing. */
struct json option_config_value(struct json config, const struct option *o, struct arena *arena);

/* A scalar as the text that the command line would have. False: it is none. */
bool option_config_text(struct json value, struct arena *arena, struct str *ret);

/* The known spelling that WRONG was probably meant to be, or NULL. */
const char *option_suggest(const struct option_table *table, struct str wrong);
