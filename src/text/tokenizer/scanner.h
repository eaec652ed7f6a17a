/* text/tokenizer/scanner.h -- hand-written pre-tokenizers for the regexes that the model families use (spec 5), keyed on the exact regex texts
 *
 * A scanner cuts text exactly as the regexes do, a batch of pieces at a time. Text is valid UTF-8. It has no state: a piece start is all that the regexes look back to, so scanning on
 * from the last end gives what one pass gives. The end of the text is the end of the region (\s+(?!\S) sees it).
 * Read next: scanner.c (which regex is which row), scanner_*.c (the machines).
 */
#pragma once

#include "base/str.h"

struct scanner {
    const char *name; /* the row of the spec: "L3", "Q2" ... */
    /* Writes the ends of the pieces of text[begin, n) into ENDS, at most MAX (at least 1), in order. Returns how many; 0 only when begin == n. */
    size_t (*scan)(const char *text, size_t n, size_t begin, uint32_t *ends, size_t max);
};

/* The scanner for a sequence of Split(regex, Isolated) or (regex, Removed, invert), as tokenizer.json spells the regexes after JSON decoding; DIGITS_FIRST: Digits(individual) stands before them (row R).
 * NULL = none: the generic way. A scanner takes texts below 4 GiB. */
const struct scanner *scanner_find(const struct str *regexes, size_t n, bool digits_first);
extern const struct str SCANNER_REGEX_GPT2; /* what ByteLevel(use_regex=true) splits with */
