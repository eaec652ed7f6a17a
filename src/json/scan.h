/* json/scan.h -- private to json/: the scanner that turns text into nodes, once for each kind of processor
 *
 *   json_parse --> the best of json_scan_avx2, json_scan_sse2, json_scan_portable --> nodes in the arena
 *
 * All are made from scan_impl.h, which walks the structure, over a few functions that look at 64 bytes at once. They
 * must give the same nodes and the same errors: tests/unit/json/ and the fuzz target compare them.
 */
#pragma once

#include "json/json.h"

/* Nodes that fit on the stack: documents up to this size get an exact piece of the arena at the end, larger ones start growing in it. */
#define SCAN_STACK_NODES 256
#define SCAN_BLOCK       64 /* bytes that are looked at together: a bit of a mask for each */

struct scan {
    const char *text, *end;  /* borrowed */
    struct arena *arena;     /* borrowed */
    struct json_node *nodes; /* `stack`, later an arena piece */
    uint32_t cap;
    const char *message; /* why it failed; NULL = out of memory */
    const char *at;      /* where it failed: the offending byte, or `end` */
    struct json_node stack[SCAN_STACK_NODES];
};

/* Scans the whole text. The number of nodes, or ERR_SYNTAX (message and at are set), or ERR_NOMEM. */
typedef long json_scan_fn(struct scan *s);

json_scan_fn json_scan_portable;
#ifdef __x86_64__
json_scan_fn json_scan_sse2;
json_scan_fn json_scan_avx2; /* call only when json_scan_has_avx2() */
bool json_scan_has_avx2(void);
#endif

/* json_parse with a scanner of the caller's choice: what tests and fuzzing compare. */
int json_parse_with(json_scan_fn *scan, struct str text, struct arena *arena, struct json_doc *doc,
                    struct json_error *ret_error) _must_check_;

/* Room for more nodes after s->cap ones, P being how far the text was read; false when memory is out. */
bool json_scan_grow(struct scan *s, const char *p);

/* May C stand behind a backslash alone? */
extern const bool json_scan_simple_escape[256];

/* Checks "u" and four hex digits at P, behind the backslash. Where it goes on; NULL when it is none, nor any other escape (message and at are set). */
const char *json_scan_hex_escape(struct scan *s, const char *p);

/* The same for any escape. */
static inline const char *json_scan_escape(struct scan *s, const char *p, const char *end)
{
    if (_likely_(p < end && json_scan_simple_escape[(unsigned char)*p]))
        return p + 1;
    return json_scan_hex_escape(s, p);
}

/* The first byte of [P, END) that is not UTF-8, or END. */
const char *json_scan_utf8(const char *p, const char *end);
