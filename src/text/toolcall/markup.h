/* text/toolcall/markup.h -- private to text/toolcall: elements in a text that is all there, <open attributes sep> body <close>
 *
 * A tag is damaged when it holds a '<' outside its quoted values, when a value is followed at once by something else, or has no end: then it is none, and reading goes on behind its beginning.
 * No tree, no entities, no nesting: an element ends at the first closing tag behind its opening one, as the models' own parsers read it. Each function looks forward only, and one that
 * finds nothing ends its caller's loop, so that reading all elements of a text is linear.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

struct markup {
    struct str open;  /* the beginning of the opening tag: "<parameter=" */
    struct str sep;   /* its end: ">" */
    struct str close; /* the closing tag */
    bool named;       /* a tag without name="..." is damaged */
};
struct markup_element {
    struct str attributes; /* between open and sep */
    struct str body;
};

/* TEXT stands behind the beginning of a tag: what it holds, and what stands behind its '>'. False: it is damaged. */
bool markup_tag(struct str text, struct str *ret_attributes, struct str *ret_rest);

/* The next element of *REST, which moves behind it; false: none is whole (*REST is as it was). */
bool markup_next(struct str *rest, const struct markup *m, struct markup_element *ret);

/* The value of NAME="value" (or 'value') in ATTRIBUTES; false: absent. */
bool markup_attribute(struct str attributes, struct str name, struct str *ret);

/* Each NAME of the N rows replaced by its VALUE, in one pass over TEXT per row, in the order of the rows: what one row makes the next may read. */
struct markup_entity {
    struct str name, value;
};
struct str markup_unescape(struct str text, const struct markup_entity *entities, size_t n, struct arena *arena);
