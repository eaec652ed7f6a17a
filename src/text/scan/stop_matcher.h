/* text/scan/stop_matcher.h -- finds the first of several strings in text that comes in pieces, and says how much of the end may still become one
 *
 * An automaton over bytes (Aho-Corasick): linear in the text, whatever the strings. The match that ends first wins; of those that end at one byte the longest.
 * Immutable after building; the state is one number.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct stop_matcher;
int stop_matcher_new(const struct str *strings, size_t n,
                     struct stop_matcher **ret) _must_check_; /* empty strings are ignored; ERR_LIMIT, ERR_NOMEM */
void stop_matcher_free(struct stop_matcher *m);

/* Goes on from *STATE (0 at first) through TEXT. Returns the number of the string that ends first and sets *ret_end (offset in TEXT behind its last byte), or -1: no match in all of TEXT.
 * After a match *STATE is the start again: what is searched next does not overlap what was found. */
int stop_matcher_feed(const struct stop_matcher *m, uint32_t *state, struct str text, size_t *ret_end);
size_t stop_matcher_pending(
    const struct stop_matcher *m,
    uint32_t state); /* bytes at the end of the text that are a proper prefix of a string: what must be held back */
struct str stop_matcher_string(const struct stop_matcher *m, int i);
