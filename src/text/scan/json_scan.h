/* text/scan/json_scan.h -- where does a JSON value end? Reads text in pieces, looks at each byte once, keeps a few words of state
 *
 * Strict (RFC 8259): no trailing commas, no control characters in strings, numbers and literals exact, escapes of surrogates in pairs, nesting up to JSON_SCAN_DEPTH as SMG's reader.
 * UTF-8 is not checked. White space before the value is part of it.
 */
#pragma once

#include "base/str.h"

#define JSON_SCAN_DEPTH 127

enum json_scan_result {
    JSON_SCAN_MORE, /* the value goes on behind the text */
    JSON_SCAN_DONE, /* it ended; *ret_used bytes belong to it (a number ends in front of the byte that is not its own) */
    JSON_SCAN_BAD   /* not JSON; *ret_used is the offset of the byte that is wrong */
};

struct json_scan {
    uint8_t state; /* enum in json_scan.c */
    uint8_t depth;
    uint8_t literal_at;    /* in "true", "false", "null": bytes seen */
    const char *literal;   /* static */
    uint16_t unit;         /* of \uXXXX: the digits so far */
    uint64_t is_object[2]; /* bit per level */
};

void json_scan_init(struct json_scan *s);
enum json_scan_result json_scan_feed(struct json_scan *s, struct str text, size_t *ret_used);
/* The text is over: DONE when what was read is a whole value (only a number at the top can be), else BAD. */
enum json_scan_result json_scan_end(const struct json_scan *s);
/* Inside a string, or behind its backslash? Then what looks like a marker is data. */
bool json_scan_in_string(const struct json_scan *s);
