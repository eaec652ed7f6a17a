/* text/scan/xtml.h -- the tags of XTML, which Kimi K3 writes: <|open|>NAME<|sep|>, <|close|>NAME<|sep|>, blanks around the name allowed
 *
 * A tag without attributes has less than MARKER_MAX bytes: what is longer is no tag.
 */
#pragma once

#include "base/str.h"

enum xtml_kind { XTML_OPEN, XTML_CLOSE }; /* also the numbers of XTML_MARKERS */
enum xtml_found { XTML_NO, XTML_CUT, XTML_YES };

extern const struct str XTML_MARKERS[2]; /* <|open|>, <|close|> */
extern const struct str XTML_SEP;        /* <|sep|> */

struct xtml_tag {
    int kind;
    struct str name; /* small letters */
    size_t end;      /* behind the separator; in a tag with attributes: behind the name */
};

/* Reads the tag at AT of TEXT, where the marker KIND stands: blanks, a name, blanks, the separator. ATTRIBUTES: up to the name's end only. XTML_CUT: TEXT ends inside what may be a tag. */
enum xtml_found xtml_read(struct str text, size_t at, int kind, bool attributes, struct xtml_tag *ret);

static inline bool xtml_is(const struct xtml_tag *t, int kind, const char *name)
{
    return t->kind == kind && str_eq(t->name, str_of(name));
}
