/* text/toolcall/structural_tag.h -- private to text/toolcall: a format's markup as a structural tag, the JSON that grammar engines (xgrammar) read
 *
 *   {"format": {"type": "triggered_tags", "triggers": [...], "tags": [{"begin", "content", "end"}, ...], "at_least_one": ...}}
 *
 * A row says what stands around all calls (where something does, one tag holds a list of them), around a call, and between its name and its arguments. Arguments are JSON by their schema, or
 * elements: one for each property, in the order of the schema. structural_tag_rows.c has the rows; constraint.h says when they are used.
 * kimi_k3 has a shape of its own: one tag for each thing that calls may stand behind, and an index in each call.
 */
#pragma once

#include "json/json_write.h"
#include "text/toolcall/format.h"

/* What tells the type of an element's value. */
enum element_type { TYPE_UNTOLD, TYPE_NAME /* the schema's */, TYPE_IS_STRING /* true or false */ };

/* open KEY mid [TYPE mid_end] VALUE close */
struct elements {
    struct str open, mid, mid_end, close;
    enum element_type type;
    bool escaped;           /* a key stands in quotes: & and " are entities */
    struct str excluded[4]; /* what a string must not hold */
    struct str key_excluded[3];
};

struct tag_row {
    const struct toolcall_format *format;
    struct str triggers[4];
    struct str outer_begin, separator, outer_end; /* around and between all calls; outer_begin empty: there is nothing */
    struct str begin[2];                          /* a call: one of these, the name, */
    struct str behind_name;                       /* this, the arguments, */
    struct str end;                               /* and this */
    bool json_name;                               /* the name stands in a JSON string */
    bool numbered;                                /* behind the name: a colon and the tool's position */
    const struct elements *elements;              /* NULL: the arguments are JSON */
};

const struct tag_row *structural_tag_row(const struct toolcall_format *f); /* NULL: none, or F is */

struct tag_tool {
    struct str name;        /* not empty */
    struct json parameters; /* the schema; absent = {} */
    size_t position;        /* in the request's tools, as far as the choice left them */
    bool loose;             /* its arguments are any object */
};

/* Appends the tag. N may be 0 only for kimi_k3, which then binds calls of any name. */
void structural_tag_write(const struct tag_row *row, const struct tag_tool *tools, size_t n, bool at_least_one, struct arena *arena,
                          struct buf *out);
/* SCHEMA as the next value of W, as SMG prints it; {} when absent. */
void structural_tag_schema(struct json_writer *w, struct json schema, struct arena *arena);
