/* text/toolcall/python_literal.h -- reads Python literals and calls with keyword arguments, and writes them as JSON (spec 6.7)
 *
 * None, True, False, numbers (what fits neither i64 nor u64 as a decimal string), strings of every quoting with their escapes, adjacent strings joined, bytes, lists, tuples, dicts
 * (keys that are no strings as their JSON text; a key that stands twice is printed twice), unary signs, a bare name as the string of that name. Anything else fails. No globals, any thread.
 */
#pragma once

#include "base/buf.h"

#define PYTHON_DEPTH 127

/* One literal at the front of TEXT. Appends its JSON to OUT and returns how many bytes it took (white space in front included); 0: none (OUT is as before). */
size_t python_literal(struct str text, struct buf *out);

/* IDENT(name=literal, ...) at the front of TEXT: name and the JSON of its arguments. Returns the bytes it took; 0: no such call. A keyword that stands twice, a positional argument, * and ** fail.
 * *RET_NAME is a view of TEXT. */
size_t python_call(struct str text, struct str *ret_name, struct buf *arguments);

/* The same as models write it: the name may be dotted, true, false and null are JSON's, numbers may begin with zeros, strings may hold line breaks. */
size_t python_call_loose(struct str text, struct str *ret_name, struct buf *arguments);

/* Follows brackets and strings through text that comes in pieces: where does the bracket that TEXT begins with close? Kinds of brackets are not told apart. */
struct python_scan {
    uint8_t quote;    /* inside a string: its quote */
    uint8_t quotes_n; /* how many began it: 1 or 3; 0 = not known yet */
    uint8_t run;      /* quotes just seen */
    bool escaped;     /* behind a backslash */
    uint32_t depth;
};
void python_scan_init(struct python_scan *s);
/* True: closed; *ret_used bytes up to and with the closing bracket. False: goes on. */
bool python_scan_feed(struct python_scan *s, struct str text, size_t *ret_used);
