/* text/scan/markers.h -- finds the first of a few markers ("<tool_call>", "[TOOL_CALLS]") in text that comes in pieces
 *
 * Plain text between markers is skipped at the speed of memchr where the markers share their first byte, else by a table of first bytes; the second byte is looked at before any marker is.
 * What may still become a marker is told apart from what cannot, so that a stream holds back no more than it must: the longest suffix that is a proper prefix of a marker.
 * Immutable after markers_init: any thread. Linear: a place in the text is compared with each marker at most once, and markers are short (MARKER_MAX).
 */
#pragma once

#include "base/str.h"

#define MARKERS_MAX 16
#define MARKER_MAX  96 /* bytes of one marker */

struct markers {
    struct str strings[MARKERS_MAX]; /* borrowed, not empty */
    unsigned n;
    int first; /* the first byte when all share it, else -1 */
    bool is_first[256];
    uint64_t is_second[4]; /* a bit per byte: it may stand behind a first one */
};

/* N is at most MARKERS_MAX; a string literal's bytes are the usual case. */
void markers_init(struct markers *m, const struct str *strings, size_t n);

/* The leftmost marker in TEXT at or behind FROM, of several at one place the longest: returns its number and sets *RET_AT. None: returns -1, and *RET_AT is where a marker may have begun
 * that TEXT ends in the middle of (TEXT.n when there is no such place).
 * A marker that is whole but is also the beginning of a longer one that TEXT ends in the middle of is reported as -1 with *RET_AT = its place, unless ENDED. */
int markers_find(const struct markers *m, struct str text, size_t from, bool ended, size_t *ret_at);
