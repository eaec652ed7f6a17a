/* text/toolcall/partial_json.h -- JSON that is not all there yet, as far as it goes (spec parsers 5.2)
 *
 *   {"city": "Par          -->  {"city":"Par"}          what is open is closed; what is missing is null
 *
 * For showing people a call that has not ended, or never will because the reply was cut off (toolcall_so_far in toolcall.h). The parsers themselves tell calls only when they are whole, so
 * that streaming and complete agree.
 * Text may come in pieces; each byte is looked at once, and reading what there is costs one copy of it. Depth is bounded (PARTIAL_JSON_DEPTH), memory by a multiple of the text.
 * Numbers are printed as spec 5.1 has it; a key that stands twice is printed twice.
 */
#pragma once

#include "base/buf.h"

#define PARTIAL_JSON_DEPTH 32 /* containers around a value; what lies deeper is null */

struct partial_json {
    struct buf out;       /* owned; the value so far */
    size_t used;          /* bytes of the text that belong to the value, as far as it was read */
    size_t member_at;     /* in `out`: where the innermost member or element begins */
    size_t value_at;      /* in `out`: where a value that is no container begins */
    size_t literal_used;  /* `used` at the first letter of a word */
    uint64_t objects;     /* bit per level: is it an object? */
    uint8_t state;        /* enum in partial_json.c */
    uint8_t depth;        /* open containers */
    uint8_t hex_n;        /* of \uXXXX: digits so far */
    uint8_t word, word_n; /* true, false, null: which, and letters so far */
    uint8_t wide_n;       /* of a character beyond ASCII between values: bytes so far */
    char wide[4];
    uint16_t unit;        /* of \uXXXX: the digits so far */
    bool in_key;          /* the string is a key */
    bool partial_strings; /* a string that is cut off counts, with what there is of it; else it does not, nor does its key */
    bool failed;          /* what stands at the front is no JSON at all */
};

void partial_json_init(struct partial_json *s, bool partial_strings);
void partial_json_fini(struct partial_json *s);
/* More text. What stands behind the value is not looked at. */
void partial_json_feed(struct partial_json *s, struct str text);
/* Appends to OUT the value that there would be if the text ended here; S goes on. *RET_USED (may be NULL): bytes that belong to it. ERR_SYNTAX: no JSON; ERR_NOMEM. */
int partial_json_read(const struct partial_json *s, struct buf *out, size_t *ret_used) _must_check_;

/* All at once. */
int partial_json(struct str text, bool partial_strings, struct buf *out, size_t *ret_used) _must_check_;
