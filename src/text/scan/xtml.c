/* text/scan/xtml.c */
#include "text/scan/xtml.h"

#define INSIDE_MAX 64 /* bytes between a marker and its separator */

const struct str XTML_MARKERS[2] = { STR_INIT("<|open|>"), STR_INIT("<|close|>") };
const struct str XTML_SEP = STR_INIT("<|sep|>");

static size_t blanks(struct str text, size_t i)
{
    while (i < text.n && (text.p[i] == ' ' || (text.p[i] >= '\t' && text.p[i] <= '\r')))
        i++;
    return i;
}

enum xtml_found xtml_read(struct str text, size_t at, int kind, bool attributes, struct xtml_tag *ret)
{
    size_t marker = XTML_MARKERS[kind].n;
    struct str rest = str_skip(text, at + marker);
    size_t from = blanks(rest, 0), i = from;
    while (i < rest.n && rest.p[i] >= 'a' && rest.p[i] <= 'z')
        i++;
    *ret = (struct xtml_tag){ kind, { rest.p + from, i - from }, at + marker + i };
    if (i > INSIDE_MAX)
        return XTML_NO;
    if (i == rest.n)
        return XTML_CUT;
    if (i == from)
        return XTML_NO;
    if (attributes)
        return XTML_YES;
    i = blanks(rest, i);
    ret->end = at + marker + i + XTML_SEP.n;
    if (i > INSIDE_MAX)
        return XTML_NO;
    rest = str_skip(rest, i);
    if (str_has_prefix(rest, XTML_SEP))
        return XTML_YES;
    return str_has_prefix(XTML_SEP, rest) ? XTML_CUT : XTML_NO;
}
