/* text/tokenizer/unicode_tables.h -- private: the tables that the build makes of unicode.data (tools/unicode-tables), for unicode.c and the scanners
 *
 * unicode.data holds what tools/gen-unicode heard from the engine that we agree with, in a form that a reader can compare with the next version's; as C it would be 300 KB of numbers.
 * Two stages with blocks of 64 code points: X[X_BLOCK[c >> 6] * 64 + (c & 63)].
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UNICODE_BLOCKS (0x110000 / 64)

/* Low byte: enum unicode_category; high byte: flags. */
#define UNICODE_FLAG_WHITE_SPACE     (1u << 8)
#define UNICODE_FLAG_WORD            (1u << 9)
#define UNICODE_FLAG_HAN             (1u << 10)
#define UNICODE_FLAG_NUMERIC         (1u << 11)
#define UNICODE_FLAG_PUNCTUATION     (1u << 12)
#define UNICODE_FLAG_MARK            (1u << 13)
#define UNICODE_FLAG_MARK_NONSPACING (1u << 14)
#define UNICODE_FLAG_OTHER           (1u << 15)

extern const uint16_t UNICODE_RECORDS[];
extern const uint16_t UNICODE_RECORD_BLOCK[UNICODE_BLOCKS];
extern const uint8_t UNICODE_RECORD[]; /* indices of UNICODE_RECORDS */
extern const uint16_t UNICODE_CLASS_BLOCK[UNICODE_BLOCKS];
extern const uint8_t UNICODE_CLASS[]; /* enum scan_class */

/* Sorted; what is in none is script 0. */
struct unicode_script_run {
    uint32_t from, to;
    uint16_t script;
};
extern const struct unicode_script_run UNICODE_SCRIPTS[];
extern const size_t UNICODE_SCRIPTS_N;

/* Sorted; every STEPth code point from FROM to TO becomes itself plus DELTA. */
struct unicode_lower_run {
    uint32_t from, to, step;
    int32_t delta;
};
extern const struct unicode_lower_run UNICODE_LOWER[];
extern const size_t UNICODE_LOWER_N;

struct unicode_lower_long {
    uint32_t c, n, to[3];
};
extern const struct unicode_lower_long UNICODE_LOWER_LONG[];
extern const size_t UNICODE_LOWER_LONG_N;
